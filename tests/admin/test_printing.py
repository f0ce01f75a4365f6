from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from crproxy.admin.printing import Fitting, ago, fitted, print_table


@pytest.mark.parametrize(
    ("then", "text"),
    [(None, "-"), (1000.0, "now"), (999.0, "1 s ago"), (870.0, "2 min ago"), (-9000.0, "2 h ago"), (2000.0, "now")],
)
def test_a_time_is_read_by_people(then: float | None, text: str) -> None:
    assert ago(then, 1000.0) == text


def test_nothing_of_a_table_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    long = "registry.example.org/" + "a" * 300
    print_table(("IMAGE", "SIZE"), [(long, "1 B"), ("[red]b", "10 B")], numbers=("SIZE",))
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{'IMAGE':321}  SIZE", f"{long}   1 B", f"{'[red]b':321}  10 B"]


HEADINGS = ("IMAGE", "DIGEST", "SIZE")
ROWS = [("quay.io/org/application:v1", "sha256:0123", "1.0 GiB"), ("nginx:1", "sha256:4567", "20 B")]
FITTING = Fitting(("DIGEST",), "IMAGE")


@pytest.mark.parametrize(
    ("width", "headings", "first"),
    [
        (48, HEADINGS, ROWS[0]),
        (47, ("IMAGE", "SIZE"), (ROWS[0][0], "1.0 GiB")),
        (35, ("IMAGE", "SIZE"), (ROWS[0][0], "1.0 GiB")),
        (34, ("IMAGE", "SIZE"), ("quay.io/org/…plication:v1", "1.0 GiB")),
        (10, ("IMAGE", "SIZE"), ("quay.io/o…ication:v1", "1.0 GiB")),
    ],
)
def test_a_table_fits_its_terminal(width: int, headings: tuple[str, ...], first: tuple[str, ...]) -> None:
    kept, rows = fitted(HEADINGS, ROWS, width, FITTING)
    assert tuple(kept) == headings
    assert tuple(rows[0]) == first
    assert [row[0] for row in rows[1:]] == ["nginx:1"]


@given(st.lists(st.text(max_size=60), min_size=1, max_size=4), st.integers(31, 120))
def test_no_line_is_wider_than_that(names: list[str], width: int) -> None:
    _, rows = fitted(HEADINGS, [(name, "sha256:0123", "1.0 GiB") for name in names], width, FITTING)
    assert all(sum(cell_len(cell) + 2 for cell in row) - 2 <= width for row in rows)


def test_a_pipe_gets_all_of_it(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    print_table(HEADINGS, ROWS, fitting=FITTING)
    assert capsys.readouterr().out.splitlines()[1].split("  ") == list(ROWS[0])
