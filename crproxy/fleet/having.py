"""What this node has of a blob, for another one: kept, on its way into any of its workers, or in their memory.

Nothing is ever asked of upstream for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ..flights import Flight, Flights
from ..flights.peers import NotThere, PeersFirst
from ..flights.window import FellBehind
from ..policy.ranges import ByteRange, RangeNotSatisfiable, Slice, parse_content_range
from ..pullthrough import Body, Reply
from ..store.blobs import PartialKey
from ..store.store import Store
from ..upstream.client import Streamed
from ..upstream.resuming import pour
from .neighbours import FilesOfOthers, FromOthers, Nowhere

__all__ = ["Having"]

_TYPE = {"Content-Type": "application/octet-stream"}
# For which a byte is waited for that a window has not reached, and between two looks: its readers move it on.
_AHEAD_SECONDS = 5.0
_LOOK_SECONDS = 0.02


class Having:
    """Finds what there is of a blob.

    Arguments:
        store: what is kept.
        flights: those of this worker; by what they are given, other workers are found.
    """

    _log = Logger()

    def __init__(self, store: Store, flights: Flights) -> None:
        self._store = store
        self._flights = flights
        self._peers = flights.needs.peers
        self._clock = flights.needs.clock
        self._files = FilesOfOthers(flights.needs)

    async def get(self, key: PartialKey, wanted: ByteRange | None) -> Reply:
        """Return the reply with what is wanted, from a first byte on; 404 where there is nothing, 416 without these.

        It may take as long as upstream's header does. Of what has no known size only the whole is given.

        Arguments:
            wanted: None is all of it.
        """
        try:
            found = (
                await self._kept(key, wanted)
                or await self._coming(key, wanted)
                or await self._coming_to_others(key, wanted)
                or await self._in_memory_of_others(key, wanted)
                # It may have become whole while the others were looked at.
                or await self._kept(key, wanted)
            )
        except RangeNotSatisfiable as error:
            return Reply(416, {"Content-Range": str(error)} if str(error) else {})
        return found or Reply(404)

    async def _kept(self, key: PartialKey, wanted: ByteRange | None) -> Reply | None:
        if self._store.is_unread(key.entry) and not await self._store.read_first(key.entry):
            return None
        opened = self._store.open(key.entry)
        if opened is None:
            return None
        try:
            part = _chosen(wanted, opened.size)
            start, stop = (0, opened.size) if part is None else (part.start, part.stop)
            return _reply(part, opened.flow(start, stop))
        except (RangeNotSatisfiable, ValueError):
            opened.close()
            raise

    async def _coming(self, key: PartialKey, wanted: ByteRange | None) -> Reply | None:
        """Return what a flight of this worker brings."""
        flight = self._flights.get(key.entry)
        if flight is None or flight.key != key:
            return None
        if _is_second_hand(flight):
            return Reply(404)
        try:
            size = await flight.known()
        except CancelledError:
            raise
        except Exception as error:
            # Why it has failed its own readers are told.
            self._log.debug("{flight} gives other nodes nothing: {error}", flight=flight, error=error)
            return None
        if _is_second_hand(flight):
            return Reply(404)
        part = _chosen(wanted, size)
        await self._reach(flight, 0 if part is None else part.start)
        return _reply(part, flight.reader(part, Nowhere()))

    async def _reach(self, flight: Flight, start: int) -> None:
        """Return when a reader may begin there; raises RangeNotSatisfiable where that will not be in a while."""
        until = self._clock.seconds() + _AHEAD_SECONDS
        while not flight.has(start):
            window = flight.window
            if window is None or window.start > start or flight.is_over or self._clock.seconds() >= until:
                raise RangeNotSatisfiable
            await deferLater(self._clock, _LOOK_SECONDS)

    async def _coming_to_others(self, key: PartialKey, wanted: ByteRange | None) -> Reply | None:
        """Return what another worker of this node fills a file with."""
        try:
            found = self._files.find(key)
            if found is None:
                return None
            size = await found.known()
        except CancelledError:
            raise
        except Exception as error:
            self._log.debug("{entry} comes to no other worker: {error}", entry=key.entry, error=error)
            return None
        part = _chosen(wanted, size)
        return _reply(part, found.reader(part))

    async def _in_memory_of_others(self, key: PartialKey, wanted: ByteRange | None) -> Reply | None:
        """Return what another worker of this node has, of which the disk takes nothing."""
        source = FromOthers(PeersFirst(key, None, Nowhere(), self._peers, lambda: None))
        try:
            opened = await source.open(0 if wanted is None or wanted.first is None else wanted.first, None)
        except FellBehind:
            return None
        except NotThere:
            raise RangeNotSatisfiable from None
        try:
            part = _chosen(wanted, _size_of(opened))
        except RangeNotSatisfiable:
            opened.body.abandon()
            raise
        return _reply(part, _FromOther(source, opened, part, self._clock))


@dataclass(frozen=True, slots=True)
class _FromOther:
    """A body that another worker sends (Body)."""

    source: FromOthers
    opened: Streamed
    part: Slice | None
    clock: IReactorTime

    @property
    def length(self) -> int | None:
        """Bytes, where that is known (Body)."""
        return _size_of(self.opened) if self.part is None else self.part.length

    def join(self, consumer: IConsumer) -> Deferred[None]:
        """Let them flow, at most as far as they are wanted (Body)."""
        start, stop = (0, None) if self.part is None else (self.part.start, self.part.stop)
        return Deferred.fromCoroutine(pour(self.source, consumer, start, stop, self.clock, opened=self.opened))

    def abandon(self) -> None:
        """Let go of them (Body)."""
        self.opened.body.abandon()


def _is_second_hand(flight: Flight) -> bool:
    """Tell whether what it brings is another node's.

    Who asks for that has an old word of who has the lease, and is to ask that node itself. It may even be the one that
    this flight follows: then both would wait for each other.
    """
    return flight.is_with_a_node


def _size_of(opened: Streamed) -> int | None:
    """Return the size of the whole."""
    if opened.status == 200:
        return opened.body.length
    sent = parse_content_range(opened.headers.get("content-range"))
    return None if sent is None else sent.size


def _chosen(wanted: ByteRange | None, size: int | None) -> Slice | None:
    """Return the part that is meant; None is the whole. Raises RangeNotSatisfiable."""
    # "A server MAY ignore the Range header field" (RFC 9110, 14.2): of nothing there are no parts.
    if wanted is None or (size == 0 and wanted.from_the_start):
        return None
    if size is not None:
        return wanted.of(size)
    if not wanted.from_the_start:
        raise RangeNotSatisfiable
    return None


def _reply(part: Slice | None, body: Body) -> Reply:
    if part is None:
        return Reply(200, _TYPE, body)
    return Reply(206, {**_TYPE, "Content-Range": part.content_range}, body)
