"""What another worker of this node fills, read by following its file: no flight, which would take its place one day.

Nothing here makes a file, holds its lock for longer than a look, or asks upstream.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from ..flights.announcements import Announcements
from ..flights.dependencies import Dependencies
from ..flights.peers import PeersFirst
from ..flights.reader import Reader
from ..flights.reading import Readers, ReadFile
from ..flights.window import FellBehind, NotKept
from ..oci.digests import Verifier
from ..policy.ranges import Slice
from ..store.blobs import Blobs, PartialKey, WrongContent
from ..store.files import FileFlow
from ..upstream.client import Streamed

__all__ = ["FileOfOther", "FilesOfOthers", "FromOthers", "Nowhere"]

# Between two looks at a file.
_LOOK_SECONDS = 0.02
# For which nobody may fill it: another worker that wanted it as well takes it over with its next look.
_ORPHANED_SECONDS = 1.0


class Nowhere:
    """Where nothing can be had (Source): what another node asks for is never asked of upstream."""

    async def open(self, start: int, stop: int | None) -> Streamed:
        """Fail (Source)."""
        raise FellBehind(f"byte {start} is not here any more")

    async def size(self) -> int | None:
        """Say nothing (Source)."""
        return None

    @property
    def parallel(self) -> None:
        """Have it be none (Source)."""

    def blame(self) -> None:
        """Blame nobody: nothing came (Source)."""


class FromOthers(Nowhere):
    """What other workers of this node have in memory (Source), past the disk."""

    def __init__(self, past_the_disk: PeersFirst) -> None:
        self._past_the_disk = past_the_disk

    async def open(self, start: int, stop: int | None) -> Streamed:
        """Ask whoever has it (Source); raises FellBehind, NotThere."""
        opened = await self._past_the_disk.from_peer(start)
        return await super().open(start, stop) if opened is None else opened


class FilesOfOthers:
    """The files that other workers fill and somebody reads here.

    Arguments:
        needs: what flights are given.
    """

    def __init__(self, needs: Dependencies) -> None:
        self._needs = needs
        self._announced = Announcements(needs.sharing, needs.clock)
        self._files: dict[PartialKey, FileOfOther] = {}

    def __len__(self) -> int:
        return len(self._files)

    def find(self, key: PartialKey) -> FileOfOther | None:
        """Return the file, if another worker fills it. Raises OSError."""
        found = self._files.get(key)
        if found is not None or self._needs.sharing.is_alone:
            return found
        blobs = self._needs.blobs
        fd = blobs.open_partial(key.entry, key.origin)
        if fd is None:
            return None
        if blobs.is_abandoned(key):
            os.close(fd)
            return None
        past_the_disk = PeersFirst(key, None, Nowhere(), self._needs.peers, _ask_nobody)
        found = FileOfOther(key, fd, blobs, self._announced, past_the_disk, self._needs.clock, self._forget)
        self._files[key] = found
        return found

    def _forget(self, file: FileOfOther) -> None:
        if self._files.get(file.key) is file:
            del self._files[file.key]


class FileOfOther:
    """One of them (Followed), looked at as long as somebody waits for more of it.

    ``size`` is how many bytes it will be, None while nobody knows it; ``filled`` how many it is.
    """

    def __init__(
        self,
        key: PartialKey,
        fd: int,
        blobs: Blobs,
        announced: Announcements,
        past_the_disk: PeersFirst,
        clock: IReactorTime,
        on_end: Callable[[FileOfOther], object],
    ) -> None:
        self.key = key
        self.clock = clock
        self.size: int | None = None
        self._file = ReadFile()
        self._file.become(fd)
        # What an earlier fill has left is there before anybody says how much it will be.
        self.filled = self._file.size
        self._blobs = blobs
        self._announced = announced
        self._past_the_disk = past_the_disk
        self._on_end = on_end
        self._readers = Readers()
        self._waiting = 0
        self._is_known = False
        self._is_whole = False
        self._failure: Failure | None = None
        self._orphaned_since: float | None = None
        self._is_looking = False
        past_the_disk.wait()

    async def known(self) -> int | None:
        """Return the size once the worker that fills it knows that, and None if it does not say it.

        Raises:
            NotKept: the file is gone.
            Exception: nothing comes of it, for another reason.
        """
        self._waiting += 1
        try:
            self._begin_to_look()
            while not self._is_known and self._failure is None:
                await deferLater(self.clock, _LOOK_SECONDS)
        finally:
            # The next look lets go of it, if nobody reads it then.
            self._waiting -= 1
        if self._failure is not None:
            self._failure.raiseException()
        return self.size

    def reader(self, part: Slice | None) -> Reader:
        """Return a reader of ``part``, or of all; `known` has returned just now."""
        start = 0 if part is None else part.start
        stop = None if part is None or part.stop == part.size else part.stop
        flow = FileFlow(self._file.duplicate(), start, stop, self._readable())
        reader = Reader(self, part, flow, FromOthers(self._past_the_disk))
        self._readers.add(reader)
        if self._is_whole:
            flow.end(self.filled)
        elif self._failure is not None:
            flow.fail(self._failure)
        self._begin_to_look()
        return reader

    def left(self, reader: Reader) -> None:
        """A reader has ended (Followed)."""
        self._readers.discard(reader)
        if not self._is_looking and not self._readers:
            self._end()

    def verifier_at(self, position: int) -> Verifier | None:
        """Know of none (Followed): the worker that has the rest in memory checks it."""
        return None

    def beyond_the_file(self, start: int, part: Slice | None) -> FileFlow | None:
        """Have nothing (Followed)."""
        return None

    def _readable(self) -> int:
        """How far it may be read: the last byte only when all is verified."""
        if self._is_whole or self.size is None:
            return self.filled
        return min(self.filled, self.size - 1)

    @property
    def _is_over(self) -> bool:
        return self._is_whole or self._failure is not None

    def _begin_to_look(self) -> None:
        if not self._is_looking:
            self._is_looking = True
            self._look_on()

    def _look_on(self) -> None:
        if not self._is_over:
            try:
                self._look()
            except Exception:
                self._fail(Failure())
        if self._is_over:
            # Who comes now looks anew.
            self._on_end(self)
        if self._waiting or (self._readers and not self._is_over):
            self.clock.callLater(_LOOK_SECONDS, self._look_on)
            return
        self._is_looking = False
        if not self._readers:
            self._end()

    def _look(self) -> None:
        """See what has become of it. Raises OSError, and what becomes of those who read it."""
        if self._take_whole():
            return
        size = self._file.size
        if size < self.filled:
            # Thrown away as wrong, or begun anew.
            raise WrongContent(f"what there was of {self.key.entry} was wrong")
        if self._file.is_removed:
            raise NotKept("another worker does not keep it")
        said = None if self._is_known else self._announced.said(self.key)
        if said is not None:
            self._is_known, self.size = True, said.size
        if size > self.filled:
            # It has the header, then: what is not said by now is not for others.
            self._is_known = True
            self._orphaned_since = None
            self.filled = size
            self._readers.grow(self._readable())
        else:
            self._see_who_fills_it()

    def _take_whole(self) -> bool:
        fd = self._blobs.open(self.key.entry)
        if fd is None:
            return False
        try:
            if not self._file.is_the_one(fd):
                raise NotKept("it has come from elsewhere")
            size = os.fstat(fd).st_size
        finally:
            os.close(fd)
        if self.size not in (None, size):
            raise WrongContent(f"{self.key.entry} has {size} bytes, where {self.size} were announced")
        self.size = self.filled = size
        self._is_known = self._is_whole = True
        self._readers.end(size)
        return True

    def _see_who_fills_it(self) -> None:
        if not self._blobs.is_abandoned(self.key):
            self._orphaned_since = None
            return
        now = self.clock.seconds()
        self._orphaned_since = now if self._orphaned_since is None else self._orphaned_since
        if now - self._orphaned_since >= _ORPHANED_SECONDS:
            raise NotKept("nobody fills it any more")

    def _fail(self, failure: Failure) -> None:
        self._failure = failure
        self._readers.fail(self._readable(), failure)

    def _end(self) -> None:
        """Let go of it: nobody waits for it any more."""
        self._on_end(self)
        self._past_the_disk.wait_no_more()
        self._file.close()


def _ask_nobody() -> None:
    """Upstream is asked by nobody here."""
