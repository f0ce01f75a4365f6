from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.digests import Digest
from crproxy.policy.minimum_age import (
    Dated,
    Judgement,
    Sources,
    TagChange,
    judge,
    judge_digest,
    merged,
    with_last,
)

HOUR = 3600.0
AGE = 72 * HOUR
T0 = 1_000_000_000.0
A, B, C = (Digest.parse(f"sha256:{letter * 64}") for letter in "abc")


def tag(*told: tuple[Digest | None, float, float]) -> list[TagChange]:
    """A history: each digest, and the hours after T0 from which until which upstream said so."""
    return [TagChange(digest, T0 + first * HOUR, T0 + last * HOUR) for digest, first, last in told]


def judged(
    hours: float,
    *told: tuple[Digest | None, float, float],
    dated: dict[Digest, Dated] | None = None,
    trust_created: bool = False,
) -> Judgement:
    seen: dict[Digest, Dated] = {}
    for change in tag(*told):
        if change.digest is not None:
            seen.setdefault(change.digest, Dated(change.seen))
    found = judge(tag(*told), {**seen, **(dated or {})}, AGE, T0 + hours * HOUR, trust_created=trust_created)
    assert found is not None
    return found


def test_a_tag_that_moved_answers_its_former_digest_until_the_new_one_is_old_enough() -> None:
    before = (A, -100, 0)
    assert judged(1, before, (B, 0.5, 1)).digest == A
    assert judged(72, before, (B, 0.5, 72)).digest == A
    found = judged(72.5, before, (B, 0.5, 72.5))
    assert (found.digest, found.is_held) == (B, False)
    assert judged(1, before, (B, 0.5, 1)).until == T0 + 72.5 * HOUR


def test_what_was_put_right_is_never_answered_however_old_it_gets() -> None:
    """Nobody asked between its first hour and the day on which upstream said something else."""
    history = ((A, -100, 0), (B, 1, 2), (C, 100, 100))
    assert judged(100, *history).digest == A
    assert judged(300, (A, -100, 0), (B, 1, 2), (C, 100, 300)).digest == C


def test_a_tag_that_was_never_seen_is_refused_and_says_until_when() -> None:
    found = judged(1, (A, 0, 1))
    assert (found.digest, found.current, found.until) == (None, A, T0 + AGE)
    assert judged(72, (A, 0, 72)).digest == A


def test_upstream_has_to_say_it_when_it_is_old_enough() -> None:
    """While upstream is away nobody knows whether it was put right."""
    assert judged(80, (A, 0, 10)).digest is None
    assert judged(80, (A, -100, 0), (B, 1, 10)).digest == A


@pytest.mark.parametrize(
    ("source", "trust_created", "is_served"),
    [
        (Sources.LAST_MODIFIED, False, True),
        (Sources.CREATED, False, False),
        (Sources.CREATED, True, True),
    ],
)
def test_others_words_count_for_a_tag_that_was_never_seen(source: str, trust_created: bool, is_served: bool) -> None:
    dated = {A: Dated(T0, T0 - 1000 * HOUR, source)}
    found = judged(1, (A, 0, 1), dated=dated, trust_created=trust_created)
    assert (found.digest is A) == is_served


def test_others_words_of_the_future_do_not_count() -> None:
    dated = {A: Dated(T0, T0 + 10 * HOUR, Sources.LAST_MODIFIED)}
    found = judged(1, (A, 0, 1), dated=dated)
    assert (found.digest, found.since, found.source) == (None, T0, Sources.SEEN)


def test_others_words_count_only_from_when_the_tag_last_pointed_elsewhere() -> None:
    """An old file under a new name is as new as the name."""
    dated = {B: Dated(T0 + HOUR, T0 - 9000 * HOUR, Sources.LAST_MODIFIED)}
    assert judged(1, (A, -100, 0), (B, 1, 1), dated=dated).digest == A
    # Nobody had asked for months: then it may have moved long ago.
    assert judged(1, (A, -1000, -500), (B, 1, 1), dated=dated).digest == B


def test_a_digest_that_was_here_long_before_is_old() -> None:
    """Upstream has taken a change back."""
    history = ((A, -1000, -200), (B, -150, 0), (A, 1, 1))
    assert judged(1, *history).digest == A


