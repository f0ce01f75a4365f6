"""``crproxy ca``."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from .client import AdminClient
from .printing import print_json
from .shared_options import json_option, socket_option

__all__ = ["ca"]


@click.group(short_help="The CA by which the HTTP proxy answers for registries.")
def ca() -> None:
    """The CA by which the HTTP proxy answers for registries.

    Clients that have this proxy as their HTTPS_PROXY trust it. It can sign for the names of registries and for nothing
    else, and its key never leaves the data directory.

    \b
    Examples:
      crproxy ca show
      crproxy ca export > crproxy-ca.pem
    """


@ca.command()
@socket_option
@json_option
def show(client: AdminClient, as_json: bool) -> None:
    """Say which there is, until when it counts, and for which names.

    \b
    Example:
      crproxy ca show
    """
    found = client.ask("GET", "/ca")
    if as_json:
        print_json(found)
        return
    for one in found["authorities"]:
        _print(one)


@ca.command()
@socket_option
def export(client: AdminClient) -> None:
    """Print what clients are to trust, in PEM.

    While clients change over from one CA to the next these are two.

    \b
    Examples:
      crproxy ca export > crproxy-ca.pem
      crproxy ca export | sudo tee /usr/local/share/ca-certificates/crproxy.crt
    """
    for one in client.ask("GET", "/ca")["authorities"]:
        click.echo(one["certificate"], nl=False)


@ca.command()
@click.option("--at-once", is_flag=True, help="Remove those before it: for a key that somebody may have seen.")
@socket_option
@json_option
def renew(client: AdminClient, as_json: bool, at_once: bool) -> None:
    """Make another one, before it is due.

    The one before goes on signing for 90 days: give clients what crproxy ca export prints within that time. With
    --at-once it is removed, and clients are answered only once they trust the new one; remove the old one from those
    that they trust, too.

    \b
    Examples:
      crproxy ca renew
      crproxy ca renew --at-once
    """
    made = client.ask("POST", "/ca", json.dumps({"at_once": at_once}))
    if as_json:
        print_json(made)
        return
    _print(made)
    when = "It signs from now on" if at_once else "It signs from in 90 days on"
    click.echo(f"{when}: give clients what crproxy ca export prints.")


def _print(one: dict[str, Any]) -> None:
    until = time.strftime("%Y-%m-%d", time.gmtime(one["not_after"]))
    click.echo(f"SHA-256 {one['fingerprint']}")
    click.echo(f"  until {until}, for {', '.join(one['names'])}")
