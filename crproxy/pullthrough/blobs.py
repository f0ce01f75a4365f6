"""Blobs: from the store, from a flight, or straight from upstream where neither can serve."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IReactorTime

from ..flights import Flight, Flights, NotKept
from ..limits import Fills
from ..oci.digests import Digest, Verifier
from ..oci.errors import ErrorCode, RegistryError
from ..policy.headers import answer_headers
from ..policy.ranges import (
    ByteRange,
    RangeNotSatisfiable,
    SeveralRanges,
    Slice,
    is_far_ahead,
    parse_content_range,
    parse_range,
)
from ..store.entries import View
from ..store.index import Link
from ..store.store import OpenContent, Store
from ..store.verifying import Verifying
from ..upstream.client import RegistryClient, Streamed
from ..upstream.once import Once
from ..upstream.resuming import pour
from .reply import Asked, Body, CacheStatus, Content, Reply, Unsent, named
from .rights import has_right, widest

__all__ = ["Blobs"]


@dataclass(frozen=True, slots=True)
class _Upstream:
    """Where the bytes of one blob can be had (Source): its repository, as it is seen by who asks."""

    client: RegistryClient
    view: View
    digest: Digest

    async def open(self, start: int, stop: int | None) -> Streamed:
        """Ask for the bytes (Source)."""
        return await self._client.blob(self.view.repository, self.digest, start, stop)

    async def size(self) -> int | None:
        """Ask how many there are (Source)."""
        length = (await self._client.head_blob(self.view.repository, self.digest)).get("content-length", "")
        return int(length) if length.isascii() and length.isdecimal() else None

    @property
    def _client(self) -> RegistryClient:
        return self.client.on_behalf_of(self.view.caller)


class _Poured:
    """A body that passes through: resumed where upstream cuts it, checked where it is whole, not kept."""

    def __init__(self, source: _Upstream, opened: Streamed, part: Slice | None, clock: IReactorTime) -> None:
        self._source = source
        self._opened = opened
        self._part = part
        self._clock = clock

    @property
    def length(self) -> int | None:
        """Bytes, where that is known."""
        return self._opened.body.length if self._part is None else self._part.length

    def join(self, consumer: IConsumer) -> Deferred[None]:
        """Let the bytes flow (Body)."""
        return Deferred.fromCoroutine(self._pour(consumer))

    def abandon(self) -> None:
        """Let go of upstream's answer (Body)."""
        self._opened.body.abandon()

    async def _pour(self, consumer: IConsumer) -> None:
        if self._part is None:
            checked = Verifying(consumer, Verifier(self._source.digest))
            await pour(self._source, checked, 0, None, self._clock, opened=self._opened)
            checked.finish()
        else:
            start, stop = self._part.start, self._part.stop
            await pour(self._source, consumer, start, stop, self._clock, opened=self._opened)


