"""``crproxy warm``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

import click

from .client import AdminClient, Unreachable
from .shared_options import json_option, socket_option

if TYPE_CHECKING:
    from .warm_display import Display

__all__ = ["warm"]


@click.command(short_help="Pull images into the cache.")
@click.argument("images", nargs=-1, metavar="IMAGE...")
@click.option(
    "--file",
    "lists",
    type=click.File(),
    multiple=True,
    metavar="LIST",
    help="A file of images, one a line; # begins a comment, - is standard input. Repeatable.",
)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="OS/ARCH[/VARIANT]",
    help="Only this platform of each image. Repeatable.  [default: all]",
)
@click.option("--jobs", type=click.IntRange(1, 64), default=4, show_default=True, help="Transfers at a time.")
@click.option("--referrers", is_flag=True, help="Also what refers to each image: signatures, attestations, SBOMs.")
@socket_option
@json_option
def warm(
    images: tuple[str, ...],
    lists: tuple[IO[str], ...],
    platforms: tuple[str, ...],
    jobs: int,
    referrers: bool,
    client: AdminClient,
    as_json: bool,
) -> None:
    """Pull images into the cache, through the daemon, so that they are served from there.

    An IMAGE is written as for docker pull: nginx, quay.io/org/app:v1, ghcr.io/org/app@sha256:..., with or without this
    proxy's own name in front. What is kept is not fetched again; interrupted, the same command goes on where it was.
    The same images are refused that clients are refused.

    Exits with 1 where an image is not here. With --json, prints a line of JSON for each step.

    \b
    Examples:
      crproxy warm nginx:1.27 quay.io/prometheus/prometheus:v2.53.0
      crproxy warm --file images.txt --platform linux/amd64 --platform linux/arm64
      kubectl get pods -A -o jsonpath='{..image}' | tr ' ' '\\n' | crproxy warm --file -
    """
    wanted = list(dict.fromkeys([*images, *_listed(lists)]))
    if not wanted:
        raise click.UsageError("name an IMAGE, or a --file with some")
    body = json.dumps({"images": wanted, "platforms": platforms, "referrers": referrers, "jobs": jobs})
    with _display(as_json) as display:
        failed = _follow(client, body, display)
    sys.exit(1 if failed else 0)


def _follow(client: AdminClient, body: str, display: Display) -> int:
    """Show what the daemon tells; return how many images failed."""
    failed: int | None = None
    try:
        for line in client.lines("POST", "/warm", body):
            display.show(line)
            failed = line.get("failed", failed)
    except KeyboardInterrupt:
        raise click.ClickException("interrupted: what has come is kept, the same command goes on from there") from None
    if failed is None:
        raise Unreachable(f"the daemon at {client.path} ended before all was here: the same command goes on from there")
    return failed


def _display(as_json: bool) -> Display:
    from .warm_display import BarDisplay, LineDisplay, RawDisplay

    if as_json:
        return RawDisplay()
    return BarDisplay() if sys.stdout.isatty() else LineDisplay()


def _listed(lists: tuple[IO[str], ...]) -> Iterator[str]:
    for file in lists:
        for line in file:
            image = line.partition("#")[0].strip()
            if image:
                yield image
