"""What commands print: tables, sizes and times for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

__all__ = ["ago", "print_json", "print_table", "size"]

# Where nobody looks at a terminal's edge, nothing is cut.
_ENDLESS = 10_000
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_AGES = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def print_json(document: Any) -> None:
    """Print ``document``."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[str] = ()) -> None:
    """Print ``rows`` below their headings; nothing is cut off.

    Arguments:
        numbers: the headings of what is put to the right.
    """
    # Takes a while to load, which what prints JSON need not wait for.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else _ENDLESS, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, justify="right" if heading in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def size(count: int) -> str:
    """Return bytes as people read them."""
    number, unit = float(count), 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{count} B" if unit == 0 else f"{number:.1f} {_UNITS[unit]}"


def ago(then: float | None, now: float) -> str:
    """Return how long ago ``then`` was; both are seconds since the epoch."""
    if then is None:
        return "-"
    seconds = max(now - then, 0.0)
    for length, unit in _AGES:
        if seconds >= length:
            return f"{int(seconds / length)} {unit} ago"
    return "now"
