"""A few at a time, in an order that does not depend on who came first."""

from __future__ import annotations

import heapq
import itertools

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

__all__ = ["ConcurrencyLimit"]


class ConcurrencyLimit:
    """Gives turns to those who wait, the lowest rank first.

    Arguments:
        at_once: how many have theirs at a time.
        clock: turns are given a moment later, when all have come who come at once.
    """

    def __init__(self, at_once: int, clock: IReactorTime) -> None:
        self._free = at_once
        self._clock = clock
        self._waiting: list[tuple[int, int, str, Deferred[None]]] = []
        self._numbers = itertools.count()
        self._taken: set[str] = set()

    def acquire(self, name: str, rank: int) -> Deferred[None]:
        """Return what fires when it is the turn of ``name``, which it has until it leaves."""
        turn: Deferred[None] = Deferred()
        heapq.heappush(self._waiting, (rank, next(self._numbers), name, turn))
        self._clock.callLater(0, self._give)
        return turn

    def release(self, name: str) -> None:
        """Let the next one have the turn of ``name``, if it has one."""
        if name in self._taken:
            self._taken.discard(name)
            self._free += 1
            self._give()

    def _give(self) -> None:
        while self._free and self._waiting:
            *_, name, turn = heapq.heappop(self._waiting)
            if not turn.called:
                self._free -= 1
                self._taken.add(name)
                turn.callback(None)
