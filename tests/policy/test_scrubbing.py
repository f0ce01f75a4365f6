from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.scrubbing import UNREAD, Pace, age_of, is_rot

DAY = 86400.0
PACE = Pace(30 * DAY)

seconds = st.floats(min_value=0, max_value=1e10)
periods = st.floats(min_value=0.001, max_value=1e9)


@pytest.mark.parametrize(
    ("checked", "age"),
    [(-1, UNREAD), (0, 1000 * DAY), (1000 * DAY, 0), (999 * DAY, DAY), (1001 * DAY, 15 * DAY)],
    ids=["never", "at the epoch", "just now", "yesterday", "in the future"],
)
def test_an_age_is_the_time_since_it_was_checked(checked: float, age: float) -> None:
    assert age_of(checked, 1000 * DAY, PACE.period) == age


@pytest.mark.parametrize(
    ("age", "due_in", "late"),
    [
        (0, 15 * DAY, False),
        (14 * DAY, DAY, False),
        (15 * DAY, 0, False),
        (22 * DAY, 0, False),
        (23 * DAY, 0, True),
        (UNREAD, 0, True),
    ],
)
def test_content_is_due_at_half_the_period_and_late_after_three_quarters(age: float, due_in: float, late: bool) -> None:
    assert (PACE.due_in(age), PACE.is_late(age)) == (due_in, late)


@pytest.mark.parametrize(
    ("age", "is_idle", "share"),
    [
        (15 * DAY, True, 0.1),
        (UNREAD, True, 0.1),
        (15 * DAY, False, 0.0),
        (29 * DAY, False, 0.0),
        (30 * DAY, False, 0.02),
        (UNREAD, False, 0.02),
    ],
)
def test_while_others_use_the_disk_only_what_cannot_be_put_off_is_read(age: float, is_idle: bool, share: float) -> None:
    assert PACE.share(age, is_idle=is_idle) == share


def test_nothing_is_read_without_a_rest() -> None:
    assert PACE.rest(0.0, 0.1) == 0.01
    assert PACE.rest(1.0, 0.1) == pytest.approx(9)
    assert PACE.rest(1.0, 0.02) == pytest.approx(49)


def test_a_gap_is_the_contents_part_of_a_quarter_of_the_period() -> None:
    assert PACE.gap(1, 4) == pytest.approx(30 * DAY / 16)
    assert PACE.gap(5, 0) == PACE.gap(5, 5) == pytest.approx(7.5 * DAY)
    assert PACE.gap(0, 0) == 0


@given(seconds, st.sampled_from([0.1, 0.02]))
def test_reading_takes_no_more_than_its_share(took: float, share: float) -> None:
    assert took <= (took + PACE.rest(took, share)) * share * 1.000001


@given(periods, st.lists(st.integers(min_value=0, max_value=10**13), min_size=1, max_size=50))
def test_what_is_due_at_once_is_begun_before_any_of_it_is_late(period: float, sizes: list[int]) -> None:
    pace, age = Pace(period), period * 0.5
    assert pace.due_in(age) == 0
    for size in sizes:
        assert age <= period * 0.75000001
        age += pace.gap(size, sum(sizes))


@given(seconds, seconds, periods)
def test_nothing_that_is_due_is_forgotten(checked: float, now: float, period: float) -> None:
    """Whatever the clock said: nothing waits for longer than half the period, beginning now."""
    pace = Pace(period)
    assert 0 <= pace.due_in(age_of(checked, now, period)) <= period * 0.5


@pytest.mark.parametrize(
    ("number", "rot"),
    [
        (errno.EIO, True),
        (errno.EUCLEAN, True),
        (errno.EBADMSG, True),
        (errno.ENOENT, False),
        (errno.EACCES, False),
        (errno.EMFILE, False),
        (errno.ENOMEM, False),
    ],
)
def test_what_an_error_says_of_the_content(number: int, rot: bool) -> None:
    assert is_rot(OSError(number, "x")) is rot
