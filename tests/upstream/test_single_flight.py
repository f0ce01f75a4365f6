from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from twisted.internet.defer import CancelledError, Deferred

from crproxy.upstream.single_flight import SingleFlight
from tests.memory import ended, failure_of, not_yet


class Work:
    """Work that is done by hand; counts how often it was begun."""

    def __init__(self) -> None:
        self.runs: list[Deferred[str]] = []

    async def __call__(self) -> str:
        run: Deferred[str] = Deferred()
        self.runs.append(run)
        return await run


@pytest.fixture
def once() -> SingleFlight[str, str]:
    return SingleFlight()


@pytest.fixture
def work() -> Work:
    return Work()


def waiting(once: SingleFlight[str, str], key: str, work: Callable[[], Awaitable[str]]) -> Deferred[str]:
    return cast("Deferred[str]", once.run(key, work))  # type: ignore[arg-type]


def test_everybody_who_waits_shares_one_run(once: SingleFlight[str, str], work: Work) -> None:
    waiters = [waiting(once, "key", work) for _ in range(3)]
    assert len(work.runs) == 1
    assert all(not_yet(waiter) for waiter in waiters)
    work.runs[0].callback("result")
    assert [ended(waiter) for waiter in waiters] == ["result"] * 3


def test_another_key_is_another_run(once: SingleFlight[str, str], work: Work) -> None:
    one, other = waiting(once, "one", work), waiting(once, "other", work)
    work.runs[1].callback("other's")
    assert ended(other) == "other's"
    assert not_yet(one)


def test_after_its_end_the_work_is_done_anew(once: SingleFlight[str, str], work: Work) -> None:
    waiting(once, "key", work)
    work.runs[0].callback("old")
    again = waiting(once, "key", work)
    work.runs[1].callback("new")
    assert ended(again) == "new"


def test_everybody_who_waits_gets_the_failure(once: SingleFlight[str, str], work: Work) -> None:
    waiters = [waiting(once, "key", work) for _ in range(2)]
    work.runs[0].errback(ValueError("broken"))
    for waiter in waiters:
        assert str(failure_of(waiter, ValueError)) == "broken"


def test_a_failure_is_not_kept(once: SingleFlight[str, str], work: Work) -> None:
    failure = waiting(once, "key", work)
    work.runs[0].errback(ValueError())
    failure_of(failure, ValueError)
    again = waiting(once, "key", work)
    work.runs[1].callback("result")
    assert ended(again) == "result"


def test_work_that_ends_at_once_is_fine(once: SingleFlight[str, str]) -> None:
    async def work() -> str:
        return "result"

    assert ended(waiting(once, "key", work)) == "result"


def test_a_waiter_that_leaves_takes_nobody_with_it(once: SingleFlight[str, str], work: Work) -> None:
    first, second = waiting(once, "key", work), waiting(once, "key", work)
    first.cancel()
    failure_of(first, CancelledError)
    work.runs[0].callback("result")
    assert ended(second) == "result"


def test_the_run_goes_on_when_all_have_left_and_serves_who_comes_next(once: SingleFlight[str, str], work: Work) -> None:
    first = waiting(once, "key", work)
    first.cancel()
    failure_of(first, CancelledError)
    second = waiting(once, "key", work)
    assert len(work.runs) == 1
    work.runs[0].callback("result")
    assert ended(second) == "result"


def test_a_failure_that_nobody_waits_for_is_silent(once: SingleFlight[str, str], work: Work) -> None:
    waiter = waiting(once, "key", work)
    waiter.cancel()
    failure_of(waiter, CancelledError)
    work.runs[0].errback(ValueError())


def test_a_waiter_may_send_another_away_when_its_own_turn_comes(once: SingleFlight[str, str], work: Work) -> None:
    first, second, third = (waiting(once, "key", work) for _ in range(3))
    first.addCallback(lambda _: second.cancel())
    work.runs[0].callback("result")
    failure_of(second, CancelledError)
    assert ended(third) == "result"


def test_a_waiter_may_ask_again_when_its_turn_comes(once: SingleFlight[str, str], work: Work) -> None:
    first, second = waiting(once, "key", work), waiting(once, "key", work)
    first.addCallback(lambda _: waiting(once, "key", work))
    work.runs[0].callback("old")
    assert ended(second) == "old"
    work.runs[1].callback("new")
    assert ended(first) == "new"
