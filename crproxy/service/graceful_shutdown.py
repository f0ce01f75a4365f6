"""The listeners, and how the daemon stops: nobody new comes in, and whoever is in has a time to finish."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks
from twisted.logger import Logger

from ..web.connections import Connections
from ..web.site import PlainSite

__all__ = ["Listeners"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Listeners(MultiService):
    """The listeners.

    Arguments:
        grace: seconds that connections have to end when it stops.
        stopping: called then with the number of connections, and these seconds.
        reactor: for waiting.
    """

    _log = Logger()

    def __init__(self, grace: float, stopping: Callable[[int, float], object], reactor: Any) -> None:
        super().__init__()
        self._grace = grace
        self._stopping = stopping
        self._reactor = reactor
        self._watched: dict[Connections, str] = {}

    def watch(self, site: PlainSite) -> None:
        """Wait for the connections of ``site``, too."""
        self._watched[site.connections] = site.called

    @property
    def connections(self) -> dict[str, int]:
        """How many are open, by site."""
        return {called: len(connections) for connections, called in self._watched.items()}

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """Listen no more; fires when no connection is left, after the grace period at the latest (IService)."""
        self._hear_signals()
        self._stopping(self._number, self._grace)
        no_more = super().stopService()
        closed = DeferredList([connections.close() for connections in self._watched])
        if self._number:
            self._log.info(
                "stopping: {number} connections have {grace:g} s to end", number=self._number, grace=self._grace
            )
        timer = self._reactor.callLater(self._grace, self._hurry, "they took too long")
        yield closed
        if timer.active():
            timer.cancel()
        yield no_more

    @property
    def _number(self) -> int:
        return sum(map(len, self._watched))

    def _hurry(self, why: str) -> None:
        if self._number:
            self._log.warn("{number} connections are cut off: {why}", number=self._number, why=why)
        for connections in self._watched:
            connections.abort()

    def _hear_signals(self) -> None:
        # To the reactor, a second one is an error: it is stopping already. So it stays until the process has ended.
        for number in _SIGNALS:
            signal.signal(number, self._heard)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._hurry, f"a second {signal.Signals(number).name}")
