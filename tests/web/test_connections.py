from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from crproxy.web.connections import Connections
from tests.memory import ended, not_yet


class Guest:
    """A connection that does as it is told."""

    def __init__(self, connections: Connections, *, new: bool = False, busy: bool = False) -> None:
        self.is_new = new
        self.is_busy = busy
        self.finished = self.aborted = 0
        self._connections = connections
        connections.opened(self)

    def finish(self) -> None:
        self.finished += 1

    def abort(self) -> None:
        self.aborted += 1
        self.leave()

    def leave(self) -> None:
        self._connections.ended(self)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def connections(clock: Clock) -> Connections:
    return Connections(clock)


def test_they_are_counted(connections: Connections) -> None:
    guest = Guest(connections)
    Guest(connections)
    guest.leave()
    guest.leave()
    assert len(connections) == 1


def test_where_there_are_none_they_are_closed_at_once(connections: Connections, clock: Clock) -> None:
    ended(connections.close())
    assert connections.closing
    assert clock.getDelayedCalls() == []


def test_one_is_closed_now_one_in_a_moment_and_one_in_a_second(connections: Connections, clock: Clock) -> None:
    busy, kept, new = Guest(connections, busy=True), Guest(connections), Guest(connections, new=True)
    connections.close()
    assert (busy.finished, kept.finished, new.finished) == (1, 0, 0)
    clock.advance(0)
    assert (kept.finished, new.finished) == (1, 0)
    clock.advance(1)
    assert new.finished == 1


def test_it_is_told_when_the_last_has_left(connections: Connections, clock: Clock) -> None:
    first, last = Guest(connections), Guest(connections)
    closed = connections.close()
    first.leave()
    assert not_yet(closed)
    last.leave()
    ended(closed)
    assert clock.getDelayedCalls() == []


def test_what_is_left_is_cut_off(connections: Connections) -> None:
    guests = [Guest(connections, busy=True) for _ in range(3)]
    closed = connections.close()
    connections.abort()
    assert [guest.aborted for guest in guests] == [1, 1, 1]
    ended(closed)
