"""One flight: upstream on the one side, the partial file in the middle, readers on the other."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..oci.errors import ErrorCode, RegistryError
from ..policy.ranges import Slice
from ..store.blobs import AlreadyStored, Blobs, Partial, PartialKey, WrongContent
from ..store.entries import Entry
from ..store.files import FileFlow
from ..store.filling import Filling, Threads
from ..upstream.relay import BodyBroke
from ..upstream.resuming import RangeRefused, Source, pour
from .pace import Pace
from .reader import NotKept, Reader

__all__ = ["Flight", "Hangar"]

# A fill that nobody reads is finished where it is half done, or has less than this to go.
_WORTH_FINISHING = 64 * 1024 * 1024
# Seconds after which another is stopped.
_UNREAD_SECONDS = 30.0
# Seconds between two looks at a file that another process fills.
_FOLLOW_SECONDS = 0.02


class Room(Protocol):
    """Where partial files take room (see `Store`)."""

    def could_hold(self, size: int) -> bool:
        """Tell whether ``size`` bytes would fit if everything else went."""

    def reserve(self, key: PartialKey, size: int) -> bool:
        """Tell whether a partial file may grow to ``size`` bytes, after dropping others where that helps."""

    def release(self, key: PartialKey, left: int = 0) -> None:
        """The partial file is not filled any more; ``left`` bytes stay in it."""


@dataclass(frozen=True, slots=True)
class Hangar:
    """What every flight of a daemon needs.

    Arguments:
        blobs: where the bytes go.
        threads: runs blocking work.
        clock: for waiting.
        room: for what comes.
        on_stored: called with the entry and its size in bytes when content is whole, verified and in its place.
    """

    blobs: Blobs
    threads: Threads
    clock: IReactorTime
    room: Room
    on_stored: Callable[[Entry, int], object]


class Flight:
    """The transfer of one blob.

    ``size`` is its bytes, None while that is not known; ``filled`` how many are in the file.
    """

    _log = Logger()

    def __init__(self, key: PartialKey, source: Source, hangar: Hangar) -> None:
        self.key = key
        self.entry = key.entry
        self.source = source
        self.clock = hangar.clock
        self.size: int | None = None
        self.filled = 0
        self.partial: Partial | None = None
        self._hangar = hangar
        self._fd: int | None = None
        self._known = False
        self._whole = False
        self._over = False
        self._failure: Failure | None = None
        self._waiters: list[Deferred[None]] = []
        # Those who wait for the end of it.
        self._passengers: list[Deferred[None]] = []
        self._readers: set[Reader] = set()
        self._pouring: Deferred[None] | None = None
        self._landing: Deferred[None] | None = None
        self._ending = False
        self._unread: IDelayedCall | None = None
        self._pace = Pace(0, self.clock.seconds())

    def __repr__(self) -> str:
        return f"<Flight {self.entry} {self.filled}/{self.size} readers={len(self._readers)}>"

    @property
    def is_over(self) -> bool:
        """Whether it has failed, or was told to end: who wants the content now needs another."""
        return self._ending or self._failure is not None

    @property
    def has_arrived(self) -> bool:
        """Whether all of it came, and was right."""
        return self._whole and self._failure is None

    @property
    def rate(self) -> float:
        """Bytes per second that it has made lately."""
        return self._pace.rate(self.filled, self.clock.seconds())

    async def known(self) -> int | None:
        """Return the size as soon as upstream's header is there; None where that does not say.

        Raises:
            RegistryError: upstream refuses.
            NotKept: nothing can be stored.
        """
        if not self._known and self._failure is None:
            waiter: Deferred[None] = Deferred(self._waiter_left)
            self._waiters.append(waiter)
            await waiter
        if self._failure is not None:
            self._failure.raiseException()
        return self.size

    async def landed(self) -> None:
        """Return when all of it is in the store. Raises as `known` does."""
        if not self._over:
            passenger: Deferred[None] = Deferred(self._passenger_left)
            self._passengers.append(passenger)
            self._reconsider()
            await passenger
        if self._failure is not None:
            self._failure.raiseException()

    def reader(self, part: Slice | None) -> Reader:
        """Return a reader of ``part``, or of all; `known` has returned."""
        to_the_end = part is None or part.stop == part.size
        flow = FileFlow(
            os.dup(self._open_fd()),
            0 if part is None else part.start,
            None if part is None or to_the_end else part.stop,
            self._readable(),
        )
        reader = Reader(self, part, flow)
        self._readers.add(reader)
        self._reconsider()
        self._tell(reader)
        return reader

    def left(self, reader: Reader) -> None:
        """A reader has ended."""
        self._readers.discard(reader)
        self._reconsider()

    def run(self) -> Deferred[None]:
        """Fly; fires at the end, whatever it was."""
        self._landing = Deferred.fromCoroutine(self._run())
        return self._landing

    def stop(self) -> Deferred[None]:
        """End the transfer before it is whole; fires when what came is on disk."""
        self._end()
        ended: Deferred[None] = Deferred()
        if self._landing is None:
            ended.callback(None)
        else:
            self._landing.addBoth(lambda _: ended.callback(None))
        return ended

    def _end(self) -> None:
        self._ending = True
        if self._pouring is not None:
            self._pouring.cancel()

    async def _run(self) -> None:
        try:
            while not await self._fill_or_follow():
                if self._ending:
                    raise CancelledError
        except OSError as error:
            self._log.warn("{entry} is passed on but not kept: {error}", entry=self.entry, error=error)
            self._fail(Failure(NotKept(str(error))))
        except CancelledError:
            self._fail(Failure(RegistryError(ErrorCode.UNAVAILABLE, "the transfer was stopped", retry_after=1)))
        except Exception:
            self._fail(Failure())
        finally:
            self._set_unread(None)
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None
            self._over = True
            passengers, self._passengers = self._passengers, []
            for passenger in passengers:
                passenger.callback(None)

    async def _fill_or_follow(self) -> bool:
        """Do our part until the content is whole, or until it is somebody else's turn."""
        blobs = self._hangar.blobs
        partial = await self._hangar.threads(blobs.begin, self.entry, self.key.origin)
        if partial is None:
            return await self._follow()
        try:
            # Another process may have finished between our look at the store and our lock.
            if self._take_whole():
                partial.discard()
            else:
                self.partial = partial
                self._read_from(os.dup(partial.fd))
                await self._fill(partial)
        finally:
            partial.close()
            if self.partial is not None:
                self._hangar.room.release(self.key, 0 if partial.is_gone else partial.filled)
        return True

    async def _fill(self, partial: Partial) -> None:
        await self._hangar.threads(partial.rehash)
        self._reserve(partial.filled)
        self._grow(partial.filled)
        self._pace = Pace(partial.filled, self.clock.seconds())
        leftover = partial.filled > 0
        if leftover and partial.verifier.matches():
            # All of it came, for whomever it was: whether this repository may have it only its registry can say.
            await self.source.size()
        else:
            try:
                await self._pour(partial)
            except RangeRefused:
                if not leftover:
                    raise
                partial.reset()
                self._start_over()
                await self._pour(partial)
        await self._hangar.threads(partial.verify)
        self._be_whole(partial.filled)
        await self._hangar.threads(partial.commit)
        self._hangar.on_stored(self.entry, partial.filled)

    async def _pour(self, partial: Partial) -> None:
        filling = Filling(partial, self._hangar.threads, lambda: self._written(filling, partial), self._reserve)
        pouring = pour(self.source, filling, partial.filled, None, self.clock, on_size=self._know)
        self._pouring = Deferred.fromCoroutine(pouring)
        if self._ending or filling.failure is not None:
            self._pouring.cancel()
        try:
            await self._pouring
        except (BodyBroke, CancelledError):
            if filling.failure is None:
                raise
        except OSError:
            partial.discard()
            raise
        finally:
            self._pouring = None
            # The thread must be done with the file before anybody closes it.
            await filling.settled()
        if filling.failure is not None:
            partial.discard()
            filling.failure.raiseException()

    def _written(self, filling: Filling, partial: Partial) -> None:
        self._grow(partial.filled)
        # What the disk does not take need not come: without this, the body would be asked for again to its end.
        if filling.failure is not None and self._pouring is not None:
            self._pouring.cancel()

    async def _follow(self) -> bool:
        """Follow the file that another process fills; return False where its lock has fallen free."""
        if not self._known:
            fd = self._hangar.blobs.open_partial(self.entry, self.key.origin)
            if fd is None:
                return False
            self._fd = fd if self._fd is None else self._fd
            self._know(await self.source.size())
        while not self._take_whole():
            if self._ending:
                return False
            self._grow(os.fstat(self._open_fd()).st_size)
            partial = await self._hangar.threads(self._hangar.blobs.begin, self.entry, self.key.origin)
            if partial is not None:
                partial.close()
                return False
            await deferLater(self.clock, _FOLLOW_SECONDS)
        return True

    def _take_whole(self) -> bool:
        """Tell whether what this flight read is whole now, by somebody else's doing; readers have all of it then.

        Raises:
            AlreadyStored: another file is in its place, of which nobody has said that it is ours to give.
        """
        fd = self._hangar.blobs.open(self.entry)
        if fd is None:
            return False
        if self._fd is None or not os.path.sameopenfile(self._fd, fd):
            os.close(fd)
            raise AlreadyStored(f"{self.entry} is here")
        size = os.fstat(fd).st_size
        self._read_from(fd)
        self._be_whole(size)
        return True

    def _reserve(self, size: int) -> None:
        """Have room for ``size`` bytes. Raises OSError where there is none."""
        if not self._hangar.room.reserve(self.key, size):
            raise OSError(errno.ENOSPC, "there is no room for it")

    def _open_fd(self) -> int:
        if self._fd is None:
            raise ValueError("this flight has no file yet: await known() first")
        return self._fd

    def _read_from(self, fd: int) -> None:
        """Read from ``fd``, which is ours, from now on. What came from another file was thrown away as wrong."""
        before, self._fd = self._fd, fd
        if before is None:
            return
        if not os.path.sameopenfile(before, fd):
            self._start_over()
        os.close(before)

    def _know(self, size: int | None) -> None:
        """Upstream's header is there."""
        if self._known:
            return
        if self.partial is not None and not self._hangar.room.could_hold(size or 0):
            raise OSError(errno.ENOSPC, "it is larger than the cache")
        self._known = True
        self.size = size
        self._wake()

    def _start_over(self) -> None:
        """What the file held is not the content. Who read it, while another process was filling it, must not go on."""
        self._fail_readers(Failure(WrongContent(f"what there was of {self.entry} was wrong")))
        self.filled = 0
        self._pace = Pace(0, self.clock.seconds())

    def _grow(self, filled: int) -> None:
        self.filled = filled
        self._pace.note(filled, self.clock.seconds())
        for reader in list(self._readers):
            reader.flow.grow(self._readable())

    def _readable(self) -> int:
        """How far readers may read: the last byte is theirs only when all is verified, lest one takes it for good."""
        if self._whole or self.size is None:
            return self.filled
        return min(self.filled, self.size - 1)

    def _be_whole(self, size: int) -> None:
        self._whole = True
        self._known = True
        self.size = self.filled = size
        for reader in list(self._readers):
            self._tell(reader)
        self._wake()

    def _fail(self, failure: Failure) -> None:
        self._failure = failure
        self._fail_readers(failure)
        self._wake()

    def _fail_readers(self, failure: Failure) -> None:
        readable = self.filled if failure.check(NotKept) else self._readable()
        for reader in list(self._readers):
            reader.flow.grow(readable)
            reader.flow.fail(failure)

    def _tell(self, reader: Reader) -> None:
        if self._whole:
            reader.flow.end(self.filled)
        elif self._failure is not None:
            reader.flow.fail(self._failure)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(None)
        # They may have turned elsewhere.
        self._reconsider()

    def _waiter_left(self, waiter: Deferred[None]) -> None:
        self._waiters.remove(waiter)
        self._reconsider()

    def _passenger_left(self, passenger: Deferred[None]) -> None:
        self._passengers.remove(passenger)
        self._reconsider()

    def _reconsider(self) -> None:
        """Somebody came or left: is this still worth its while?"""
        unread = not self._readers and not self._waiters and not self._passengers
        if not unread or self._whole or self._failure is not None or self._is_worth_finishing():
            self._set_unread(None)
        elif self._unread is None:
            self._set_unread(self.clock.callLater(_UNREAD_SECONDS, self._give_up))

    def _is_worth_finishing(self) -> bool:
        return self.size is not None and (self.filled * 2 >= self.size or self.size - self.filled < _WORTH_FINISHING)

    def _set_unread(self, timer: IDelayedCall | None) -> None:
        before, self._unread = self._unread, timer
        if before is not None and before.active():
            before.cancel()

    def _give_up(self) -> None:
        self._unread = None
        if not self._is_worth_finishing():
            self._log.info("{flight} is stopped: nobody reads it", flight=self)
            self._end()
