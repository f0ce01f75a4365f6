"""``crproxy fleet``."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from ..policy.units import format_size
from .client import AdminClient
from .printing import ago, print_json, print_table
from .shared_options import json_option, socket_option

__all__ = ["fleet"]


@click.group(short_help="Look at the nodes of a fleet.")
def fleet() -> None:
    """Look at the nodes of a fleet.

    \b
    Example:
      crproxy fleet status
    """


@fleet.command(short_help="Say which nodes there are, and what they have in common.")
@socket_option
@json_option
def status(client: AdminClient, as_json: bool) -> None:
    """Say which nodes there are, and how it stands with what they have in common.

    That is Valkey, where they agree, and the object store, where what is kept is for all of them. Exits with 1 where
    one of the two cannot be reached: each node goes on alone then.

    \b
    Examples:
      crproxy fleet status
      crproxy fleet status --json
    """
    found = client.ask("GET", "/fleet")
    if as_json:
        print_json(found)
    else:
        _print(found)
    sys.exit(0 if all(part["up"] for part in found.values() if part is not None) else 1)


def _print(found: dict[str, Any]) -> None:
    agreed, storage, now = found["fleet"], found["storage"], time.time()
    if agreed is not None:
        rows = [
            (
                node["name"] + (" (this one)" if node["name"] == agreed["node"] else ""),
                node["url"],
                node["version"],
                str(node["workers"]),
                ago(node["since"], now),
                format_size(int(node["numbers"].get("stored", 0))),
                f"{node['numbers'].get('flights', 0):g}",
            )
            for node in agreed["nodes"]
        ]
        if rows:
            print_table(("NODE", "URL", "VERSION", "WORKERS", "SINCE", "KEPT", "FETCHES"), rows)
        click.echo(f"valkey: {agreed['valkey']}, {_up(agreed['up'])}; leases of this node: {agreed['leases']}")
    if storage is not None:
        waiting = f"{storage['waiting']} objects to be uploaded, {format_size(storage['waiting_bytes'])}"
        click.echo(f"object store: {storage['url']}, {_up(storage['up'])}; {waiting}")


def _up(is_up: bool) -> str:
    return "up" if is_up else "away: this node goes on alone"
