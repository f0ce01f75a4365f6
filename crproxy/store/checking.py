"""Stored content, read again to see whether it still is what its name says; what is not is dropped.

Only the file goes, and what says that it is here. Who may have it stays known, and it is fetched anew when it is asked
for.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable

from twisted.internet.defer import DeferredSemaphore
from twisted.logger import Logger

from ..oci.digests import Verifier
from ..policy.scrubbing import is_rot
from ..upstream.single_flight import SingleFlight
from .blobs import Blobs
from .entries import Entry
from .filling import Threads
from .index import Index

__all__ = ["OTHER_BYTES", "Checks", "Pause", "Reading"]

# Bytes read at once, and between two chances for others to have the thread.
_READ = 1024 * 1024
_PIECE = 4 * 1024 * 1024
# Pieces that are read at the same time: threads are there for clients, too.
_AT_ONCE = 2
# Places that are looked at, to tell whether a file is in the page cache.
_PROBES = 16

# What is wrong with content that does not match its digest.
OTHER_BYTES = "its bytes are not those that its digest names"

# Waits between two pieces.
Pause = Callable[[], Awaitable[None]]


class Reading:
    """Stored content that is being read. Blocking.

    Arguments:
        entry: what it should be.
        fd: of its file; closed with `close`.
        spares_cache: what the page cache did not have is not left there. Clients' content would have to go for it.
    """

    def __init__(self, entry: Entry, fd: int, *, spares_cache: bool) -> None:
        self.entry = entry
        self.fd = fd
        self.size = 0
        self._verifier = Verifier(entry.digest)
        self._spares_cache = spares_cache and not _is_cached(fd)

    def step(self) -> bool:
        """Read a piece; tell whether there may be more. Raises OSError."""
        # Not kept between two: many may wait for their turn.
        buffer = memoryview(bytearray(_READ))
        for _ in range(_PIECE // _READ):
            count = os.preadv(self.fd, [buffer], self.size)
            if not count:
                return False
            self._verifier.update(buffer[:count])
            self.size += count
        self._leave_cache()
        # A file that was dropped meanwhile takes room as long as it is open.
        return os.fstat(self.fd).st_nlink > 0

    def matches(self) -> bool:
        """Tell whether what was read is what it should be."""
        return self._verifier.matches()

    def close(self) -> None:
        """Let go of the file."""
        self._leave_cache()
        os.close(self.fd)

    def _leave_cache(self) -> None:
        if self._spares_cache:
            # All of the file: pages at the edge of a piece, and those read ahead, stay otherwise. 62 of 256 MiB did.
            with contextlib.suppress(OSError):
                os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_DONTNEED)


class Checks:
    """Checks what is stored. ``number`` and ``bytes`` count what was read, ``damaged`` what was found to be wrong.

    Arguments:
        blobs: has the files.
        index: is told what was found.
        threads: read.
        drop: removes stored content of so many bytes, and what says that it is here. Raises OSError.
    """

    _log = Logger()

    def __init__(self, blobs: Blobs, index: Index, threads: Threads, drop: Callable[[Entry, int], None]) -> None:
        self.number = self.bytes = self.damaged = 0
        self._blobs = blobs
        self._index = index
        self._threads = threads
        self._drop = drop
        self._running: SingleFlight[tuple[Entry, Pause | None], bool | None] = SingleFlight()
        self._turns = DeferredSemaphore(_AT_ONCE)

    def check(self, entry: Entry, pause: Pause | None = None) -> Awaitable[bool | None]:
        """Read stored content; return whether it was right. What was wrong is dropped. None: it is not here (any more).

        It is read to its end though the caller leaves: a thread may be at it, and somebody else wait for it.

        Arguments:
            pause: waits between two pieces, and what it raises ends it; the page cache is spared then. None: somebody
                waits for the content.

        Raises:
            OSError: it cannot be read now, which says nothing of it.
        """
        return self._running.run((entry, pause), lambda: self._check(entry, pause))

    def found_damaged(self, entry: Entry, size: int, why: object) -> None:
        """Drop content of ``size`` bytes on disk that is not what it should be."""
        self.damaged += 1
        try:
            self._drop(entry, size)
        except OSError as error:
            self._log.warn("what was dropped cannot be removed: {error}", error=error)
        self._log.error(
            "{entry} was damaged on disk ({why}): it was dropped, and is fetched anew when it is asked for",
            entry=entry,
            why=why,
        )

    def found_right(self, entry: Entry, size: int) -> None:
        """Note that content was read just now, and that it was right."""
        kept = self._index.kept(entry)
        if kept is not None and kept.size == size:
            self._index.checked(entry)
        else:
            self._index.stored(entry, size)

    def failed(self, entry: Entry, fd: int, error: OSError) -> bool:
        """Tell whether ``error``, of reading ``fd``, says that stored content is lost; drop it then."""
        if not is_rot(error):
            return False
        if self._blobs.is_the_one(entry, fd):
            self.found_damaged(entry, os.fstat(fd).st_size, error)
        return True

    async def _check(self, entry: Entry, pause: Pause | None) -> bool | None:
        try:
            fd = await self._threads(self._blobs.open, entry)
        except OSError as error:
            if not is_rot(error):
                raise
            self.found_damaged(entry, self._index.size(entry) or 0, error)
            return False
        if fd is None:
            return None
        reading = Reading(entry, fd, spares_cache=pause is not None)
        try:
            return await self._read(reading, pause)
        except OSError as error:
            if not self.failed(entry, fd, error):
                raise
            return False
        finally:
            reading.close()

    async def _read(self, reading: Reading, pause: Pause | None) -> bool | None:
        while await self._turns.run(self._threads, reading.step):
            if pause is not None:
                await pause()
        entry, size = reading.entry, reading.size
        if not self._blobs.is_the_one(entry, reading.fd):
            # Another file has come in its place, which was verified then, or none.
            return None
        self.number += 1
        self.bytes += size
        if reading.matches():
            self.found_right(entry, size)
            return True
        self.found_damaged(entry, size, OTHER_BYTES)
        return False


def _is_cached(fd: int) -> bool:
    """Tell whether most of a file is in the page cache, where it is not looked for on disk."""
    size, cached, byte = os.fstat(fd).st_size, 0, bytearray(1)
    for probe in range(_PROBES):
        try:
            cached += os.preadv(fd, [byte], size * probe // _PROBES, os.RWF_NOWAIT)
        except OSError:
            # It would have to be waited for; or the file system cannot tell.
            continue
    return cached > _PROBES // 2
