"""One upstream body, to one consumer, at the consumer's pace; or collected, up to a limit.

Knows nothing of what the bytes are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.interfaces import IConsumer, IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface import implementer

__all__ = [
    "BodyBroke",
    "BodyTooLarge",
    "BodyUnwanted",
    "Received",
    "Relay",
    "abandon",
    "collect",
    "count_nothing",
    "discard",
]

# What is read of an unwanted body so that its connection can be used again; beyond it, closing is cheaper.
_DISCARD_LIMIT = 64 * 1024
# A body that is collected has so many times as long as between two pieces: somebody waits for all of it.
_PATIENCE = 2

# Is told how many bytes have come, with each piece.
Received = Callable[[int], object]


def count_nothing(number: int) -> None:
    """Count nothing (Received)."""


class BodyBroke(Exception):
    """Upstream's body ended before it was whole, or stood still for too long."""


class BodyUnwanted(BodyBroke):
    """We have ended a body ourselves, since nobody wants the rest: that says nothing of upstream."""


class BodyTooLarge(Exception):
    """A body is larger than what is read of its kind."""


class Relay:
    """An upstream's body, not yet read: join it to a consumer, or abandon it.

    Arguments:
        response: the answer whose body it is.
        idle: seconds that upstream may take between two pieces, while the consumer is ready.
        clock: for that.
        received: is told of the bytes.
    """

    def __init__(
        self, response: IResponse, idle: float, clock: IReactorTime, received: Received = count_nothing
    ) -> None:
        self._response = response
        self._idle = idle
        self._clock = clock
        self._received = received

    @property
    def length(self) -> int | None:
        """The body's length in bytes, where upstream said it."""
        length = self._response.length
        return None if length is UNKNOWN_LENGTH else int(length)

    def join(self, consumer: IConsumer) -> Deferred[None]:
        """Let the body flow to ``consumer``; fires when all of it was written, fails with BodyBroke.

        Cancelling closes upstream's connection.
        """
        flow = _Flow(consumer, self._idle, self._clock, self._received)
        self._response.deliverBody(flow)
        return flow.done

    def abandon(self) -> None:
        """Let go of the body unread: its connection is closed."""
        abandon(self._response)


@implementer(IPushProducer)
class _Flow(Protocol):
    """The body on its way."""

    # Every consumer sends, copies or drops a piece before it returns (see Stream).
    takes_views = True

    transport: Any

    def __init__(self, consumer: IConsumer, idle: float, clock: IReactorTime, received: Received) -> None:
        self.done: Deferred[None] = Deferred(lambda _: self.stopProducing())
        self._consumer: Any = consumer
        self._idle = idle
        self._clock = clock
        self._received = received
        self._timer: IDelayedCall | None = None
        self._stalled = False
        self._unwanted = False

    def connectionMade(self) -> None:
        self._watch()
        self._consumer.registerProducer(self, True)

    def dataReceived(self, data: bytes | memoryview) -> None:
        if self._timer is not None:
            self._timer.reset(self._idle)
        self._received(len(data))
        self._consumer.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._unwatch()
        if not self._unwanted:
            self._consumer.unregisterProducer()
        if not self.done.called:
            self._end(reason)

    def _end(self, reason: Failure) -> None:
        if reason.check(ResponseDone):
            self.done.callback(None)
        elif self._stalled:
            self.done.errback(BodyBroke(f"upstream sent nothing for {self._idle:g} s"))
        elif reason.check(PotentialDataLoss):
            # Neither a length nor chunks: the end of the connection is all there is to go by (RFC 9112, 6.3).
            self.done.callback(None)
        else:
            kind = BodyUnwanted if self._unwanted else BodyBroke
            self.done.errback(kind("upstream ended in mid-body"))

    def pauseProducing(self) -> None:
        """Stop reading upstream. The client is slow now, not upstream: the idle clock stops."""
        self._unwatch()
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Read upstream again."""
        self._watch()
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """Close upstream's connection: nobody wants the rest, and the consumer may be gone."""
        self._unwanted = True
        self._unwatch()
        self.transport.stopProducing()

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(self._idle, self._stall)

    def _unwatch(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _stall(self) -> None:
        self._timer = None
        self._stalled = True
        self.transport.stopProducing()


class _Abandoned(Protocol):
    """Takes a body only to end it."""

    transport: Any

    def connectionMade(self) -> None:
        self.transport.stopProducing()


@implementer(IConsumer)
class _Bucket:
    """Holds a body of a limited size."""

    def __init__(self, limit: int) -> None:
        self.overflowed = False
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0
        self._producer: IPushProducer | None = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Take in what ``producer`` gives (IConsumer)."""
        self._producer = producer

    def unregisterProducer(self) -> None:
        """Nothing more comes (IConsumer)."""
        self._producer = None

    def write(self, data: bytes | memoryview) -> None:
        """Take in a piece, which is copied (IConsumer)."""
        self._size += len(data)
        if self._size <= self._limit:
            self._pieces.append(bytes(data))
        elif not self.overflowed and self._producer is not None:
            self.overflowed = True
            self._producer.stopProducing()

    def content(self) -> bytes:
        """Return what was taken in."""
        return b"".join(self._pieces)


def abandon(response: IResponse) -> None:
    """Let go of a body unread: its connection is closed."""
    response.deliverBody(_Abandoned())


async def collect(
    response: IResponse, limit: int, idle: float, clock: IReactorTime, received: Received = count_nothing
) -> bytes:
    """Return the whole body of ``response``, of whose bytes ``received`` is told.

    Raises:
        BodyTooLarge: it has more than ``limit`` bytes. Reading stopped there.
        BodyBroke: it did not arrive whole.
    """
    relay = Relay(response, idle, clock, received)
    if relay.length is not None and relay.length > limit:
        relay.abandon()
        raise BodyTooLarge(f"a body of {relay.length} bytes, where {limit} are the most")
    bucket = _Bucket(limit)
    try:
        await relay.join(bucket).addTimeout(_PATIENCE * idle, clock)
    except TookTooLong:
        raise BodyBroke(f"upstream did not come to an end in {_PATIENCE * idle:g} s") from None
    except BodyBroke:
        if not bucket.overflowed:
            raise
    if bucket.overflowed:
        raise BodyTooLarge(f"a body of more than {limit} bytes")
    return bucket.content()


def discard(response: IResponse, idle: float, clock: IReactorTime) -> None:
    """Get a body out of the way: read it so that the connection can be used again, or close that where it is long."""
    relay = Relay(response, idle, clock)
    if relay.length is None or relay.length > _DISCARD_LIMIT:
        relay.abandon()
    else:
        relay.join(_Bucket(_DISCARD_LIMIT)).addErrback(lambda _: None)
