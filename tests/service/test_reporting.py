from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from crproxy.service.reporting import Reporting
from crproxy.service.supervisor import Supervisor
from tests.memory import ended, failure_of


@dataclass
class Told:
    """A supervisor's end."""

    receiver: socket.socket
    supervisor: Supervisor

    def next(self) -> list[str]:
        return self.receiver.recv(4096).decode().split("\n")

    @property
    def nothing_more(self) -> bool:
        self.receiver.setblocking(False)
        try:
            return not self.receiver.recv(4096)
        except BlockingIOError:
            return True
        finally:
            self.receiver.settimeout(5)


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(5)
        yield Told(receiver, Supervisor(str(tmp_path / "notify"), 30))


@pytest.fixture
def reactor() -> MemoryReactorClock:
    return MemoryReactorClock()


@pytest.fixture
def reporting(told: Told, reactor: MemoryReactorClock) -> Reporting:
    return Reporting(told.supervisor, lambda: "listens on http://here", reactor)


def run(reporting: Reporting, reactor: MemoryReactorClock) -> None:
    if not reporting.running:
        reporting.startService()
    for hook, args, kwargs in reactor.whenRunningHooks:
        hook(*args, **kwargs)


def test_it_is_ready_as_soon_as_the_reactor_runs(reporting: Reporting, told: Told, reactor: MemoryReactorClock) -> None:
    reporting.startService()
    assert told.nothing_more
    run(reporting, reactor)
    assert told.next() == ["READY=1", "STATUS=listens on http://here"]


def test_where_somebody_else_says_when_it_is_ready_it_is_not_before(told: Told, reactor: MemoryReactorClock) -> None:
    reporting = Reporting(told.supervisor, lambda: "2 workers", reactor, is_announced=False)
    run(reporting, reactor)
    assert told.nothing_more
    reporting.announce()
    assert told.next() == ["READY=1", "STATUS=2 workers"]
    assert told.next() == ["WATCHDOG=1"]
    reporting.stopService()


def test_a_sign_of_life_comes_at_half_of_the_time(
    reporting: Reporting, told: Told, reactor: MemoryReactorClock
) -> None:
    run(reporting, reactor)
    assert [told.next()[0], *told.next()] == ["READY=1", "WATCHDOG=1"]
    reactor.advance(14)
    assert told.nothing_more
    reactor.advance(1)
    assert told.next() == ["WATCHDOG=1"]
    reporting.stopService()
    reactor.advance(60)
    assert told.nothing_more


def test_where_nobody_watches_no_sign_is_given(told: Told, reactor: MemoryReactorClock) -> None:
    reporting = Reporting(Supervisor(told.supervisor.address), lambda: "", reactor)
    run(reporting, reactor)
    told.next()
    reactor.advance(60)
    assert told.nothing_more
    reporting.stopService()


@pytest.mark.parametrize(
    ("reloaded", "status"), [(True, "listens on http://here"), (False, "the configuration was not read again: .*")]
)
def test_both_ends_of_a_reload_are_told(
    reporting: Reporting, told: Told, reactor: MemoryReactorClock, reloaded: bool, status: str
) -> None:
    run(reporting, reactor)
    assert [told.next()[0], told.next()[0]] == ["READY=1", "WATCHDOG=1"]
    done: Deferred[bool] = Deferred()
    reported = reporting.reload(lambda: done)
    reloading, monotonic = told.next()
    assert reloading == "RELOADING=1"
    assert re.fullmatch(r"MONOTONIC_USEC=\d+", monotonic)
    assert told.nothing_more
    done.callback(reloaded)
    ended(reported)
    ready, said = told.next()
    assert ready == "READY=1"
    assert re.fullmatch(f"STATUS={status}", said)


def test_a_reload_that_breaks_has_an_end_as_well(reporting: Reporting, told: Told, reactor: MemoryReactorClock) -> None:
    run(reporting, reactor)
    assert [told.next()[0], told.next()[0]] == ["READY=1", "WATCHDOG=1"]

    def broken() -> Deferred[bool]:
        raise ZeroDivisionError

    failure_of(reporting.reload(broken), ZeroDivisionError)
    assert told.next()[0] == "RELOADING=1"
    assert told.next()[0] == "READY=1"


def test_a_stop_asks_for_the_grace_and_ten_seconds(reporting: Reporting, told: Told) -> None:
    reporting.stopping(3, 20)
    assert told.next() == [
        "STOPPING=1",
        "EXTEND_TIMEOUT_USEC=30000000",
        "STATUS=stopping: 3 connections have 20 s to end",
    ]
