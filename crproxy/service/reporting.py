"""What the service manager is told: that the daemon is ready, reads its configuration again, stops; that it lives."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from .supervisor import Supervisor

__all__ = ["TIDYING_SECONDS", "Reporting"]

# What comes after the last connection: transfers that are put away, threads that end.
TIDYING_SECONDS = 10


class Reporting(Service):
    """Reports while it runs.

    Arguments:
        supervisor: who is told.
        status: returns what there is to say of a daemon that is ready.
        reactor: runs it; while it is blocked, no sign of life is given.
        is_announced: it is ready when the reactor runs; else when `announce` is called.
    """

    def __init__(
        self, supervisor: Supervisor, status: Callable[[], str], reactor: Any, *, is_announced: bool = True
    ) -> None:
        self._is_announced = is_announced
        self._is_ready = False
        self._supervisor = supervisor
        self._status = status
        self._reactor = reactor
        self._alive = LoopingCall(supervisor.tell, "WATCHDOG=1")
        self._alive.clock = reactor

    def startService(self) -> None:
        """Report as soon as the reactor runs, when everything is listened on (IService)."""
        super().startService()
        if self._is_announced:
            self._reactor.callWhenRunning(self.announce)

    def stopService(self) -> None:
        """Give no more signs of life (IService)."""
        super().stopService()
        if self._alive.running:
            self._alive.stop()

    def reload(self, reload: Callable[[], Deferred[bool]]) -> Deferred[None]:
        """Call ``reload``, which tells whether it succeeded; both its ends are reported. Fails as that does."""
        self._supervisor.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        return maybeDeferred(reload).addBoth(self._reloaded)

    def _reloaded(self, reloaded: bool | Failure) -> Failure | None:
        status = self._status() if reloaded is True else "the configuration was not read again: the log says why"
        # Not before it is.
        self._supervisor.tell(*(["READY=1"] if self._is_ready else []), f"STATUS={status}")
        return reloaded if isinstance(reloaded, Failure) else None

    def stopping(self, connections: int, grace: float) -> None:
        """Report that ``connections`` have ``grace`` seconds to end. It is asked to wait for so long, and to tidy."""
        microseconds = int((grace + TIDYING_SECONDS) * 1_000_000)
        status = f"STATUS=stopping: {connections} connections have {grace:g} s to end"
        self._supervisor.tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={microseconds}", status)

    def announce(self) -> None:
        """Report that it is ready, and give signs of life from now on."""
        self._is_ready = True
        self._supervisor.tell("READY=1", f"STATUS={self._status()}")
        if self._supervisor.patience is not None:
            # At half its time, as sd_watchdog_enabled(3) recommends.
            self._alive.start(self._supervisor.patience / 2)
