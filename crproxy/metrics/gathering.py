"""The metrics of all workers: this one's own, those of the others, and of those that were there before."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from twisted.application.service import Service
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..sharing import Sharing
from .merging import growing, merge

__all__ = ["Gathering"]

_TOPIC = "metrics"
# Seconds between two times at which what was counted is written down, for the worker that may have to go on with it.
_INTERVAL = 1.0


class Gathering(Service):
    """Gathers them, and, while it runs, writes down what must not go back when this worker is replaced.

    Arguments:
        registry: this worker's own.
        sharing: leads to the others.
        clock: the time.
    """

    _log = Logger()

    def __init__(self, registry: CollectorRegistry, sharing: Sharing, clock: Any) -> None:
        self._registry = registry
        self._sharing = sharing
        self._kept = sharing.records("metrics")
        self._inherited: list[Metric] = self._kept.get(sharing.slot) or []
        self._keeping = LoopingCall(self._keep)
        self._keeping.clock = clock
        sharing.on(_TOPIC, lambda _: (sharing.slot, self.own()))

    def startService(self) -> None:
        """Begin to write down (IService)."""
        super().startService()
        if not self._sharing.is_alone:
            self._keeping.start(_INTERVAL, now=False)

    def stopService(self) -> None:
        """Write down for the last time (IService)."""
        super().stopService()
        if self._keeping.running:
            self._keeping.stop()
            self._keep()

    def own(self) -> list[Metric]:
        """Return this worker's, with those of the workers in its place before it."""
        return merge([self._registry.collect(), self._inherited])

    def known(self) -> list[Metric]:
        """Return what grows, of all workers together; what the others counted lately may be missing."""
        kept: dict[int, list[Metric]] = self._kept.all()
        return merge((kept | {self._sharing.slot: growing(self.own())}).values())

    async def all(self) -> list[Metric]:
        """Return those of all workers together."""
        if self._sharing.is_alone:
            return list(self._registry.collect())
        found: dict[int, list[Metric]] = dict(await self._sharing.ask_all(_TOPIC))
        found[self._sharing.slot] = self.own()
        # Of one that does not answer, being replaced just now.
        return merge((self._kept.all() | found).values())

    def _keep(self) -> None:
        try:
            self._kept.put(self._sharing.slot, growing(self.own()))
        except Exception:
            # The next time may go better, and nothing but the sum depends on it.
            self._log.failure("what was counted is not written down")