def test_a_mirror_that_lags_is_answered_by_what_is_old_enough() -> None:
    history = ((A, -1000, 0), (B, 1, 1), (A, 2, 2), (B, 3, 3))
    assert judged(3, *history).digest == A
    assert judged(74, *history[:-1], (B, 3, 74)).digest == B


def test_a_tag_that_was_deleted_and_made_again_answers_its_former_digest() -> None:
    history = ((A, -1000, 0), (None, 1, 1), (B, 2, 2))
    assert judged(2, *history).digest == A
    dated = {B: Dated(T0 + 2 * HOUR, T0 - 9000 * HOUR, Sources.LAST_MODIFIED)}
    assert judged(2, *history, dated=dated).digest == A


def test_a_clock_that_was_set_back_makes_nothing_old() -> None:
    found = judge(tag((A, 500, 500)), {A: Dated(T0 + 500 * HOUR)}, AGE, T0)
    assert found is not None
    assert (found.digest, found.since) == (None, T0)


def test_what_is_seen_by_a_clock_that_was_set_back_is_no_older_for_that() -> None:
    assert judged(1, (A, -1000, 0), (B, -400000, -400000)).digest == A
    assert judged(73, (A, -1000, 0), (B, -400000, 73)).digest == B


def test_a_tag_that_points_nowhere_is_not_judged() -> None:
    assert judge([], {}, AGE, T0) is None
    assert judge(tag((None, 0, 0)), {}, AGE, T0) is None


def test_the_same_said_twice_is_said_once() -> None:
    twice = tag((A, 0, 1), (A, 0.1, 2), (B, 3, 3))
    assert merged(twice) == tag((A, 0, 2), (B, 3, 3))


def test_when_upstream_said_it_last_is_of_what_it_said() -> None:
    assert with_last(tag((A, 0, 1)), A, T0 + 5 * HOUR) == tag((A, 0, 5))
    assert with_last(tag((A, 0, 1)), B, T0 + 5 * HOUR) == tag((A, 0, 1))
    assert with_last([], A, T0) == []


def test_a_digest_itself_is_judged_by_its_own_age() -> None:
    assert judge_digest(A, Dated(T0), AGE, T0 + AGE).digest == A
    assert judge_digest(A, Dated(T0), AGE, T0 + AGE - 1).digest is None
    assert judge_digest(A, Dated(), AGE, T0).since == T0
    assert judge_digest(A, Dated(T0, T0 - AGE, Sources.LAST_MODIFIED), AGE, T0).digest == A


histories = st.lists(
    st.tuples(st.sampled_from([A, B, C, None]), st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=8
)


@given(histories, st.floats(0, 50), st.dictionaries(st.sampled_from([A, B, C]), st.floats(-500, 500)))
def test_what_is_answered_was_old_enough_while_upstream_said_so(
    told: list[tuple[Digest | None, float, float]], wait: float, words: dict[Digest, float]
) -> None:
    moment, changes = T0, []
    for digest, pause, stay in told:
        changes.append(TagChange(digest, moment + pause, moment + pause + stay))
        moment = changes[-1].last
    now = moment + wait
    dated = {
        each: Dated(
            min((c.seen for c in changes if c.digest == each), default=None),
            None if each not in words else T0 + words[each],
            Sources.LAST_MODIFIED,
        )
        for each in (A, B, C)
    }
    found = judge(changes, dated, 50.0, now)
    if found is None:
        return
    assert found.until == found.since + 50.0
    assert found.since <= now
    if found.digest is None:
        return
    before = -math.inf
    reasons = []
    for change in merged(changes):
        if change.digest == found.digest:
            since, _ = dated[found.digest].since(before, now, trust_created=False)
            reasons.append(since + 50.0 <= change.last)
        before = change.last
    assert any(reasons)


@given(histories)
def test_without_a_minimum_age_a_tag_is_answered_as_upstream_does(
    told: list[tuple[Digest | None, float, float]],
) -> None:
    moment, changes = T0, []
    for digest, pause, stay in told:
        changes.append(TagChange(digest, moment + pause, moment + pause + stay))
        moment = changes[-1].last
    found = judge(changes, {}, 0.0, moment)
    assert found is None or not found.is_held
