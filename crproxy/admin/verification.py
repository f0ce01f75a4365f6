"""All that is kept, or one image of it, read again: by the daemon, or here in its data directory."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import click

from .client import AdminClient, Unreachable

__all__ = ["Verification", "verify_directory", "verify_through"]


@dataclass
class Verification:
    """What was seen.

    Arguments:
        quiet: nothing is printed while it goes on.
        read: bytes.
        dropped: what was damaged.
    """

    quiet: bool = False
    read: int = 0
    dropped: list[str] = field(default_factory=list)

    def drop(self, what: str) -> None:
        """Something was damaged."""
        self.dropped.append(what)
        if not self.quiet:
            click.echo(f"damaged, dropped: {what}")


def verify_through(client: AdminClient, rate: int, image: str, seen: Verification) -> None:
    """Let the daemon read an image; everything where none is named. Raises Unreachable, Refused."""
    lines = client.lines("POST", "/cache/verify", rate=str(rate), image=image)
    total = next(lines, {}).get("total", 0)
    over = False
    with click.progressbar(length=total, label="verifying", file=sys.stderr) as bar:
        for line in lines:
            if "damaged" in line:
                seen.drop(line["damaged"])
                continue
            bar.update(line["read"] - seen.read)
            seen.read = line["read"]
            over = over or "verified" in line
    if not over:
        raise Unreachable(f"the daemon at {client.path} ended before it had read everything")


def verify_directory(data_dir: Path, rate: int, seen: Verification) -> None:
    """Read everything below ``data_dir``. Raises ClickException where something of it cannot be read."""
    # Neither takes part in what goes through the daemon.
    from ..store.opening import open_store
    from ..store.scrubbing import verify

    store, began = open_store(data_dir), time.monotonic()
    with (
        closing(store.index) as index,
        click.progressbar(length=index.bytes_stored(), label="verifying", file=sys.stderr) as bar,
    ):
        try:
            for entry, size, sound in verify(store):
                seen.read += size
                bar.update(size)
                if not sound:
                    seen.drop(str(entry))
                time.sleep(max(0.0, began + seen.read / max(rate, 1) - time.monotonic()))
        except OSError as error:
            raise click.ClickException(f"{data_dir} cannot be read: {error}") from error
