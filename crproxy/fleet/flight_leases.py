"""The leases of flights (crproxy.flights.tiers): who of the nodes has upstream asked for a blob."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from ..flights import tiers
from ..store.blobs import PartialKey
from ..store.entries import Entry
from ..upstream.client import Streamed
from .asking_nodes import AskingNodes, NodeIsGone, NotThere
from .leases import LEASE_SECONDS, Holder, Lease, Leases

__all__ = ["FlightLeases", "OtherNodes"]

Found = tiers.Lease | tiers.Holder | None

# Seconds that a holder is waited for which does not give the bytes: after them the dead have none.
_PATIENCE_SECONDS = LEASE_SECONDS + 1.0
# For which others find a blob here that has come, unless all can have it elsewhere before; and how many at the most:
# each lease is renewed each second.
_HELD_SECONDS = 120.0
_MOST_HELD = 200


class FlightLeases:
    """The leases of one worker's flights (tiers.Leases).

    Arguments:
        leases: of any kind.
        node: the name of this node.
        clock: for waiting.
        is_waited_for: tells of content that has just come whether it is on its way to where all nodes can have it.
    """

    def __init__(
        self,
        leases: Leases,
        node: str,
        clock: IReactorTime,
        is_waited_for: Callable[[Entry], bool] = lambda entry: True,
    ) -> None:
        self._leases = leases
        self._node = node
        self._clock = clock
        self._is_waited_for = is_waited_for
        self._held: dict[Entry, _Held] = {}

    async def take(self, key: PartialKey, whose: str | None) -> Found:
        """Return the lease, or who has it (tiers.Leases)."""
        return self._seen(await self._leases.take(_name_of(key), _note_of(whose)), whose)

    async def after(self, key: PartialKey, holder: tiers.Holder, whose: str | None) -> Found:
        """Return what `take` does once ``holder`` has it no more (tiers.Leases)."""
        found = await self._leases.take(_name_of(key), _note_of(whose))
        if not isinstance(found, Holder) or found.token != holder.token:
            return self._seen(found, whose)
        free = Deferred.fromCoroutine(self._leases.wait_free(_name_of(key), found))
        try:
            await free.addTimeout(_PATIENCE_SECONDS, self._clock)
        except TookTooLong:
            return None
        return await self.take(key, whose)

    def is_elsewhere(self, entry: Entry) -> None:
        """Note that all nodes can have some content elsewhere by now."""
        held = self._held.pop(entry, None)
        if held is not None:
            held.end()

    def stop(self) -> None:
        """Hold nothing any more."""
        for entry in list(self._held):
            self.is_elsewhere(entry)

    def hold(self, entry: Entry, lease: Lease) -> None:
        """Have others find some content here, for a while."""
        self.is_elsewhere(entry)
        if not self._is_waited_for(entry):
            _give_back(lease)
            return
        timer = self._clock.callLater(_HELD_SECONDS, self.is_elsewhere, entry)
        self._held[entry] = _Held(lease, timer)
        while len(self._held) > _MOST_HELD:
            self.is_elsewhere(next(iter(self._held)))

    def _seen(self, found: Lease | Holder | None, whose: str | None) -> Found:
        if isinstance(found, Lease):
            return _FlightLease(found, self.hold)
        if found is None or found.node == self._node:
            # Of another worker of this node, which has the file no more: that is locked here.
            return None
        return tiers.Holder(found.node, found.url, found.token, whose if found.note == _note_of(whose) else found.note)


class _Held:
    """A lease that is kept after its flight."""

    def __init__(self, lease: Lease, timer: IDelayedCall) -> None:
        self._lease = lease
        self._timer = timer

    def end(self) -> None:
        if self._timer.active():
            self._timer.cancel()
        _give_back(self._lease)


class _FlightLease:
    """A lease, as a flight has it (tiers.Lease)."""

    def __init__(self, lease: Lease, hold: Callable[[Entry, Lease], None]) -> None:
        self.lost = lease.lost
        self._lease = lease
        self._hold = hold

    def fulfilled(self, entry: Entry, size: int) -> None:
        """Let others find it here (tiers.Lease)."""
        self._hold(entry, self._lease)

    def give_back(self) -> None:
        """Have it no more (tiers.Lease)."""
        _give_back(self._lease)


class OtherNodes:
    """The other nodes, as flights ask them (tiers.Nodes)."""

    def __init__(self, asking: AskingNodes) -> None:
        self._asking = asking

    async def open(self, holder: tiers.Holder, key: PartialKey, start: int) -> Streamed:
        """Ask one for bytes (tiers.Nodes)."""
        try:
            return await self._asking.open(holder.url, key, start)
        except (NodeIsGone, NotThere) as error:
            raise tiers.SourceFailed(str(error)) from error


def _name_of(key: PartialKey) -> str:
    return f"flight:{key.entry.digest}:{key.entry.pool or ''}:{key.origin or ''}"


def _note_of(whose: str | None) -> str:
    """Return what tells others whether they are the same, without telling who that is."""
    return "" if whose is None else hashlib.sha256(whose.encode()).hexdigest()[:32]


def _give_back(lease: Lease) -> None:
    Deferred.fromCoroutine(lease.give_back()).addErrback(_dropped)


def _dropped(failure: Failure) -> None:
    """It ends by itself then."""
