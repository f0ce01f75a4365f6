"""What every flight of a daemon needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from ..sharing import Alone, Sharing
from ..store.activity import Activity
from ..store.blobs import Blobs, PartialKey
from ..store.entries import Entry
from ..store.filling import Threads
from ..upstream.segments import Memory
from .peers import NoPeers, Peers
from .tiers import Elsewhere
from .window import Windows

__all__ = ["Dependencies", "Room"]


class Room(Protocol):
    """Where partial files take room (see `Store`)."""

    def could_hold(self, size: int) -> bool:
        """Tell whether ``size`` bytes would fit if everything else went."""

    def reserve(self, key: PartialKey, size: int) -> bool:
        """Tell whether a partial file may grow to ``size`` bytes, after dropping others where that helps."""

    def release(self, key: PartialKey, left: int = 0) -> None:
        """The partial file is not filled any more; ``left`` bytes stay in it."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What every flight of a daemon needs.

    Arguments:
        blobs: where the bytes go.
        threads: runs blocking work.
        clock: for waiting.
        room: for what comes.
        on_stored: called with the entry and its size in bytes when content is whole, verified and in its place.
        windows: where the bytes go that the disk does not take.
        sharing: has what other workers are told of flights.
        settled: fires when what was noted so far is known to all workers.
        memory: for what comes over several connections, until it is its turn.
        peers: the other workers, who may have in memory what the disk does not take.
        activity: counts flights; None where nobody counts.
        elsewhere: what has bytes besides upstream.
    """

    blobs: Blobs
    threads: Threads
    clock: IReactorTime
    room: Room
    on_stored: Callable[[Entry, int], object]
    windows: Windows = field(default_factory=Windows)
    sharing: Sharing = field(default_factory=Alone)
    settled: Callable[[], Deferred[None]] = lambda: succeed(None)
    memory: Memory = field(default_factory=Memory)
    peers: Peers = field(default_factory=NoPeers)
    activity: Activity | None = None
    elsewhere: Elsewhere = field(default_factory=Elsewhere)
