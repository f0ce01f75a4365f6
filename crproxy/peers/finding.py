"""Which worker has what in memory: written where all of them look."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from ..flights.peers import Peer
from ..sharing import Sharing
from ..store.blobs import PartialKey
from .asking import Asking, WorkerWithBlob

__all__ = ["OtherWorkers"]


class OtherWorkers:
    """The other workers of one daemon (Peers).

    Arguments:
        sharing: has what they have noted.
        asking: asks them.
    """

    def __init__(self, sharing: Sharing, asking: Asking) -> None:
        self._slot = sharing.slot
        # By blob: in which worker's memory it is, and whose it is there.
        self._holders = sharing.records("holders")
        self._claims = sharing.claims("holders")
        # By blob: how many follow its file, and have not turned to the memory of the worker that writes it.
        self._followers = sharing.count("followers")
        self._asking = asking
        # What the one had that was here before, and died.
        for name, holder in self._holders.all().items():
            if holder[0] == self._slot:
                self._holders.drop(name)

    def find(self, key: PartialKey) -> Peer | None:
        """Return who has it (Peers)."""
        holder: tuple[int, Hashable] | None = self._holders.get(_name(key))
        if holder is None or holder[0] == self._slot:
            return None
        return WorkerWithBlob(self._asking, holder[0], key, holder[1])

    async def lead(self, key: PartialKey, whose: Hashable) -> Peer | None:
        """Return who has it, or be the one (Peers)."""
        name = _name(key)
        await self._claims.take(name)
        try:
            self.announce(key, whose)
            return self.find(key)
        finally:
            self._claims.give_back(name)

    def announce(self, key: PartialKey, whose: Hashable) -> None:
        """Be the one, where there is no other (Peers)."""
        if self.find(key) is None:
            self._holders.put(_name(key), (self._slot, whose))

    def leave(self, key: PartialKey) -> None:
        """Be not the one (Peers)."""
        self._drop(key, self._slot)

    def lost(self, key: PartialKey, peer: Peer) -> None:
        """Note that another is not the one (Peers)."""
        if isinstance(peer, WorkerWithBlob):
            self._drop(key, peer.slot)

    def wait(self, key: PartialKey) -> None:
        """Note that this one will ask (Peers)."""
        self._followers.add(_name(key))

    def come(self, key: PartialKey) -> None:
        """Note that it has (Peers)."""
        self._followers.remove(_name(key))

    def are_waiting(self, key: PartialKey) -> bool:
        """Tell whether others will (Peers)."""
        return self._followers.of(_name(key)) > 0

    def _drop(self, key: PartialKey, slot: int) -> None:
        holder: Any = self._holders.get(_name(key))
        if holder is not None and holder[0] == slot:
            self._holders.drop(_name(key))


def _name(key: PartialKey) -> str:
    return f"{key.entry} from {key.origin}"
