from __future__ import annotations

import select
import socket
from typing import Any

import pytest
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from crproxy.config import Config
from crproxy.metrics import Meters, Stalls
from tests.metrics.records import samples

POLLING = [name for name in ("epoll", "poll") if hasattr(select, name)]


@implementer(IReadDescriptor)
class Reader:
    """What a reactor watches."""

    def __init__(self, end: socket.socket) -> None:
        self.received = b""
        self._end = end

    def fileno(self) -> int:
        return self._end.fileno()

    def logPrefix(self) -> str:
        return "reader"

    def doRead(self) -> None:
        self.received += self._end.recv(100)

    def connectionLost(self, reason: Failure) -> None:
        raise AssertionError(reason)


def make_reactor(kind: str) -> Any:
    """One that is not installed, and takes a turn when it is told to."""
    if kind == "epoll":
        from twisted.internet.epollreactor import EPollReactor

        return EPollReactor()
    from twisted.internet.pollreactor import PollReactor

    return PollReactor()


@pytest.mark.parametrize("kind", POLLING)
def test_each_turn_is_told_of_but_the_one_it_starts_in(kind: str) -> None:
    clock, told, reactor = Clock(), list[float](), make_reactor(kind)
    stalls = Stalls(told.append, reactor, clock.seconds)
    stalls.startService()
    clock.advance(5)
    reactor.iterate()
    assert told == []
    for seconds in (0.25, 0, 2):
        reactor.callLater(0, clock.advance, seconds)
        reactor.iterate()
    assert told == [0.25, 0, 2]
    stalls.stopService()
    reactor.callLater(0, clock.advance, 9)
    reactor.iterate()
    assert told == [0.25, 0, 2]


@pytest.mark.parametrize("kind", POLLING)
def test_sockets_come_and_go_as_before(kind: str) -> None:
    reactor = make_reactor(kind)
    Stalls(lambda _: None, reactor).startService()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader = Reader(ours)
        reactor.addReader(reader)
        theirs.send(b"x")
        reactor.iterate(1)
        reactor.removeReader(reader)
        theirs.send(b"y")
        reactor.iterate(0)
    assert reader.received == b"x"


def test_of_a_reactor_that_does_not_poll_nothing_is_known() -> None:
    told = list[float]()
    stalls = Stalls(told.append, Clock())
    stalls.startService()
    stalls.stopService()
    assert told == []


def test_the_longest_is_remembered() -> None:
    meters = Meters(Config)
    assert samples(meters.registry, "crproxy_reactor_stall_seconds") == {(): 0}
    for seconds in (0.02, 0.5, 0.1):
        meters.turn(seconds)
    assert samples(meters.registry, "crproxy_reactor_stall_seconds") == {(): 0.5}
