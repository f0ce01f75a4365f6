"""The bytes of one blob from upstream, in order, from a given byte on, through cuts and stalls.

A body that is cut short is asked for again from the byte that was reached (RFC 9110, 14.2). Each time the registry
itself is asked, so that a redirect whose signature has expired is replaced by a fresh one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from twisted.internet.interfaces import IConsumer, IPushProducer, IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from ..oci.errors import ErrorCode, RegistryError
from ..policy.ranges import parse_content_range
from ..policy.retries import wait_before_retry
from .client import RangeRefused, Streamed
from .relay import BodyBroke

__all__ = ["OnSize", "Open", "Parallel", "Pouring", "RangeRefused", "Source", "pour"]

# Attempts that may follow one another without a single byte gained.
_FRUITLESS = 4

# Is called with the whole blob's size in bytes, None where that is not said.
OnSize = Callable[[int | None], object]
# Asks for bytes, as Source.open does.
Open = Callable[[int, int | None], Awaitable[Streamed]]


class Parallel(Protocol):
    """How a source may be asked for several parts at once."""

    @property
    def connections(self) -> int:
        """Over how many connections, just now; 1 is for one part after the other."""

    def refused(self, error: RegistryError) -> None:
        """Note that it does not answer so as it should, but with ``error``: for a while it is asked over one."""


class Source(Protocol):
    """Where the bytes of one blob can be had."""

    async def open(self, start: int, stop: int | None) -> Streamed:
        """Ask for the bytes from ``start`` up to ``stop``, or to the end; raises RegistryError."""

    async def size(self) -> int | None:
        """Ask how many bytes there are, without any of them; None where that is not said. Raises RegistryError."""

    @property
    def parallel(self) -> Parallel | None:
        """How it may be asked for several parts at once; None where it may not."""

    def blame(self) -> None:
        """Note that the bytes which came were others than the blob's: they are to come from elsewhere the next time."""


async def pour(
    source: Source,
    consumer: IConsumer,
    start: int,
    stop: int | None,
    clock: IReactorTime,
    *,
    opened: Streamed | None = None,
    on_size: OnSize = lambda _: None,
) -> None:
    """Write the bytes from ``start`` up to ``stop`` (or all that follow) to ``consumer``.

    Arguments:
        opened: the answer to the first question, where it was asked already.
        on_size: called with the whole blob's size in bytes as soon as a header says it, None where none does.

    Raises:
        RegistryError: upstream refuses.
        BodyBroke: it broke again and again without a byte gained.
    """
    await Pouring(source.open, consumer, start, stop, clock, opened=opened, on_size=on_size).run()


class Pouring:
    """What `pour` does, whose end may be moved while it is done."""

    def __init__(
        self,
        open_: Open,
        consumer: IConsumer,
        start: int,
        stop: int | None,
        clock: IReactorTime,
        *,
        opened: Streamed | None = None,
        on_size: OnSize = lambda _: None,
    ) -> None:
        self._open = open_
        self._start = start
        self._stop = self._until = stop
        self._clock = clock
        self._opened = opened
        self._on_size = on_size
        self._sink = _Sink(consumer, start)
        self._size: int | None = None

    @property
    def position(self) -> int:
        """The byte after the last one that was written."""
        return self._sink.position

    def end_at(self, stop: int | None) -> None:
        """End there, which lies ahead: a body that goes on is closed then, and one that ends before is gone on from."""
        self._stop = stop
        self._until = _least(stop, self._size)
        self._sink.move(self._until)

    async def run(self) -> None:
        """Do it. Raises as `pour` does."""
        sink, fruitless = self._sink, 0
        while True:
            reached = sink.position
            try:
                await self._flow()
                if self._until is None or sink.position >= self._until:
                    # Stopped, but at its end already: a short body comes in one piece with its header.
                    sink.let_go()
                    return
                # "A server might want to send only a subset of the data requested" (RFC 9110, 15.3.7).
                raise BodyBroke(f"upstream ended at byte {sink.position} of {self._until}")
            except (BodyBroke, RegistryError) as error:
                sink.let_go()
                if self._until is not None and sink.position >= self._until:
                    return
                fruitless = 1 if sink.position > reached else fruitless + 1
                wait = wait_before_retry(fruitless, _FRUITLESS)
                if wait is None or not _may_pass(error, sink.position > self._start):
                    raise
                await deferLater(self._clock, wait)

    async def _flow(self) -> None:
        """Ask, and let the answer's body flow to its end."""
        opened, self._opened = self._opened, None
        streamed = opened or await self._open(self._sink.position, self._stop)
        begun = _begin(streamed, self._sink.position, self._size, self._on_size)
        self._size, self._until = begun.size, _least(self._stop, begun.size)
        self._sink.expect(begun.skip, self._until, begun.stop or begun.size)
        await streamed.body.join(self._sink)


