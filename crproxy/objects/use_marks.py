"""What a worker has seen used of what is in the object store, told to who tidies: seldom, and a few at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..policy.tier_eviction import TOLD_EVERY
from ..sharing.bounding import KEPT, drop_oldest
from ..store.entries import Entry

__all__ = ["Tell", "UseMarks"]

# Seconds for which uses are collected, and how many are told at once.
_COLLECT = 1.0
_BATCH = 500

# Tells of contents that were used just now, and of each whether it was on disk, so that the store may be without it.
Tell = Callable[[Mapping[Entry, bool]], Deferred[object]]


class UseMarks:
    """Uses, of which each content's are told once in half an hour.

    Arguments:
        tell: is called with some; what it fails with is told again when it is used again.
        clock: the time.
    """

    _log = Logger()

    def __init__(self, tell: Tell, clock: IReactorTime) -> None:
        self._tell = tell
        self._clock = clock
        self._told: dict[Entry, float] = {}
        self._waiting: dict[Entry, bool] = {}
        self._timer: IDelayedCall | None = None
        self._is_stopped = self._is_telling = False

    def mark(self, entries: Iterable[Entry], *, on_disk: bool = False) -> None:
        """Note that these are used now.

        Arguments:
            on_disk: they were found there, and may be gone from the object store.
        """
        now = self._clock.seconds()
        for entry in entries:
            if now - self._told.get(entry, -math.inf) >= TOLD_EVERY and len(self._waiting) < KEPT:
                self._told.pop(entry, None)
                self._told[entry] = now
                self._waiting[entry] = on_disk
        drop_oldest(self._told)
        self._schedule()

    def stop(self) -> None:
        """Tell nothing more."""
        self._is_stopped = True
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _schedule(self) -> None:
        if self._waiting and self._timer is None and not self._is_telling and not self._is_stopped:
            self._timer = self._clock.callLater(_COLLECT, self._tell_some)

    def _tell_some(self) -> None:
        self._timer, self._is_telling = None, True
        some = {entry: self._waiting.pop(entry) for entry in list(self._waiting)[:_BATCH]}
        self._tell(some).addErrback(self._not_told, some).addBoth(self._over)

    def _not_told(self, failure: Failure, some: Mapping[Entry, bool]) -> None:
        # Who tidies is just not there: another takes its place.
        self._log.debug("the uses of {count} contents were not told: {error}", count=len(some), error=failure.value)
        for entry in some:
            self._told.pop(entry, None)

    def _over(self, _: object) -> None:
        self._is_telling = False
        self._schedule()
