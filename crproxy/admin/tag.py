"""``crproxy tag``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import click

from .answer_words import answer_lines, outcome_words
from .client import AdminClient
from .printing import Fitting, ago, local_time, print_json, print_table, short_digest
from .shared_options import json_option, socket_option

__all__ = ["tag"]


@click.group(short_help="Where tags have pointed, and what they are answered by.")
def tag() -> None:
    """Where tags have pointed, and what they are answered by.

    \b
    Examples:
      crproxy tag history nginx:1.27
      crproxy tag rollback nginx:1.27
      crproxy tag pin quay.io/org/app:v1
      crproxy tag unpin quay.io/org/app:v1
    """


@tag.command(short_help="Say when IMAGE moved, and what it is answered by.")
@click.argument("image")
@socket_option
@json_option
def history(image: str, client: AdminClient, as_json: bool) -> None:
    """Say when the tag IMAGE moved, as far as this proxy has seen it, and what it is answered by now and why.

    The latest change comes first. A tag that nobody asks for is not looked at, so that a change is dated when it was
    noticed. What is said of rules counts for clients of whom nothing is known: crproxy rules test asks for one.

    \b
    Examples:
      crproxy tag history nginx:1.27
      crproxy tag history quay.io/org/app:v1 --json
    """
    found = client.ask("GET", "/tags/history", image=image)
    if as_json:
        return print_json(found)
    now = time.time()
    click.echo(found["image"])
    for line in answer_lines(found["answer"], now):
        click.echo(line)
    rows = [
        (
            local_time(change["seen"]),
            ago(change["seen"], now),
            short_digest(change["from"]),
            short_digest(change["to"]) if change["to"] else "gone",
            change["asked_by"] or "-",
            "now" if change["answered"] else "",
        )
        for change in found["changes"]
    ]
    fitting = Fitting(dropped=("AGE", "ASKED BY"), shortened="FROM")
    print_table(("NOTICED", "AGE", "FROM", "TO", "ASKED BY", "ANSWERED"), rows, fitting=fitting)
    return None


@tag.command(short_help="Answer IMAGE by DIGEST until it is told otherwise.")
@click.argument("image")
@click.argument("digest", default="")
@socket_option
@json_option
def pin(image: str, digest: str, client: AdminClient, as_json: bool) -> None:
    """Have the tag IMAGE answered by DIGEST, or by what it is answered by now, until it is told otherwise.

    Whatever its registry says, and whatever age the rules ask for. What it is pinned to stays in the cache; what of it
    is not here yet is fetched when it is next pulled. Counts at once, in all workers, and after a restart.

    \b
    Examples:
      crproxy tag pin quay.io/org/app:v1
      crproxy tag pin nginx:1.27 sha256:0123...
    """
    pinned = client.ask("POST", "/tags/pins", image=image, digest=digest)
    if as_json:
        return print_json(pinned)
    _tell_pinned(pinned)
    return None


@tag.command(short_help="Let IMAGE follow its registry again.")
@click.argument("image")
@socket_option
@json_option
def unpin(image: str, client: AdminClient, as_json: bool) -> None:
    """Let the tag IMAGE follow its registry again, as far as the rules let it.

    \b
    Example:
      crproxy tag unpin quay.io/org/app:v1
    """
    unpinned = client.ask("DELETE", "/tags/pins", image=image)
    if as_json:
        return print_json(unpinned)
    click.echo(f"{unpinned['unpinned']}: not pinned any more; {outcome_words(unpinned['answer'])}")
    return None


@tag.command(short_help="Pin IMAGE to what it pointed to before.")
@click.argument("image")
@socket_option
@json_option
def rollback(image: str, client: AdminClient, as_json: bool) -> None:
    """Pin the tag IMAGE to the digest that it pointed to before the current one; once more, to the one before that.

    It stays there until crproxy tag unpin.

    \b
    Example:
      crproxy tag rollback nginx:1.27
    """
    pinned = client.ask("POST", "/tags/rollback", image=image)
    if as_json:
        return print_json(pinned)
    click.echo(f"{pinned['pinned']}: back from {short_digest(pinned['from'])}")
    _tell_pinned(pinned)
    return None


@tag.command(short_help="List what is pinned.")
@socket_option
@json_option
def pins(client: AdminClient, as_json: bool) -> None:
    """List the tags that are pinned: by this command, and below [pins] in the configuration's file, which counts first.

    \b
    Examples:
      crproxy tag pins
      crproxy tag pins --json
    """
    found = client.ask("GET", "/tags/pins")
    if as_json:
        return print_json(found)
    if not found:
        click.echo("no tag is pinned")
        return None
    now = time.time()
    rows = [(pin["image"], pin["digest"], _where(pin), ago(pin["made"], now)) for pin in found]
    fitting = Fitting(dropped=("SINCE", "BY"), shortened="DIGEST")
    print_table(("IMAGE", "DIGEST", "BY", "SINCE"), rows, fitting=fitting)
    return None


def _where(pin: Mapping[str, Any]) -> str:
    return "the file" if pin["where"] == "file" else "crproxy tag pin"


def _tell_pinned(pinned: Mapping[str, Any]) -> None:
    click.echo(f"{pinned['pinned']}: pinned to {pinned['digest']}")
    if not pinned["complete"]:
        click.echo(f"not all of it is here: it is fetched when it is pulled, or by crproxy warm {pinned['by_digest']}")
