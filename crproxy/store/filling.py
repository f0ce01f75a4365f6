"""From the reactor into a partial file: hashed and written by a thread, with upstream held back where it is faster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IConsumer, IDelayedCall, IPushProducer, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from .blobs import Partial
from .blocks import Blocks

__all__ = ["Filling", "Threads", "at_once"]

# Room is made for so many bytes more than have come.
_STEP = 1024 * 1024
# Bytes that are written at once, and seconds that fewer wait for more: changing threads is dear. The first do not wait.
_BATCH = 1024 * 1024
_WAIT_SECONDS = 0.01
_FIRST = 256 * 1024
# What may wait for the disk before upstream is paused.
_QUEUE = 1024 * 1024


class Threads(Protocol):
    """Runs blocking work off the reactor's thread."""

    def __call__(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Return the result of ``work(*args)``."""


def at_once(work: Callable[..., Any], *args: Any) -> Deferred[Any]:
    """Do the work where it is called: nobody else waits there (Threads)."""
    return maybeDeferred(work, *args)


@implementer(IConsumer)
class Filling:
    """Takes a body in and has it written to ``partial``.

    Arguments:
        on_growth: called when more is in the file.
        on_arrival: called when more has come, and can be read from memory.
        reserve: has room for so many bytes in all, or raises OSError.
        instead: is given all that is not in the file when that takes no more, and returns what takes in what comes
            then; None drops it.
        clock: for waiting until there is more to be written; without one, nothing waits.

    ``failure`` is the first OSError of a write. ``received`` is where what has come ends.
    """

    def __init__(
        self,
        partial: Partial,
        threads: Threads,
        on_growth: Callable[[], object],
        reserve: Callable[[int], object] = lambda _: None,
        instead: Callable[[Failure, list[memoryview]], IConsumer | None] = lambda *_: None,
        clock: IReactorTime | None = None,
        on_arrival: Callable[[], object] = lambda: None,
    ) -> None:
        self.failure: Failure | None = None
        self._partial = partial
        self._threads = threads
        self._on_growth = on_growth
        self._on_arrival = on_arrival
        self._reserve = reserve
        self._find_instead = instead
        # Takes views as well, as every consumer of bodies does.
        self._instead: Any = None
        self.received = self._reserved = partial.filled
        self._producer: IPushProducer | None = None
        self._held_back = False
        # What is being written, and from which byte on; what comes after it.
        self._current = Blocks()
        self._current_start = partial.filled
        self._queue = Blocks()
        self._writing = False
        self._clock = clock
        self._due: IDelayedCall | None = None
        self._at_once = partial.filled + _FIRST
        self._waiters: list[Deferred[None]] = []

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Take in what ``producer`` gives (IConsumer)."""
        self._producer = producer
        self._held_back = False
        if self._instead is not None:
            self._instead.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """No more of this body comes (IConsumer)."""
        self._producer = None
        self._flush()
        if self._instead is not None:
            self._instead.unregisterProducer()

    def write(self, data: bytes | memoryview) -> None:
        """Take in a piece, which is copied (IConsumer)."""
        if self._instead is not None:
            self._instead.write(data)
            return
        if self.failure is not None and not self._writing:
            return
        self._queue.append(data)
        self.received += len(data)
        if self.received > self._reserved and self.failure is None and not self._have_room():
            return
        if self.failure is None:
            # Before a thread begins with it, for which others would wait, and while the processor has it at hand.
            self._on_arrival()
        if not self._writing:
            self._write_soon()
        elif self._queue.size > _QUEUE and self._producer is not None and not self._held_back:
            self._held_back = True
            self._producer.pauseProducing()

    @property
    def in_memory(self) -> int:
        """Where what is not in the file yet begins, which can be read from memory."""
        return self._current_start if self._current.size else self._partial.filled

    def read(self, position: int, wanted: int) -> memoryview | None:
        """Return bytes at ``position``, ``wanted`` at the most, until more comes; None where they are not in memory."""
        offset = position - self.in_memory
        for blocks in (self._current, self._queue):
            if 0 <= offset < blocks.size:
                return blocks.view(offset, wanted)
            offset -= blocks.size
        return None

    def give_up(self, failure: Failure) -> None:
        """Write no more: for a reason that is no write's."""
        self._fail(failure)
        if not self._writing:
            self._turn_away(failure)

    def settled(self) -> Deferred[None]:
        """Fire when nothing is waiting or being written any more."""
        self._flush()
        if not self._writing:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        return waiter

    def _have_room(self) -> bool:
        """Have room for what has come and a step more, or at least for what has come."""
        for size in (self.received + _STEP, self.received):
            try:
                self._reserve(size)
            except OSError:
                failure = Failure()
            else:
                self._reserved = size
                return True
        self.give_up(failure)
        return False

    def _write_soon(self) -> None:
        """Write what has come, at once or when there is more."""
        if self._clock is None or self._queue.size >= _BATCH or self.received <= self._at_once or self._waiters:
            self._write()
        elif self._due is None:
            self._due = self._clock.callLater(_WAIT_SECONDS, self._flush)

    def _flush(self) -> None:
        """Write what waits for more."""
        self._wait_no_more()
        if self._queue.size and not self._writing and self.failure is None:
            self._write()

    def _wait_no_more(self) -> None:
        due, self._due = self._due, None
        if due is not None and due.active():
            due.cancel()

    def _write(self) -> None:
        self._wait_no_more()
        self._current, self._queue = self._queue, self._current
        self._current_start = self._partial.filled
        self._writing = True
        self._threads(self._partial.append, self._current.pieces()).addErrback(self._fail).addCallback(self._written)

    def _written(self, _: object) -> None:
        self._writing = False
        if self.failure is not None:
            self._turn_away(self.failure)
        else:
            self._current.release()
            if self._queue.size:
                self._write_soon()
            self._on_growth()
        self._release()
        if not self._writing:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                waiter.callback(None)

    def _release(self) -> None:
        if self._held_back and self._producer is not None:
            self._held_back = False
            self._producer.resumeProducing()

    def _fail(self, failure: Failure) -> None:
        self.failure = self.failure or failure

    def _turn_away(self, failure: Failure) -> None:
        """Let somebody else take in what is not in the file, and what still comes; or nobody."""
        # Before the producer goes on: what comes then comes after.
        self._instead = self._find_instead(failure, self._unwritten())
        if self._instead is None:
            self._forget()
            if self._producer is not None:
                self._held_back = False
                self._producer.stopProducing()
            self._on_growth()
            return
        self._forget()
        self._release()
        if self._producer is not None:
            self._instead.registerProducer(self._producer, True)

    def _unwritten(self) -> list[memoryview]:
        written = self._partial.filled - self._current_start
        rest = []
        for piece in self._current.pieces():
            if written < len(piece):
                rest.append(piece[written:])
            written = max(0, written - len(piece))
        return rest + self._queue.pieces()

    def _forget(self) -> None:
        self._wait_no_more()
        self._current.release()
        self._queue.release()
