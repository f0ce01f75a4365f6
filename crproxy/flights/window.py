"""The last bytes of a transfer that the disk does not take, in memory, for those who read them as they come.

Bounded: who falls out of it asks upstream for the rest. Upstream waits for the fastest of its readers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

from ..oci.digests import Verifier
from ..store.files import FileFlow
from ..transports.files import send_view
from ..upstream.chunks import add_to

__all__ = ["FellBehind", "NotKept", "Window", "WindowFlow", "Windows"]

# Bytes of one: what a client may lag behind the fastest before it asks by itself.
_WINDOW = 8 * 1024 * 1024
# One part in so many of it is how far upstream may be ahead of the fastest. Another worker that reads here holds as
# much ahead of its own clients: those that are as fast and read here must not fall out behind it.
_AHEAD = 4
# Of all of them. Beyond, readers of what is not kept ask upstream each.
_MOST = 8
# Pieces of this size are kept, whatever came.
_CHUNK = 256 * 1024


class NotKept(Exception):
    """The bytes cannot be stored: the disk is full, broken or not ours to write."""


class FellBehind(NotKept):
    """The bytes that a reader wants next are not in the window any more."""


class Windows:
    """How many windows there may be at a time, of which so many are ``free``, and of how many bytes each."""

    def __init__(self, most: int = _MOST, limit: int = _WINDOW) -> None:
        self.free = most
        self._limit = limit

    def open(self, start: int, verifier: Verifier | None, on_growth: Callable[[int], object]) -> Window | None:
        """Return a window from byte ``start`` on, which ends with `close`; None where there are too many.

        Arguments:
            verifier: has taken in what came before; None where nobody looks at what comes.
            on_growth: called with its end when more is in it.
        """
        if self.free <= 0:
            return None
        self.free -= 1
        return Window(start, verifier, on_growth, self._limit)

    def close(self) -> None:
        """One has ended."""
        self.free += 1


@implementer(IConsumer)
class Window:
    """Takes a body in, and holds the last of it: from byte ``start`` up to ``end``."""

    def __init__(self, start: int, verifier: Verifier | None, on_growth: Callable[[int], object], limit: int) -> None:
        self.end = start
        self.verifier = verifier
        self.start = start
        self._on_growth = on_growth
        self._limit = limit
        self._chunks: deque[bytearray] = deque()
        self._producer: IPushProducer | None = None
        self._held_back = False
        self._reached = start
        # Somebody will read from here on, who has not come yet.
        self._is_expected = False

    def expect(self) -> None:
        """Hold all of it until `expect_no_more`, for who will come."""
        self._is_expected = True

    def expect_no_more(self) -> None:
        """Hold it for none but those who have come."""
        self._is_expected = False
        self._release()

    def has(self, position: int) -> bool:
        """Tell whether it can be read from ``position`` on, now or when more has come."""
        return self.start <= position <= self.end

    def read(self, position: int, wanted: int) -> memoryview:
        """Return some of the bytes at ``position``, ``wanted`` at the most; to be released before more comes.

        Raises:
            FellBehind: they are not here any more.
        """
        if position < self.start:
            raise FellBehind(f"byte {position} is gone: there are those from {self.start} on")
        number, offset = divmod(position - self.start, _CHUNK)
        with memoryview(self._chunks[number]) as chunk:
            return chunk[offset : offset + wanted]

    def forget(self) -> None:
        """Hold nothing any more: who waits for the garbage collector would hold it for many transfers."""
        self._chunks.clear()
        self.start = self.end

    def reach(self, position: int) -> None:
        """The fastest reader is here at least."""
        self._reached = max(self._reached, position)
        self._release()

    def fall_back(self, position: int) -> None:
        """The fastest reader that is left is here."""
        self._reached = position

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Take in what ``producer`` gives (IConsumer)."""
        self._producer = producer
        self._held_back = False
        self._hold_back()

    def unregisterProducer(self) -> None:
        """No more of this body comes (IConsumer)."""
        self._producer = None

    def write(self, data: bytes | memoryview) -> None:
        """Take in a piece, which is copied (IConsumer)."""
        self.take(data)
        self._hold_back()
        self._on_growth(self.end)

    def take(self, data: bytes | memoryview) -> None:
        """Take in a piece of which nobody is told."""
        if self.verifier is not None:
            self.verifier.update(data)
        self.end += len(data)
        add_to(self._chunks, data, _CHUNK)
        while self.end - self.start - _CHUNK >= self._limit:
            self._chunks.popleft()
            self.start += _CHUNK

    def _is_ahead_by(self, part: float) -> bool:
        """Tell whether what is held is ahead of its readers by this part of what it may be, or more."""
        if self._is_expected:
            return self.end - self.start >= self._limit * part
        return self.end - self._reached >= self._limit * part / _AHEAD

    def _hold_back(self) -> None:
        if self._is_ahead_by(1) and self._producer is not None and not self._held_back:
            self._held_back = True
            self._producer.pauseProducing()

    def _release(self) -> None:
        if self._held_back and not self._is_ahead_by(0.5) and self._producer is not None:
            self._held_back = False
            self._producer.resumeProducing()


class WindowFlow(FileFlow):
    """Bytes of a window, on their way to one consumer; ends with FellBehind where they are gone before that.

    Arguments:
        window: where they are.
        start: the first byte.
        stop: the byte after the last one; None while nobody knows it.
        readable: how far they may be read now.
    """

    def __init__(self, window: Window, start: int, stop: int | None, readable: int) -> None:
        super().__init__(-1, start, stop, readable)
        self._window = window

    def _send(self, consumer: Any, wanted: int) -> int:
        with self._window.read(self.position, wanted) as piece:
            sent = send_view(consumer, piece)
        self._window.reach(self.position + sent)
        return sent
