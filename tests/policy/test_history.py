from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.history import DAY, MONTH, Bucket, History, Period, Totals, grouped

NOW = 1_800_000_000.0
ONE = Totals(10, 5, 1000, 300)
TWO = Totals(30, 20, 5000, 400)


def counted(history: History, period: Period = DAY, now: float = NOW) -> list[Totals]:
    return [bucket.totals for bucket in history.buckets(period, now) if any(bucket.totals.values)]


def test_what_was_added_between_two_notes_is_in_the_bucket_of_the_second() -> None:
    history = History()
    history.note(ONE, NOW)
    assert counted(history) == []
    history.note(TWO, NOW + 60)
    for period in (DAY, MONTH):
        assert counted(history, period, NOW + 60) == [Totals(20, 15, 4000, 100)]


def test_what_goes_back_was_counted_anew() -> None:
    history = History()
    history.note(TWO, NOW)
    history.note(ONE, NOW + 60)
    assert counted(history, now=NOW + 60) == [ONE]


def test_a_day_has_288_steps_and_a_month_372() -> None:
    history = History()
    assert len(history.buckets(DAY, NOW)) == 288
    assert len(history.buckets(MONTH, NOW)) == 372
    for period in (DAY, MONTH):
        starts = [bucket.start for bucket in history.buckets(period, NOW)]
        assert starts[-1] <= NOW < starts[-1] + period.step
        assert {after - before for before, after in pairwise(starts)} == {period.step}


def test_what_is_older_is_forgotten() -> None:
    history = History()
    history.note(Totals(), NOW)
    history.note(ONE, NOW + 1)
    history.note(ONE, NOW + DAY.length + DAY.step)
    assert counted(history, DAY, NOW + DAY.length + DAY.step) == []
    assert counted(history, MONTH, NOW + DAY.length + DAY.step) == [ONE]


def test_what_a_clock_set_back_leaves_behind_is_forgotten() -> None:
    history = History()
    history.note(Totals(), NOW)
    history.note(ONE, NOW + 1)
    history.note(ONE, NOW - 10 * DAY.length)
    assert history.document()["day"] == {}


@given(st.lists(st.tuples(st.floats(0, 40 * 86400), st.integers(0, 1 << 50)), max_size=60))
def test_it_stays_small_and_survives_json(notes: list[tuple[float, int]]) -> None:
    history, served = History(), 0
    for after, added in notes:
        served += added
        history.note(Totals(served % 7, served % 5, served, added), NOW + after)
    document = json.loads(json.dumps(history.document()))
    assert len(document["day"]) <= 289
    assert len(document["month"]) <= 373
    assert History.of_document(document) == history


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"version": 2, "last": None, "day": {}, "month": {}},
        {"version": 1, "last": None, "day": {}},
        {"version": 1, "last": [1], "day": {}, "month": {}},
        {"version": 1, "last": None, "day": {"x": [1, 1, 1, 1]}, "month": {}},
        {"version": 1, "last": None, "day": {"7": [1, 1, 1, 1]}, "month": {}},
        {"version": 1, "last": None, "day": {"300": [1, 1, 1, -1]}, "month": {}},
        {"version": 1, "last": None, "day": {"300": ["1", 1, 1, 1]}, "month": {}},
        {"version": 1, "last": None, "day": {str(300 * n): [1, 1, 1, 1] for n in range(400)}, "month": {}},
        {"version": 1, "last": None, "day": [], "month": {}},
    ],
)
def test_what_is_no_history_is_told(document: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        History.of_document(document)


def test_a_hit_rate_is_of_what_was_asked() -> None:
    assert (ONE.hit_rate, Totals().hit_rate, Totals(1, 2).hit_rate) == (0.5, None, 1.0)


def test_several_steps_are_put_together() -> None:
    buckets = [Bucket(0, ONE), Bucket(300, ONE), Bucket(3600, TWO)]
    assert grouped(buckets, 3600) == [Bucket(0, Totals(20, 10, 2000, 600)), Bucket(3600, TWO)]
