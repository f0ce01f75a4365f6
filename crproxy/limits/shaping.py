"""A body on its way, not faster than it may: what is between a producer and its consumer where there is a limit.

Every piece passes whole and at once, and is put into a bucket. Where that holds too much then, the producer is paused
until what is too much has drained (virtual scheduling): nothing is asked over and over, the rate is exact in the long
run, and of several that share a bucket each waits its turn.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from ..transports.files import send_file, send_view
from .buckets import Bucket

__all__ = ["Body", "Limited", "Shaped"]

# Bytes of a file that pass at once.
_PIECE = 64 * 1024


class Body(Protocol):
    """A body that is to go to a consumer: an answer's to a client, or an upstream's."""

    @property
    def length(self) -> int | None:
        """Bytes, where that is known beforehand."""

    def join(self, consumer: IConsumer) -> Deferred[None]:
        """Let the body flow to ``consumer`` at its pace; fires at its end, fails where it is cut short."""

    def abandon(self) -> None:
        """Let go of the body unread."""


class Limited:
    """A body that flows no faster than a bucket drains.

    Arguments:
        body: the body itself.
        bucket: fills with its bytes.
        clock: for waiting.
    """

    def __init__(self, body: Body, bucket: Bucket, clock: IReactorTime) -> None:
        self._body = body
        self._bucket = bucket
        self._clock = clock

    @property
    def length(self) -> int | None:
        """Bytes, where that is known (Body)."""
        return self._body.length

    def join(self, consumer: IConsumer) -> Deferred[None]:
        """Let the body flow (Body)."""
        return Deferred.fromCoroutine(self._flow(consumer))

    def abandon(self) -> None:
        """Let go of the body (Body)."""
        self._body.abandon()

    async def _flow(self, consumer: IConsumer) -> None:
        shaped = Shaped(consumer, self._bucket, self._clock)
        parent = self._bucket.parent
        if parent is not None:
            parent.users += 1
        try:
            await self._turn()
            await self._body.join(shaped)
        finally:
            shaped.end()
            if parent is not None:
                parent.users -= 1

    async def _turn(self) -> None:
        """Wait until there is nothing to wait for: or many short bodies would be as good as one without a limit."""
        wait = self._bucket.wait()
        if wait > 0:
            try:
                await deferLater(self._clock, wait)
            except BaseException:
                self._body.abandon()
                raise


@implementer(IConsumer, IPushProducer)
class Shaped:
    """The consumer in front of the real one, and the producer in front of the real one.

    The consumer pauses when it is full, and we pause when the bucket is: the producer goes on when neither does.

    Arguments:
        consumer: the real one.
        bucket: fills with what is written.
        clock: for waiting.
    """

    def __init__(self, consumer: IConsumer, bucket: Bucket, clock: IReactorTime) -> None:
        # Takes views as well, as every consumer of bodies does.
        self._consumer: Any = consumer
        self._bucket = bucket
        self._clock = clock
        self._producer: IPushProducer | None = None
        self._consumer_is_full = False
        self._waiting: IDelayedCall | None = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Take in what ``producer``, a push producer, gives (IConsumer)."""
        self._producer = producer
        self._consumer_is_full = False
        self._consumer.registerProducer(self, streaming)

    def unregisterProducer(self) -> None:
        """Nothing more comes (IConsumer)."""
        self.end()
        self._consumer.unregisterProducer()

    def write(self, data: bytes | memoryview) -> None:
        """Hand through, and have the producer wait where that was too much (IConsumer)."""
        self._bucket.add(len(data))
        self._consumer.write(data)
        self._pace()

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """Hand through a piece of a file, as `write` does; return the bytes that are on their way."""
        sent = send_file(self._consumer, fd, offset, min(count, _PIECE))
        self._bucket.add(sent)
        self._pace()
        return sent

    def send_view(self, view: memoryview) -> int:
        """Hand through some of ``view``, as `write` does; return the bytes that are on their way."""
        sent = send_view(self._consumer, view[:_PIECE])
        self._bucket.add(sent)
        self._pace()
        return sent

    def _pace(self) -> None:
        wait = self._bucket.wait()
        if wait > 0 and self._producer is not None:
            self._wait(wait)
            # Once more, if it was paused before: Twisted's HTTP client resumes its transport by itself when it begins.
            self._producer.pauseProducing()

    def end(self) -> None:
        """Wait for nothing more, and resume nobody."""
        self._producer = None
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()

    def pauseProducing(self) -> None:
        """The consumer is full (IPushProducer)."""
        self._consumer_is_full = True
        if self._producer is not None:
            self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        """The consumer takes more (IPushProducer)."""
        self._consumer_is_full = False
        if self._producer is not None and self._waiting is None:
            self._producer.resumeProducing()

    def stopProducing(self) -> None:
        """The consumer is gone (IProducer)."""
        producer = self._producer
        self.end()
        if producer is not None:
            producer.stopProducing()

    def _wait(self, seconds: float) -> None:
        if self._waiting is None:
            self._waiting = self._clock.callLater(seconds, self._go_on)
        else:
            self._waiting.reset(seconds)

    def _go_on(self) -> None:
        self._waiting = None
        if self._producer is not None and not self._consumer_is_full:
            self._producer.resumeProducing()
