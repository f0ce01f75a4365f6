"""``crproxy cache``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from ..policy.units import format_share, format_size
from .client import AdminClient, Unreachable
from .printing import Fitting, ago, print_json, print_table, short_digest
from .shared_options import Size, json_option, socket_option
from .verification import Verification, verify_directory, verify_through

__all__ = ["cache"]

_SORTS = {
    "name": lambda image: image["image"],
    "size": lambda image: -image["bytes"],
    "used": lambda image: -(image["used"] or 0.0),
}


@click.group(short_help="Look after what is kept.")
def cache() -> None:
    """Look after what is kept.

    \b
    Examples:
      crproxy cache stats
      crproxy cache list --sort size
      crproxy cache remove quay.io/org/app:v1
      crproxy cache pin quay.io/org/app:v2
      crproxy cache gc --dry-run
    """


@cache.command(short_help="How much is kept, and what it was good for.")
@socket_option
@json_option
def stats(client: AdminClient, as_json: bool) -> None:
    """Say how much is kept, of how much that may be, and what it was good for.

    Hit rates are of all requests, and of all bytes sent, that the cache had to do with since the daemon started, by all
    its workers. Bytes that several registries have count for each.

    \b
    Examples:
      crproxy cache stats
      crproxy cache stats --json
    """
    usage = client.ask("GET", "/cache")
    if as_json:
        return print_json(usage)
    now = time.time()
    share = f" ({format_share(usage['bytes'] / usage['budget'])})" if usage["budget"] else ""
    print_table(
        ("", ""),
        [
            ("kept", f"{format_size(usage['bytes'])} of {format_size(usage['budget'])}{share}"),
            ("contents", str(usage["contents"])),
            ("partial files", f"{usage['partial_files']}, {format_size(usage['partial_bytes'])}"),
            ("of no repository", format_size(usage["unlinked"])),
            ("longest unused", ago(usage["oldest_use"], now)),
            *_served(usage.get("served"), now),
            *_registries(usage["by_registry"], (usage.get("served") or {}).get("by_registry", {})),
        ],
    )
    return None


def _served(served: Mapping[str, Any] | None, now: float) -> Iterator[tuple[str, str]]:
    """Give what the cache was good for; a daemon that is older than this command does not tell it."""
    if served is None:
        return
    yield "counted since", ago(served["since"], now)
    yield "answered from the cache", _hits(served["hits"], served["requests"], f"{served['requests']} requests")
    yield "sent from the cache", _hits(served["hit_bytes"], served["bytes"], format_size(served["bytes"]))
    yield "fetched from upstreams", format_size(served["upstream_bytes"])


def _registries(kept: Mapping[str, int], served: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give a line for each registry of which something is kept, or was asked for."""
    for registry in sorted({*kept, *served}):
        said = [f"{format_size(kept.get(registry, 0))} kept"]
        if registry in served:
            asked = served[registry]
            said.append(_hits(asked["hits"], asked["requests"], f"{asked['requests']} requests"))
        yield registry, "; ".join(said)


def _hits(hits: int, number: int, of: str) -> str:
    return f"{format_share(hits / number)} of {of}" if number else "nothing was asked for"


