"""What readers see of a flight: how far it is, from where it can be read, and how it ends.

Where the bytes come from, and who writes them, is not known here.
"""

from __future__ import annotations

from twisted.logger import Logger
from twisted.python.failure import Failure

from ..oci.digests import Verifier
from ..policy.ranges import Slice
from ..store.blobs import Partial, PartialKey, WrongContent
from ..store.files import FileFlow
from ..store.filling import Filling
from ..upstream.resuming import Source
from .demand import Demand
from .dependencies import Dependencies
from .following import FollowingFlow
from .pace import Pace
from .reader import Reader
from .reading import Readers, ReadFile
from .window import NotKept, Window, WindowFlow

__all__ = ["Shared"]

# A fill that nobody reads is finished where it is half done, or has less than this to go.
_WORTH_FINISHING = 64 * 1024 * 1024
# Seconds after which another is stopped.
_UNREAD_SECONDS = 30.0
# A reader with so little before it is as fast as the fill: more than comes at once, and what it has to be told of.
_CLOSE = 4 * 1024 * 1024
# And one that nobody will find in the store either.
_UNKEPT_SECONDS = 1.0


class Shared:
    """The bytes of one blob, as they come.

    ``size`` is how many they are, None while that is not known; ``filled`` how many have come. They are in the file,
    the last of them with what is ``filling`` it; or, where the disk takes none, in ``window``.
    """

    _log = Logger()

    def __init__(self, key: PartialKey, source: Source, dependencies: Dependencies) -> None:
        self.key = key
        self.entry = key.entry
        self.source = source
        self.clock = dependencies.clock
        self.size: int | None = None
        self.filled = 0
        self.partial: Partial | None = None
        self.filling: Filling | None = None
        self.window: Window | None = None
        # Nobody will find it in the store.
        self.is_unkept = False
        self._needs = dependencies
        self._file = ReadFile()
        # Another file has taken the place of the one that was followed.
        self._has_moved = False
        self._known = False
        self._whole = False
        self._over = False
        self._ending = False
        self._failure: Failure | None = None
        self._demand = Demand(self.clock, self._reconsider, self._give_up)
        self._readers = Readers()
        self._pace = Pace(0, self.clock.seconds())

    def __repr__(self) -> str:
        return f"<Flight {self.entry} {self.filled}/{self.size} readers={len(self._readers)}>"

    @property
    def is_over(self) -> bool:
        """Whether it has failed, or was told to end: who wants the content now needs another."""
        return self._ending or self._failure is not None

    @property
    def has_arrived(self) -> bool:
        """Whether all of it came, and was right where it was looked at."""
        return self._whole and self._failure is None

    @property
    def rate(self) -> float:
        """Bytes per second that it has made lately."""
        return self._pace.rate(self.filled, self.clock.seconds())

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody would take more than comes: who waits for the end, or has read about all that came."""
        if self.window is not None:
            return False
        return self._demand.waiting > 0 or (bool(self._readers) and self.filled - self._readers.furthest <= _CLOSE)

    async def known(self) -> int | None:
        """Return the size as soon as upstream's header is there; None where that does not say.

        Raises:
            RegistryError: upstream refuses.
            NotKept: nothing can be stored.
        """
        if not self._known and self._failure is None:
            await self._demand.header()
        if self._failure is not None:
            self._failure.raiseException()
        return self.size

    async def finished(self) -> None:
        """Return when all of it is in the store. Raises as `known` does."""
        if not self._over:
            await self._demand.end()
        if self._failure is not None:
            self._failure.raiseException()
        if self.is_unkept:
            raise NotKept("the disk does not take it")

    def has(self, start: int) -> bool:
        """Tell whether a reader may begin at byte ``start``."""
        return self.window is None or self.window.has(start)

    def reader(self, part: Slice | None, source: Source | None = None) -> Reader:
        """Return a reader of ``part``, or of all; `known` has returned, and it `has` the start.

        Arguments:
            source: asked where it falls behind; the flight's own by default.
        """
        start = 0 if part is None else part.start
        flow = self.beyond_the_file(start, part) or self._follow_from(start, part)
        reader = Reader(self, part, flow, source or self.source)
        self._readers.add(reader)
        self._reconsider()
        self._tell(reader.flow)
        return reader

    def verifier_at(self, position: int) -> Verifier | None:
        """Return what has taken in all that came before ``position``; None where that is not known (Followed)."""
        return None

    def beyond_the_file(self, start: int, part: Slice | None) -> FileFlow | None:
        """Return a flow of what comes from ``start`` on, past the disk; None where that is not here (Followed)."""
        if self.window is None and self._has_moved and self._failure is None and self._file.is_open:
            return self._follow_from(start, part)
        if self.window is None or not self.window.has(start):
            return None
        flow = WindowFlow(self.window, start, _stop_of(part), self._readable())
        self._tell(flow)
        return flow

    def _follow_from(self, start: int, part: Slice | None) -> FileFlow:
        flow = FollowingFlow(self._file.duplicate(), start, _stop_of(part), self._readable(), lambda: self.filling)
        self._tell(flow)
        return flow

    def left(self, reader: Reader) -> None:
        """A reader has ended."""
        self._readers.discard(reader)
        if self.window is not None:
            self.window.fall_back(self._readers.furthest)
            self._let_go_of_window()
        self._reconsider()

    def _let_go_of_window(self) -> None:
        if self.window is not None and self._over and not self._readers:
            self._needs.windows.close()
            self.window.forget()
            self.window = None

    def _read_from(self, fd: int) -> None:
        """Read from ``fd``, which is ours, from now on.

        The file before was another worker's, who could not keep it: readers go on in this one where they were. Or what
        was in it was wrong, and is gone.
        """
        left = self._file.size if self._file.is_open else 0
        if not self._file.become(fd):
            return
        if left < self._readers.furthest:
            self._start_over()
            return
        self._has_moved = True
        self.filled = 0
        self._fail_readers(Failure(NotKept("another worker does not keep it")))

    def _start_over(self) -> None:
        """What the file held is not the content. Who read it, while another process was filling it, must not go on."""
        self._fail_readers(Failure(WrongContent(f"what there was of {self.entry} was wrong")))
        self.filled = 0
        self._pace = Pace(0, self.clock.seconds())

    def _grow(self, filled: int) -> None:
        self.filled = filled
        self._pace.note(filled, self.clock.seconds())
        self._readers.grow(self._readable())

    def _readable(self) -> int:
        """How far readers may read: the last byte is theirs only when all is verified, lest one takes it for good."""
        if self._whole or self.size is None:
            return self.filled
        return min(self.filled, self.size - 1)

    def _be_whole(self, size: int) -> None:
        self._whole = True
        self._known = True
        self.size = self.filled = size
        self._readers.end(size)
        self._demand.header_is_here()

    def _fail(self, failure: Failure) -> None:
        self._failure = failure
        self._fail_readers(failure)
        self._demand.header_is_here()

    def _fail_readers(self, failure: Failure) -> None:
        self._readers.fail(self._readable(), failure)

    def _tell(self, flow: FileFlow) -> None:
        if self._whole:
            flow.end(self.filled)
        elif self._failure is not None:
            flow.fail(self._failure)

    def _reconsider(self) -> None:
        """Somebody came or left: is this still worth its while?"""
        is_wanted = bool(self._readers) or self._demand.waiting > 0
        if is_wanted or self._whole or self._failure is not None or self._is_worth_finishing():
            self._demand.end_in(None)
        else:
            self._demand.end_in(_UNKEPT_SECONDS if self.is_unkept else _UNREAD_SECONDS)

    def _is_worth_finishing(self) -> bool:
        if self.size is None or self.window is not None:
            return False
        return self.filled * 2 >= self.size or self.size - self.filled < _WORTH_FINISHING

    def _give_up(self) -> None:
        if not self._is_worth_finishing():
            self._log.info("{flight} is stopped: nobody reads it", flight=self)
            self._end()

    def _end(self) -> None:
        """Let no more come."""
        self._ending = True


def _stop_of(part: Slice | None) -> int | None:
    """Return where a flow ends by itself; None where that is the end of it all, which is told."""
    return None if part is None or part.stop == part.size else part.stop
