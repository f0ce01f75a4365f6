from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.retries import RETRY_STATUSES, wait_before_retry


def test_what_a_server_or_its_balancer_says_for_a_moment_is_tried_again() -> None:
    assert {500, 502, 503, 504} == RETRY_STATUSES


def test_each_wait_is_twice_as_long_up_to_two_seconds() -> None:
    waits = [wait_before_retry(attempt, 8) for attempt in range(1, 10)]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0, None]


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_so_many_retries_follow_the_first_attempt(retries: int) -> None:
    assert wait_before_retry(retries + 1, retries) is None
    assert retries == 0 or wait_before_retry(retries, retries) is not None


@given(st.integers(1, 10**9), st.integers(0, 10**9))
def test_a_wait_is_short_and_never_nothing(attempt: int, retries: int) -> None:
    wait = wait_before_retry(attempt, retries)
    assert (wait is None) == (attempt > retries)
    assert wait is None or 0 < wait <= 2
