"""Other workers that have in memory what the disk takes nothing of: it comes from them, and else from upstream."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ..store.blobs import PartialKey
from ..upstream.client import Streamed
from ..upstream.resuming import Source
from .window import Window

__all__ = ["NoPeers", "NotThere", "Peer", "PeerIsGone", "Peers", "PeersFirst", "hold_for_others"]

# How often another worker is asked, before upstream is.
_MOST_QUESTIONS = 3
# Seconds for which what comes past the disk is held for other workers, and between two looks for them.
_HELD_SECONDS = 2.0
_LOOK_SECONDS = 0.02


class NotThere(Exception):
    """A worker has the blob coming, and not these bytes of it."""


class PeerIsGone(Exception):
    """A worker cannot be reached, or has the blob no more."""


class Peer(Protocol):
    """Another worker, as far as one blob is concerned. ``whose`` it is there: see `Flights.begin`."""

    @property
    def whose(self) -> Hashable:
        """Whose the blob is there."""

    async def open(self, start: int) -> Streamed:
        """Ask for the bytes from ``start`` on; raises NotThere, PeerIsGone."""


class Peers(Protocol):
    """The other workers."""

    def find(self, key: PartialKey) -> Peer | None:
        """Return who has it in memory; None where nobody else does."""

    async def lead(self, key: PartialKey, whose: Hashable) -> Peer | None:
        """Return who has it in memory; None where nobody else does: they find it here then, until `leave`."""

    def announce(self, key: PartialKey, whose: Hashable) -> None:
        """Have others find it here, where `find` finds nobody."""

    def leave(self, key: PartialKey) -> None:
        """Have nobody find it here any more."""

    def lost(self, key: PartialKey, peer: Peer) -> None:
        """Have nobody look for it with ``peer`` any more, who has it no more."""

    def wait(self, key: PartialKey) -> None:
        """Note that this worker reads what another writes, and will ask it if the disk takes no more, until `come`."""

    def come(self, key: PartialKey) -> None:
        """Note that it has done so, or will not."""

    def are_waiting(self, key: PartialKey) -> bool:
        """Tell whether others will ask for it here."""


class NoPeers:
    """Those of a worker that has none."""

    def find(self, key: PartialKey) -> None:
        """Find nobody (Peers)."""

    async def lead(self, key: PartialKey, whose: Hashable) -> None:
        """Find nobody (Peers)."""

    def announce(self, key: PartialKey, whose: Hashable) -> None:
        """Tell nobody (Peers)."""

    def leave(self, key: PartialKey) -> None:
        """Tell nobody (Peers)."""

    def lost(self, key: PartialKey, peer: Peer) -> None:
        """Tell nobody (Peers)."""

    def wait(self, key: PartialKey) -> None:
        """Tell nobody (Peers)."""

    def come(self, key: PartialKey) -> None:
        """Tell nobody (Peers)."""

    def are_waiting(self, key: PartialKey) -> bool:
        """Tell that nobody is (Peers)."""
        return False


@dataclass(slots=True)
class PeersFirst:
    """Where the bytes of one blob can be had (Source): with another worker that has them coming, else upstream.

    Arguments:
        key: what they are.
        whose: for whom they are; see `Flights.begin`.
        upstream: asked where no other worker has them, or not those that are wanted.
        peers: the other workers.
        asks_upstream: called before upstream is asked for bytes.
    """

    key: PartialKey
    whose: Hashable
    upstream: Source
    peers: Peers
    asks_upstream: Callable[[], object]
    _questions: int = 0
    _is_waiting: bool = False
    _is_announced: bool = False

    @property
    def is_with_a_peer(self) -> bool:
        """Whether another worker has it in memory, as the disk takes nothing of it, or no more."""
        return self.peers.find(self.key) is not None

    def announce(self) -> None:
        """Have others find it here."""
        self._is_announced = True
        self.peers.announce(self.key, self.whose)

    def leave(self) -> None:
        """Have nobody find it here, nor wait for this worker."""
        self.wait_no_more()
        if self._is_announced:
            self._is_announced = False
            self.peers.leave(self.key)

    def wait(self) -> None:
        """Have whoever writes the blob know that this worker reads on in its memory, if the disk takes no more."""
        if not self._is_waiting:
            self._is_waiting = True
            self.peers.wait(self.key)

    def wait_no_more(self) -> None:
        """Have nobody wait for this worker."""
        if self._is_waiting:
            self._is_waiting = False
            self.peers.come(self.key)

    async def from_peer(self, start: int) -> Streamed | None:
        """Ask whoever has it in memory for the bytes from ``start`` on; None where nobody has it.

        Raises:
            NotThere: it does not have those.
            RegistryError: they are for somebody else, and upstream says that they are not ours to have.
        """
        peer = self.peers.find(self.key)
        return None if peer is None else await self._ask(peer, start)

    async def open(self, start: int, stop: int | None) -> Streamed:
        """Ask for the bytes from ``start`` on (Source)."""
        while self._questions < _MOST_QUESTIONS:
            self._questions += 1
            peer = await self.peers.lead(self.key, self.whose)
            if peer is None:
                self._is_announced = True
                break
            try:
                opened = await self._ask(peer, start)
            except NotThere:
                break
            if opened is not None:
                return opened
        self.wait_no_more()
        self.asks_upstream()
        return await self.upstream.open(start, stop)

    async def _ask(self, peer: Peer, start: int) -> Streamed | None:
        if self.whose is None or peer.whose != self.whose:
            # They come for somebody else: that they are ours to have only our registry can say.
            await self.upstream.size()
        try:
            opened = await peer.open(start)
        except PeerIsGone:
            self.peers.lost(self.key, peer)
            return None
        self.wait_no_more()
        return opened

    async def size(self) -> int | None:
        """Ask how many there are (Source)."""
        return await self.upstream.size()

    @property
    def parallel(self) -> None:
        """Have it be one part after the other (Source): a worker has it as it comes."""

    def blame(self) -> None:
        """Note that what came is wrong (Source)."""
        self.upstream.blame()


async def hold_for_others(window: Window, key: PartialKey, peers: Peers, clock: IReactorTime) -> None:
    """Let ``window`` hold what comes until other workers have come for it, which have read its file up to there."""
    window.expect()
    until = clock.seconds() + _HELD_SECONDS
    try:
        while peers.are_waiting(key) and clock.seconds() < until:
            await deferLater(clock, _LOOK_SECONDS)
    finally:
        window.expect_no_more()