def _may_pass(error: BodyBroke | RegistryError, begun: bool) -> bool:
    """Tell whether to ask again. A question that nothing came of was repeated already, where it was asked."""
    if isinstance(error, RegistryError):
        return begun and error.code is ErrorCode.UNAVAILABLE and not isinstance(error, RangeRefused)
    return True


@dataclass(frozen=True, slots=True)
class _Begun:
    """What an answer's header says of its bytes.

    Arguments:
        skip: how many come before the one that was asked for: 0 unless upstream ignored the Range.
        stop: where they end, as it says; None for the end of the whole.
        size: of the whole, as upstream said now or before.
    """

    skip: int
    stop: int | None
    size: int | None


def _begin(streamed: Streamed, position: int, size: int | None, on_size: OnSize) -> _Begun:
    """Return what is to be expected of an answer.

    Arguments:
        size: what upstream said before; whoever reads was told of it, so that it must not change.
    """
    if streamed.status == 200:
        begun = _Begun(position, None, streamed.body.length)
    else:
        sent = parse_content_range(streamed.headers.get("content-range"))
        if streamed.status != 206 or sent is None or sent.start != position:
            streamed.body.abandon()
            raise RangeRefused(streamed.status)
        begun = _Begun(0, sent.stop, sent.size)
    if size is not None and begun.size not in (None, size):
        streamed.body.abandon()
        raise RangeRefused(streamed.status)
    _announce(streamed, begun.size, on_size)
    return begun if begun.size is not None else replace(begun, size=size)


def _least(*bounds: int | None) -> int | None:
    return min((bound for bound in bounds if bound is not None), default=None)


def _announce(streamed: Streamed, size: int | None, on_size: OnSize) -> None:
    try:
        on_size(size)
    except BaseException:
        streamed.body.abandon()
        raise


@implementer(IConsumer)
class _Sink:
    """Counts what reaches the consumer, and leaves out what it has already, did not ask for, or was not told of."""

    def __init__(self, consumer: IConsumer, position: int) -> None:
        self.position = position
        self._skip = 0
        self._stop: int | None = None
        # Where the body itself ends, as far as that is known.
        self._end: int | None = None
        # 1 where it goes on behind the last byte that is wanted: its next may be long in coming.
        self._goes_on = 0
        # Takes views as well, as every consumer of bodies does.
        self._consumer: Any = consumer
        self._producer: IPushProducer | None = None

    def expect(self, skip: int, until: int | None, end: int | None) -> None:
        """Leave out so many bytes, and those from ``until`` on, of the answer that comes now, which ends at ``end``."""
        self._skip, self._end = skip, end
        self.move(until)

    def move(self, until: int | None) -> None:
        """Leave out what comes from ``until`` on."""
        self._stop = _least(until, self._end)
        self._goes_on = int(self._stop != self._end)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Hand through (IConsumer)."""
        self._producer = producer
        self._consumer.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Hand through (IConsumer)."""
        self._producer = None
        self._consumer.unregisterProducer()

    def let_go(self) -> None:
        """Leave the consumer without a producer: one that was stopped does not take itself off."""
        if self._producer is not None:
            self.unregisterProducer()

    def write(self, data: bytes | memoryview) -> None:
        """Hand through what is new and asked for (IConsumer)."""
        if self._skip or self._stop is not None:
            data = self._cut(data)
        if data:
            self.position += len(data)
            self._consumer.write(data)

    def _cut(self, data: bytes | memoryview) -> bytes | memoryview:
        dropped = min(self._skip, len(data))
        self._skip -= dropped
        wanted = len(data) if self._stop is None else dropped + max(0, self._stop - self.position)
        if wanted < len(data) + self._goes_on and self._producer is not None:
            self._producer.stopProducing()
        return data[dropped:wanted]
