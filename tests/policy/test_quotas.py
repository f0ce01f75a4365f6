from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.quotas import Limit, Quota, parse_quota

NOW = 1_000_000.0


def headers(limit: str, remaining: str) -> dict[str, str]:
    return {"ratelimit-limit": limit, "ratelimit-remaining": remaining, "docker-ratelimit-source": "192.0.2.1"}


@pytest.mark.parametrize(
    ("limit", "remaining", "quota"),
    [
        ("100;w=21600", "76;w=21600", Quota(100, 76, 21600, NOW)),
        ("100; w=21600", "0; w=21600", Quota(100, 0, 21600, NOW)),
        ("200", "199", Quota(200, 199, None, NOW)),
        (" 100;w=21600 ", "76", Quota(100, 76, 21600, NOW)),
        ("", "76", None),
        ("many", "76", None),
        ("100", "-1", None),
    ],
)
def test_what_the_header_says(limit: str, remaining: str, quota: Quota | None) -> None:
    assert parse_quota(headers(limit, remaining), NOW) == quota


def test_most_answers_say_nothing() -> None:
    assert parse_quota({}, NOW) is None


@pytest.mark.parametrize(
    ("limit", "remaining", "low"),
    [(100, 6, False), (100, 5, True), (100, 0, True), (10, 2, False), (10, 1, True), (5000, 250, True), (0, 0, True)],
)
def test_the_last_twentieth_is_kept_back(limit: int, remaining: int, low: bool) -> None:
    assert Quota(limit, remaining, 21600, NOW).is_low(NOW) is low


@pytest.mark.parametrize(("age", "low"), [(0, True), (299, True), (300, False), (-1, False)])
def test_what_was_said_counts_for_five_minutes(age: float, low: bool) -> None:
    assert Quota(100, 0, 21600, NOW).is_low(NOW + age) is low


@given(st.text(), st.text())
def test_any_header_is_a_quota_or_none(limit: str, remaining: str) -> None:
    quota = parse_quota(headers(limit, remaining), NOW)
    assert quota is None or quota.remaining >= 0


def test_a_limit_of_a_time_ahead_is_over() -> None:
    """As it is when the clock was set back."""
    limit = Limit.told(NOW, 5, "busy")
    assert [limit.counts(NOW + seconds) for seconds in (-86400, -1, 0, 4.9, 5)] == [False, False, True, True, False]
    assert limit.is_over(NOW - 86400)


def test_a_long_one_lets_one_pass_in_a_minute() -> None:
    limit = Limit.told(NOW, 3600, "busy")
    assert [limit.counts(NOW + seconds) for seconds in (59, 60)] == [True, False]
    assert [limit.probed(NOW + 60).counts(NOW + seconds) for seconds in (61, 119, 120)] == [True, True, False]
    assert not limit.is_over(NOW + 60)
