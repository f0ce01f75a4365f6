"""Results as Markdown, and the section of a page that keeps the last ones."""

from collections.abc import Sequence
from pathlib import Path

__all__ = ["replace_section", "table"]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, padded so that it reads well in a terminal, too; numbers to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    rule = ["-" * width + (":" if column else "-") for column, width in enumerate(widths)]
    lines = [_line(head, widths), "|" + "|".join(f"-{mark}" for mark in rule) + "|"]
    return "\n".join([*lines, *(_line(row, widths) for row in rows)])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.rjust(width) if column else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "| " + " | ".join([first, *others]) + " |"


def replace_section(page: Path, name: str, text: str) -> None:
    """Put `text` between the comments `<!-- NAME -->` and `<!-- end of NAME -->` of a page."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, found_begin, rest = page.read_text("utf-8").partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise ValueError(f"{page} has no section {name}")
    page.write_text(f"{before}{begin}{text}\n{end}{after}", "utf-8")
