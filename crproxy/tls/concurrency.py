"""A few at a time, in an order that does not depend on who came first."""

from __future__ import annotations

import heapq
import itertools

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

__all__ = ["ConcurrencyLimit"]


class ConcurrencyLimit:
    """Lets so many names in at a time, the lowest rank first.

    Arguments:
        at_once: how many.
        clock: they are let in a moment later, when all have come who come at once.
    """

    def __init__(self, at_once: int, clock: IReactorTime) -> None:
        self._free = at_once
        self._clock = clock
        self._waiting: list[tuple[int, int, str, Deferred[None]]] = []
        self._numbers = itertools.count()
        self._admitted: set[str] = set()

    def acquire(self, name: str, rank: int) -> Deferred[None]:
        """Return what fires when ``name`` is let in; it is until it is released."""
        admitted: Deferred[None] = Deferred()
        heapq.heappush(self._waiting, (rank, next(self._numbers), name, admitted))
        self._clock.callLater(0, self._admit)
        return admitted

    def release(self, name: str) -> None:
        """Let the next one in, in place of ``name``, if that was let in."""
        if name in self._admitted:
            self._admitted.discard(name)
            self._free += 1
            self._admit()

    def _admit(self) -> None:
        while self._free and self._waiting:
            *_, name, admitted = heapq.heappop(self._waiting)
            if not admitted.called:
                self._free -= 1
                self._admitted.add(name)
                admitted.callback(None)
