from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from crproxy.objects.errors import TierFailed
from crproxy.objects.reachability import Reachability
from tests.logs import Log

TROUBLE = TierFailed("connection refused")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reachability(clock: Clock) -> Reachability:
    return Reachability(clock)


def is_up(reachability: Reachability) -> bool:
    return reachability.is_up


def ask(reachability: Reachability, error: TierFailed | None) -> None:
    reachability.begin()
    if error is None:
        reachability.answered()
    else:
        reachability.failed(error)


def test_who_fails_is_left_alone_for_some_seconds(reachability: Reachability, clock: Clock) -> None:
    assert is_up(reachability)
    ask(reachability, TROUBLE)
    assert not is_up(reachability)
    with pytest.raises(TierFailed, match="left alone"):
        reachability.begin()
    clock.advance(5)
    assert reachability.is_up


def test_one_question_finds_out_whether_it_is_back(reachability: Reachability, clock: Clock) -> None:
    ask(reachability, TROUBLE)
    clock.advance(5)
    reachability.begin()
    assert not is_up(reachability)
    with pytest.raises(TierFailed):
        reachability.begin()
    reachability.answered()
    assert reachability.is_up


def test_one_that_nobody_waits_for_leaves_it_to_the_next(reachability: Reachability, clock: Clock) -> None:
    ask(reachability, TROUBLE)
    clock.advance(5)
    reachability.begin()
    reachability.left()
    assert is_up(reachability)
    ask(reachability, None)
    assert reachability.is_up


def test_it_is_left_alone_longer_and_longer_up_to_half_a_minute(reachability: Reachability, clock: Clock) -> None:
    for seconds in (5, 10, 20, 30, 30):
        ask(reachability, TROUBLE)
        clock.advance(seconds - 0.5)
        assert not is_up(reachability)
        clock.advance(0.5)
        assert is_up(reachability)
    ask(reachability, None)
    ask(reachability, TROUBLE)
    clock.advance(5)
    assert reachability.is_up


def test_what_was_asked_before_makes_it_no_longer(reachability: Reachability, clock: Clock) -> None:
    for _ in range(3):
        reachability.begin()
    for _ in range(3):
        reachability.failed(TROUBLE)
    clock.advance(5)
    assert reachability.is_up


def test_it_is_said_once_and_once_when_it_is_back(reachability: Reachability, clock: Clock) -> None:
    with Log() as log:
        for _ in range(3):
            ask(reachability, TROUBLE)
            clock.advance(30)
        ask(reachability, None)
        ask(reachability, None)
    assert log.lines == [
        "the object store cannot be used, and is asked again in some seconds: connection refused",
        "the object store can be used again",
    ]


def test_whether_it_has_answered_stays_what_it_was_until_it_is_asked(reachability: Reachability, clock: Clock) -> None:
    """Unlike whether it is worth asking."""
    assert has_answered(reachability)
    ask(reachability, TROUBLE)
    clock.advance(3600)
    assert is_up(reachability)
    assert not has_answered(reachability)
    ask(reachability, None)
    assert has_answered(reachability)


def test_questions_that_failed_are_counted_all_of_them(reachability: Reachability) -> None:
    for _ in range(2):
        reachability.begin()
    reachability.failed(TROUBLE)
    reachability.failed(TROUBLE)
    assert reachability.failures == 2


def has_answered(reachability: Reachability) -> bool:
    return reachability.has_answered
