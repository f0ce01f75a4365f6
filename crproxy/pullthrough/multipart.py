"""Several parts of a blob as one body, from bodies that have the parts and what is between them.

What is not asked for is dropped as it comes, and a file is not even read there. Nothing is collected: the bytes flow at
the client's pace, and by the means that its connection has for files and for memory.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

from ..limits import Body
from ..policy.multipart import Framing
from ..policy.parts import Run
from ..policy.ranges import Slice
from ..transports.files import send_file, send_view
from ..upstream.relay import BodyBroke

__all__ = ["Multipart"]

_BOUNDARY_BYTES = 16


class Multipart:
    """A body of several parts (Body).

    Arguments:
        runs: the parts, those together that come in one body.
        bodies: for each run, the bytes from its first part's first to its last part's last. Let go of here.
        media_type: of what they are parts of.
    """

    def __init__(self, runs: Sequence[Run], bodies: Sequence[Body], media_type: str) -> None:
        self._framing = Framing(secrets.token_hex(_BOUNDARY_BYTES), media_type)
        self._left = deque(zip(runs, bodies, strict=True))
        self._length = self._framing.length([part for run in runs for part in run])

    @property
    def length(self) -> int:
        """Bytes (Body)."""
        return self._length

    @property
    def content_type(self) -> str:
        """The Content-Type of all of it."""
        return self._framing.content_type

    def join(self, consumer: IConsumer) -> Deferred[None]:
        """Let it flow (Body). Fails with BodyBroke where a body has less than its run, or as that one does."""
        return Deferred.fromCoroutine(self._flow(consumer))

    def abandon(self) -> None:
        """Let go of what has not flown (Body)."""
        while self._left:
            _, body = self._left.popleft()
            body.abandon()

    async def _flow(self, consumer: IConsumer) -> None:
        cut = _Cut(consumer, self._framing)
        try:
            consumer.registerProducer(cut, True)
            while self._left:
                # Between two bodies as well: many short ones would otherwise be written whether they are taken or not.
                await cut.has_room()
                run, body = self._left.popleft()
                cut.begin(run)
                await body.join(cut)
                cut.be_done()
            cut.end()
        except CancelledError:
            # The consumer is gone.
            raise
        except BaseException:
            cut.leave()
            raise
        finally:
            self.abandon()


@implementer(IConsumer, IPushProducer)
class _Cut:
    """Between the bodies, one after another, and the consumer: cuts the parts out, and puts the framing around them.

    For the consumer it is one producer from the first byte to the last one.
    """

    def __init__(self, consumer: IConsumer, framing: Framing) -> None:
        # Takes views as well, as every consumer of bodies does.
        self._consumer: Any = consumer
        self._framing = framing
        self._producer: IPushProducer | None = None
        self._is_full = False
        self._waiting: Deferred[None] | None = None
        self._parts: deque[Slice] = deque()
        # Of the next byte that comes.
        self._position = 0
        self._has_head = False

    def begin(self, run: Run) -> None:
        """Expect the bytes of ``run``."""
        self._parts.extend(run)
        self._position = run[0].start
        self._has_head = False

    def be_done(self) -> None:
        """Expect nothing more of the run. Raises BodyBroke where a part of it did not come."""
        if self._parts:
            raise BodyBroke(f"the bytes ended at {self._position}, and a part at {self._parts[-1].stop}")

    async def has_room(self) -> None:
        """Return when the consumer takes more."""
        if self._is_full:
            self._waiting = Deferred()
            await self._waiting

    def end(self) -> None:
        """All parts were written."""
        if self._consumer is not None:
            self._consumer.write(self._framing.tail)
        self.leave()

    def leave(self) -> None:
        """Write nothing more."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.unregisterProducer()

    # The bytes

    def write(self, data: bytes | memoryview) -> None:
        """Hand on what of ``data`` is in a part (IConsumer)."""
        left = memoryview(data)
        while left and self._consumer is not None:
            skipped = self._skip(len(left))
            left = left[skipped:]
            if left:
                piece = left[: self._reach()]
                self._consumer.write(piece)
                self._advance(len(piece))
                left = left[len(piece) :]

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """Hand on a piece of a file, as `write` does; return how many bytes need not be thought of any more."""
        skipped = self._skip(count)
        if skipped or self._consumer is None:
            return skipped or count
        return self._advance(send_file(self._consumer, fd, offset, min(count, self._reach())))

    def send_view(self, view: memoryview) -> int:
        """Hand on some of ``view``, as `write` does; return how many bytes need not be thought of any more."""
        skipped = self._skip(len(view))
        if skipped or self._consumer is None:
            return skipped or len(view)
        return self._advance(send_view(self._consumer, view[: self._reach()]))

    def _skip(self, count: int) -> int:
        """Pass over what is in no part, of ``count`` bytes that come; return how many these are."""
        gap = self._parts[0].start - self._position if self._parts else count
        skipped = max(0, min(count, gap))
        self._position += skipped
        return skipped

    def _reach(self) -> int:
        """Return how many bytes are left of the part that the position is in, the head of which has been written."""
        part = self._parts[0]
        if not self._has_head:
            self._consumer.write(self._framing.head(part))
            self._has_head = True
        return part.stop - self._position

    def _advance(self, count: int) -> int:
        self._position += count
        if self._position >= self._parts[0].stop:
            self._parts.popleft()
            self._has_head = False
        return count

    # Who gives, and who takes

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Take in what ``producer``, a push producer, gives (IConsumer)."""
        self._producer = producer
        if self._is_full:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        """Nothing more comes of this one (IConsumer)."""
        self._producer = None

    def pauseProducing(self) -> None:
        """The consumer is full (IPushProducer)."""
        self._is_full = True
        if self._producer is not None:
            self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        """The consumer takes more (IPushProducer)."""
        self._is_full = False
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)
        elif self._producer is not None:
            self._producer.resumeProducing()

    def stopProducing(self) -> None:
        """The consumer is gone (IProducer)."""
        self._consumer = None
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
