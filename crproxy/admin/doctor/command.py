"""``crproxy doctor``: its options."""

from __future__ import annotations

from typing import Any

import click

from ...oci.names import Registry
from ..arguments import RegistryName
from ..options import config_option, daemon_options, options_of
from ..paths import SYSTEM_CONFIG

__all__ = ["doctor"]


@click.command(short_help="Look for what is wrong, and say what to do.")
@config_option
@daemon_options
@click.option(
    "--upstream", "upstreams", multiple=True, type=RegistryName(), help="Look at this registry alone. Repeatable."
)
@click.option("--strict", is_flag=True, help="Exit with 2 where there are warnings.")
@click.option("--json", "as_json", is_flag=True, help="Print one document for programs.")
def doctor(config_file: str | None, upstreams: tuple[Registry, ...], strict: bool, as_json: bool, **said: Any) -> None:
    """Look at the configuration, permissions, disk, DNS, ports, certificates, the CA, every registry, and the clock;
    and of a fleet at Valkey, the other nodes, and the object store.

    Each is a line: ok, warning, failed, or skipped because it depends on another, and what to do. The last lines name
    where to begin. Nothing is changed, but for a small object that is put into the object store and removed, and the
    daemon need not run. Exits with 1 where something failed.

    \b
    Examples:
      crproxy doctor
      crproxy doctor --domain cr.example.com --strict
      crproxy doctor --upstream quay.io --json
    """
    # What it looks with takes most of a second to import, which the other commands need not spend.
    from .running import run

    status = run(config_file, options_of(said), SYSTEM_CONFIG, upstreams, strict=strict, json=as_json)
    raise click.exceptions.Exit(status)
