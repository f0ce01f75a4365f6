"""What a worker knows of its fleet without asking: who is there, and what all workers of this node hold together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..sharing import Sharing

if TYPE_CHECKING:
    from ..fleet.nodes import Node

__all__ = ["Census", "Seen"]

# Seconds between two looks at what this worker holds, and at who else is there.
_INTERVAL, _LOOKS_EACH = 1.0, 5


@dataclass(frozen=True, slots=True)
class Seen:
    """A node, as others may be shown it.

    Arguments:
        name: what it is called.
        version: of crproxy.
        fetches: how many transfers are under way there.
        stored: bytes that it keeps.
    """

    name: str
    version: str
    fetches: int
    stored: int


class Census(Service):
    """Counts. One worker of a node looks for other nodes, each puts down what it holds, and all read both.

    Arguments:
        nodes: returns who is there.
        sharing: of the workers of this node.
        clock: the time.
    """

    _log = Logger()

    def __init__(self, nodes: Callable[[], Awaitable[Iterable[Node]]], sharing: Sharing, clock: IReactorTime) -> None:
        # What this worker holds, by what it is; whoever knows puts it here.
        self.holds: dict[str, Callable[[], int]] = {}
        self._nodes = nodes
        self._sharing = sharing
        self._held = sharing.records("held by workers")
        self._seen = sharing.records("nodes seen")
        self._until_look = 0
        self._looking: Deferred[None] | None = None
        self._ticks = LoopingCall(self._tick)
        self._ticks.clock = clock

    @property
    def nodes(self) -> tuple[Seen, ...]:
        """Those that were there at the last look."""
        seen: tuple[Seen, ...] = self._seen.get("all") or ()
        return seen

    def total(self, name: str) -> int:
        """Return what all workers of this node hold of it together; what the others took lately may be missing."""
        held: dict[int, dict[str, int]] = {**self._held.all(), self._sharing.slot: self._own()}
        return sum(of_one.get(name, 0) for of_one in held.values())

    def startService(self) -> None:
        """Begin to count."""
        super().startService()
        self._ticks.start(_INTERVAL)

    def stopService(self) -> None:
        """Count no more; this worker holds nothing any longer."""
        super().stopService()
        if self._ticks.running:
            self._ticks.stop()
        if self._looking is not None:
            self._looking.cancel()
        self._held.drop(self._sharing.slot)

    def _own(self) -> dict[str, int]:
        return {name: number() for name, number in self.holds.items()}

    def _tick(self) -> None:
        own = self._own()
        if not self._sharing.is_alone and own != self._held.get(self._sharing.slot):
            self._held.put(self._sharing.slot, own)
        if self._sharing.leads and self._looking is None:
            self._until_look -= 1
            if self._until_look < 0:
                self._until_look = _LOOKS_EACH - 1
                self._look()

    def _look(self) -> None:
        self._looking = looking = Deferred.fromCoroutine(self._find())
        looking.addErrback(self._stumbled).addBoth(lambda _: self._over(looking))

    async def _find(self) -> None:
        seen = [
            Seen(node.name, node.version, int(node.numbers.get("flights", 0)), int(node.numbers.get("stored", 0)))
            for node in await self._nodes()
        ]
        self._seen.put("all", tuple(seen))

    def _stumbled(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("the nodes could not be counted", failure)

    def _over(self, looking: Deferred[None]) -> None:
        if self._looking is looking:
            self._looking = None
