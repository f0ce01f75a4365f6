"""The command line that benchmarks have in common: how much is measured, and whether the result is kept."""

import argparse
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from .peers import HELP, Peer, PeerError
from .tables import replace_section

__all__ = ["run"]

PAGE = Path(__file__).parent.parent.parent / "docs" / "performance.md"


class Scale(Protocol):
    """How much work is done: a frozen dataclass with this, among others."""

    @property
    def rounds(self) -> int:
        """How often each is measured."""


Measured = TypeVar("Measured", bound=Scale)
Measure = Callable[[Measured, Callable[[str], None]], str]


def run(name: str, what: str | None, full: Measured, quick: Measured, measure: Measure[Measured]) -> None:
    """Measure, print the result, and keep it where that is asked for.

    Arguments:
        name: the module's, and the section's of the page.
        what: the module's own words, of which the first line counts.
        full, quick: the scales to choose from.
    """
    parser = argparse.ArgumentParser(prog=f"benchmarks.{name}", description=(what or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="only see that everything can be measured")
    parser.add_argument("--rounds", type=int, help=f"how often each is measured ({full.rounds})")
    settable = {field.name for field in dataclasses.fields(full)}  # type: ignore[arg-type]
    if "peers" in settable:
        parser.add_argument("--peer", dest="peers", type=Peer.parse, action="append", metavar="NAME=COMMAND", help=HELP)
    if "profile" in settable:
        parser.add_argument(
            "--profile", type=Path, metavar="DIRECTORY", help="draw flame graphs of crproxy into it, SVG for a browser"
        )
    if "workers" in settable:
        parser.add_argument("--workers", type=int, help="processes that serve clients")
    if "directory" in settable:
        parser.add_argument(
            "--directory",
            type=Path,
            help="where all files lie, such as /dev/shm (the system's place for such files)",
        )
    parser.add_argument("--write", action="store_true", help=f"keep the result in {PAGE.name}")
    options = parser.parse_args()
    scale = quick if options.quick else full
    said = {name: value for name, value in vars(options).items() if name in settable and value is not None}
    scale = dataclasses.replace(scale, **said)  # type: ignore[type-var]
    started = time.monotonic()
    try:
        result = measure(scale, lambda line: print(line, flush=True))
    except PeerError as error:
        parser.error(str(error))
    print(f"\n{result}\n\nTook {time.monotonic() - started:.0f} s.")
    if options.write:
        replace_section(PAGE, name, result)
