"""The bytes of one blob, in order, over several connections where one is slow.

What `pour` does, and the same as long as one connection brings all that is wanted. Where it does not, others are asked
for the parts behind, which are kept in memory until it is their turn. One that fails leaves its part to the others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer, IDelayedCall, IPushProducer, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from ..oci.errors import ErrorCode, RegistryError
from ..policy.parallel import Bounds
from ..policy.retries import wait_before_retry
from .client import Streamed
from .comparing import Compared, OtherContent
from .in_order import InOrder
from .relay import BodyBroke
from .resuming import OnSize, Parallel, Pouring, RangeRefused, Source
from .segments import Memory, Segment
from .speed import Speed

__all__ = ["pour_in_parallel"]

# Seconds between two looks at how fast it comes.
_LOOK = 0.5
# How often the last connection that is left may be refused without a byte gained, and the seconds that it waits then.
_REFUSALS = 4
_LONGEST_WAIT = 30


async def pour_in_parallel(
    source: Source,
    consumer: IConsumer,
    start: int,
    stop: int | None,
    clock: IReactorTime,
    memory: Memory,
    *,
    is_wanted: Callable[[], bool] = lambda: True,
    on_size: OnSize = lambda _: None,
    bounds: Bounds | None = None,
) -> None:
    """Write the bytes from ``start`` up to ``stop`` (or all that follow) to ``consumer``, in their order.

    Arguments:
        memory: for what comes before it is its turn.
        is_wanted: tells whether somebody would take more than comes.
        on_size: see `pour`.

    Raises:
        RegistryError: upstream refuses.
        BodyBroke: it broke again and again without a byte gained.
        CancelledError: it was cancelled, or the consumer stopped it.
    """
    in_order = InOrder(consumer, start, stop, memory)
    await _Transfer(source, consumer, in_order, clock, memory, is_wanted, on_size, bounds or Bounds()).run()


@implementer(IPushProducer)
class _Transfer:
    """Has the segments brought: one, that has all, over one connection, or several over as many as there may be."""

    def __init__(
        self,
        source: Source,
        consumer: IConsumer,
        in_order: InOrder,
        clock: IReactorTime,
        memory: Memory,
        is_wanted: Callable[[], bool],
        on_size: OnSize,
        bounds: Bounds,
    ) -> None:
        self._parallel: Parallel | None = source.parallel
        self._compared = Compared(source.open)
        self._consumer: Any = consumer
        self._segments = in_order
        self._clock = clock
        self._memory = memory
        self._is_wanted = is_wanted
        self._on_size = on_size
        self._bounds = bounds
        # For whom upstream is asked, whoever calls.
        self._context = copy_context()
        self._done: Deferred[None] = Deferred()
        # How many connections there may be; there were several.
        self._most = 1
        self._has_begun = False
        self._is_registered = self._was_paused = False
        self._is_busy = self._is_due = False
        self._size = 0
        self._speed: Speed | None = None
        self._refusals, self._refused_at = 0, -1
        self._timer: IDelayedCall | None = None
        self._retry: IDelayedCall | None = None

    async def run(self) -> None:
        """Do it. Raises as `pour_in_parallel` does."""
        try:
            self._go_on()
            await self._done
        finally:
            for timer in (self._timer, self._retry):
                if timer is not None and timer.active():
                    timer.cancel()
            self._segments.close()
            if self._is_registered:
                self._consumer.unregisterProducer()

    # The consumer's side

    def pauseProducing(self) -> None:
        """The consumer is full (IPushProducer)."""
        self._was_paused = True
        self._segments.pause()

    def resumeProducing(self) -> None:
        """It takes more (IPushProducer)."""
        self._segments.is_paused = False
        self._go_on()

    def stopProducing(self) -> None:
        """It takes no more (IProducer)."""
        self._end(Failure(CancelledError()))

    # What is asked for

    def _go_on(self) -> None:
        """Do what can be done now; what that brings about at once is done after it, not in the midst of it."""
        self._is_due = True
        if self._is_busy:
            return
        self._is_busy = True
        try:
            while self._is_due and not self._segments.is_over:
                self._is_due = False
                self._step()
        finally:
            self._is_busy = False

    def _step(self) -> None:
        self._segments.write()
        if self._segments.is_done:
            self._end(None)
            return
        self._segments.trim()
        if self._most == 1:
            self._segments.let_first_have_all()
        while self._may_ask():
            segment = self._segments.missing() or self._allot()
            if segment is None:
                return
            self._ask(segment)

    def _may_ask(self) -> bool:
        if self._segments.is_over or self._segments.is_paused or self._retry is not None:
            return False
        first = self._segments.first
        # For what all others wait there is a connection, whatever becomes of theirs; the last is asked for by itself.
        is_due = first is not None and first.is_missing and self._most > 1
        return self._segments.running < self._most or is_due

    @property
    def _is_alone(self) -> bool:
        """Whether the one connection that there is has no others beside it."""
        return self._most == 1 and self._segments.running <= 1

    def _allot(self) -> Segment | None:
        """Return a new segment; None where there is nothing to be asked for, or no memory for it."""
        start, end = self._segments.next, self._segments.end
        if start is None or end is None or start >= end:
            return None
        is_first = self._segments.first is None
        length = self._length(end - start, is_first=is_first)
        return self._segments.append(length) if length else None

    def _length(self, left: int, *, is_first: bool) -> int:
        """Return how many of the bytes that are left the next segment has; 0 where there is no memory for it.

        Each connection has the same share, or those that are done with less would wait for one that has more.
        """
        if self._most == 1:
            return left if is_first else 0
        reserved = self._segments.reserved
        there_is = min(self._memory.free + reserved, self._bounds.held)
        share = max(self._bounds.least, there_is // self._most)
        room = share if is_first else min(share, there_is - reserved)
        return self._bounds.length(self._rate, left, self._most, room)

    @property
    def _rate(self) -> float:
        return 0.0 if self._speed is None else self._speed.of_one

    def _ask(self, segment: Segment) -> None:
        on_size = self._compared.check if self._has_begun else self._know
        open_ = functools.partial(self._open, segment)
        pouring = Pouring(open_, segment, segment.reached, segment.stop, self._clock, on_size=on_size)
        segment.begin(pouring)
        running = self._context.copy().run(lambda: Deferred.fromCoroutine(pouring.run()))
        segment.runs(running)
        running.addBoth(self._ended, segment)

    async def _open(self, segment: Segment, start: int, stop: int | None) -> Streamed:
        # One that broke is asked for again: others may have begun, or ended, since.
        segment.was_alone = self._is_alone
        # The last that is left may have the whole, and leave out what is here.
        open_ = self._compared.open if segment.was_alone else self._compared.open_part
        return await open_(start, stop)

    def _know(self, size: int | None) -> None:
        """The header of the first answer is there, or that of one that goes on from it."""
        self._on_size(size)
        self._compared.know(size)
        if not self._is_registered:
            self._is_registered = True
            self._consumer.registerProducer(self, True)
        if size is not None and self._speed is None:
            self._segments.know_end(size)
            if size > self._bounds.large and self._parallel is not None:
                self._size = size
                self._speed = Speed(self._bounds, self._clock.seconds(), self._segments.received)
                self._timer = self._clock.callLater(_LOOK, self._look)

    # How it ends

    def _ended(self, result: Failure | None, segment: Segment) -> None:
        segment.ended()
        if self._segments.is_over:
            return
        if isinstance(result, Failure):
            self._failed(result, was_alone=segment.was_alone)
        else:
            self._segments.came_whole(segment)
        self._go_on()

    def _failed(self, failure: Failure, *, was_alone: bool) -> None:
        if failure.check(CancelledError):
            # By us: somebody else is to bring it.
            return
        if failure.check(BodyBroke, RegistryError) is None or not self._has_begun:
            self._end(failure)
        elif not was_alone or self._most > 1:
            # If none are left, it is asked again as a single one would be.
            self._most = max(1, self._most - 1)
            if isinstance(failure.value, RegistryError) and _says_one(failure.value) and self._parallel is not None:
                self._parallel.refused(failure.value)
        else:
            self._ask_again_or_end(failure)

    def _ask_again_or_end(self, failure: Failure) -> None:
        """The last connection is refused what a single one would have had with its first answer: be patient."""
        received = self._segments.received
        self._refusals = 1 if received > self._refused_at else self._refusals + 1
        self._refused_at = received
        wait = wait_before_retry(self._refusals, _REFUSALS)
        asked = failure.value.retry_after or 0 if isinstance(failure.value, RegistryError) else 0
        if wait is None or asked > _LONGEST_WAIT or not _may_pass(failure.value):
            self._end(failure)
        else:
            self._retry = self._clock.callLater(max(wait, asked), self._ask_again)

    def _ask_again(self) -> None:
        self._retry = None
        self._go_on()

    def _end(self, failure: Failure | None) -> None:
        if self._segments.is_over:
            return
        self._segments.is_over = True
        if failure is None:
            self._done.callback(None)
        else:
            self._done.errback(failure)

    # How fast it is

    def _look(self) -> None:
        if self._speed is None:
            return
        self._timer = self._clock.callLater(_LOOK, self._look)
        was_paused, self._was_paused = self._was_paused, self._segments.is_paused
        segments = self._segments
        self._speed.look(self._clock.seconds(), segments.received, segments.running, was_paused=was_paused)
        if not self._has_begun:
            self._consider(self._speed)
        elif self._most > 1:
            self._reconsider(self._speed)
        # Another transfer may have given memory back.
        self._go_on()

    def _consider(self, speed: Speed) -> None:
        """Ask over several connections from now on, if that is worth it."""
        received, end = self._segments.received, self._segments.end
        if end is None or self._memory.free < self._bounds.least:
            return
        if not self._compared.takes_ranges or not speed.is_slow(self._size, end - received) or not self._is_wanted():
            return
        connections = self._context.copy().run(lambda: 1 if self._parallel is None else self._parallel.connections)
        if connections < 2:
            return
        self._most, self._has_begun = connections, True
        speed.begin()
        # What the first connection is about to bring it brings still.
        self._segments.let_first_end(received + self._length(end - received, is_first=True))

    def _reconsider(self, speed: Speed) -> None:
        """Ask over less connections, where more bring nothing."""
        first = self._segments.first
        if speed.is_without_gain():
            self._most = 1
        elif first is not None and first.is_running and speed.is_stuck(first, first.reached):
            self._most -= 1
            first.cancel()


def _says_one(error: RegistryError) -> bool:
    """Tell whether who answers a part so is better asked over one connection, for a while."""
    if isinstance(error, RangeRefused):
        return not isinstance(error, OtherContent)
    return error.code is ErrorCode.TOOMANYREQUESTS


def _may_pass(error: object) -> bool:
    if isinstance(error, RegistryError):
        return error.code in (ErrorCode.UNAVAILABLE, ErrorCode.TOOMANYREQUESTS) and not isinstance(error, RangeRefused)
    return True
