"""``crproxy alias``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .client import AdminClient
from .printing import print_json, print_table
from .shared_options import json_option, socket_option

if TYPE_CHECKING:
    from .alias_file import AliasChange

__all__ = ["alias"]


@click.group(short_help="The host names that stand for one registry.")
def alias() -> None:
    """The host names that stand for one registry each.

    A change counts at once, certificate included, and is written into the configuration's file: by the daemon where it
    may, else by this command where you may. Comments and layout stay.

    \b
    Examples:
      crproxy alias list
      crproxy alias add corp registry.corp.example
      crproxy alias remove jujucharms
    """


@alias.command("list")
@socket_option
@json_option
def list_aliases(client: AdminClient, as_json: bool) -> None:
    """List the host names and their registries.

    \b
    Examples:
      crproxy alias list
      crproxy alias list --json
    """
    aliases = client.ask("GET", "/aliases")
    if as_json:
        print_json(aliases)
    else:
        print_table(("HOST", "REGISTRY"), aliases.items())


@alias.command()
@click.argument("label")
@click.argument("registry")
@socket_option
@json_option
def add(label: str, registry: str, client: AdminClient, as_json: bool) -> None:
    """Let LABEL, below the domain, stand for REGISTRY.

    A LABEL with a dot in it is a whole host name. One that is there is replaced. Exits with 1 where it counts now but
    could not be written down, and says what to do then.

    \b
    Examples:
      crproxy alias add corp registry.corp.example
      crproxy alias add hub.example.net docker.io
    """
    _finish(client, client.ask("PUT", f"/aliases/{label}", registry), as_json)


@alias.command()
@click.argument("label")
@socket_option
@json_option
def remove(label: str, client: AdminClient, as_json: bool) -> None:
    """Let LABEL stand for nothing any more: also one that is built in.

    Exits with 1 where it counts now but could not be written down, and says what to do then.

    \b
    Example:
      crproxy alias remove jujucharms
    """
    _finish(client, client.ask("DELETE", f"/aliases/{label}"), as_json)


def _finish(client: AdminClient, document: dict[str, Any], as_json: bool) -> None:
    # The configuration's modules take longer to load than all else, and completion and --help do without them.
    from .alias_file import AliasChange

    change = _kept(AliasChange.of(document))
    if as_json:
        print_json(change.document())
    else:
        _tell(client, change)
    sys.exit(0 if change.kept else 1)


def _kept(change: AliasChange) -> AliasChange:
    """Write the alias down where the daemon could not."""
    from ..config import ConfigError
    from ..config.editing import with_alias_line
    from .alias_file import rewrite

    if change.kept or change.file is None or change.sha256 is None:
        return change
    label, registry = change.alias, change.registry or ""
    try:
        rewrite(Path(change.file), lambda text: with_alias_line(text, label, registry, change.domain), change.sha256)
    except (OSError, UnicodeDecodeError) as error:
        return change.but(why=f"{change.why}; nor can you: {getattr(error, 'strerror', None) or error}")
    except ConfigError as error:
        return change.but(why=f"{change.why}; nor can this command: {error}")
    return change.but(kept=True, why=None)


def _tell(client: AdminClient, change: AliasChange) -> None:
    means = f"stands for {change.registry} now" if change.registry else "stands for nothing any more"
    kept = f", and in {change.file}" if change.kept and change.file else ""
    click.echo(f"{change.host} {means}{kept}")
    if change.registry:
        for state in client.ask("GET", "/certificates"):
            if state["name"] == change.host:
                click.echo(f"its certificate: {state['state']}{': ' + state['why'] if state['why'] else ''}")
    if not change.kept:
        click.echo(_advice(change), err=True)


def _advice(change: AliasChange) -> str:
    lost = f"This lasts until the configuration is read again: {change.why}."
    if change.file is not None:
        return f"{lost} To keep it, write into {change.file}:\n\n{change.lines}"
    option = f"--alias {change.alias}={change.registry or ''}"
    return (
        f"{lost} To keep it, start the daemon with {option}, or with --config and a file that has this "
        f"(/etc/crproxy/crproxy.toml is read without --config):\n\n{change.lines}"
    )
