"""What a node has in common with others, as monitoring is told of it: other nodes, and the object store.

Read when monitoring asks, and at no other time. Where there is neither, there is no such metric.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from .families import counter, gauge

__all__ = ["CommonReadings", "FleetNumbers", "StorageNumbers"]


@dataclass(frozen=True, slots=True)
class FleetNumbers:
    """How it stands with other nodes.

    Arguments:
        is_up: Valkey was there just now.
        nodes: how many there are, this one among them.
        leases: that this worker has.
        refused: connections that were no node's, or too many.
        answers, bytes: contents that other nodes gave, and the bytes.
        answers_given, bytes_given: the same that they were given.
    """

    is_up: bool
    nodes: int
    leases: int
    refused: int
    answers: int
    bytes: int
    answers_given: int
    bytes_given: int


@dataclass(frozen=True, slots=True)
class StorageNumbers:
    """How it stands with the object store.

    Arguments:
        is_up: it answered when it was asked last.
        failures: questions that it did not answer, or not with what they asked for.
        answers, bytes: contents that it gave, and the bytes.
        waiting, waiting_bytes: objects that are to be uploaded.
        uploaded, uploaded_bytes: those that were.
        upload_failures: attempts at it that failed.
        lost: those that will not be, since there was no room for them.
        size: bytes that it held at the last look; None where another node looks, or none.
        budget: bytes that it may hold; None where nobody bounds it.
        evicted, evicted_bytes: what this node dropped of it to make room.
        redirects: URLs that clients were given.
    """

    is_up: bool
    failures: int
    answers: int
    bytes: int
    waiting: int
    waiting_bytes: int
    uploaded: int
    uploaded_bytes: int
    upload_failures: int
    lost: int
    size: int | None
    budget: int | None
    evicted: int
    evicted_bytes: int
    redirects: int


class CommonReadings(Collector):
    """Reads it all (prometheus_client.registry.Collector).

    Arguments:
        fleet: returns how it stands with other nodes; None where there are none.
        storage: the same of the object store.
        received: returns the bytes that upstreams have sent.
    """

    def __init__(
        self,
        fleet: Callable[[], FleetNumbers | None],
        storage: Callable[[], StorageNumbers | None],
        received: Callable[[], int],
    ) -> None:
        self._fleet = fleet
        self._storage = storage
        self._received = received

    def describe(self) -> Iterable[Metric]:
        """Say nothing of what there will be: registering it must not read it (Collector)."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Read it (Collector)."""
        fleet, storage = self._fleet(), self._storage()
        if fleet is None and storage is None:
            return
        yield from _sources(fleet, storage, self._received())
        if fleet is not None:
            yield from _of_fleet(fleet)
        if storage is not None:
            yield from _of_storage(storage)
            yield from _of_uploads(storage)


def _sources(fleet: FleetNumbers | None, storage: StorageNumbers | None, received: int) -> Iterator[Metric]:
    sources = {"node": fleet, "store": storage}
    there = {name: source for name, source in sources.items() if source is not None}
    of_bytes = {name: source.bytes for name, source in there.items()} | {"upstream": received}
    yield counter("crproxy_received_bytes", "Bytes of bodies that came, by where from.", of_bytes, "source")
    answers = {name: source.answers for name, source in there.items()}
    about = "Contents that came from elsewhere than upstream, in whole or in part."
    yield counter("crproxy_received_answers", about, answers, "source")


def _of_fleet(fleet: FleetNumbers) -> Iterator[Metric]:
    yield gauge("crproxy_fleet_valkey_up", "Whether Valkey was there just now: 1 or 0.", fleet.is_up)
    yield gauge("crproxy_fleet_nodes", "Nodes of the fleet, as this one knows it.", fleet.nodes)
    yield gauge("crproxy_fleet_leases", "Leases that this node has.", fleet.leases)
    yield counter("crproxy_fleet_refused", "Connections that were not let in among the nodes.", fleet.refused)
    yield counter("crproxy_fleet_given", "Requests of other nodes that are over.", fleet.answers_given)
    yield counter("crproxy_fleet_given_bytes", "Bytes of bodies that other nodes were sent.", fleet.bytes_given)


def _of_storage(storage: StorageNumbers) -> Iterator[Metric]:
    about = "Whether the object store answered when it was asked last: 1 or 0."
    yield gauge("crproxy_storage_up", about, storage.is_up)
    yield counter("crproxy_storage_errors", "Questions to the object store that failed.", storage.failures)
    if storage.size is not None:
        about = "Bytes that the object store held at the last look, of the node that looks."
        yield gauge("crproxy_storage_size_bytes", about, storage.size)
    if storage.budget is not None:
        yield gauge("crproxy_storage_budget_bytes", "Bytes that the object store may hold.", storage.budget)
    about = "Contents that this node dropped from the object store to make room."
    yield counter("crproxy_storage_evictions", about, storage.evicted)
    yield counter("crproxy_storage_evicted_bytes", "Bytes of those.", storage.evicted_bytes)
    about = "Signed URLs of the object store that clients were sent to."
    yield counter("crproxy_storage_redirects", about, storage.redirects)


def _of_uploads(storage: StorageNumbers) -> Iterator[Metric]:
    yield gauge("crproxy_storage_waiting", "Objects that are still to be uploaded.", storage.waiting)
    yield gauge("crproxy_storage_waiting_bytes", "Bytes of those.", storage.waiting_bytes)
    uploads = {"done": storage.uploaded, "failed": storage.upload_failures, "lost": storage.lost}
    about = "Objects that were uploaded, attempts at it that failed, and what will not be for want of room to wait."
    yield counter("crproxy_storage_uploads", about, uploads, "result")
    yield counter("crproxy_storage_uploaded_bytes", "Bytes of contents that were uploaded.", storage.uploaded_bytes)
