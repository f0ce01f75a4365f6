"""What has come of a blob, segment by segment, on its way to one consumer in order.

Who brings it is not known here.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.interfaces import IConsumer

from .segments import Memory, Segment

__all__ = ["InOrder"]


class InOrder:
    """The segments that are not written yet, of which the first goes straight to the consumer.

    ``end`` is where all of them end together, None while nobody knows; ``next`` where what is in none of them begins.
    To begin with, one has all. ``is_over``: nothing more is written.
    """

    def __init__(self, consumer: IConsumer, start: int, stop: int | None, memory: Memory) -> None:
        self.end = self.next = stop
        self.is_over = False
        self.is_paused = False
        # Takes views as well, as every consumer of bodies does.
        self._consumer: Any = consumer
        self._memory = memory
        self._segments = deque([Segment(start, stop, memory)])

    @property
    def first(self) -> Segment | None:
        """The one that is written now."""
        return self._segments[0] if self._segments else None

    @property
    def is_done(self) -> bool:
        """Whether all is written."""
        return not self._segments and self.next == self.end

    @property
    def received(self) -> int:
        """Where what has come would end if there were no gaps in it."""
        if not self._segments:
            return self.next or 0
        return self._segments[0].start + sum(segment.reached - segment.start for segment in self._segments)

    @property
    def running(self) -> int:
        """How many are being asked for."""
        return sum(segment.is_running for segment in self._segments)

    @property
    def reserved(self) -> int:
        """Bytes of memory that they may take."""
        return sum(segment.reserved for segment in self._segments)

    def missing(self) -> Segment | None:
        """Return the first of which some has not come, and nobody is asked for that."""
        return next((segment for segment in self._segments if segment.is_missing), None)

    def write(self) -> None:
        """Write what has come, and let what comes of the first go straight on."""
        while self._segments and self._may_write():
            first = self._segments[0]
            first.drain(self._consumer.write, self._may_write)
            if not first.is_empty or self.is_over:
                break
            if not first.is_through:
                first.pass_through(self._consumer.write)
            if first.is_running or not first.is_complete:
                break
            self._segments.popleft()
        if self._segments and not self.is_over:
            (self._segments[0].pause if self.is_paused else self._segments[0].resume)()

    def _may_write(self) -> bool:
        return not self.is_paused and not self.is_over

    def pause(self) -> None:
        """Write nothing until ``is_paused`` is set back, and `write` is called."""
        self.is_paused = True
        if self._segments:
            self._segments[0].pause()

    def trim(self) -> None:
        """Have no segments at the end of which nothing has come, nor is asked for."""
        while len(self._segments) > 1 and self._segments[-1].is_missing and self._segments[-1].is_untouched:
            last = self._segments.pop()
            last.forget()
            self.next = last.start

    def let_first_have_all(self) -> None:
        """Have the first go on to the end, where there is none behind it."""
        if len(self._segments) == 1 and not self._segments[0].is_complete:
            self._segments[0].end_at(self.end)
            self.next = self.end

    def let_first_end(self, stop: int) -> None:
        """Have the first, which has all, end at ``stop``, which lies ahead."""
        self._segments[0].end_at(stop)
        self.next = stop

    def know_end(self, end: int) -> None:
        """All of them end there."""
        self.end = end if self.end is None else min(self.end, end)

    def append(self, length: int) -> Segment:
        """Return a new segment behind all others, for which memory is taken where it has to be kept."""
        start = self.next or 0
        is_first = not self._segments
        segment = Segment(start, start + length, self._memory, 0 if is_first else length)
        self.next = start + length
        self._segments.append(segment)
        if is_first:
            segment.pass_through(self._consumer.write)
        return segment

    def came_whole(self, segment: Segment) -> None:
        """All of it came: where nobody knew its length, that is known now."""
        if segment.stop is None:
            self.end = self.next = segment.stop = segment.reached

    def close(self) -> None:
        """Have nothing come, and keep nothing."""
        self.is_over = True
        for segment in list(self._segments):
            segment.cancel()
            segment.forget()
