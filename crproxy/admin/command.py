"""The ``crproxy`` command."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click
from twisted.scripts.twistd import run

from .. import __version__
from ..policy.quantities import parse_size
from ..store.janitor import verify as verified
from ..store.store import open_store
from .doctor.command import doctor
from .setup import setup

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="crproxy %(version)s")
def main() -> None:
    """Run a mirror proxy for every container registry."""


main.add_command(doctor)
main.add_command(setup)


@main.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    short_help="Run the proxy in the foreground.",
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def serve(options: tuple[str, ...]) -> None:
    """Run the proxy in the foreground: the same as ``twistd -n crproxy``, whose options it takes (see serve --help)."""
    sys.argv = ["twistd", "--nodaemon", "--pidfile=", "crproxy", *options]
    run()


class Size(click.ParamType[int]):
    """Bytes, written as people write them: 50M."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes that ``value`` stands for."""
        try:
            return value if isinstance(value, int) else parse_size(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@main.group()
def cache() -> None:
    """Look after what is kept."""


@cache.command()
@click.option(
    "--data-dir",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The daemon's data directory. It may be running meanwhile.",
)
@click.option("--rate", type=Size(), default="100M", show_default=True, help="Bytes to read per second at the most.")
def verify(data_dir: Path, rate: int) -> None:
    """Read all that is kept again, and drop what is damaged.

    Each content's bytes are hashed and compared with its digest. Exits with 1 where something was dropped: it is
    fetched again when it is next asked for.
    """
    store = open_store(data_dir)
    total, read, dropped, began = store.index.bytes_stored(), 0, 0, time.monotonic()
    with click.progressbar(length=total, label="verifying", file=sys.stderr) as bar:
        for entry, size, sound in verified(store):
            read += size
            bar.update(size)
            if not sound:
                dropped += 1
                click.echo(f"damaged, dropped: {entry}")
            time.sleep(max(0.0, began + read / max(rate, 1) - time.monotonic()))
    click.echo(f"{read} bytes read, {dropped} contents dropped")
    sys.exit(1 if dropped else 0)
