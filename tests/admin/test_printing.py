from __future__ import annotations

import pytest

from crproxy.admin.printing import ago, print_table, size


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (20 << 30, "20.0 GiB"),
        (1 << 50, "1024.0 TiB"),
    ],
)
def test_a_size_is_read_by_people(count: int, text: str) -> None:
    assert size(count) == text


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
