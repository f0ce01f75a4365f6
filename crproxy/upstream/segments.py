"""A part of a blob that comes over a connection of its own, held in memory until it is its turn.

Where it comes from, and what for, is not known here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

from .chunks import add_to
from .resuming import Pouring

__all__ = ["Memory", "Segment"]

# What all transfers of a worker may hold together, in bytes.
_MOST = 64 * 1024 * 1024
# Pieces of this size are kept, whatever came: of pieces of few bytes, each object would take more than they do.
_CHUNK = 64 * 1024

Write = Callable[[bytes | memoryview], object]


class Memory:
    """How many bytes segments may hold: so many are ``free``."""

    def __init__(self, most: int = _MOST) -> None:
        self.free = most


@implementer(IConsumer)
class Segment:
    """The bytes from ``start`` up to ``stop`` (None is to the end, which nobody knows yet).

    What comes is kept until `pass_through`; then it goes straight on. ``reserved`` is how many bytes may be kept.

    Arguments:
        reserved: taken from ``memory``, to be given back as soon as nothing is kept any more.
    """

    def __init__(self, start: int, stop: int | None, memory: Memory, reserved: int = 0) -> None:
        self.start = start
        self.stop = stop
        self.reserved = reserved
        self.is_through = False
        # It was asked for, the last time, by the one connection that there was.
        self.was_alone = True
        # Takes in a piece, which is copied (IConsumer). What goes straight on costs no call more for each piece.
        self.write: Write = self._keep
        self._memory = memory
        memory.free -= reserved
        self._position = start
        self._chunks: deque[bytearray] = deque()
        self._pouring: Pouring | None = None
        self._running: Deferred[None] | None = None
        self._producer: IPushProducer | None = None
        self._is_paused = False

    @property
    def reached(self) -> int:
        """The byte after the last one that has come."""
        return self._position if self._pouring is None else self._pouring.position

    @property
    def is_running(self) -> bool:
        """Whether it is being asked for."""
        return self._pouring is not None

    @property
    def is_complete(self) -> bool:
        """Whether all of it has come."""
        return self.stop is not None and self.reached >= self.stop

    @property
    def is_missing(self) -> bool:
        """Whether some of it has not come, and nobody is asked for that."""
        return not self.is_running and not self.is_complete

    @property
    def is_untouched(self) -> bool:
        """Whether nothing of it has come."""
        return self.reached == self.start

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it is kept."""
        return not self._chunks

    def begin(self, pouring: Pouring) -> None:
        """It comes now."""
        self._pouring = pouring

    def runs(self, running: Deferred[None]) -> None:
        """Have what is to be cancelled where it is to come no more."""
        self._running = running

    def ended(self) -> None:
        """It comes no more, whole or not."""
        self._position = self.reached
        self._pouring = self._running = None

    def cancel(self) -> None:
        """Have it come no more."""
        if self._running is not None:
            self._running.cancel()

    def end_at(self, stop: int | None) -> None:
        """Have it end there from now on, further ahead than it has come."""
        self.stop = stop
        if self._pouring is not None:
            self._pouring.end_at(stop)

    def drain(self, write: Write, may_write: Callable[[], bool]) -> None:
        """Write what is kept, as long as ``may_write`` allows it."""
        while self._chunks and may_write():
            write(self._chunks.popleft())  # type: ignore[arg-type]

    def pass_through(self, write: Write) -> None:
        """Write what comes from now on; nothing is kept any more."""
        self.forget()
        self.is_through = True
        self.write = write

    def forget(self) -> None:
        """Keep nothing, and need no memory."""
        self._chunks.clear()
        self._memory.free += self.reserved
        self.reserved = 0

    def pause(self) -> None:
        """Have nothing come until `resume`."""
        self._is_paused = True
        if self._producer is not None:
            self._producer.pauseProducing()

    def resume(self) -> None:
        """Have it come."""
        was_paused, self._is_paused = self._is_paused, False
        if was_paused and self._producer is not None:
            self._producer.resumeProducing()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Take in what ``producer`` gives (IConsumer)."""
        self._producer = producer
        if self._is_paused:
            # Twisted's client begins a body by resuming its transport, whatever was said of it before.
            self.is_through = False
            self.write = self._keep
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        """No more of this body comes (IConsumer)."""
        self._producer = None

    def _keep(self, data: bytes | memoryview) -> None:
        add_to(self._chunks, data, _CHUNK)
        if self._is_paused and self._producer is not None:
            self._producer.pauseProducing()
