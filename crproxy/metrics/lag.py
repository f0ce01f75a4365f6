"""How late the reactor is: whatever blocks it shows here first."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

__all__ = ["Lag"]

_INTERVAL = 1.0


class Lag(Service):
    """Looks once a second how late it was called.

    Arguments:
        told: is told of the seconds.
        reactor: calls it.
    """

    def __init__(self, told: Callable[[float], object], reactor: IReactorTime) -> None:
        self._told = told
        self._reactor = reactor
        self._expected = 0.0
        self._call = LoopingCall(self._look)
        self._call.clock = reactor

    def startService(self) -> None:
        """Begin to look (IService)."""
        super().startService()
        self._expected = self._reactor.seconds() + _INTERVAL
        self._call.start(_INTERVAL, now=False)

    def stopService(self) -> None:
        """Look no more (IService)."""
        super().stopService()
        if self._call.running:
            self._call.stop()

    def _look(self) -> None:
        now = self._reactor.seconds()
        late = max(0.0, now - self._expected)
        self._told(late)
        # The next is due at the next whole interval since the start (LoopingCall), not an interval from now.
        self._expected += _INTERVAL * (1 + late // _INTERVAL)
