from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.renewal import renew_at, wait_after, wait_for_ca

DAY = 86400.0


@pytest.mark.parametrize(("lifetime", "left"), [(90 * DAY, 30 * DAY), (45 * DAY, 15 * DAY), (6 * DAY, 2 * DAY)])
def test_a_certificate_is_renewed_at_the_last_third_of_its_life(lifetime: float, left: float) -> None:
    assert renew_at(1000.0, 1000.0 + lifetime) == 1000.0 + lifetime - left


@pytest.mark.parametrize("wait", [wait_after, wait_for_ca])
def test_each_failure_waits_longer_up_to_hours(wait: object) -> None:
    assert callable(wait)
    waits = [wait(failures) for failures in range(1, 20)]
    assert waits == sorted(waits)
    assert waits[-1] <= 6 * 3600


def test_a_name_is_not_tried_more_than_five_times_in_an_hour() -> None:
    """Let's Encrypt's limit of failed validations."""
    moments = [0.0]
    while moments[-1] < DAY:
        moments.append(moments[-1] + wait_after(len(moments)))
    assert all(len([one for one in moments if begin <= one < begin + 3600]) <= 5 for begin in moments)


@given(st.integers(1, 10**9))
def test_any_number_of_failures_has_a_wait(failures: int) -> None:
    assert 0 < wait_for_ca(failures) <= 3600
    assert 0 < wait_after(failures) <= 6 * 3600
