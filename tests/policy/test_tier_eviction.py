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
    TOLD_EVERY,
    Held,
    content_of,
    is_in_use,
    latest_use,
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


def test_without_a_use_the_time_of_writing_counts() -> None:
    assert latest_use(NOW - 5, None, NOW) == NOW - 5


def test_a_use_counts_as_the_last_of_which_it_may_have_been_told_and_as_none_to_come() -> None:
    assert latest_use(LONG_AGO, NOW - 2 * TOLD_EVERY, NOW) == pytest.approx(NOW - TOLD_EVERY, abs=600)
    assert latest_use(LONG_AGO, NOW - 5, NOW) == NOW
    assert latest_use(LONG_AGO, NOW + 1e6, NOW) == NOW
    assert latest_use(NOW - 5, LONG_AGO, NOW) == NOW - 5


@given(
    st.lists(st.lists(st.floats(0, 10 * 86400), max_size=8), min_size=1, max_size=8),
    st.floats(0, 120),
    st.integers(0, 8),
    st.integers(1, 3),
)
def test_what_any_node_used_within_the_hour_never_goes(
    ages: list[list[float]], delay: float, size: int, nodes: int
) -> None:
    held, recent = list[Held](), set[BlobKey]()
    for number, uses in enumerate(ages):
        # Each node tells of every so-manieth use: the first, and then what comes half an hour after the last it told.
        told: list[float] = []
        for node in range(nodes):
            last = None
            for use in sorted(NOW - age for age in uses[node::nodes]):
                if (last is None or use - last >= TOLD_EVERY) and use <= NOW - delay:
                    last = use
                    told.append(use)
        known = max(told, default=None)
        seen = [NOW - age for age in uses if age >= delay]
        one = Held(BlobKey(Digest("sha256", f"{number:064x}")), 1, latest_use(LONG_AGO, known, NOW))
        held.append(one)
        if any(is_in_use(use, NOW) for use in seen):
            recent.add(one.key)
    gone = {one.key for one in what_goes(held, len(held), size, NOW)}
    assert not gone & recent
    assert len(gone) >= min(len(held) - size, len([one for one in held if not is_in_use(one.used, NOW)]))


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
