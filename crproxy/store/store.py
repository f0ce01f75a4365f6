"""The cache as the rest of the house sees it: open, begin, keep, link, look up.

Puts files and index together so that neither promises what the other does not have: a file is there before its row, and
a row goes before its file.
"""

from __future__ import annotations

import os
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

from ..policy.eviction import to_drop
from .blobs import Blobs
from .entries import Entry
from .files import FileFlow
from .filling import Threads
from .index import Index

__all__ = ["OpenContent", "Store", "open_store"]

# Bytes of manifests that are held in memory.
_MEMORY = 32 * 1024 * 1024
# Rows looked at in one step of an eviction.
_STEP = 64


@dataclass(frozen=True, slots=True)
class OpenContent:
    """Stored content, opened: it can be read to its end even if it is dropped meanwhile."""

    fd: int
    size: int

    def flow(self, start: int, stop: int) -> FileFlow:
        """Return the bytes from ``start`` up to ``stop`` as a body. The descriptor is its own then."""
        return FileFlow(self.fd, start, stop, self.size)

    def close(self) -> None:
        """Read nothing."""
        os.close(self.fd)


def open_store(data_dir: Path) -> Store:
    """Return the cache in ``data_dir`` for work outside of a daemon: what blocks runs where it is called."""
    index = Index(data_dir / "index.sqlite", time.time)
    return Store(Blobs(data_dir / "cache"), index, sys.maxsize, lambda work, *args: maybeDeferred(work, *args))


class Store:
    """One cache. ``evicted`` counts the contents that were dropped to make room, ``evicted_bytes`` their bytes.

    Arguments:
        blobs: its files.
        index: what is known of them.
        budget: bytes it may take on disk.
        threads: for blocking work.
    """

    _log = Logger()

    def __init__(self, blobs: Blobs, index: Index, budget: int, threads: Threads) -> None:
        self.blobs = blobs
        self.index = index
        self.budget = budget
        # What partial files take of the budget, as the janitor last counted it.
        self.partial_bytes = 0
        self.evicted = self.evicted_bytes = 0
        # What is being fetched, and how many bytes each will be: they count from the start.
        self.promised: Callable[[], Mapping[Entry, int]] = dict
        self._threads = threads
        self._used: set[Entry] = set()
        self._memory: OrderedDict[Entry, bytes] = OrderedDict()
        self._memory_bytes = 0

    def open(self, entry: Entry) -> OpenContent | None:
        """Return stored content, or None."""
        fd = self.blobs.open(entry)
        if fd is None:
            if self.index.size(entry) is not None:
                self.index.dropped(entry)
            return None
        self._used.add(entry)
        return OpenContent(fd, os.fstat(fd).st_size)

    def size(self, entry: Entry) -> int | None:
        """Return the bytes of stored content, or None."""
        return self.blobs.size(entry)

    def read(self, entry: Entry) -> bytes | None:
        """Return stored content that is small, or None. What is asked for often comes from memory."""
        content = self._memory.get(entry)
        if content is not None:
            self._memory.move_to_end(entry)
            self._used.add(entry)
            return content
        opened = self.open(entry)
        if opened is None:
            return None
        with os.fdopen(opened.fd, "rb") as file:
            content = file.read()
        self._remember(entry, content)
        return content

    def keep(self, entry: Entry, content: bytes) -> Deferred[None]:
        """Store content that is in memory and matches its digest; fires when it is on disk, or cannot be."""
        self._remember(entry, content)
        return self._threads(self._write, entry, content).addCallbacks(
            lambda written: self.stored(entry, len(content)) if written else None,
            lambda failure: self._log.warn("{entry} is not kept: {why}", entry=entry, why=failure.getErrorMessage()),
        )

    def stored(self, entry: Entry, size: int) -> None:
        """Note that a file is whole and in its place, and see to the budget."""
        self.index.stored(entry, size)
        self.evict(self.share)

    @property
    def share(self) -> int:
        """The part of the budget that is left for what is whole."""
        return self.budget - self.partial_bytes - sum(self.promised().values())

    def make_room(self, size: int) -> bool:
        """Tell whether ``size`` bytes more may be stored, after dropping what was not used for long."""
        if size > self.budget - sum(self.promised().values()):
            return False
        self.evict(self.share - size)
        while not self.blobs.room_for(size):
            stored = self.index.bytes_stored()
            if not stored or not self.evict(stored - size):
                return False
        return True

    def evict(self, budget: int) -> int:
        """Drop the least recently used until ``budget`` bytes or less are stored; return how many went."""
        stored = self.index.bytes_stored()
        if stored <= budget:
            return 0
        self.note_use()
        dropped = 0
        while chosen := to_drop(stored, budget, self.index.oldest(_STEP)):
            for entry in chosen:
                self.drop(entry)
            before, stored = stored, self.index.bytes_stored()
            if stored >= before:
                # The index cannot be written: the files are gone, and their rows go when somebody asks for them.
                break
            dropped += len(chosen)
            self.evicted_bytes += before - stored
        self.evicted += dropped
        self._log.info("{count} blobs were dropped to make room", count=dropped)
        return dropped

    def drop(self, entry: Entry) -> None:
        """Remove stored content; who is reading it reads on."""
        self.index.dropped(entry)
        self._forget(entry)
        self.blobs.remove(entry)

    def note_use(self) -> None:
        """Write down what was used since the last time."""
        used, self._used = self._used, set()
        if used:
            self.index.used(used)

    def _write(self, entry: Entry, content: bytes) -> bool:
        """Return whether the content is on disk by our doing; another process may be writing the same."""
        partial = self.blobs.begin(entry)
        if partial is None:
            return False
        try:
            partial.reset()
            partial.append([content])
            partial.verify()
            partial.commit()
        except OSError:
            partial.discard()
            raise
        finally:
            partial.close()
        return True

    def _remember(self, entry: Entry, content: bytes) -> None:
        self._forget(entry)
        self._memory[entry] = content
        self._memory_bytes += len(content)
        while self._memory_bytes > _MEMORY:
            _, oldest = self._memory.popitem(last=False)
            self._memory_bytes -= len(oldest)

    def _forget(self, entry: Entry) -> None:
        content = self._memory.pop(entry, None)
        if content is not None:
            self._memory_bytes -= len(content)
