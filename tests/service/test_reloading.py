from __future__ import annotations

import os
import signal
from collections.abc import Callable

from twisted.internet.defer import Deferred, fail, succeed

from crproxy.service.reloading import Reloading
from tests.logs import Log


class Reactor:
    """Does in its next turn what is handed in."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], object]] = []

    def callFromThread(self, call: Callable[[], object]) -> None:
        self.calls.append(call)


def test_sighup_reads_again_in_the_reactors_next_turn_while_it_runs() -> None:
    before, reactor, reloaded = signal.getsignal(signal.SIGHUP), Reactor(), list[None]()

    def reload() -> Deferred[None]:
        reloaded.append(None)
        return succeed(None)

    reloading = Reloading(reload, reactor)
    reloading.startService()
    os.kill(os.getpid(), signal.SIGHUP)
    assert reloaded == []
    (call,) = reactor.calls
    call()
    assert reloaded == [None]
    reloading.stopService()
    assert signal.getsignal(signal.SIGHUP) == before


def test_what_goes_wrong_is_logged() -> None:
    reactor = Reactor()
    reloading = Reloading(lambda: fail(ZeroDivisionError()), reactor)
    reloading.startService()
    os.kill(os.getpid(), signal.SIGHUP)
    (call,) = reactor.calls
    with Log() as log:
        call()
        assert log.complaints == ["the configuration was not read again"]
    assert log.failures == [ZeroDivisionError]
    reloading.stopService()
