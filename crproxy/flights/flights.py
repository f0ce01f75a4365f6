"""The flights that are under way, by what they bring."""

from __future__ import annotations

from twisted.internet.defer import Deferred, DeferredList

from ..oci.names import Registry
from ..policy.proofs import Proof
from ..store.blobs import PartialKey
from ..store.entries import Entry
from ..upstream.resuming import Source
from .dependencies import Dependencies
from .flight import Flight
from .told import Told

__all__ = ["Flights"]


class Flights:
    """The flights that are under way; ``begun``, ``finished`` and ``failed`` count those since the start.

    Arguments:
        needs: what each of them is given.
    """

    def __init__(self, needs: Dependencies) -> None:
        self.needs = needs
        self._flights: dict[Entry, Flight] = {}
        # With those that are ending, whose entry may have a new flight already.
        self._running: set[Flight] = set()
        self.begun = self.finished = self.failed = 0

    @property
    def number(self) -> int:
        """How many are under way."""
        return len(self._running)

    @property
    def running(self) -> tuple[Flight, ...]:
        """Those that are under way."""
        return tuple(self._running)

    def get(self, entry: Entry) -> Flight | None:
        """Return the flight of ``entry``, if there is one that can be joined."""
        flight = self._flights.get(entry)
        return None if flight is None or flight.is_over else flight

    def past_the_disk(self, key: PartialKey) -> Flight | None:
        """Return the flight that has in memory what the disk takes nothing of, if there is one that can be joined."""
        flight = self.get(key.entry)
        return None if flight is None or flight.key != key or flight.window is None else flight

    def begin(
        self,
        entry: Entry,
        source: Source,
        origin: Registry | None = None,
        told: Told | None = None,
        whose: str | None = None,
        proof: Proof | None = None,
    ) -> Flight:
        """Begin the flight of ``entry``, which is not under way.

        Arguments:
            origin: the registry that it comes from.
            told: what is told of it.
            whose: it is; what upstream says of its size is as good for another worker's of the same. None is nobody
                else's.
            proof: what it takes for the bytes to come from elsewhere than ``source``; None where they may not.
        """
        told, key = told or Told(), PartialKey(entry, origin)
        flight = Flight(key, source, self.needs, told, whose, proof)
        self._flights[entry] = flight
        self._running.add(flight)
        self.begun += 1
        if self.needs.activity is not None:
            self.needs.activity.begin()
        flight.run().addBoth(lambda _: self._ended(flight, told))
        return flight

    def _ended(self, flight: Flight, told: Told) -> None:
        self._running.discard(flight)
        if self.needs.activity is not None:
            self.needs.activity.end()
        if flight.has_arrived:
            self.finished += 1
        else:
            self.failed += 1
        if self._flights.get(flight.entry) is flight:
            del self._flights[flight.entry]
        told.ended(flight)

    def stop(self) -> Deferred[list[tuple[bool, None]]]:
        """Stop all flights; what they have stays, to be taken up again. Fires when it is on disk."""
        return DeferredList([flight.stop() for flight in list(self._running)])
