"""A reader of a flight: follows the file that it fills, or its window where the disk takes no more.

Where neither has what comes next, it asks upstream itself.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IReactorTime

from ..oci.digests import Verifier
from ..policy.ranges import Slice
from ..store.files import FileFlow
from ..store.verifying import Verifying
from ..upstream.resuming import Source, pour
from .window import NotKept

__all__ = ["Followed", "Reader"]


class Followed(Protocol):
    """What a reader needs of its flight."""

    clock: IReactorTime
    size: int | None

    def left(self, reader: Reader) -> None:
        """A reader has ended."""

    def verifier_at(self, position: int) -> Verifier | None:
        """Return what has taken in all that came before ``position``; None where that is not known."""

    def beyond_the_file(self, start: int, part: Slice | None) -> FileFlow | None:
        """Return a flow of what comes from ``start`` on, past the disk; None where that is not here."""


class Reader:
    """One client's part of a flight: a body (see pullthrough) that follows the file."""

    def __init__(self, flight: Followed, part: Slice | None, flow: FileFlow, source: Source) -> None:
        self.flow = flow
        self._flight = flight
        self._part = part
        self._source = source

    @property
    def length(self) -> int | None:
        """Bytes, where that is known."""
        return self._flight.size if self._part is None else self._part.length

    def join(self, consumer: IConsumer) -> Deferred[None]:
        """Let the bytes flow to ``consumer``; fires when all were written, fails where they cannot be had."""
        return Deferred.fromCoroutine(self._deliver(consumer))

    def abandon(self) -> None:
        """Read nothing."""
        self.flow.abandon()
        self._flight.left(self)

    async def _deliver(self, consumer: IConsumer) -> None:
        try:
            while True:
                try:
                    await self.flow.join(consumer)
                    return
                except NotKept:
                    flow = self._flight.beyond_the_file(self.flow.position, self._part)
                    if flow is None:
                        break
                    self.flow = flow
            await self._go_on(consumer)
        finally:
            self.abandon()

    async def _go_on(self, consumer: IConsumer) -> None:
        """Ask upstream for what neither the disk nor the window has."""
        flight, start = self._flight, self.flow.position
        to_the_end = self._part is None or self._part.stop == self._part.size
        verifier = flight.verifier_at(start) if to_the_end else None
        if verifier is not None:
            checked = Verifying(consumer, verifier)
            await pour(self._source, checked, start, None, flight.clock)
            checked.check(self._source.blame)
            checked.finish()
        else:
            stop = None if self._part is None else self._part.stop
            await pour(self._source, consumer, start, stop, flight.clock)
