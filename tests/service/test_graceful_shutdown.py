from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.web.resource import Resource

from crproxy.service.graceful_shutdown import Listeners
from crproxy.service.ordered_services import OrderedServices
from crproxy.web.site import PlainSite
from tests.logs import Log
from tests.memory import ended, not_yet


class Reactor(MemoryReactorClock):
    """Calls from a signal are made at once."""

    def callFromThread(self, call: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        call(*args, **kwargs)


class Guest:
    """A connection on which an answer is under way, for as long as it likes."""

    is_new = False
    is_busy = True

    def __init__(self, site: PlainSite) -> None:
        self.aborted = False
        self._connections = site.connections
        site.connections.opened(self)

    def finish(self) -> None:
        """It does."""

    def abort(self) -> None:
        self.aborted = True
        self.leave()

    def leave(self) -> None:
        self._connections.ended(self)


class Told:
    """What was told of the stop."""

    def __init__(self) -> None:
        self.said: list[tuple[int, float]] = []

    def __call__(self, connections: int, grace: float) -> None:
        self.said.append((connections, grace))


def listening(reactor: Reactor, told: Told | None = None) -> tuple[Listeners, PlainSite]:
    listeners = Listeners(20, told or Told(), reactor)
    site = PlainSite(Resource(), reactor=reactor)
    listeners.watch(site)
    listeners.startService()
    return listeners, site


def test_with_nobody_there_it_stops_at_once() -> None:
    reactor, told = Reactor(), Told()
    listeners, _ = listening(reactor, told)
    ended(listeners.stopService())
    assert told.said == [(0, 20)]
    assert reactor.getDelayedCalls() == []


def test_it_waits_for_who_is_there() -> None:
    reactor, told = Reactor(), Told()
    listeners, site = listening(reactor, told)
    guest, other = Guest(site), Guest(site)
    with Log() as log:
        stopped = listeners.stopService()
        guest.leave()
        assert not_yet(stopped)
        other.leave()
    ended(stopped)
    assert told.said == [(2, 20)]
    assert log.lines == ["stopping: 2 connections have 20 s to end"]
    assert reactor.getDelayedCalls() == []


def test_who_takes_longer_than_the_grace_is_cut_off() -> None:
    reactor = Reactor()
    listeners, site = listening(reactor)
    guest = Guest(site)
    stopped = listeners.stopService()
    reactor.advance(19.9)
    aborted = guest.aborted
    with Log() as log:
        reactor.advance(0.1)
    assert (aborted, guest.aborted) == (False, True)
    ended(stopped)
    assert log.lines == ["1 connections are cut off: they took too long"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_cuts_everybody_off_and_a_third_does_no_harm(number: signal.Signals) -> None:
    listeners, site = listening(Reactor())
    guest = Guest(site)
    stopped = listeners.stopService()
    os.kill(os.getpid(), number)
    assert guest.aborted
    ended(stopped)
    # What stops after them may take a while, too.
    os.kill(os.getpid(), number)


def test_a_site_that_has_two_endpoints_is_one() -> None:
    reactor, told = Reactor(), Told()
    listeners, site = listening(reactor, told)
    listeners.watch(site)
    guest = Guest(site)
    listeners.stopService()
    assert told.said == [(1, 20)]
    guest.leave()


class Slow(Service):
    """Stops when it is told that it has."""

    def __init__(self) -> None:
        self.stopped: Deferred[None] = Deferred()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return self.stopped


def test_services_stop_one_after_the_other_the_last_first() -> None:
    whole, first, last = OrderedServices(), Slow(), Slow()
    first.setServiceParent(whole)
    last.setServiceParent(whole)
    whole.startService()
    stopped = whole.stopService()
    assert (first.running, last.running) == (True, False)
    last.stopped.callback(None)
    assert not first.running
    assert not_yet(stopped)
    first.stopped.callback(None)
    ended(stopped)