class Blobs:
    """Answers requests for blobs.

    Arguments:
        client: asks upstream.
        store: what is kept.
        flights: what is being fetched.
        fills: counts that.
        clock: for waiting between attempts.
    """

    def __init__(
        self, client: RegistryClient, store: Store, flights: Flights, fills: Fills, clock: IReactorTime
    ) -> None:
        self._client = client
        self._store = store
        self._flights = flights
        self._fills = fills
        self._clock = clock
        self._leaves: Once[_Upstream, int | None] = Once()

    async def head(self, view: View, digest: Digest) -> Reply:
        """Return the reply to a HEAD, which downloads nothing. Raises RegistryError."""
        view = widest(self._store, view, digest)
        if has_right(self._store, view, digest):
            size = self._store.size(view.entry(digest))
            if size is not None:
                return _head_reply(digest, size, CacheStatus.HIT)
        return _head_reply(digest, await self._ask_leave(view, digest), CacheStatus.MISS)

    async def get(self, view: View, digest: Digest, asked: Asked) -> Reply:
        """Return the reply to a GET, of a range too. Raises RegistryError."""
        wanted = _wanted(asked)
        view = widest(self._store, view, digest)
        opened = self._store.open(view.entry(digest))
        if opened is not None:
            return await self._from_store(view, digest, wanted, opened)
        flight = self._flights.get(view.entry(digest))
        if flight is None and wanted is not None and not wanted.from_the_start:
            return await self._from_upstream(view, digest, wanted)
        return await self._from_flight(view, digest, wanted, flight, asked.client)

    async def board(self, view: View, digest: Digest, *, has_leave: bool = False) -> Flight | None:
        """Return the flight that brings the blob here, for who wants it kept and not read; None where it is kept.

        Arguments:
            has_leave: upstream was asked for it just now.

        Raises:
            RegistryError: upstream refuses.
            NotKept: nothing can be stored.
        """
        entry = view.entry(digest)
        flight = self._flights.get(entry)
        source = _Upstream(self._client, view, digest)
        is_here = self._store.size(entry) is not None
        by_others = is_here or (flight is not None and flight.source != source)
        if by_others and not has_leave and not has_right(self._store, view, digest):
            await self._ask_leave(view, digest)
            # All of it may have come, or gone, meanwhile.
            return await self.board(view, digest, has_leave=True)
        if is_here:
            return None
        flight = flight or self._begin(view, digest, source, None)
        try:
            size = await flight.known()
        except RegistryError:
            if flight.source == source:
                raise
            # It was refused to the repository that began it; that says nothing of this one.
            return await self.board(view, digest, has_leave=has_leave)
        if flight.source == source:
            self._store.index.link(view, [(digest, Link(size=size))])
        return flight

    async def _from_store(self, view: View, digest: Digest, wanted: ByteRange | None, opened: OpenContent) -> Reply:
        try:
            status = CacheStatus.HIT
            if not has_right(self._store, view, digest):
                await self._ask_leave(view, digest)
                status = CacheStatus.REVALIDATED
            part = _part(wanted, opened.size)
        except BaseException:
            opened.close()
            raise
        if isinstance(part, Reply):
            opened.close()
            return part
        return _reply(digest, part, opened.flow(part.start, part.stop), status, whole=wanted is None)

    async def _from_flight(
        self, view: View, digest: Digest, wanted: ByteRange | None, flight: Flight | None, client: str | None
    ) -> Reply:
        source = _Upstream(self._client, view, digest)
        if flight is not None and flight.source != source and not has_right(self._store, view, digest):
            await self._ask_leave(view, digest)
            # All of it may have come meanwhile.
            opened = self._store.open(view.entry(digest))
            if opened is not None:
                return await self._from_store(view, digest, wanted, opened)
            flight = self._flights.get(view.entry(digest))
        status = CacheStatus.STORED if flight is None else CacheStatus.COLLAPSED
        flight = flight or self._begin(view, digest, source, client)
        ours = flight.source == source
        try:
            size = await flight.known()
        except NotKept:
            return await self._from_upstream(view, digest, wanted)
        except RegistryError:
            if ours:
                raise
            # It was refused to the repository that began it; that says nothing of this one.
            return await self._from_flight(view, digest, wanted, self._flights.get(view.entry(digest)), client)
        if ours:
            self._store.index.link(view, [(digest, Link(size=size))])
        if size is None:
            return Reply(200, {**_TYPE, **named(digest, status)}, flight.reader(None))
        part = _part(wanted, size)
        if isinstance(part, Reply):
            return part
        if is_far_ahead(part.start, flight.filled, flight.rate):
            return await self._from_upstream(view, digest, wanted)
        return _reply(digest, part, flight.reader(part), status, whole=wanted is None)

    def _begin(self, view: View, digest: Digest, source: _Upstream, client: str | None) -> Flight:
        """Begin a flight for ``client``. Raises RegistryError where too many are under way."""
        fill = self._fills.begin(str(view.repository.registry), client)
        return self._flights.begin(view.entry(digest), source, lambda: self._fills.end(fill))

    async def _from_upstream(self, view: View, digest: Digest, wanted: ByteRange | None) -> Reply:
        """Pass through what is not kept: a part that no fill will soon reach, or all where the disk cannot take it."""
        source = _Upstream(self._client, view, digest)
        if wanted is not None and wanted.first is None:
            size = await source.size()
            part = None if size is None else _part(wanted, size)
            if isinstance(part, Reply):
                return part
            wanted = None if part is None else ByteRange(part.start, part.stop - 1)
        start = 0 if wanted is None or wanted.first is None else wanted.first
        stop = None if wanted is None or wanted.last is None else wanted.last + 1
        streamed = await source.open(start, stop)
        self._store.index.link(view, [(digest, Link())])
        if streamed.status == 200 and wanted is not None and streamed.body.length is not None:
            # Upstream does not know Range. podman gives up where it asks to resume and is sent the whole.
            return self._of_the_whole(source, streamed, wanted, streamed.body.length)
        headers = {**_TYPE, **answer_headers(streamed.headers), **named(digest, CacheStatus.MISS)}
        part = parse_content_range(streamed.headers.get("content-range"))
        if streamed.status == 416 or (streamed.status == 206 and part is None):
            streamed.body.abandon()
            return Reply(416, headers)
        return Reply(streamed.status, headers, _Poured(source, streamed, part, self._clock))

    def _of_the_whole(self, source: _Upstream, streamed: Streamed, wanted: ByteRange, size: int) -> Reply:
        part = _part(wanted, size)
        if isinstance(part, Reply):
            streamed.body.abandon()
            return part
        body = _Poured(source, streamed, part, self._clock)
        return _reply(source.digest, part, body, CacheStatus.MISS, whole=False)

    async def _ask_leave(self, view: View, digest: Digest) -> int | None:
        """Ask upstream whether this repository has the blob, and remember it; return the size. Raises RegistryError."""
        source = _Upstream(self._client, view, digest)
        size = await self._leaves.run(source, source.size)
        self._store.index.link(view, [(digest, Link(size=size))])
        return size


_TYPE = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}


def _wanted(asked: Asked) -> ByteRange | None:
    try:
        return parse_range(asked.headers.get("range"))
    except SeveralRanges as error:
        raise RegistryError(ErrorCode.UNSUPPORTED, str(error), status=400) from error


def _part(wanted: ByteRange | None, size: int) -> Slice | Reply:
    """Return what is meant of ``size`` bytes, or the 416 (RFC 9110, 15.5.17) where there is nothing."""
    if wanted is None:
        return Slice(0, size, size)
    try:
        return wanted.of(size)
    except RangeNotSatisfiable as error:
        return Reply(416, {"Content-Range": str(error)}, Content())


def _reply(digest: Digest, part: Slice, body: Body, cache_status: str, *, whole: bool) -> Reply:
    headers = {**_TYPE, **named(digest, cache_status)}
    if whole:
        return Reply(200, headers, body)
    return Reply(206, headers | {"Content-Range": part.content_range}, body)


def _head_reply(digest: Digest, size: int | None, cache_status: str) -> Reply:
    return Reply(200, {**_TYPE, **named(digest, cache_status)}, Unsent(size))
