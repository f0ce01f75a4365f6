"""When contents of the object store were used last, as far as this node can know: by itself, and by all other nodes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..store.entries import Entry
from .errors import TierFailed

__all__ = ["CommonUses", "LastUsed", "Noted", "Uses"]

# Contents whose last use is remembered, and so many more that could not be told to others yet.
_MOST = 50_000
# Seconds between two looks whether others still know what they were told.
_LOOK = 60.0

# Returns when contents were used last, in seconds since the epoch; of those that it leaves out nobody knows.
LastUsed = Callable[[Sequence[Entry]], Awaitable[Mapping[Entry, float]]]


@dataclass(frozen=True, slots=True)
class Noted:
    """What comes of telling all nodes.

    Arguments:
        unknown: those of which no use was known.
        begun: another value each time that all was forgotten.
    """

    unknown: Collection[Entry]
    begun: object


class CommonUses(Protocol):
    """What all nodes tell each other. Raises TierFailed where that cannot be done."""

    async def note(self, used: Mapping[Entry, float]) -> Noted:
        """Tell when some were used, in seconds since the epoch."""

    async def last_used(self, entries: Sequence[Entry]) -> Mapping[Entry, float]:
        """Return what was told (LastUsed)."""

    async def forget(self, entries: Sequence[Entry]) -> None:
        """Forget what was told of these."""


class Uses:
    """The uses that are known to the worker that tidies.

    Arguments:
        own: what this node has written down.
        common: what all nodes know; None where there are no others.
        missing: is told of what was used from this node's disk, and may not be in the store any more.
        clock: the time.
        now: seconds since the epoch.
    """

    _log = Logger()

    def __init__(
        self,
        own: LastUsed,
        common: CommonUses | None,
        missing: Callable[[list[Entry]], object],
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        self._own = own
        self._common = common
        self._missing = missing
        self._now = now
        self._last: dict[Entry, float] = {}
        self._untold: dict[Entry, float] = {}
        self._begun: object = None
        self._looks = LoopingCall(self._look)
        self._looks.clock = clock

    def start(self) -> None:
        """See to it that the others know what they were told."""
        if self._common is not None:
            self._looks.start(_LOOK)

    def stop(self) -> None:
        """Do so no more."""
        if self._looks.running:
            self._looks.stop()

    async def told(self, used: Mapping[Entry, bool]) -> None:
        """Take in what was used just now (use_marks.Tell)."""
        unknown: Collection[Entry] = [entry for entry in used if entry not in self._last]
        now = self._now()
        _put(self._last, dict.fromkeys(used, now))
        if self._common is not None:
            unknown = await self._tell_others(self._common, dict.fromkeys(used, now))
        missing = [entry for entry in unknown if used.get(entry)]
        if missing:
            self._missing(missing)

    async def last_used(self, entries: Sequence[Entry]) -> Mapping[Entry, float]:
        """Return what is known (LastUsed). Raises TierFailed where others cannot be asked."""
        found = dict(await self._own(entries))
        _merge(found, {entry: self._last[entry] for entry in entries if entry in self._last})
        if self._common is not None:
            _merge(found, await self._common.last_used(entries))
        return found

    async def forget(self, entries: Sequence[Entry]) -> None:
        """Forget what is gone from the store: once it is used again, it is to come there anew."""
        for entry in entries:
            self._last.pop(entry, None)
            self._untold.pop(entry, None)
        if self._common is not None:
            try:
                await self._common.forget(entries)
            except TierFailed as error:
                # It is uploaded again only when a node fetches it again.
                self._log.debug("what is gone was not forgotten: {error}", error=error)

    async def _tell_others(self, common: CommonUses, used: Mapping[Entry, float]) -> Collection[Entry]:
        """Return those of which nobody knew."""
        telling, self._untold = {**self._untold, **used}, {}
        try:
            noted = await common.note(telling)
            if noted.begun != self._begun:
                # All was lost that they knew: what was used before that is told again.
                await common.note(dict(self._last))
                self._begun = noted.begun
        except TierFailed:
            _put(self._untold, telling)
            return ()
        return noted.unknown

    def _look(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.told({})).addErrback(self._stumbled)

    def _stumbled(self, failure: Failure) -> None:
        self._log.failure("what was used could not be told to other nodes", failure)


def _put(known: dict[Entry, float], used: Mapping[Entry, float]) -> None:
    """Add some, and forget those that were added first where there are too many."""
    for entry, moment in used.items():
        known.pop(entry, None)
        known[entry] = moment
    for entry in _first(known, len(known) - _MOST):
        del known[entry]


def _first(known: Iterable[Entry], number: int) -> list[Entry]:
    return [entry for _, entry in zip(range(number), known, strict=False)]


def _merge(found: dict[Entry, float], more: Mapping[Entry, float]) -> None:
    for entry, moment in more.items():
        found[entry] = max(moment, found.get(entry, moment))
