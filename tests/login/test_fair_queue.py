from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from crproxy.login.fair_queue import FairQueue, TooMany
from tests.memory import ended, failure_of, not_yet


class Work:
    """What is under way, by name, and what was begun so far."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.under_way: dict[str, Deferred[Any]] = {}

    def of(self, name: str) -> Callable[[], Deferred[Any]]:
        def begin() -> Deferred[Any]:
            self.begun.append(name)
            self.under_way[name] = Deferred()
            return self.under_way[name]

        return begin

    def end(self, name: str | None = None) -> None:
        name = next(iter(self.under_way)) if name is None else name
        self.under_way.pop(name).callback(name)

    def end_all(self) -> None:
        while self.under_way:
            self.end()


@pytest.fixture
def work() -> Work:
    return Work()


def test_clients_have_their_turns(work: Work) -> None:
    queue = FairQueue(1, 10, 100)
    results = [queue.run(name[0], work.of(name)) for name in ("a1", "a2", "a3", "b1", "b2", "c1")]
    work.end_all()
    assert work.begun == ["a1", "a2", "b1", "c1", "a3", "b2"]
    assert [ended(result) for result in results] == ["a1", "a2", "a3", "b1", "b2", "c1"]
    assert len(queue) == 0


def test_so_many_run_at_once(work: Work) -> None:
    queue = FairQueue(2, 10, 100)
    for name in ("a1", "a2", "a3"):
        queue.run("a", work.of(name))
    assert (work.begun, len(queue)) == (["a1", "a2"], 1)
    work.end("a2")
    assert work.begun == ["a1", "a2", "a3"]


def test_a_client_has_so_many_under_way_and_waiting(work: Work) -> None:
    queue = FairQueue(1, 2, 100)
    for name in ("a1", "a2"):
        queue.run("a", work.of(name))
    with pytest.raises(TooMany):
        queue.run("a", work.of("a3"))
    queue.run("b", work.of("b1"))
    work.end("a1")
    queue.run("a", work.of("a3"))
    work.end_all()
    assert work.begun == ["a1", "a2", "b1", "a3"]


def test_where_there_is_no_room_who_has_most_waiting_gives_way(work: Work) -> None:
    queue = FairQueue(1, 10, 3)
    first, *others = [queue.run("a", work.of(f"a{number}")) for number in range(4)]
    assert len(queue) == 3
    newcomer = queue.run("b", work.of("b0"))
    failure_of(others[-1], TooMany)
    assert (len(queue), not_yet(newcomer)) == (3, True)
    with pytest.raises(TooMany):
        queue.run("a", work.of("a9"))
    queue.run("a" * 2, work.of("c0"))
    failure_of(others[-2], TooMany)
    with pytest.raises(TooMany):
        queue.run("d", work.of("d0"))
    work.end_all()
    assert ended(first) == "a0"
    assert work.begun == ["a0", "a1", "b0", "c0"]


def test_work_that_fails_takes_no_place_for_ever(work: Work) -> None:
    queue = FairQueue(1, 1, 1)
    for _ in range(3):
        result = queue.run("a", work.of("a"))
        work.under_way.pop("a").errback(Failure(OSError()))
        failure_of(result, OSError)
    assert len(queue._counts) == 0


@given(st.lists(st.one_of(st.sampled_from("abc"), st.none()), max_size=60), st.integers(1, 3), st.integers(1, 5))
def test_all_that_is_taken_ends_and_nothing_is_left(steps: list[str | None], at_once: int, most: int) -> None:
    work, queue = Work(), FairQueue(at_once, most, 6)
    results: list[Deferred[Any]] = []
    for number, client in enumerate(steps):
        if client is None and work.under_way:
            work.end()
        elif client is not None:
            try:
                results.append(queue.run(client, work.of(f"{client}{number}")))
            except TooMany:
                assert queue._counts.of(client) == most or len(queue) == 6
        assert len(work.under_way) <= at_once
        assert len(queue) <= 6
        assert len(work.under_way) == at_once or not len(queue)
    work.end_all()
    for result in results:
        result.addErrback(lambda failure: failure.trap(TooMany))
        assert result.called
    assert (len(queue), len(queue._counts), queue._free) == (0, 0, at_once)
