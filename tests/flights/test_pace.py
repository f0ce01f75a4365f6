from __future__ import annotations

import pytest

from crproxy.flights.pace import Pace


def test_a_steady_fill_has_its_rate() -> None:
    pace = Pace(1000, 0)
    for second in range(1, 30):
        pace.note(1000 + 500 * second, second)
        assert pace.rate(1000 + 500 * second, second) == 500


def test_what_was_long_ago_does_not_count() -> None:
    """A fast start, then silence: the rate falls from second to second."""
    pace = Pace(0, 0)
    for tenth in range(1, 51):
        pace.note(10_000 * tenth, tenth / 10)
    assert pace.rate(500_000, 5) == pytest.approx(100_000)
    assert pace.rate(500_000, 60) < 10_000


def test_a_slow_fill_is_slow_though_it_began_fast() -> None:
    pace = Pace(0, 0)
    pace.note(1_000_000, 1)
    for second in range(2, 10):
        pace.note(1_000_000 + second, second)
    assert pace.rate(1_000_009, 9) < 10


def test_no_time_is_no_trouble() -> None:
    assert Pace(0, 5).rate(0, 5) == 0
