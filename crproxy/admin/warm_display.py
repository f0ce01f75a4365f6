"""How ``crproxy warm`` shows what the daemon tells of its work: bars, plain lines, or JSON as it comes."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Protocol, Self

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from ..policy.units import format_size

__all__ = ["BarDisplay", "Display", "LineDisplay", "RawDisplay"]

_SETTLED = frozenset({"done", "failed"})
Line = dict[str, Any]


class Display(Protocol):
    """Shows lines of the daemon's, between ``__enter__`` and ``__exit__``."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None, /
    ) -> None: ...

    def show(self, line: Line) -> None:
        """Show one."""


class LineDisplay:
    """A line for each image that is here, or cannot be had."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def show(self, line: Line) -> None:
        """Show one (Display)."""
        if line.get("state") in _SETTLED:
            self._settle(line)
        elif "warmed" in line:
            click.echo(f"{line['warmed']} done, {line['failed']} failed")

    def _settle(self, line: Line) -> None:
        click.echo(_outcome(line))


class RawDisplay:
    """What came, as it came."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def show(self, line: Line) -> None:
        """Show one (Display)."""
        click.echo(json.dumps(line))


class BarDisplay(LineDisplay):
    """A bar for each image that is on its way, below the lines of those that are not any more."""

    def __init__(self, console: Console | None = None) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            console=console,
            transient=True,
        )
        self._tasks: dict[int, TaskID] = {}

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bars away."""
        self.progress.stop()

    def show(self, line: Line) -> None:
        """Show one (Display)."""
        if line.get("state") == "fetching":
            self._move(line)
        elif "warmed" in line:
            self.progress.console.print(f"{line['warmed']} done, {line['failed']} failed", highlight=False)
        else:
            super().show(line)

    def _move(self, line: Line) -> None:
        number = line["number"]
        if number not in self._tasks:
            self._tasks[number] = self.progress.add_task(escape(line["image"]), total=None)
        self.progress.update(self._tasks[number], completed=line["done"], total=line["total"] or None)

    def _settle(self, line: Line) -> None:
        task = self._tasks.pop(line["number"], None)
        if task is not None:
            self.progress.remove_task(task)
        colour = "green" if line["state"] == "done" else "red"
        self.progress.console.print(f"[{colour}]{escape(_outcome(line))}[/]", highlight=False, soft_wrap=True)


def _outcome(line: Line) -> str:
    """Return one image's line."""
    if line["state"] == "failed":
        return f"{line['image']}: failed: {line['why']}"
    fetched = "all was here" if not line["fetched"] else f"{format_size(line['fetched'])} fetched"
    note = f" ({line['why']})" if line["why"] else ""
    return f"{line['image']}: done, {format_size(line['total'])}, {fetched}, {line['digest']}{note}"