@cache.command("list")
@click.argument("pattern", default="")
@click.option("--sort", type=click.Choice(list(_SORTS)), default="name", show_default=True, help="What comes first.")
@click.option("--reverse", is_flag=True, help="The other way round.")
@socket_option
@json_option
def list_images(pattern: str, sort: str, reverse: bool, client: AdminClient, as_json: bool) -> None:
    """List the images that are kept.

    PATTERN is a part of the name, or a pattern of the shell's for all of it. KEPT says whether all of an image is here:
    "complete", or which platforms of it, or "partly"; "gone" is one of which only the tag is remembered. What is
    "pinned" stays. Bytes that several images share count for each; the last line says how many there are on disk. A
    terminal that is too narrow is shown fewer columns, and long names without their middle; a pipe or a file gets all
    of it.

    \b
    Examples:
      crproxy cache list
      crproxy cache list nginx --sort used
      crproxy cache list 'docker.io/library/*' --json
    """
    images = sorted(client.ask("GET", "/cache/images", pattern=pattern), key=_SORTS[sort], reverse=reverse)
    if as_json:
        print_json(images)
        return
    now = time.time()
    rows = [
        (
            image["image"],
            short_digest(image["digest"]),
            format_size(image["bytes"]),
            ago(image["used"], now),
            _kept(image),
        )
        for image in images
    ]
    fitting = Fitting(dropped=("DIGEST", "KEPT", "USED"), shortened="IMAGE")
    print_table(("IMAGE", "DIGEST", "SIZE", "USED", "KEPT"), rows, numbers=("SIZE",), fitting=fitting)
    total, on_disk = sum(image["bytes"] for image in images), client.ask("GET", "/cache")["bytes"]
    number = "1 image" if len(images) == 1 else f"{len(images)} images"
    click.echo(f"{number}, {format_size(total)}; the cache has {format_size(on_disk)} on disk")


@cache.command(short_help="Remove IMAGE, or all of a repository.")
@click.argument("image")
@socket_option
@json_option
def remove(image: str, client: AdminClient, as_json: bool) -> None:
    """Remove IMAGE, by tag or digest; or, without either, all of a repository.

    What other images need stays, and who is pulling it gets all of it. When it is next asked for it is fetched again.

    \b
    Examples:
      crproxy cache remove nginx:1.27
      crproxy cache remove quay.io/org/app@sha256:0123...
      crproxy cache remove quay.io/org/app
    """
    gone = client.ask("DELETE", "/cache/images", image=image)
    if as_json:
        return print_json(gone)
    click.echo(f"{gone['removed']}: removed, {format_size(gone['freed_bytes'])} freed ({gone['freed_bytes']} bytes)")
    return None


@cache.command(short_help="Have IMAGE stay in the cache.")
@click.argument("image")
@socket_option
@json_option
def pin(image: str, client: AdminClient, as_json: bool) -> None:
    """Have IMAGE, by tag or digest, stay in the cache whatever room is needed.

    All of it that is here stays, and what comes of it later; where a tag moves, what it points to then. So room is made
    by other images alone: pin what is needed while its registry is away, not all there is.

    \b
    Examples:
      crproxy cache pin quay.io/org/app:v1
      crproxy cache pin nginx
    """
    pinned = client.ask("POST", "/cache/pins", image=image)
    if as_json:
        return print_json(pinned)
    click.echo(f"{pinned['pinned']}: pinned")
    return None


@cache.command()
@click.argument("image")
@socket_option
@json_option
def unpin(image: str, client: AdminClient, as_json: bool) -> None:
    """Let IMAGE go again when its room is needed.

    \b
    Example:
      crproxy cache unpin quay.io/org/app:v1
    """
    unpinned = client.ask("DELETE", "/cache/pins", image=image)
    if as_json:
        return print_json(unpinned)
    click.echo(f"{unpinned['unpinned']}: not pinned any more")
    return None


@cache.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@socket_option
@json_option
def gc(dry_run: bool, client: AdminClient, as_json: bool) -> None:
    """Drop what nothing needs, without waiting until its place is needed.

    That is what was used the longest ago, where the cache is over its size; contents that no repository has a right to
    and nobody asked for in a week; and partial files that nobody has filled for a day. The daemon does the first and
    the last by itself, too.

    \b
    Examples:
      crproxy cache gc --dry-run
      crproxy cache gc
    """
    found = client.ask("POST", "/cache/gc", dry_run="1" if dry_run else "")
    if as_json:
        return print_json(found)
    for kind in ("evicted", "orphans", "partials"):
        for content in found[kind]:
            click.echo(f"{_KINDS[kind]}: {content['content']}, {format_size(content['bytes'])}")
    if dry_run:
        click.echo(f"{format_size(found['bytes'])} would be freed ({found['bytes']} bytes)")
    else:
        click.echo(f"{format_size(found['freed_bytes'])} freed ({found['freed_bytes']} bytes)")
    return None


