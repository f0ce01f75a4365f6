"""From the reactor into a partial file: hashed and written by a thread, with upstream held back where it is faster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from .blobs import Partial

__all__ = ["Filling", "Threads", "at_once"]

# Room is made for so many bytes more than have come.
_STEP = 1024 * 1024
# What may wait for the disk before upstream is paused. Pieces are 64 KiB; more at once saves changes of thread.
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
        reserve: has room for so many bytes in all, or raises OSError.

    ``failure`` is the first OSError of a write; what comes after it is dropped.
    """

    def __init__(
        self,
        partial: Partial,
        threads: Threads,
        on_growth: Callable[[], object],
        reserve: Callable[[int], object] = lambda _: None,
    ) -> None:
        self.failure: Failure | None = None
        self._partial = partial
        self._threads = threads
        self._on_growth = on_growth
        self._reserve = reserve
        self._received = self._reserved = partial.filled
        self._producer: IPushProducer | None = None
        self._held_back = False
        self._queue: list[bytes] = []
        self._queued = 0
        self._writing = False
        self._waiters: list[Deferred[None]] = []

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Take in what ``producer`` gives (IConsumer)."""
        self._producer = producer
        self._held_back = False

    def unregisterProducer(self) -> None:
        """No more of this body comes (IConsumer)."""
        self._producer = None

    def write(self, data: bytes) -> None:
        """Take in a piece (IConsumer)."""
        if self.failure is not None:
            return
        self._received += len(data)
        if self._received > self._reserved and not self._have_room():
            return
        self._queue.append(data)
        self._queued += len(data)
        if not self._writing:
            self._write()
        elif self._queued > _QUEUE and self._producer is not None and not self._held_back:
            self._held_back = True
            self._producer.pauseProducing()

    def settled(self) -> Deferred[None]:
        """Fire when nothing is waiting or being written any more."""
        if not self._writing:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        return waiter

    def _have_room(self) -> bool:
        try:
            self._reserve(self._received + _STEP)
        except OSError:
            try:
                self._reserve(self._received)
            except OSError:
                self._fail(Failure())
                self._on_growth()
                return False
            self._reserved = self._received
            return True
        self._reserved = self._received + _STEP
        return True

    def _write(self) -> None:
        pieces, self._queue, self._queued = self._queue, [], 0
        self._writing = True
        self._threads(self._partial.append, pieces).addErrback(self._fail).addCallback(self._written)

    def _written(self, _: object) -> None:
        self._writing = False
        self._on_growth()
        if self._queue:
            self._write()
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
        self.failure = failure
        self._queue, self._queued = [], 0
        self._held_back = False
        if self._producer is not None:
            self._producer.stopProducing()
