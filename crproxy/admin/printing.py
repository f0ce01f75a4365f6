"""What commands print: tables, sizes and times for people, JSON for programs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from ..policy.units import format_age

__all__ = ["Fitting", "ago", "fitted", "local_time", "print_json", "print_table", "short_digest"]

# Where nobody looks at a terminal's edge, nothing is cut.
_ENDLESS = 10_000
# Between two columns.
_GAP = 2
# What a name that is shortened has at the least: of less nothing could be told.
_LEAST_ROOM = 20


def print_json(document: Any) -> None:
    """Print ``document``."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


@dataclass(frozen=True, slots=True)
class Fitting:
    """What of a table gives way on a terminal that is too narrow for all of it.

    Arguments:
        dropped: the headings of columns that are left out, the first one first.
        shortened: the heading of the column whose middle is left out where that is not enough.
    """

    dropped: Sequence[str]
    shortened: str


def print_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers: Sequence[str] = (),
    fitting: Fitting | None = None,
) -> None:
    """Print ``rows`` below their headings; nothing is cut off, but for what may give way on a terminal.

    Arguments:
        numbers: the headings of what is put to the right.
        fitting: what may give way; None lets cells go on in the next line.
    """
    if fitting is not None and sys.stdout.isatty():
        headings, rows = fitted(headings, list(rows), shutil.get_terminal_size().columns, fitting)
    # Takes a while to load, which what prints JSON need not wait for.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else _ENDLESS, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for heading in headings:
        table.add_column(heading, justify="right" if heading in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def fitted(
    headings: Sequence[str], rows: Sequence[Sequence[str]], width: int, fitting: Fitting
) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Return a table as it fits into ``width`` columns of a terminal: its headings, and its rows."""
    from rich.cells import cell_len

    widths = {
        heading: max(cell_len(cell) for cell in (heading, *(row[at] for row in rows)))
        for at, heading in enumerate(headings)
    }
    kept = list(headings)
    for heading in fitting.dropped:
        if _taken(widths, kept) > width:
            kept.remove(heading)
    room = max(width - (_taken(widths, kept) - widths[fitting.shortened]), _LEAST_ROOM)
    return kept, [
        [
            _shortened(cell, room) if heading == fitting.shortened else cell
            for heading, cell in zip(headings, row, strict=True)
            if heading in kept
        ]
        for row in rows
    ]


def _taken(widths: Mapping[str, int], headings: Sequence[str]) -> int:
    return sum(widths[heading] + _GAP for heading in headings) - _GAP


def _shortened(text: str, room: int) -> str:
    """Return ``text`` without its middle: of a name, its beginning and its end say the most."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= room:
        return text
    end = text[-(room // 2) :]
    while cell_len(end) > room // 2:
        end = end[1:]
    return f"{set_cell_size(text, room - cell_len(end) - 1).rstrip()}…{end}"


def ago(then: float | None, now: float) -> str:
    """Return how long ago ``then`` was; both are seconds since the epoch."""
    if then is None:
        return "-"
    seconds = int(max(now - then, 0.0))
    return f"{format_age(seconds)} ago" if seconds else "now"


def local_time(moment: float | None) -> str:
    """Return a moment, in seconds since the epoch, by the clock of who looks; and which clock that is."""
    if moment is None:
        return "-"
    try:
        return f"{datetime.fromtimestamp(moment).astimezone():%Y-%m-%d %H:%M %Z}"
    except (OverflowError, ValueError, OSError):
        return "at the end of time"


def short_digest(digest: str | None) -> str:
    """Return as much of a digest as people compare; "-" where there is none."""
    if digest is None:
        return "-"
    algorithm, _, encoded = digest.partition(":")
    return f"{algorithm}:{encoded[:12]}"
