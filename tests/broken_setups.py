"""The table of broken set-ups in docs/troubleshooting.md: what the daemon and the doctor say of each, word for word.

``tests/integration/test_broken_setups.py`` makes each set-up, and has its row compared, or written (``make
broken-setups``). What differs from run to run is a gap here. Knows nothing of how a set-up is made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PAGE", "Advised", "Words", "row_of", "rows_of", "with_rows"]

PAGE = Path(__file__).parent.parent / "docs" / "troubleshooting.md"

_BEGIN, _END = "<!-- broken set-ups: written by make broken-setups -->", "<!-- end of the broken set-ups -->"
_HEAD = (
    "| what is broken | what the daemon says as it starts | what `crproxy doctor` says, and advises |\n|---|---|---|\n"
)
_GAP = "…"
_DIFFERING = (
    r"\d{4}-\d\d-\d\d(?: at)? \d\d:\d\d(?::\d\d)?(?= UTC)",
    r"(?<=ended on )\d{4}-\d\d-\d\d",
    r"(?<=process )\d+",
    r"(?<=systemctl status )\d+",
    r"\d+(?:\.\d+)? (?=s\b)",
    r"(?<=the user with the number )\d+",
    r"(?<=nginx/)[\d.]+",
    # Whoever runs the test.
    r"(?<=cannot be read by )[^:]+",
    # A symbolic link of Twisted's, which names its process.
    r"(?<=')\d+(?=' -> )",
    # Whichever registry's clock is in the middle of all.
    r"(?<=, by )\S+(?=: certificates and tokens)",
)


@dataclass(frozen=True, slots=True)
class Advised:
    """What the doctor says of one cause, and what it advises."""

    text: str
    advice: str


@dataclass(frozen=True, slots=True)
class Words:
    """What is said of one set-up.

    Arguments:
        status: the daemon's, where it has ended; None where it runs.
        start: the line that it ended with, or what its log complains of.
        doctor: what failed.
    """

    status: int | None
    start: Sequence[str]
    doctor: Sequence[Advised]

    def row(self, name: str, places: Mapping[str, str]) -> str:
        """Return it as a row of the table.

        Arguments:
            name: of the set-up.
            places: paths of this run, and what is written for them.
        """
        told = "<br>".join(_code(line, places) for line in self.start) or "nothing: it runs"
        start = told if self.status is None else f"{told}<br>exit status {self.status}"
        doctor = "<br>".join(f"{_code(one.text, places)}<br>→ {_code(one.advice, places)}" for one in self.doctor)
        return f"| {name} | {start} | {doctor} |"


def rows_of(page: str) -> dict[str, str]:
    """Return the rows of the page, by the names of the set-ups."""
    table = _between(page)[1]
    rows = [line for line in table.splitlines()[2:] if line.startswith("| ")]
    return {row.split(" | ")[0].removeprefix("| "): row for row in rows}


def row_of(page: str, name: str) -> str:
    """Return one row of the page; empty where there is none."""
    return rows_of(page).get(name, "")


def with_rows(page: str, rows: Mapping[str, str]) -> str:
    """Return the page with these rows, and no others, in this order."""
    before, _, after = _between(page)
    table = "\n".join(rows.values())
    return f"{before}{_BEGIN}\n\n{_HEAD}{table}\n\n{_END}{after}"


def _between(page: str) -> tuple[str, str, str]:
    before, begin, rest = page.partition(_BEGIN)
    table, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no place for the table: {_BEGIN} and {_END}")
    return before, table.strip(), after


def _code(text: str, places: Mapping[str, str]) -> str:
    """Return what was said as it is quoted in a table."""
    # The longest first: one path may be in another.
    for path in sorted(places, key=len, reverse=True):
        text = text.replace(path, places[path])
    for differing in _DIFFERING:
        text = re.sub(differing, lambda found: _GAP + " " * found[0].endswith(" "), text)
    return "`" + text.replace("|", r"\|") + "`"
