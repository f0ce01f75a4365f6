"""Blobs: from the store, from a flight, or straight from upstream where neither can serve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from ..flights import Flight, Flights, NotKept, Shared, Told
from ..flights.tiers import ObjectStore
from ..limits import Fills
from ..oci.digests import Digest
from ..oci.errors import RegistryError
from ..policy.parts import Run, choose, is_worth_the_whole, runs_of, unwanted
from ..policy.proofs import Proof
from ..policy.ranges import ByteRange, RangeNotSatisfiable, is_far_ahead, is_for, parse_ranges
from ..store.blobs import AlreadyStored
from ..store.content import OpenContent
from ..store.entries import View
from ..store.store import Store
from ..store.verifying import Unread
from ..upstream.client import RegistryClient
from ..upstream.single_flight import SingleFlight
from .blob_replies import BLOB_TYPE, blob_reply, head_reply, span_of, unsatisfiable
from .counting import Ending
from .from_upstream import APART, FromUpstream
from .passing import BlobSource
from .patience import Patience
from .permissions import Permissions
from .recall import Recall
from .redirecting import Redirecting
from .reply import Asked, CacheStatus, Reply, named, warned

# What is asked for of a blob; none is the whole.
Ranges = Sequence[ByteRange]

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
        settled: fires when what was noted so far is known to all workers.
        objects, recall: what all nodes have kept; None where there is no such thing.
        redirecting: sends clients elsewhere; None where nobody is.
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
        settled: Callable[[], Deferred[None]] = lambda: succeed(None),
        objects: ObjectStore | None = None,
        recall: Recall | None = None,
        redirecting: Redirecting | None = None,
    ) -> None:
        self._client = client
        self._store = store
        self._permissions = permissions
        self._flights = flights
        self._fills = fills
        self._patience = patience
        self._upstream = FromUpstream(client, permissions, fills, clock, settled, objects)
        self._recall = recall
        self._redirecting = redirecting
        self._questions: SingleFlight[BlobSource, int | None] = SingleFlight()
        # Whose permission is made when a flight has brought all of it.
        self._waiting: dict[Shared, set[View]] = {}
        self._counts: dict[Shared, Ending] = {}

    async def head(self, view: View, digest: Digest) -> Reply:
        """Return the reply to a HEAD, which downloads nothing. Raises RegistryError."""
        view = self._permissions.widest(view, digest)
        entry = view.entry(digest)
        stored = self._store.size(entry)
        if stored is not None and self._store.is_unread(entry):
            # Its size may be another's.
            stored = self._store.size(entry) if await self._store.read_first(entry) else None
        if stored is None:
            return await self._head_of_what_comes(view, digest)
        if self._permissions.proof(view, digest) is Proof.GIVEN:

            def confirm() -> float | None:
                is_same = self._store.size(view.entry(digest)) == stored
                return self._permissions.given_until(view, digest) if is_same else None

            return replace(head_reply(digest, stored, CacheStatus.HIT), lasting=self._permissions.lasting(confirm))
        size, stale = await self._ask_or_stale(view, digest)
        status = CacheStatus.MISS if stale is None else CacheStatus.STALE
        return warned(head_reply(digest, stored if stale else size, status), stale)

    async def _head_of_what_comes(self, view: View, digest: Digest) -> Reply:
        """Return the reply by what a flight was told, where this repository may have it; else by what upstream says."""
        flight = self._flights.get(view.entry(digest))
        size = None if flight is None else flight.size
        if flight is not None and size is not None and await self._may_join(flight, view, digest):
            return head_reply(digest, size, CacheStatus.COLLAPSED)
        return head_reply(digest, await self._size(view, digest), CacheStatus.MISS)

    async def get(self, view: View, digest: Digest, asked: Asked) -> Reply:
        """Return the reply to a GET, of ranges too. Raises RegistryError."""
        wanted = _wanted(asked, digest)
        view = self._permissions.widest(view, digest)
        redirecting = self._redirecting if asked.may_redirect else None
        redirect = None if redirecting is None else await redirecting.to_store(view, digest)
        if redirect is not None:
            return redirect
        opened = self._store.open(view.entry(digest))
        if opened is not None:
            return await self._from_store(view, digest, wanted, opened, asked.client)
        redirect = None if redirecting is None else await redirecting.to_upstream(view, digest)
        if redirect is not None:
            return redirect
        flight = self._flights.get(view.entry(digest))
        if flight is None and len(wanted) > 1:
            return await self._several_of_what_is_not_here(view, digest, wanted, asked.client)
        if flight is None and wanted and not self._would_soon_reach(view, digest, wanted[0]):
            return await self._upstream.get(view, digest, wanted, asked.client)
        return await self._from_flight(view, digest, wanted, flight, asked.client)

    async def _several_of_what_is_not_here(
        self, view: View, digest: Digest, wanted: Ranges, client: str | None
    ) -> Reply:
        """Return the reply with several ranges: who asks so wants little of much, and the rest is not fetched for it.

        But where it is half of the blob or more, as when an image is new to a client, that is fetched for all.
        """
        size = await self._size(view, digest)
        try:
            is_for_all = size is None or is_worth_the_whole(choose(wanted, size))
        except RangeNotSatisfiable as error:
            return unsatisfiable(error)
        if is_for_all:
            return await self._anew(view, digest, wanted, client)
        return await self._upstream.get(view, digest, wanted, client, size)

    def _would_soon_reach(self, view: View, digest: Digest, wanted: ByteRange) -> bool:
        """Tell whether a flight would have ``wanted`` soon: from the start, or where one before it has left off.

        A client that resumes what was cut has about as much as there is here.
        """
        if wanted.from_the_start or wanted.first is None:
            return wanted.from_the_start
        begun = self._store.blobs.partial_size(view.entry(digest), view.repository.registry)
        return begun is not None and not is_far_ahead(wanted.first - begun, 0.0)

    async def fetch(self, view: View, digest: Digest) -> Flight | None:
        """Return the flight that brings the blob here, for who wants it kept and not read; None where it is kept.

        Raises:
            RegistryError: upstream refuses.
            NotKept: nothing can be stored.
        """
        entry = view.entry(digest)
        if self._store.is_unread(entry) and not await self._store.read_first(entry):
            raise NotKept("what is on disk of it cannot be read")
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
        self, view: View, digest: Digest, wanted: Ranges, opened: OpenContent, client: str | None
    ) -> Reply:
        try:
            proof, stale = self._permissions.proof(view, digest), None
            if proof is Proof.WORD and not opened.is_unread:
                _, stale = await self._ask_or_stale(view, digest)
        except BaseException:
            opened.close()
            raise
        if proof is Proof.BYTES:
            opened.close()
            return await self._upstream.get(view, digest, wanted, client)
        if opened.is_unread:
            opened.close()
            return await self._from_unread(view, digest, wanted, client)
        try:
            chosen = choose(wanted, opened.size)
        except RangeNotSatisfiable as error:
            opened.close()
            return unsatisfiable(error)
        status = CacheStatus.HIT if proof is Proof.GIVEN else CacheStatus.REVALIDATED
        status = status if stale is None else CacheStatus.STALE
        runs = runs_of(chosen.parts)
        bodies = opened.flows([(run[0].start, run[-1].stop) for run in runs])
        return warned(blob_reply(digest, chosen, runs, bodies, status), stale)

    async def _from_unread(self, view: View, digest: Digest, wanted: Ranges, client: str | None) -> Reply:
        """Serve what was found on disk once it was read: then it is right, or it comes anew."""
        if await self._store.read_first(view.entry(digest)):
            return await self._anew(view, digest, wanted, client)
        return await self._upstream.get(view, digest, wanted, client)

    async def _from_flight(
        self, view: View, digest: Digest, wanted: Ranges, flight: Flight | None, client: str | None
    ) -> Reply:
        if flight is not None and not await self._may_join(flight, view, digest):
            return await self._upstream.get(view, digest, wanted, client)
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
            return await self._upstream.get(view, digest, wanted, client)
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
            return Reply(200, {**BLOB_TYPE, **named(digest, status)}, flight.reader(None, source))
        if size is None:
            return await self._upstream.get(view, digest, wanted, client)
        try:
            chosen = choose(wanted, size)
        except RangeNotSatisfiable as error:
            return unsatisfiable(error)
        runs = runs_of(chosen.parts)
        # One that was begun for several ranges brings more of them than of what is between them.
        must_wait = not joined and len(chosen.parts) > 1
        if len(runs) > 1 or not (must_wait or _would_wait(flight, runs[0])) or not flight.has(runs[0][0].start):
            return await self._upstream.get(view, digest, wanted, client, size)
        return blob_reply(digest, chosen, runs, [flight.reader(span_of(runs[0]), source)], status)

    async def _anew(self, view: View, digest: Digest, wanted: Ranges, client: str | None) -> Reply:
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
        proof = self._permissions.proof(view, digest)
        flight = self._flights.begin(entry, BlobSource(self._client, view, digest), origin, told, whose, proof)
        if not (flight.is_over or flight.has_arrived):
            self._waiting[flight], self._counts[flight] = waiting, count
        return flight

    async def _prove(self, view: View, digest: Digest) -> None:
        """Have the bytes sent for nobody: so upstream shows that they are this repository's. Raises RegistryError."""
        reply = await self._upstream.get(view, digest, (), None)
        await reply.body.join(Unread())

    async def _size(self, view: View, digest: Digest) -> int | None:
        """Return the size of what is not here: as other nodes kept it, where this repository may have that."""
        size = None
        if self._recall is not None and self._permissions.proof(view, digest) is Proof.GIVEN:
            size = await self._recall.size(view.entry(digest))
        return await self._ask(view, digest) if size is None else size

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


def _would_wait(flight: Flight, run: Run) -> bool:
    """Tell whether a reader of ``run`` would rather wait for the fill than ask upstream itself."""
    return not is_far_ahead(unwanted(run, flight.filled), flight.rate, len(runs_of(run, APART)))


def _nothing() -> None:
    """There is nothing to be ended."""


def _wanted(asked: Asked, digest: Digest) -> Ranges:
    etag = named(digest, "")["ETag"]
    return parse_ranges(asked.headers.get("range")) if is_for(asked.headers.get("if-range"), etag) else ()
