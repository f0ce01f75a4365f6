from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.policy.freshness import Freshness, Lifetimes, freshness, may_serve_stale, permission_counts, warning

LIFETIMES = Lifetimes(tag_ttl=60, stale_if_error=1000)


@pytest.mark.parametrize(
    ("age", "worth"),
    [
        (0, Freshness.FRESH),
        (59.9, Freshness.FRESH),
        (60, Freshness.STALE),
        (10**6, Freshness.STALE),
        (-0.1, Freshness.STALE),
    ],
)
def test_a_tag_is_fresh_for_its_time(age: float, worth: Freshness) -> None:
    assert freshness(1000 - age, 1000, LIFETIMES) is worth


def test_with_no_time_at_all_a_tag_is_always_asked_for() -> None:
    assert freshness(1000, 1000, Lifetimes(tag_ttl=0)) is Freshness.STALE


@pytest.mark.security("S12")
@pytest.mark.parametrize("anonymous", [True, False])
@pytest.mark.parametrize(
    ("code", "public", "private"),
    [
        (ErrorCode.UNAVAILABLE, True, True),
        (ErrorCode.TOOMANYREQUESTS, True, True),
        (ErrorCode.DENIED, True, False),
        (ErrorCode.MANIFEST_UNKNOWN, False, False),
        (ErrorCode.NAME_UNKNOWN, False, False),
        (ErrorCode.MANIFEST_INVALID, False, False),
    ],
)
def test_what_may_be_served_depends_on_why_upstream_is_not_asked(
    code: ErrorCode, public: bool, private: bool, anonymous: bool
) -> None:
    error = RegistryError(code, "no")
    may = may_serve_stale(error, age=10, anonymous=anonymous, lifetimes=LIFETIMES)
    assert may is (public if anonymous else private)


@pytest.mark.parametrize(("age", "may"), [(1000, True), (1000.1, False)])
def test_nothing_is_served_for_ever(age: float, may: bool) -> None:
    error = RegistryError(ErrorCode.UNAVAILABLE, "down")
    assert may_serve_stale(error, age=age, anonymous=True, lifetimes=LIFETIMES) is may


@pytest.mark.parametrize(
    ("age", "ago"),
    [
        (-5, "0 s"),
        (0.4, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (2 * 86400 - 1, "47 h"),
        (3 * 86400, "3 d"),
    ],
)
def test_a_warning_says_how_old_it_is_and_why(age: float, ago: str) -> None:
    assert (
        warning("quay.io is down", age)
        == f'299 crproxy "served from the cache, last checked {ago} ago: quay.io is down"'
    )


@pytest.mark.security("S14")
@given(st.text())
def test_whatever_upstream_says_the_warning_is_one_quoted_string(message: str) -> None:
    text = warning(message, 5)
    assert re.fullmatch(r'299 crproxy "(?:[ !#-\[\]-~]|\\["\\])*"', text)


@pytest.mark.security("S12")
@pytest.mark.parametrize(("age", "counts"), [(0, True), (3599, True), (3600, False), (10 * 86400, False), (-1, False)])
def test_a_permission_counts_for_its_time_and_not_from_the_future(age: float, counts: bool) -> None:
    assert permission_counts(1_000_000 - age, 1_000_000, Lifetimes(tag_ttl=60, permission_ttl=3600)) is counts
