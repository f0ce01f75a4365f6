from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry, Repository
from crproxy.policy.object_keys import BlobKey, LinkKey, RevokedKey, ViewNames
from crproxy.policy.tier_eviction import (
    IN_USE,
    OBJECT_AGE,
    Held,
    content_of,
    link_goes,
    revoked_goes,
    tag_goes,
    what_goes,
)

NOW = 1_800_000_000.0
QUAY = Registry("quay.io")
OPEN, PRIVATE = (ViewNames(Repository(QUAY, "org/name"), credential) for credential in ("", "0a1b2c3d"))
A, B = Digest.of(b"a"), Digest.of(b"b")
LONG_AGO = NOW - 2 * OBJECT_AGE


def held(number: int, size: int, age: float) -> Held:
    return Held(BlobKey(Digest("sha256", f"{number:064x}")), size, NOW - age)


def test_what_was_not_used_for_longest_goes() -> None:
    old, older, oldest = held(1, 10, 2 * IN_USE), held(2, 10, 3 * IN_USE), held(3, 10, 4 * IN_USE)
    assert what_goes([old, oldest, older], 30, 30, NOW) == []
    assert what_goes([old, oldest, older], 30, 29, NOW) == [oldest]
    assert what_goes([old, oldest, older], 30, 15, NOW) == [oldest, older]


def test_facts_count_and_are_made_room_for() -> None:
    assert what_goes([held(1, 10, 2 * IN_USE)], 1000, 999, NOW) == [held(1, 10, 2 * IN_USE)]


def test_what_was_used_within_the_hour_stays_whatever_the_size() -> None:
    fresh, idle = held(1, 10, IN_USE - 1), held(2, 10, IN_USE)
    assert what_goes([fresh, idle], 20, 0, NOW) == [idle]


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 3 * IN_USE)), max_size=30),
    st.integers(0, 10_000),
    st.integers(0, 5000),
)
def test_as_much_goes_as_has_to_and_no_more(contents: list[tuple[int, float]], facts: int, size: int) -> None:
    there = [held(number, *content) for number, content in enumerate(contents)]
    taken = sum(one.size for one in there) + facts
    gone = what_goes(there, taken, size, NOW)
    left = taken - sum(one.size for one in gone)
    stays = [one for one in there if one not in gone]
    assert all(one.used <= NOW - IN_USE for one in gone)
    assert left <= size or all(one.used > NOW - IN_USE for one in stays)
    assert not gone or left + gone[-1].size > size
    assert all(one.used >= gone[-1].used for one in stays if gone and one.used <= NOW - IN_USE)


def test_what_a_link_is_about_is_in_the_pool_of_its_credential() -> None:
    assert content_of(LinkKey(OPEN, A)) == BlobKey(A)
    assert content_of(LinkKey(PRIVATE, A)) == BlobKey(A, QUAY)


@pytest.mark.parametrize(
    ("view", "modified", "goes"),
    [
        (OPEN, LONG_AGO, True),
        (OPEN, NOW - IN_USE, True),
        (OPEN, NOW - IN_USE + 1, False),
        (PRIVATE, LONG_AGO, False),
    ],
)
def test_a_link_goes_with_its_content(view: ViewNames, modified: float, goes: bool) -> None:
    kept = {BlobKey(A, QUAY), BlobKey(B)}
    assert link_goes(LinkKey(view, A), modified, kept, {BlobKey(A)}, NOW) is goes


def test_a_link_without_content_goes_after_a_week() -> None:
    assert not link_goes(LinkKey(OPEN, A), NOW - OBJECT_AGE + 1, set(), set(), NOW)
    assert link_goes(LinkKey(OPEN, A), NOW - OBJECT_AGE, set(), set(), NOW)


def test_a_tag_goes_that_leads_to_nothing() -> None:
    assert tag_goes(OPEN, A, LONG_AGO, {BlobKey(B)}, NOW)
    assert not tag_goes(OPEN, B, LONG_AGO, {BlobKey(B)}, NOW)
    assert tag_goes(PRIVATE, B, LONG_AGO, {BlobKey(B)}, NOW)
    assert tag_goes(OPEN, None, LONG_AGO, {BlobKey(B)}, NOW)
    assert not tag_goes(OPEN, A, NOW - 1, {BlobKey(B)}, NOW), "it may have moved to what has come since"


def test_a_refusal_stays_while_there_is_a_link_that_must_not_count() -> None:
    assert not revoked_goes(RevokedKey(OPEN), LONG_AGO, {OPEN}, NOW)
    assert revoked_goes(RevokedKey(OPEN), LONG_AGO, {PRIVATE}, NOW)
    assert not revoked_goes(RevokedKey(OPEN), NOW - OBJECT_AGE + 1, set(), NOW)
