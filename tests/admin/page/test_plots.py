from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from crproxy.admin.page.plots import HEIGHT, WIDTH, bytes_plot, rate_plot
from crproxy.policy.history import DAY, Bucket, History, Totals


def buckets(*totals: Totals) -> list[Bucket]:
    return [Bucket(300 * number, each) for number, each in enumerate(totals)]


def points(line: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", line)]


def test_more_is_higher_and_the_top_has_a_round_number() -> None:
    plot = bytes_plot(buckets(Totals(served=0), Totals(served=600), Totals(served=1000, fetched=500)))
    served, fetched = map(points, plot.lines)
    assert served[0][1] > served[1][1] > served[2][1]
    assert fetched[2][1] > served[2][1]
    assert [label.value for label in plot.values] == [1024, 768, 512, 256, 0]
    assert plot.values[0].y < plot.values[-1].y


def test_what_was_not_asked_is_a_gap() -> None:
    plot = rate_plot(buckets(Totals(2, 1), Totals(2, 2), Totals(), Totals(4, 1)))
    (line,) = plot.lines
    assert line.count("M") == 2
    assert len(points(line)) == 3


def test_one_value_between_gaps_can_be_seen() -> None:
    (line,) = rate_plot(buckets(Totals(), Totals(2, 1), Totals())).lines
    assert line.endswith("h0")


def test_a_day_has_its_times_from_first_to_last() -> None:
    found = History().buckets(DAY, 1_800_000_000.0)
    times = [label.value for label in bytes_plot(found).times]
    assert (times[0], times[-1], len(times)) == (found[0].start, found[-1].start, 6)


@given(st.lists(st.builds(Totals, *[st.integers(0, 1 << 60)] * 4), max_size=20))
def test_nothing_is_outside(totals: list[Totals]) -> None:
    for plot in (bytes_plot(buckets(*totals)), rate_plot(buckets(*totals))):
        for line in plot.lines:
            assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points(line))
            assert "nan" not in line
        assert all(0 <= label.x <= WIDTH and 0 <= label.y <= HEIGHT for label in (*plot.values, *plot.times))
