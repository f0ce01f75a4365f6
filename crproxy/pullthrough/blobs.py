"""Blobs: from the store, from a flight, or straight from upstream where neither can serve."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from twisted.internet.interfaces import IReactorTime

from ..flights import Flight, Flights, NotKept, Shared, Told
from ..limits import Fills
from ..oci.digests import Digest
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
    unsatisfied_size,
)
from ..store.blobs import AlreadyStored
from ..store.content import OpenContent
from ..store.entries import View
from ..store.store import Store
from ..store.verifying import Unread
from ..upstream.client import RegistryClient, Streamed
from ..upstream.single_flight import SingleFlight
from .counting import Ending, counted
from .passing import BlobSource, Passed
from .patience import Patience
from .permissions import Permissions, Proof
from .reply import Asked, Body, CacheStatus, Content, Reply, Unsent, named

__all__ = ["Blobs"]


class Blobs:
    """Answers requests for blobs.

    Arguments:
        client: asks upstream.
        store: what is kept.
        permissions: who may have it.
        flights: what is being fetched.
        fills: counts that.
        patience: waits for upstream where something is kept.
        clock: for waiting between attempts.
    """

    def __init__(
        self,
        client: RegistryClient,
        store: Store,
        permissions: Permissions,
        flights: Flights,
        fills: Fills,
        patience: Patience,
        clock: IReactorTime,
    ) -> None:
        self._client = client
        self._store = store
        self._permissions = permissions
        self._flights = flights
        self._fills = fills
        self._patience = patience
        self._clock = clock
        self._questions: SingleFlight[BlobSource, int | None] = SingleFlight()
        # Whose permission is made when a flight has brought all of it.
        self._waiting: dict[Shared, set[View]] = {}
        self._counts: dict[Shared, Ending] = {}

    async def head(self, view: View, digest: Digest) -> Reply:
        """Return the reply to a HEAD, which downloads nothing. Raises RegistryError."""
        view = self._permissions.widest(view, digest)
        stored = self._store.size(view.entry(digest))
        if stored is None:
            return await self._head_of_what_comes(view, digest)
        if self._permissions.proof(view, digest) is Proof.GIVEN:

            def confirm() -> float | None:
                is_same = self._store.size(view.entry(digest)) == stored
                return self._permissions.given_until(view, digest) if is_same else None

            return replace(_head_reply(digest, stored, CacheStatus.HIT), lasting=self._permissions.lasting(confirm))
        size, stale = await self._ask_or_stale(view, digest)
        status = CacheStatus.MISS if stale is None else CacheStatus.STALE
        return _warned(_head_reply(digest, stored if stale else size, status), stale)

    async def _head_of_what_comes(self, view: View, digest: Digest) -> Reply:
        """Return the reply by what a flight was told, where this repository may have it; else by what upstream says."""
        flight = self._flights.get(view.entry(digest))
        size = None if flight is None else flight.size
        if flight is not None and size is not None and await self._may_join(flight, view, digest):
            return _head_reply(digest, size, CacheStatus.COLLAPSED)
        return _head_reply(digest, await self._ask(view, digest), CacheStatus.MISS)

    async def get(self, view: View, digest: Digest, asked: Asked) -> Reply:
        """Return the reply to a GET, of a range too. Raises RegistryError."""
        wanted = _wanted(asked)
        view = self._permissions.widest(view, digest)
        opened = self._store.open(view.entry(digest))
        if opened is not None:
            return await self._from_store(view, digest, wanted, opened, asked.client)
        flight = self._flights.get(view.entry(digest))
        if flight is None and wanted is not None and not self._would_soon_reach(view, digest, wanted):
            return await self._from_upstream(view, digest, wanted, asked.client)
        return await self._from_flight(view, digest, wanted, flight, asked.client)

    def _would_soon_reach(self, view: View, digest: Digest, wanted: ByteRange) -> bool:
        """Tell whether a flight would have ``wanted`` soon: from the start, or where one before it has left off.

        A client that resumes what was cut has about as much as there is here.
        """
        if wanted.from_the_start or wanted.first is None:
            return wanted.from_the_start
        begun = self._store.blobs.partial_size(view.entry(digest), view.repository.registry)
        return begun is not None and not is_far_ahead(wanted.first, begun, 0.0)

    async def fetch(self, view: View, digest: Digest) -> Flight | None:
        """Return the flight that brings the blob here, for who wants it kept and not read; None where it is kept.

        Raises:
            RegistryError: upstream refuses.
            NotKept: nothing can be stored.
        """
        entry = view.entry(digest)
        while self._store.size(entry) is None:
            flight = self._flights.get(entry)
            if flight is not None and not await self._may_join(flight, view, digest):
                await self._prove(view, digest)
                continue
            if flight is not self._flights.get(entry):
                continue
            flight = flight or self._begin(view, digest, None)
            try:
                await flight.known()
            except AlreadyStored:
                continue
            except RegistryError:
                if flight.source == BlobSource(self._client, view, digest):
                    raise
                # It was refused to the repository that began it; that says nothing of this one.
                continue
            if flight.is_unkept:
                raise NotKept("the disk does not take it")
            return flight
        match self._permissions.proof(view, digest):
            case Proof.WORD:
                await self._ask(view, digest)
            case Proof.BYTES:
                await self._prove(view, digest)
        return None

    async def _from_store(
        self, view: View, digest: Digest, wanted: ByteRange | None, opened: OpenContent, client: str | None
    ) -> Reply:
        try:
            proof, stale = self._permissions.proof(view, digest), None
            if proof is Proof.WORD:
                _, stale = await self._ask_or_stale(view, digest)
            part = _part(wanted, opened.size)
        except BaseException:
            opened.close()
            raise
        if proof is Proof.BYTES:
            opened.close()
            return await self._from_upstream(view, digest, wanted, client)
        if isinstance(part, Reply):
            opened.close()
            return part
        status = CacheStatus.HIT if proof is Proof.GIVEN else CacheStatus.REVALIDATED
        status = status if stale is None else CacheStatus.STALE
        return _warned(_reply(digest, part, opened.flow(part.start, part.stop), status, whole=wanted is None), stale)

    async def _from_flight(
        self, view: View, digest: Digest, wanted: ByteRange | None, flight: Flight | None, client: str | None
    ) -> Reply:
        if flight is not None and not await self._may_join(flight, view, digest):
            return await self._from_upstream(view, digest, wanted, client)
        if flight is not self._flights.get(view.entry(digest)):
            # All of it may have come, or gone, while upstream was asked.
            return await self._anew(view, digest, wanted, client)
        joined = flight is not None
        flight = flight or self._begin(view, digest, client)
        try:
            size = await flight.known()
        except NotKept:
            # It is over, though its end is told only when all who waited have turned elsewhere.
            self._counts.get(flight, _nothing)()
            return await self._from_upstream(view, digest, wanted, client)
        except AlreadyStored:
            return await self._anew(view, digest, wanted, client)
        except RegistryError:
            if flight.source == BlobSource(self._client, view, digest):
                raise
            # It was refused to the repository that began it; that says nothing of this one.
            return await self._anew(view, digest, wanted, client)
        kept = CacheStatus.COLLAPSED if joined else CacheStatus.STORED
        source = BlobSource(self._client, view, digest)
        unkept = CacheStatus.SHARED if joined else CacheStatus.MISS
        status = unkept if flight.is_unkept else kept
        if size is None and flight.has(0):
            return Reply(200, {**_TYPE, **named(digest, status)}, flight.reader(None, source))
        if size is None:
            return await self._from_upstream(view, digest, wanted, client)
        part = _part(wanted, size)
        if isinstance(part, Reply):
            return part
        if is_far_ahead(part.start, flight.filled, flight.rate) or not flight.has(part.start):
            return await self._from_upstream(view, digest, wanted, client)
        return _reply(digest, part, flight.reader(part, source), status, whole=wanted is None)

    async def _anew(self, view: View, digest: Digest, wanted: ByteRange | None, client: str | None) -> Reply:
        """Look again at what is here, after waiting for somebody else's flight."""
        opened = self._store.open(view.entry(digest))
        if opened is not None:
            return await self._from_store(view, digest, wanted, opened, client)
        return await self._from_flight(view, digest, wanted, self._flights.get(view.entry(digest)), client)

    async def _may_join(self, flight: Flight, view: View, digest: Digest) -> bool:
        """Tell whether ``view`` may have what a flight brings; upstream is asked where only its word is missing.

        Raises:
            RegistryError: upstream refuses.
        """
        other = cast(BlobSource, flight.source).view
        is_its_own = view.repository.registry == other.repository.registry
        if self._permissions.may_join(view, other) or self._permissions.proof(view, digest) is Proof.GIVEN:
            # What a stranger's registry sends is theirs to have once it was looked at.
            return is_its_own or flight.verify()
        if not is_its_own:
            return False
        # This registry is giving the bytes just now, so that it does not merely repeat what it is asked.
        await self._ask(view, digest)
        if flight in self._waiting:
            self._waiting[flight].add(view)
        else:
            self._permissions.confirmed(view, digest)
        return True

    def _begin(self, view: View, digest: Digest, client: str | None) -> Flight:
        """Begin a flight for ``client``. Raises RegistryError where too many are under way."""
        entry, origin = view.entry(digest), view.repository.registry
        fill = self._fills.begin(str(origin), client, blob=f"{origin} {entry}")
        waiting, count = {view}, Ending(lambda: self._fills.end(fill))

        def arrived(flight: Shared) -> None:
            self._waiting.pop(flight, None)
            for each in waiting:
                self._permissions.given(each, digest, size=flight.size)

        def ended(flight: Shared) -> None:
            count()
            self._counts.pop(flight, None)
            self._waiting.pop(flight, None)

        def asks_upstream() -> None:
            if not count.is_over:
                self._fills.asks_upstream(fill)

        told = Told(arrived, asks_upstream, ended)
        whose = None if view.caller is not None else repr(view)
        flight = self._flights.begin(entry, BlobSource(self._client, view, digest), origin, told, whose)
        if not (flight.is_over or flight.has_arrived):
            self._waiting[flight], self._counts[flight] = waiting, count
        return flight

    async def _from_upstream(self, view: View, digest: Digest, wanted: ByteRange | None, client: str | None) -> Reply:
        """Return what `_passed_through` does, counted as a fill until it ends. Raises RegistryError."""
        fill = self._fills.begin(str(view.repository.registry), client)
        return await counted(self._passed_through(view, digest, wanted), lambda: self._fills.end(fill))

    async def _passed_through(self, view: View, digest: Digest, wanted: ByteRange | None) -> Reply:
        """Pass through what is not kept, or not this repository's to have before upstream gave it.

        A part that no fill will soon reach; all where the disk cannot take it; what only another registry gave so far.
        """
        source = BlobSource(self._client, view, digest)
        if wanted is not None and wanted.first is None:
            size = await source.size()
            part = None if size is None else _part(wanted, size)
            if isinstance(part, Reply):
                return part
            wanted = None if part is None else ByteRange(part.start, part.stop - 1)
        start = 0 if wanted is None or wanted.first is None else wanted.first
        stop = None if wanted is None or wanted.last is None else wanted.last + 1
        try:
            streamed = await source.open(start, stop)
        except RegistryError as error:
            self._permissions.refused(view, error)
            raise
        self._permissions.confirmed(view, digest)
        if streamed.status == 200 and wanted is not None and streamed.body.length is not None:
            # Upstream does not know Range. podman gives up where it asks to resume and is sent the whole.
            return self._of_the_whole(source, streamed, wanted, streamed.body.length)
        headers = {**answer_headers(streamed.headers), **_TYPE, **named(digest, CacheStatus.MISS)}
        part = parse_content_range(streamed.headers.get("content-range"))
        if streamed.status == 416 or (streamed.status == 206 and part is None):
            streamed.body.abandon()
            return Reply(416, headers | _unsatisfied(streamed))
        if part is not None:
            headers["Content-Range"] = part.content_range
        return Reply(streamed.status, headers, self._poured(source, streamed, part))

    def _of_the_whole(self, source: BlobSource, streamed: Streamed, wanted: ByteRange, size: int) -> Reply:
        part = _part(wanted, size)
        if isinstance(part, Reply):
            streamed.body.abandon()
            return part
        return _reply(source.digest, part, self._poured(source, streamed, part), CacheStatus.MISS, whole=False)

    def _poured(self, source: BlobSource, streamed: Streamed, part: Slice | None) -> Passed:
        return Passed(source, streamed, part, self._clock, lambda: self._permissions.given(source.view, source.digest))

    async def _prove(self, view: View, digest: Digest) -> None:
        """Have the bytes sent for nobody: so upstream shows that they are this repository's. Raises RegistryError."""
        reply = await self._from_upstream(view, digest, None, None)
        await reply.body.join(Unread())

    async def _ask(self, view: View, digest: Digest) -> int | None:
        """Ask upstream whether this repository has the blob; return the size. Raises RegistryError."""
        source = BlobSource(self._client, view, digest)
        try:
            size = await self._questions.run(source, source.size)
        except RegistryError as error:
            self._permissions.refused(view, error)
            raise
        self._permissions.confirmed(view, digest, size=size)
        return size

    async def _ask_or_stale(self, view: View, digest: Digest) -> tuple[int | None, str | None]:
        """Return what `_ask` does, or the Warning to serve what is kept with while upstream cannot be asked."""

        async def ask() -> tuple[int | None, str | None]:
            return await self._ask(view, digest), None

        def instead(error: RegistryError) -> tuple[int | None, str | None]:
            link, stale = self._permissions.stale(view, digest, error)
            return link.size, stale

        return await self._patience.run((view, digest), view.repository.registry, ask, instead)


_TYPE = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}


def _nothing() -> None:
    """There is nothing to be ended."""


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


def _unsatisfied(streamed: Streamed) -> dict[str, str]:
    """Return how many bytes there are instead, where upstream said so (RFC 9110, 15.5.17)."""
    size = unsatisfied_size(streamed.headers.get("content-range"))
    return {} if size is None else {"Content-Range": f"bytes */{size}"}


def _warned(reply: Reply, warning: str | None) -> Reply:
    return reply if warning is None else replace(reply, headers={**reply.headers, "Warning": warning})


def _head_reply(digest: Digest, size: int | None, cache_status: str) -> Reply:
    return Reply(200, {**_TYPE, **named(digest, cache_status)}, Unsent(size))
