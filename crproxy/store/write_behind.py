"""Notes on their way to the index's file: in batches, one at a time, while those who made them go on.

Knows when; what a note means, and how it is written, is not known here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from .filling import Threads
from .notes import BlobKey, Notes
from .writing import Totals, Writer

__all__ = ["WriteBehind"]

Result = TypeVar("Result")

# Rows of one transaction: it dirties some pages of 4 KiB for each, all of which the write-ahead log holds.
_BATCH = 500
# Notes that may wait for a file which cannot be written.
_MOST_WAITING = 20_000


class WriteBehind:
    """What is noted and not written yet: ``notes`` are to be added to, then `begin` is to be called.

    ``totals`` is what there was after the last batch; ``version`` is another number after each note, and whatever else
    may change what the index says.

    Arguments:
        writer: writes.
        threads: runs it; one thing after the other.
        is_mended: tells whether to try again at once after an error.
        on_written: is called after each batch.
    """

    _log = Logger()

    def __init__(
        self,
        writer: Writer,
        threads: Threads,
        is_mended: Callable[[BaseException], bool],
        on_written: Callable[[], object] = lambda: None,
    ) -> None:
        self._on_written = on_written
        self.notes = Notes()
        self.totals = Totals()
        self.version = 0
        self._writer = writer
        self._threads = threads
        self._is_mended = is_mended
        self._writing: Notes | None = None
        self._failing = False
        # Who waits for the notes up to some version, and up to which all are written, or will be by this batch.
        self._flushed: list[tuple[int, Deferred[None]]] = []
        self._written_up_to = self._batch_up_to = 0

    @property
    def is_waiting(self) -> bool:
        """Whether there is anything that is not in the file."""
        return bool(self.notes) or self._writing is not None

    @property
    def has_room(self) -> bool:
        """Whether what only spares questions may be noted."""
        return len(self.notes) < _MOST_WAITING

    def waiting(self) -> tuple[Notes, ...]:
        """Return what is not in the file yet, the latest first."""
        return (self.notes,) if self._writing is None else (self.notes, self._writing)

    def blobs_waiting(self) -> set[BlobKey]:
        """Return what stored contents there is something to be written of."""
        return {key for notes in self.waiting() for key in (*notes.blobs, *notes.checked)}

    def found(self, totals: Totals) -> None:
        """Take in what there is in the file by now, this worker's own batches and all.

        Whether it has the one that is being written cannot be told: what that adds counts, what it takes away does not.
        """
        unsure = Notes() if self._writing is None else self._writing
        self.totals = replace(
            totals,
            bytes=totals.bytes + max(0, -unsure.bytes),
            contents=totals.contents + max(0, -unsure.files),
        )

    def begin(self) -> None:
        """Have a batch written, if none is being written."""
        self.version += 1
        if self._writing is None and self.notes:
            self._writing = self.notes.take(_BATCH)
            if not self.notes:
                self._batch_up_to = self.version
            self._threads(self._writer.write, self._writing).addCallbacks(self._written, self._not_written)

    def flush(self) -> Deferred[None]:
        """Write all of it; fires when what is noted so far is written, or when it cannot be written now."""
        noted = self.version
        self.begin()
        if self._writing is None:
            return succeed(None)
        flushed: Deferred[None] = Deferred()
        self._flushed.append((noted, flushed))
        return flushed

    def ask(self, work: Callable[[sqlite3.Connection], Result]) -> Deferred[Result]:
        """Return the result of what takes longer than a request may, or changes much, once all notes are written."""
        asked: Deferred[Any] = self.flush()
        return asked.addCallback(lambda _: self._threads(self._writer.run, work)).addCallback(self._changed)

    def _changed(self, result: Result) -> Result:
        self.version += 1
        self._on_written()
        return result

    def _written(self, totals: Totals) -> None:
        self.totals, self._writing = totals, None
        self._on_written()
        if self._failing:
            self._failing = False
            self._log.info("the index can be written again")
        self._written_up_to = self._batch_up_to
        self.begin()
        self._tell_flushed(self.version if self._writing is None else self._written_up_to)

    def _not_written(self, failure: Failure) -> None:
        """Keep the notes for the next attempt, which the next note begins."""
        failure.trap(OSError, sqlite3.Error)
        batch, self._writing = self._writing, None
        if batch is not None:
            self.notes.put_back(batch)
        if failure.value is not None and self._is_mended(failure.value):
            self.begin()
            return
        if not self._failing:
            self._failing = True
            self._log.warn("the index cannot be written: {error}", error=failure.value)
        if not self.has_room:
            self.notes.forget()
            self.version += 1
        self._tell_flushed(self.version)

    def _tell_flushed(self, version: int) -> None:
        flushed = [waiter for up_to, waiter in self._flushed if up_to <= version]
        self._flushed = [(up_to, waiter) for up_to, waiter in self._flushed if up_to > version]
        for waiter in flushed:
            waiter.callback(None)
