"""``crproxy doctor``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click
from rich.console import Console
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from ...config import Config
from ...oci.names import Registry
from ..arguments import RegistryName
from ..configured import SYSTEM_CONFIG
from ..options import config_option, daemon_options, spoken
from .configuration import read
from .findings import Finding
from .instruments import Instruments, resolver
from .report import Printed, exit_status, to_json
from .round import Report, make_round

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
    """Look at the configuration, rights, disk, DNS, ports, certificates, the CA, every registry, and the clock.

    Each is a line: ok, warning, failed, or skipped because it depends on another, and what to do. The last lines name
    where to begin. Nothing is changed, and the daemon need not run. Exits with 1 where something failed.
    """
    reading = read(config_file, spoken(said), SYSTEM_CONFIG)
    console = Printed(Console()) if not as_json else None
    findings: list[Finding] = []

    def report(found: Iterable[Finding]) -> None:
        new = list(found)
        findings.extend(new)
        if console is not None:
            console.add(new)

    report(reading.findings)
    if reading.config is not None:
        _look(reading.config, upstreams, report)
    if console is not None:
        console.end(findings)
    else:
        click.echo(to_json(findings))
    raise click.exceptions.Exit(exit_status(findings, strict=strict))


def _look(config: Config, upstreams: tuple[Registry, ...], report: Report) -> None:
    """Run a reactor for one round. react takes the global one by itself, and ends by SystemExit."""

    def look(reactor: Any) -> Deferred[None]:
        return Deferred.fromCoroutine(make_round(config, upstreams, Instruments(reactor, resolver(reactor)), report))

    try:
        react(look)
    except SystemExit as ended:
        if ended.code:
            raise
