"""The last column of docs/security.md: which tests show each row of the table of threats.

Read from the tests' source, by name (``test_s5_...``) or by marker (``@pytest.mark.security("S5", "S6")``); nothing is
imported or run. ``python -m tests.security_table --write`` writes the page anew.
"""

from __future__ import annotations

import argparse
import ast
import functools
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PAGE", "Shown", "all_shown", "rows_of", "shown_by", "written"]

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "security.md"

_NAMED = re.compile(r"test_s([1-9][0-9]*)_")
# Number, threat, behaviour, tests.
_ROW = re.compile(r"^\| (S[1-9][0-9]*) \|(.*)\|([^|]*)\|$", re.MULTILINE)


@dataclass(frozen=True, slots=True, order=True)
class Shown:
    """A test that shows a row.

    Arguments:
        file: relative to the root.
        test: the function's name.
        row: which it shows.
    """

    file: str
    test: str
    row: str


def shown_by(source: str, file: str) -> Iterator[Shown]:
    """Give what the tests in ``source`` show. Raises ValueError where a marker is not written as it must be."""
    for node in ast.walk(ast.parse(source, file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            named = _NAMED.match(node.name)
            rows = {f"S{named[1]}"} if named is not None else set()
            for decorator in node.decorator_list:
                rows |= set(_marked(decorator, file))
            for row in rows:
                yield Shown(file, node.name, row)


@functools.cache
def all_shown() -> list[Shown]:
    """Return what all tests show, in the order in which it is written."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    names = ((path, path.relative_to(ROOT).as_posix()) for path in files)
    return sorted(found for path, name in names for found in shown_by(path.read_text("utf-8"), name))


def rows_of(page: str) -> list[str]:
    """Return the numbers of the rows of a page, as they stand there."""
    return [row[1] for row in _ROW.finditer(page)]


def written(page: str, shown: list[Shown]) -> str:
    """Return the page with its last column as ``shown`` has it."""
    return _ROW.sub(lambda row: f"| {row[1]} |{row[2]}| {_cell(row[1], shown)} |", page)


def _marked(decorator: ast.expr, file: str) -> Iterator[str]:
    if not isinstance(decorator, ast.Call) or not ast.unparse(decorator.func).endswith("mark.security"):
        return
    if not decorator.args or decorator.keywords:
        raise ValueError(f"{file}:{decorator.lineno}: name the rows, such as security('S5')")
    for argument in decorator.args:
        if not isinstance(argument, ast.Constant) or not re.fullmatch(r"S[1-9][0-9]*", str(argument.value)):
            raise ValueError(f"{file}:{decorator.lineno}: {ast.unparse(argument)} is no row")
        yield str(argument.value)


def _cell(row: str, shown: list[Shown]) -> str:
    tests: dict[str, list[str]] = {}
    for found in shown:
        if found.row == row:
            tests.setdefault(found.file, []).append(f"`{found.test}`")
    return "<br>".join(f"[{file}](../{file}): {', '.join(names)}" for file, names in tests.items())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.security_table", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the page; otherwise only look whether it is right")
    options = parser.parse_args()
    page, shown = PAGE.read_text("utf-8"), all_shown()
    right = written(page, shown)
    if options.write:
        PAGE.write_text(right, encoding="utf-8")
    elif page != right:
        sys.exit(f"{PAGE.name} differs from the tests: run python -m tests.security_table --write")
    empty = [row for row in rows_of(page) if not any(found.row == row for found in shown)]
    if empty:
        sys.exit(f"no test shows {', '.join(empty)}")


if __name__ == "__main__":
    main()
