"""Where a flight takes its bytes from in a fleet: the node that has them coming, the object store, upstream.

One after the other is asked, and again from the byte that was reached each time a body breaks. None of them is
believed: whoever fills compares what came with the digest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..limits.shaping import Body
from ..oci.errors import RegistryError
from ..policy.proofs import Proof
from ..store.blobs import PartialKey
from ..store.entries import Entry
from ..upstream.answers import Streamed
from ..upstream.relay import BodyBroke
from ..upstream.resuming import Parallel, Source

__all__ = ["Elsewhere", "Holder", "Lease", "Leases", "Nodes", "ObjectStore", "SourceFailed", "Tiers"]

# How often a flight turns to other nodes, and to the object store, before it does without them.
_MOST_NODES = 5
_MOST_READS = 3


class SourceFailed(Exception):
    """Another node, or the object store, does not give the bytes; the message says why."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Another node that has the lease of a blob.

    Arguments:
        node: its name.
        url: where other nodes reach it.
        token: grows with each lease that is taken (a fencing token).
        whose: for whom it fetches the blob; see `Flights.begin`.
        has_it: the blob is there, whole.
    """

    node: str
    url: str
    token: int
    whose: str | None = None
    has_it: bool = False


class Lease(Protocol):
    """The right of this node to have upstream asked for a blob, for the whole fleet; ``lost`` fires when it is gone."""

    lost: Deferred[None]

    def fulfilled(self, entry: Entry, size: int) -> None:
        """The blob is here, whole and right: others find it here until all can have it elsewhere."""

    def give_back(self) -> None:
        """Nobody has it any more."""


class Leases(Protocol):
    """Who of the nodes fetches what."""

    async def take(self, key: PartialKey, whose: str | None) -> Lease | Holder | None:
        """Return the lease, or who has it; None where the nodes cannot agree: then each fetches for itself."""

    async def after(self, key: PartialKey, holder: Holder, whose: str | None) -> Lease | Holder | None:
        """Return what `take` does once ``holder``, which does not give the bytes, has the lease no more.

        Which has it for seconds all the same is alive, and out of reach for this node alone: then None.
        """


class Nodes(Protocol):
    """The other nodes."""

    async def open(self, holder: Holder, key: PartialKey, start: int) -> Streamed:
        """Ask one for the bytes from ``start`` on. Raises SourceFailed."""


class ObjectStore(Protocol):
    """What all nodes have kept."""

    async def open(self, entry: Entry, start: int, stop: int | None) -> Streamed | None:
        """Ask for bytes; None where it does not have the content. Raises SourceFailed."""

    def blame(self, entry: Entry) -> None:
        """Note that what it gave was wrong: it is not to give it again."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What there is besides upstream; None where there is no such thing.

    Arguments:
        leases, nodes: of a fleet.
        store: that nodes share.
    """

    leases: Leases | None = None
    nodes: Nodes | None = None
    store: ObjectStore | None = None

    @property
    def is_nowhere(self) -> bool:
        """Whether there is nothing."""
        return self.leases is None and self.store is None


class Tiers:
    """Where the bytes of one blob can be had (Source).

    ``is_with_a_node`` while another node is asked for them, and while they come from it.

    Arguments:
        key: what they are.
        whose: for whom; see `Flights.begin`.
        upstream: is asked last.
        proof: what it takes for these to be given from elsewhere.
        elsewhere: what else there is.
    """

    _log = Logger()

    def __init__(
        self, key: PartialKey, whose: str | None, upstream: Source, proof: Proof, elsewhere: Elsewhere
    ) -> None:
        self._key = key
        self._whose = whose
        self._upstream = upstream
        self._elsewhere = elsewhere
        self._lease: Lease | None = None
        # Upstream has said, now or before, that it is theirs for whom it is fetched.
        self._has_word = proof is Proof.GIVEN
        self._nodes_left = _MOST_NODES
        # What this registry never gave before the store must not prove to be its.
        self._reads_left = 0 if proof is Proof.BYTES else _MOST_READS
        self._from_upstream: set[_Interruptible] = set()
        self._is_with_upstream = self._gave_from_store = self._gave_from_node = False
        self.is_with_a_node = False

    async def open(self, start: int, stop: int | None) -> Streamed:
        """Ask for the bytes (Source)."""
        self.is_with_a_node = False
        opened = await self._open_node(start) or await self._open_store(start, stop)
        self._is_with_upstream = opened is None
        return opened or await self._open_upstream(start, stop)

    async def size(self) -> int | None:
        """Ask how many there are, which is upstream's to say (Source)."""
        return await self._upstream.size()

    @property
    def parallel(self) -> Parallel | None:
        """How upstream may be asked for several parts at once (Source)."""
        upstreams = self._upstream.parallel
        return None if upstreams is None else _OfUpstream(upstreams, lambda: self._is_with_upstream)

    def blame(self) -> None:
        """Note that what came is wrong (Source): where several gave of it, the store is trusted least."""
        if self._gave_from_store and self._elsewhere.store is not None:
            self._elsewhere.store.blame(self._key.entry)
        elif not self._gave_from_node:
            self._upstream.blame()

    def arrived(self, size: int) -> None:
        """All of it is here, and right: others find it here."""
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.fulfilled(self._key.entry, size)

    def close(self) -> None:
        """Ask for nothing any more."""
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.give_back()

    async def _open_node(self, start: int) -> Streamed | None:
        """Return what the node gives that has the lease; None where that is this one, or the nodes do not agree."""
        leases, nodes = self._elsewhere.leases, self._elsewhere.nodes
        if leases is None or nodes is None or self._lease is not None or not self._nodes_left:
            return None
        found = await leases.take(self._key, self._whose)
        while isinstance(found, Holder) and self._nodes_left:
            self._nodes_left -= 1
            if self._whose is None or found.whose != self._whose:
                await self._have_word()
            try:
                self.is_with_a_node = True
                opened = await nodes.open(found, self._key, start)
            except SourceFailed as error:
                self.is_with_a_node = False
                self._log.info(
                    "{entry} does not come from node {node}: {error}",
                    entry=self._key.entry,
                    node=found.node,
                    error=error,
                )
                found = await leases.after(self._key, found, self._whose)
                continue
            self._gave_from_node = True
            return opened
        if found is not None and not isinstance(found, Holder):
            self._hold(found)
        return None

    async def _open_store(self, start: int, stop: int | None) -> Streamed | None:
        store = self._elsewhere.store
        if store is None or not self._reads_left:
            return None
        self._reads_left -= 1
        try:
            opened = await store.open(self._key.entry, start, stop)
        except SourceFailed as error:
            self._log.info("{entry} does not come from the object store: {error}", entry=self._key.entry, error=error)
            opened = None
        if opened is None:
            self._reads_left = 0
            return None
        try:
            await self._have_word()
        except BaseException:
            opened.body.abandon()
            raise
        self._gave_from_store = True
        return opened

    async def _open_upstream(self, start: int, stop: int | None) -> Streamed:
        streamed = await self._upstream.open(start, stop)
        self._has_word = True
        body = _Interruptible(streamed.body, self._from_upstream)
        return Streamed(streamed.status, streamed.headers, body)

    async def _have_word(self) -> None:
        """Have upstream say that it is theirs for whom it is fetched, if it has not. Raises RegistryError."""
        if not self._has_word:
            await self._upstream.size()
            self._has_word = True

    def _hold(self, lease: Lease) -> None:
        self._lease = lease
        lease.lost.addCallback(lambda _: self._lost(lease))

    def _lost(self, lease: Lease) -> None:
        """Another node may be asking upstream: what it has is to be followed."""
        if self._lease is lease:
            self._lease = None
            for body in list(self._from_upstream):
                body.interrupt()


