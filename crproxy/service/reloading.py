"""SIGHUP reads the configuration again, as daemons do."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

__all__ = ["Reloading"]


class Reloading(Service):
    """Listens for SIGHUP while it runs.

    Arguments:
        reload: reads the configuration again; only what nobody foresaw is wrong where it fails.
        reactor: runs it.
    """

    _log = Logger()

    def __init__(self, reload: Callable[[], Deferred[None]], reactor: Any) -> None:
        self._reload = reload
        self._reactor = reactor
        self._before: Any = None

    def startService(self) -> None:
        """Listen (IService)."""
        super().startService()
        self._before = signal.signal(signal.SIGHUP, self._heard)

    def stopService(self) -> None:
        """Listen no more (IService)."""
        super().stopService()
        signal.signal(signal.SIGHUP, self._before or signal.SIG_DFL)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        # In the middle of anything: what is to be done waits for the reactor's next turn.
        self._reactor.callFromThread(self._begin)

    def _begin(self) -> None:
        self._reload().addErrback(lambda failure: self._log.failure("the configuration was not read again", failure))
