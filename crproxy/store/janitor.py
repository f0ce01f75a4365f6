"""Keeps files and index in agreement, and the cache within its size, in the background and in small steps."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Awaitable, Callable, Iterable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from .blobs import PartialKey
from .entries import Entry
from .filling import Threads
from .store import Store
from .tidying import forget_empty

__all__ = ["LINK_AGE", "PARTIAL_AGE", "Janitor"]

# Seconds between two rounds.
_ROUND = 60.0
# What is looked at between two chances for others to run.
_STEP = 500
# Seconds after which a partial file that nobody fills, and a link to what was never pulled, are forgotten.
PARTIAL_AGE = 24 * 3600.0
LINK_AGE = 7 * 24 * 3600.0


class Janitor:
    """Looks after ``store``: all of it once at the start, then what changes.

    Arguments:
        store: what is looked after.
        threads: runs what blocks.
        clock: the time.
        now: seconds since the epoch; the clock's by default.
        leads: does what is for one worker alone; the others only keep in agreement with the files.
        on_found: is called when something was found on disk and taken up.
        pin_again: finds out what contents pinned images have by now; None where nothing is pinned.
    """

    _log = Logger()

    def __init__(
        self,
        store: Store,
        threads: Threads,
        clock: IReactorTime,
        *,
        now: Callable[[], float] | None = None,
        leads: bool = True,
        on_found: Callable[[], object] = lambda: None,
        pin_again: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._pin_again = pin_again
        self._on_found = on_found
        self._leads = leads
        self._store = store
        self._threads = threads
        self._clock = clock
        self._now = now or clock.seconds
        self._rounds = LoopingCall(self._round)
        self._rounds.clock = clock
        self._tidying: Deferred[None] | None = None

    def start(self) -> None:
        """Begin."""
        if self._leads:
            self._tidying = Deferred.fromCoroutine(self.tidy())
            self._tidying.addErrback(self._stumbled)
        self._rounds.start(_ROUND, now=False)

    def stop(self) -> None:
        """End, and write down what was used."""
        if self._tidying is not None:
            self._tidying.cancel()
        if self._rounds.running:
            self._rounds.stop()
        self._store.note_use()

    def look_for_files(self) -> None:
        """Count what a worker has left that died; take up what it had put into its place, and not written down yet."""
        self._store.look_around()
        if self._leads:
            Deferred.fromCoroutine(self._adopt_files()).addErrback(self._stumbled)

    async def tidy(self) -> None:
        """Make files and index agree after whatever happened, then keep within the size."""
        await self._adopt_files()
        await self._forget_rows()
        await self._sweep_partials()
        while await self._forget_empty():
            await deferLater(self._clock, 0)
        await self._look_for_pinned()
        self._store.evict(self._store.budget)

    async def _look_for_pinned(self) -> None:
        if self._pin_again is None:
            return
        try:
            await self._pin_again()
        except (OSError, sqlite3.Error) as error:
            # What was found before stays.
            self._log.warn("what pinned images need cannot be looked for: {error}", error=error)

    def _stumbled(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("the cache could not be tidied", failure)

    async def _round(self) -> None:
        try:
            await self._look_again()
        except Exception:
            # The next round may find the disk in a better state.
            self._stumbled(Failure())

    async def _look_again(self) -> None:
        if self._store.index.rebuilt:
            self._store.index.rebuilt = False
            await self.tidy()
        self._store.note_use()
        self._store.index.refresh()
        await self._sweep_partials()
        if self._leads:
            await self._forget_empty()
            await self._look_for_pinned()
            self._store.evict(self._store.budget)

    async def _adopt_files(self) -> None:
        """Take up what is whole on disk and not in the index: unread, so that it is read before it is served."""
        files = self._store.blobs.whole()
        adopted = 0
        while batch := await self._threads(_take, files, _STEP):
            adopted += sum(self._store.index.found(entry, size) for entry, size in batch)
        if adopted:
            self._log.info("{count} blobs were found on disk and taken up", count=adopted)
            await self._store.index.flush()
            self._on_found()

    async def _forget_rows(self) -> None:
        """Forget what is in the index and not on disk."""
        await self._store.index.flush()
        last: Entry | None = None
        while rows := self._store.index.after(last, _STEP):
            entries = [entry for entry, _ in rows]
            for entry in await self._threads(self._missing, entries):
                self._store.index.dropped(entry)
            last = entries[-1]

    async def _forget_empty(self) -> int:
        """Forget some rows that lead to nothing; return how many, 0 where the index cannot be written."""
        try:
            before = self._now() - LINK_AGE
            return await self._store.index.ask(lambda database: forget_empty(database, before, _STEP))
        except (OSError, sqlite3.Error) as error:
            self._log.warn("the index cannot be tidied: {error}", error=error)
            return 0

    def _missing(self, entries: list[Entry]) -> list[Entry]:
        return [entry for entry in entries if self._store.blobs.size(entry) is None]

    async def _sweep_partials(self) -> None:
        """Remove partial files that nobody will take up, and count the others."""
        filling, before = self._store.filling, self._now() - PARTIAL_AGE
        self._store.note_leftovers(await self._threads(self._remove_old_partials, filling, before))

    def _remove_old_partials(self, filling: frozenset[PartialKey], before: float) -> dict[PartialKey, int]:
        """Return what is left, the oldest first, with its bytes."""
        for path in self._store.blobs.removed():
            path.unlink(missing_ok=True)
        kept: list[tuple[float, PartialKey, int]] = []
        for key, size, changed in self._store.blobs.partials():
            if key in filling:
                continue
            if not self._store.blobs.is_abandoned(key):
                continue  # another worker is filling it, and counts it
            partial = self._store.blobs.begin(key.entry, key.origin) if changed < before else None
            if partial is None:
                kept.append((changed, key, size))
            else:
                partial.discard()
                partial.close()
        return {key: size for _, key, size in sorted(kept, key=lambda one: one[0])}


def _take(files: Iterable[tuple[Entry, int]], count: int) -> list[tuple[Entry, int]]:
    return list(itertools.islice(files, count))