class _OfUpstream:
    """How upstream may be asked for several parts at once, while it is upstream that gives them (Parallel)."""

    def __init__(self, parallel: Parallel, is_with_upstream: Callable[[], bool]) -> None:
        self._parallel = parallel
        self._is_with_upstream = is_with_upstream

    @property
    def connections(self) -> int:
        """Over how many (Parallel)."""
        return self._parallel.connections if self._is_with_upstream() else 1

    def refused(self, error: RegistryError) -> None:
        """Hand on (Parallel)."""
        self._parallel.refused(error)


class _Interruptible:
    """A body that can be ended from this side, as if its connection broke (Body).

    Arguments:
        flowing: has it while it flows.
    """

    def __init__(self, body: Body, flowing: set[_Interruptible]) -> None:
        self._body = body
        self._flowing = flowing
        self._done: Deferred[None] | None = None
        self._is_interrupted = False

    @property
    def length(self) -> int | None:
        """Bytes, where that is known (Body)."""
        return self._body.length

    def join(self, consumer: IConsumer) -> Deferred[None]:
        """Let the body flow (Body)."""
        self._flowing.add(self)
        self._done = self._body.join(consumer)
        return self._done.addBoth(self._ended)

    def abandon(self) -> None:
        """Let go of it (Body)."""
        self._body.abandon()

    def interrupt(self) -> None:
        """End it."""
        self._is_interrupted = True
        if self._done is not None:
            self._done.cancel()

    def _ended(self, result: Failure | None) -> Failure | None:
        self._flowing.discard(self)
        if isinstance(result, Failure) and self._is_interrupted and result.check(CancelledError):
            return Failure(BodyBroke("another node has the lease now"))
        return result
