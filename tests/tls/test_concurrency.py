from __future__ import annotations

from twisted.internet.task import Clock

from crproxy.tls.concurrency import ConcurrencyLimit


def _enter(_: None, given: list[str], name: str) -> None:
    given.append(name)


def test_the_lowest_rank_comes_first_and_only_some_at_once() -> None:
    clock, given = Clock(), list[str]()
    limit = ConcurrencyLimit(2, clock)
    for rank, name in ((3, "c"), (1, "a"), (4, "d"), (2, "b")):
        limit.acquire(name, rank).addCallback(_enter, given, name)
    assert given == []
    clock.advance(0)
    assert given == ["a", "b"]
    limit.release("a")
    assert given == ["a", "b", "c"]
    limit.release("a")
    limit.release("nobody")
    assert given == ["a", "b", "c"]
    limit.release("c")
    assert given == ["a", "b", "c", "d"]


def test_equals_come_in_the_order_they_came_in() -> None:
    clock, given = Clock(), list[str]()
    limit = ConcurrencyLimit(5, clock)
    for name in ("x", "y", "z"):
        limit.acquire(name, 1).addCallback(_enter, given, name)
    clock.advance(0)
    assert given == ["x", "y", "z"]


def test_who_does_not_wait_any_more_takes_no_turn() -> None:
    clock, given = Clock(), list[str]()
    limit = ConcurrencyLimit(1, clock)
    gone = limit.acquire("gone", 1)
    gone.addErrback(lambda _: None)
    gone.cancel()
    limit.acquire("here", 2).addCallback(lambda _: given.append("here"))
    clock.advance(0)
    assert given == ["here"]
