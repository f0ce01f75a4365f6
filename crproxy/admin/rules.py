"""``crproxy rules``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import click

from .answer_words import answer_lines, outcome_words
from .client import AdminClient
from .printing import Fitting, print_json, print_table
from .shared_options import json_option, socket_option

__all__ = ["rules"]


@click.group(short_help="What may be pulled, by whom, and on which conditions.")
def rules() -> None:
    """What may be pulled, by whom, and on which conditions: the [[rules]] of the configuration's file.

    \b
    Examples:
      crproxy rules list
      crproxy rules test nginx:1.27 --client 192.0.2.7
    """


@rules.command("list", short_help="List the rules in their order.")
@socket_option
@json_option
def list_rules(client: AdminClient, as_json: bool) -> None:
    """List the rules in their order: the first that is about a request decides it.

    One that is not enforced only has what it would have done logged and counted, and the next one is asked.

    \b
    Examples:
      crproxy rules list
      crproxy rules list --json
    """
    found = client.ask("GET", "/rules")
    if as_json:
        return print_json(found)
    if not found:
        click.echo("there are no rules: what [access] lets through is served")
        return None
    rows = [
        (
            str(rule["number"]),
            rule["name"],
            "; ".join(rule["about"]),
            rule["does"],
            "yes" if rule["enforced"] else "no",
        )
        for rule in found
    ]
    fitting = Fitting(dropped=("#",), shortened="ABOUT")
    print_table(("#", "NAME", "ABOUT", "DOES", "ENFORCED"), rows, numbers=("#",), fitting=fitting)
    return None


@rules.command(short_help="Say which rule decides about IMAGE, and why.")
@click.argument("image")
@click.option("--client", "address", metavar="ADDRESS", default="", help="The IP address that it is asked for from.")
@click.option("--user", metavar="NAME", default="", help="Who has logged in.  [default: nobody]")
@socket_option
@json_option
def test(image: str, address: str, user: str, client: AdminClient, as_json: bool) -> None:
    """Say which rule decides about IMAGE, and why, and what is answered just now.

    It goes through the lists of [access] first and then through the rules, as the daemon does for a client; without
    --client it is one whose address is in no network. No registry is asked: what is answered follows from what is known
    here. Nothing is logged nor counted as a client's request would be.

    \b
    Examples:
      crproxy rules test nginx:1.27
      crproxy rules test quay.io/org/app:v1 --client 192.0.2.7 --user anna
    """
    found = client.ask("GET", "/rules/test", image=image, client=address, user=user)
    if as_json:
        return print_json(found)
    for line in _lines(found, time.time()):
        click.echo(line)
    return None


def _lines(found: Mapping[str, Any], now: float) -> Iterator[str]:
    yield f"{found['image']}, for {_who(found)}"
    yield f"[access]: {_access(found['access'])}"
    trials = iter(found["trials"])
    for rule in found["rules"]:
        title = f"{rule['number']}. {rule['name']} ({rule['does']})"
        if rule["why_not"] is not None:
            yield f"{title}: not about it: {rule['why_not']}"
        elif rule["enforced"]:
            yield f"{title}: decides"
        else:
            yield f"{title}: not enforced; it would say: {outcome_words(next(trials))}"
    if found["decides"] is None and not found["access"]["refused"] and not found["access"]["privileged"]:
        yield "no rule decides: it is served" if found["rules"] else "there are no rules"
    yield from answer_lines(found["answer"], now)


def _who(found: Mapping[str, Any]) -> str:
    client = found["client"] or "a client of no known address"
    return f"{client}, logged in as {found['user']}" if found["user"] else f"{client}, not logged in"


def _access(access: Mapping[str, Any]) -> str:
    if access["refused"]:
        return f"refuses it: {access['refused']}"
    if access["privileged"]:
        return "lets it through as privileged, so that no rule is about it"
    return "lets it through"
