from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock

from crproxy.store.settling import Settling
from tests.memory import ended, failure_of, not_yet


class Notes:
    """Notes that are written when the test says so; how often that was asked for is in ``flushes``."""

    def __init__(self) -> None:
        self.flushes = 0
        self._waiting: list[Deferred[None]] | None = None

    def wait(self) -> None:
        """From now on there are some."""
        self._waiting = []

    def flush(self) -> Deferred[None]:
        self.flushes += 1
        if self._waiting is None:
            return succeed(None)
        flushed: Deferred[None] = Deferred()
        self._waiting.append(flushed)
        return flushed

    def write(self) -> None:
        waiting, self._waiting = self._waiting or [], None
        for flushed in waiting:
            flushed.callback(None)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def settled(notes: Notes, clock: Clock) -> Settling:
    return Settling(notes.flush, clock)


def test_where_nothing_waits_nobody_does(settled: Settling, clock: Clock) -> None:
    ended(settled())
    assert clock.getDelayedCalls() == []


def test_what_waits_is_waited_for_until_it_is_written(settled: Settling, notes: Notes, clock: Clock) -> None:
    notes.wait()
    first, second = settled(), settled()
    clock.advance(0.2)
    assert not_yet(first)
    assert not_yet(second)
    notes.write()
    ended(first)
    ended(second)
    assert clock.getDelayedCalls() == []


def test_it_is_waited_for_no_longer_than_a_moment(settled: Settling, notes: Notes, clock: Clock) -> None:
    notes.wait()
    first = settled()
    clock.advance(0.25)
    ended(first)
    assert clock.getDelayedCalls() == []
    notes.write()


def test_what_is_late_is_waited_for_by_nobody_else_until_it_is_there(
    settled: Settling, notes: Notes, clock: Clock
) -> None:
    notes.wait()
    settled()
    clock.advance(0.25)
    ended(settled())
    assert notes.flushes == 1
    notes.write()
    notes.wait()
    assert not_yet(settled())
    notes.write()
    assert clock.getDelayedCalls() == []


def test_each_has_a_moment_of_its_own(settled: Settling, notes: Notes, clock: Clock) -> None:
    notes.wait()
    first = settled()
    clock.advance(0.2)
    second = settled()
    clock.advance(0.05)
    ended(first)
    assert not_yet(second)
    clock.advance(0.2)
    ended(second)
    notes.write()


@pytest.mark.parametrize("seconds", [0.1, 0.25], ids=["written in time", "written late"])
def test_who_leaves_meanwhile_changes_nothing(settled: Settling, notes: Notes, clock: Clock, seconds: float) -> None:
    notes.wait()
    left, stays = settled(), settled()
    left.cancel()
    failure_of(left, CancelledError)
    clock.advance(seconds)
    notes.write()
    ended(stays)
    ended(settled())
    assert clock.getDelayedCalls() == []
