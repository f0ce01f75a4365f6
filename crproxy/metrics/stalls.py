"""How long the reactor is busy at a time: nobody else is answered meanwhile.

A timer sees of a stall only what is left of it when the timer is due, and one that is due every 10 ms took 2.9 % of a
core with nothing else to do. So the turns between two waits are timed themselves, which costs nothing during a wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service

__all__ = ["Stalls"]


class Stalls(Service):
    """Times the turns of a reactor that polls (epoll, poll): from where it has waited to where it waits again.

    Of any other reactor it knows nothing.

    Arguments:
        told: is told of the seconds that each turn took.
        reactor: takes the turns.
        now: seconds, on a clock that nobody sets.
    """

    def __init__(
        self, told: Callable[[float], object], reactor: Any, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._told = told
        self._reactor = reactor
        self._now = now

    def startService(self) -> None:
        """Begin to look (IService)."""
        super().startService()
        poller = getattr(self._reactor, "_poller", None)
        if poller is not None:
            self._reactor._poller = _Timed(poller, self._told, self._now)

    def stopService(self) -> None:
        """Look no more (IService)."""
        super().stopService()
        poller = getattr(self._reactor, "_poller", None)
        if isinstance(poller, _Timed):
            self._reactor._poller = poller.poller


class _Timed:
    """What a reactor waits with (select.epoll, select.poll), and tells how long it did not.

    The turn in which the daemon starts is not told of: it opens everything, and serves nobody yet.
    """

    def __init__(self, poller: Any, told: Callable[[float], object], now: Callable[[], float]) -> None:
        self.poller = poller
        self.register, self.modify, self.unregister = poller.register, poller.modify, poller.unregister
        self._told = told
        self._now = now
        self._since: float | None = None

    def poll(self, *arguments: Any) -> Any:
        """Wait for what happens next."""
        if self._since is not None:
            self._told(self._now() - self._since)
        try:
            return self.poller.poll(*arguments)
        finally:
            self._since = self._now()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.poller, name)
