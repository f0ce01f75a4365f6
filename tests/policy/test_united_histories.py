from __future__ import annotations

import itertools
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.digests import Digest
from crproxy.policy import united_histories
from crproxy.policy.minimum_age import Dated, TagChange, judge
from crproxy.policy.united_histories import MOST_CHANGES, bounded, united
from tests.policy.test_minimum_age import AGE, HOUR, T0, A, B, C, tag

digests = st.sampled_from([A, B, C, None])


@st.composite
def histories(draw: st.DrawFn) -> list[TagChange]:
    """As one node notes them: each says something else than the one before it."""
    found: list[TagChange] = []
    for _ in range(draw(st.integers(0, 6))):
        seen, lasts = draw(st.integers(0, 50)), draw(st.integers(0, 20))
        digest = draw(digests)
        if not found or found[-1].digest != digest:
            found.append(TagChange(digest, seen, seen + lasts, draw(st.sampled_from([None, "a", "b"]))))
    return found


@given(ours=histories(), theirs=histories())
def test_it_is_the_same_whoever_puts_it_together(ours: list[TagChange], theirs: list[TagChange]) -> None:
    assert united(ours, theirs) == united(theirs, ours)


@given(ours=histories(), theirs=histories())
def test_what_is_heard_again_changes_nothing(ours: list[TagChange], theirs: list[TagChange]) -> None:
    both = united(ours, theirs)
    assert united(both, both) == both
    assert united(both, []) == both


@given(ours=histories(), theirs=histories())
def test_times_grow_and_nothing_is_said_twice(ours: list[TagChange], theirs: list[TagChange]) -> None:
    both = united(ours, theirs)
    assert [each.seen for each in both] == sorted(each.seen for each in both)
    assert all(one.digest != other.digest for one, other in itertools.pairwise(both))
    assert all(each.last >= each.seen for each in both)
    for digest in {each.digest for each in (*ours, *theirs)}:
        assert any(each.digest == digest for each in both)


@given(ours=histories(), theirs=histories())
def test_no_digest_was_seen_earlier_or_confirmed_later_than_anybody_says(
    ours: list[TagChange], theirs: list[TagChange]
) -> None:
    said, both = [*ours, *theirs], united(ours, theirs)
    for each in both:
        assert each.last <= max(max(other.last, other.seen) for other in said if other.digest == each.digest)
        assert each.seen >= min(other.seen for other in said)


def test_two_nodes_that_see_the_same_have_one_history() -> None:
    one = tag((A, -100, 0), (B, 1, 5))
    other = tag((A, -50, 0.5), (B, 2, 9))
    assert united(one, other) == tag((A, -100, 0.5), (B, 1, 9))


def test_a_new_node_has_what_was_answered_before() -> None:
    both = united(tag((B, 5, 5)), tag((A, -100, 1), (B, 2, 2)))
    assert both == tag((A, -100, 1), (B, 2, 5))
    dated = {A: Dated(T0 - 100 * HOUR), B: Dated(T0 + 2 * HOUR)}
    judged = [judge(united(both, tag((B, hours, hours))), dated, AGE, T0 + hours * HOUR) for hours in (73.9, 74)]
    assert [each.digest for each in judged if each is not None] == [A, B]


def test_what_was_put_right_at_another_node_stays_so() -> None:
    """This one has never asked in between, and has confirmed what it knew since."""
    both = united(tag((A, -100, 9)), tag((A, -90, 0), (B, 1, 2)))
    assert both == tag((A, -100, 9), (B, 1, 2), (A, 9, 9))
    assert united(both, tag((A, -90, 0), (B, 1, 2))) == both


def test_a_word_that_was_on_its_way_while_the_tag_moved_is_no_move() -> None:
    second = 1 / 3600
    assert united(tag((A, -100, 5 * second)), tag((B, 0, 0))) == tag((A, -100, 5 * second), (B, 0, 0))


def test_a_clock_that_was_ahead_puts_nothing_in_another_order() -> None:
    ahead = tag((A, 9000, 9000), (B, 1, 2))
    corrected = united(ahead, tag((C, 5, 5)))
    assert [(each.digest, each.seen) for each in corrected[:3]] == [(A, T0 + HOUR), (B, T0 + HOUR), (C, T0 + 5 * HOUR)]


def test_of_many_the_last_are_kept() -> None:
    many = [TagChange(Digest.of(str(hour).encode()), hour, hour) for hour in range(3 * MOST_CHANGES)]
    assert united(many[:50], many) == many[-MOST_CHANGES:]


def test_two_mirrors_that_say_something_else_all_the_time_make_nobody_forget_what_was_before() -> None:
    flips = [TagChange(B if hour % 2 else C, hour, hour) for hour in range(3 * MOST_CHANGES)]
    kept = bounded([TagChange(A, -100, -1), *flips])
    assert len(kept) == MOST_CHANGES
    assert kept[0] == TagChange(A, -100, -1)
    assert kept[1:] == flips[-MOST_CHANGES + 1 :]


@given(
    said=st.lists(st.tuples(digests, st.integers(0, 20), st.integers(0, 20)), max_size=12),
    minimum_age=st.integers(0, 60),
)
def test_what_is_left_out_decides_nothing(said: list[tuple[Digest | None, int, int]], minimum_age: int) -> None:
    history, now = list[TagChange](), 0
    for digest, lasts, pause in said:
        history.append(TagChange(digest, now, now + lasts))
        now += lasts + pause
    with mock.patch.object(united_histories, "MOST_CHANGES", 4):
        both = united(history, [])
        with mock.patch.object(united_histories, "MOST_CHANGES", 1000):
            whole = united(history, [])
    assert len(both) <= 4
    dated: dict[Digest, Dated] = {}
    for each in whole:
        if each.digest is not None:
            dated.setdefault(each.digest, Dated(each.seen))
    ours, theirs = (judge(each, dated, minimum_age, 1000) for each in (both, whole))
    # There are four things that a tag can point to, or be gone.
    assert (ours and (ours.digest, ours.current)) == (theirs and (theirs.digest, theirs.current))