@cache.command()
@socket_option
@json_option
def push(client: AdminClient, as_json: bool) -> None:
    """Upload all that is kept to the object store, for the other nodes.

    What is new goes there by itself; this is for what was kept before there was a [storage]. What is there already is
    not sent again. Interrupted, the daemon goes on with what it has noted, also after a restart; the same command sees
    to the rest. Exits with 1 where something could not be uploaded.

    \b
    Example:
      crproxy cache push
    """
    line: dict[str, Any] = {}
    try:
        for line in client.lines("POST", "/cache/push"):
            if as_json:
                click.echo(json.dumps(line))
            elif "pushed" not in line:
                click.echo(_push_progress(line))
    except KeyboardInterrupt:
        text = "interrupted: the daemon goes on with what it has noted, and the same command sees to the rest"
        raise click.ClickException(text) from None
    if "pushed" not in line:
        raise Unreachable(f"the daemon at {client.path} ended before all was uploaded: it goes on when it starts again")
    if not as_json:
        for text in _push_result(line):
            click.echo(text)
    sys.exit(1 if line["given_up"] else 0)


def _push_progress(line: Mapping[str, Any]) -> str:
    """Return how far it is."""
    left = f"{line['waiting']} objects are to be uploaded, {format_size(line['waiting_bytes'])}"
    trouble = "" if line["trouble"] is None else f"; the last attempt failed: {line['trouble']}"
    return f"{line['found']} found; {left}; {line['uploaded']} uploaded{trouble}"


def _push_result(line: Mapping[str, Any]) -> Iterator[str]:
    """Give what has come of it."""
    if not line["found"]:
        yield "there is nothing to be uploaded: nothing is kept here"
    else:
        uploaded = f"{line['uploaded']} objects uploaded, {format_size(line['uploaded_bytes'])}"
        yield f"{line['found']} found; {uploaded}; {line['there_before']} were there already"
    if line["given_up"]:
        yield f"{line['given_up']} could not be uploaded: gone from the disk meanwhile, or the daemon's log says why"
    if line["unread"]:
        yield f"{line['unread']} were found on disk and not read since: crproxy cache verify, then this once more"


@cache.command(short_help="Read what is kept again, and drop what is damaged.")
@click.argument("image", default="", metavar="[IMAGE]")
@click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Read this data directory, of a daemon that runs or not, in place of asking the daemon.",
)
@click.option("--rate", type=Size(), default="100M", show_default=True, help="Bytes to read per second at the most.")
@socket_option
@json_option
def verify(image: str, data_dir: Path | None, rate: int, client: AdminClient, as_json: bool) -> None:
    """Read all that is kept again, or all of IMAGE that is, and drop what is damaged.

    Each content's bytes are hashed and compared with its digest. IMAGE is named by tag or digest; without either it is
    all of a repository. Exits with 1 where something was dropped: it is fetched again when it is next asked for.

    \b
    Examples:
      crproxy cache verify
      crproxy cache verify quay.io/org/app:v1
      crproxy cache verify --data-dir /var/lib/crproxy --rate 50M
    """
    seen = Verification(quiet=as_json)
    if image and data_dir is not None:
        raise click.UsageError("of a data directory all is read: leave out IMAGE, or --data-dir")
    if data_dir is None:
        verify_through(client, rate, image, seen)
    else:
        verify_directory(data_dir, rate, seen)
    if as_json:
        print_json({"read": seen.read, "dropped": seen.dropped})
    else:
        click.echo(f"{format_size(seen.read)} read ({seen.read} bytes), {len(seen.dropped)} contents dropped")
    sys.exit(1 if seen.dropped else 0)


_KINDS = {
    "evicted": "used the longest ago",
    "orphans": "of no repository",
    "partials": "partial, and left alone",
}


def _kept(image: dict[str, Any]) -> str:
    kept = "complete" if image["complete"] else ", ".join(image["platforms"])
    kept = kept or ("partly" if image["bytes"] else "gone")
    return f"{kept}, pinned" if image["pinned"] else kept
