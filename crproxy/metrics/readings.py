"""What need not be counted, since somebody knows it: read when monitoring asks, and at no other time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from .. import __version__
from ..flights import Flights
from ..limits import Accounts, Fills
from ..login import Login
from ..store.store import Store
from ..upstream.quotas import Quotas
from .families import counter, gauge
from .labels import OTHER, Registries

__all__ = ["CertificateEnds", "Disk", "Readings", "Stock"]

# Returns each name that has, or shall have, a certificate, and when that ends, in seconds since 1970.
CertificateEnds = Callable[[], list[tuple[str, float | None]]]


@dataclass(frozen=True, slots=True)
class Disk:
    """What the file system of the cache has, in bytes.

    Arguments:
        size: of it.
        free: for who is not root.
    """

    size: int
    free: int


@dataclass(frozen=True, slots=True)
class Stock:
    """Who knows what.

    Arguments:
        store: the cache.
        flights: transfers into it.
        fills: what is counted of those for clients.
        accounts: of clients.
        quotas: what registries said of ours.
        login: of clients.
        ends: when certificates end.
        disk: looks at the file system; None where that cannot be.
        received: returns the bytes that upstreams have sent.
        up: returns whether each upstream answered when it was asked last.
        endpoints_up: returns the same of each endpoint, by registry and URL, where there are several.
        connections: returns how many are open, by site.
        registries: makes the labels of registries.
    """

    store: Store
    flights: Flights
    fills: Fills
    accounts: Accounts
    quotas: Quotas
    login: Login
    ends: CertificateEnds
    disk: Callable[[], Disk | None]
    received: Callable[[], int]
    up: Callable[[], Mapping[str, bool]]
    endpoints_up: Callable[[], Mapping[tuple[str, str], bool]]
    registries: Registries
    connections: Callable[[], Mapping[str, int]] = field(default=dict)


class Readings(Collector):
    """Reads it all (prometheus_client.registry.Collector).

    Arguments:
        stock: who knows it.
    """

    def __init__(self, stock: Stock) -> None:
        self._stock = stock

    def describe(self) -> Iterable[Metric]:
        """Say nothing of what there will be: registering it must not read it (Collector)."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Read it (Collector)."""
        yield gauge("crproxy_build_info", "Which crproxy this is: always 1.", {__version__: 1}, "version")
        yield from self._cache()
        yield from self._disk()
        yield from self._fills()
        yield from self._clients()
        received = self._stock.received()
        yield counter("crproxy_upstream_received_bytes", "Bytes of bodies that upstreams sent.", received)
        about = "Whether the upstream answered when it was asked last: 1 or 0."
        yield gauge("crproxy_upstream_up", about, self._stock.up(), "registry")
        about = "Whether the endpoint answered when it was asked last, of registries that have several: 1 or 0."
        yield gauge("crproxy_upstream_endpoint_up", about, self._stock.endpoints_up(), "registry", "endpoint")
        yield from self._quotas()
        ends = {name: end for name, end in self._stock.ends() if end is not None}
        about = "When the certificate of a name ends, in seconds since 1970."
        yield gauge("crproxy_certificate_expiry_timestamp_seconds", about, ends, "name")

    def _cache(self) -> Iterator[Metric]:
        store = self._stock.store
        size = store.taken
        yield gauge("crproxy_cache_size_bytes", "Bytes that the cache takes on disk.", size)
        yield gauge("crproxy_cache_budget_bytes", "Bytes that the cache may take on disk.", store.budget)
        yield gauge("crproxy_cache_contents", "Blobs and manifests that are kept.", store.index.contents())
        yield counter("crproxy_cache_evictions", "Contents that were dropped to make room.", store.evicted)
        yield counter("crproxy_cache_evicted_bytes", "Bytes that were dropped to make room.", store.evicted_bytes)
        checks = store.checks
        yield counter("crproxy_cache_checked", "Contents that were read again and checked.", checks.number)
        yield counter("crproxy_cache_checked_bytes", "Bytes that were read again and checked.", checks.bytes)
        yield counter("crproxy_cache_damaged", "Contents that were damaged on disk, and dropped.", checks.damaged)

    def _disk(self) -> Iterator[Metric]:
        disk = self._stock.disk()
        if disk is not None:
            yield gauge("crproxy_disk_size_bytes", "Size of the file system that the cache is on.", disk.size)
            yield gauge("crproxy_disk_free_bytes", "What is free of it.", disk.free)

    def _fills(self) -> Iterator[Metric]:
        flights = self._stock.flights
        yield gauge("crproxy_fills_active", "Transfers into the cache that are under way.", flights.number)
        yield counter("crproxy_fills_begun", "Transfers into the cache that began.", flights.begun)
        yield counter("crproxy_fills_finished", "Those that brought all of it.", flights.finished)
        yield counter("crproxy_fills_failed", "Those that did not, or were stopped.", flights.failed)

    def _clients(self) -> Iterator[Metric]:
        accounts, login = self._stock.accounts, self._stock.login
        limited = {
            "requests": accounts.refused_requests,
            "connections": accounts.refused_connections,
            "fills": self._stock.fills.refused,
        }
        yield counter("crproxy_limited", "What was refused because of a limit.", limited, "kind")
        logins = {"right": login.right, "wrong": login.wrong}
        yield counter("crproxy_logins", "Credentials that clients brought.", logins, "result")
        yield gauge("crproxy_connections", "Open connections.", self._stock.connections(), "site")

    def _quotas(self) -> Iterator[Metric]:
        label = self._stock.registries.label
        known = {label(str(registry)): quota for registry, quota in self._stock.quotas.known().items()}
        # Of many that share a label there is nothing to say.
        known.pop(OTHER, None)
        limits = {name: quota.limit for name, quota in known.items()}
        left = {name: quota.remaining for name, quota in known.items()}
        yield gauge("crproxy_upstream_quota_limit", "Pulls that the registry allows in a window.", limits, "registry")
        yield gauge("crproxy_upstream_quota_remaining", "Those of them that were left.", left, "registry")
