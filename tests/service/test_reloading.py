from __future__ import annotations

import os
import signal

from crproxy.service.reloading import Reloading


class Reactor:
    """Does in its next turn what is handed in."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def callFromThread(self, call: object) -> None:
        self.calls.append(call)


def test_sighup_reads_again_in_the_reactors_next_turn_while_it_runs() -> None:
    before, reactor, reloaded = signal.getsignal(signal.SIGHUP), Reactor(), list[None]()
    reloading = Reloading(lambda: reloaded.append(None), reactor)
    reloading.startService()
    os.kill(os.getpid(), signal.SIGHUP)
    assert reloaded == []
    (call,) = reactor.calls
    assert callable(call)
    call()
    assert reloaded == [None]
    reloading.stopService()
    assert signal.getsignal(signal.SIGHUP) == before
