"""What the service manager is told: that the daemon is ready, reads its configuration again, stops; that it lives."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.task import LoopingCall

from .supervisor import Supervisor

__all__ = ["Reporting"]

# What comes after the last connection: transfers that are put away, threads that end.
_TIDYING_SECONDS = 10


class Reporting(Service):
    """Reports while it runs.

    Arguments:
        supervisor: who is told.
        status: returns what there is to say of a daemon that is ready.
        reactor: runs it; while it is blocked, no sign of life is given.
    """

    def __init__(self, supervisor: Supervisor, status: Callable[[], str], reactor: Any) -> None:
        self._supervisor = supervisor
        self._status = status
        self._reactor = reactor
        self._alive = LoopingCall(supervisor.tell, "WATCHDOG=1")
        self._alive.clock = reactor

    def startService(self) -> None:
        """Report as soon as the reactor runs, when everything is listened on (IService)."""
        super().startService()
        self._reactor.callWhenRunning(self._ready)

    def stopService(self) -> None:
        """Give no more signs of life (IService)."""
        super().stopService()
        if self._alive.running:
            self._alive.stop()

    def reload(self, reload: Callable[[], bool]) -> None:
        """Call ``reload``, which tells whether it succeeded; both its ends are reported."""
        self._supervisor.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            reloaded = reload()
        except BaseException:
            reloaded = False
            raise
        finally:
            status = self._status() if reloaded else "the configuration was not read again: the log says why"
            self._supervisor.tell("READY=1", f"STATUS={status}")

    def stopping(self, connections: int, grace: float) -> None:
        """Report that ``connections`` have ``grace`` seconds to end. It is asked to wait for so long, and to tidy."""
        microseconds = int((grace + _TIDYING_SECONDS) * 1_000_000)
        status = f"STATUS=stopping: {connections} connections have {grace:g} s to end"
        self._supervisor.tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={microseconds}", status)

    def _ready(self) -> None:
        self._supervisor.tell("READY=1", f"STATUS={self._status()}")
        if self._supervisor.patience is not None:
            # At half its time, as sd_watchdog_enabled(3) recommends.
            self._alive.start(self._supervisor.patience / 2)
