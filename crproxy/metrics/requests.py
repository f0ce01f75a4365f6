"""Clients' requests, counted when they are over."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from ..policy.audit import CacheState, Record
from .labels import NONE, Registries, method_label, status_label

__all__ = ["Requests"]

# The operator's own requests, and those of monitoring, would drown the clients' on a quiet proxy.
_CLIENTS = frozenset({"registry", "plain", "refusing"})
# What came out of the cache; what joined a transfer that was under way came from upstream.
_FROM_CACHE = frozenset({CacheState.HIT, CacheState.REVALIDATED, CacheState.STALE, CacheState.SPARED})


class Requests:
    """Counts requests. ``hits`` of those that the cache had to do with, ``looked_up``, were answered from it, with
    ``bytes_served``.

    Arguments:
        registry: takes the metrics.
        registries: makes the labels of registries.
    """

    def __init__(self, registry: CollectorRegistry, registries: Registries) -> None:
        self.hits = self.looked_up = self.bytes_served = 0
        self._registries = registries
        self._requests = Counter(
            "crproxy_requests",
            "Requests of clients that are over.",
            ("method", "status", "registry", "cache"),
            registry=registry,
        )
        self._sent = Counter(
            "crproxy_sent_bytes", "Bytes of bodies that clients were sent.", ("cache",), registry=registry
        )
        self._stale = Counter(
            "crproxy_stale_answers",
            "Answers from the cache because upstream could not be asked.",
            ("registry",),
            registry=registry,
        )

    def observe(self, record: Record) -> None:
        """Count a request that is over."""
        if record.site not in _CLIENTS:
            return
        registry = self._registries.label(record.registry)
        cache = NONE if record.cache is None else record.cache.value
        self._requests.labels(method_label(record.method), status_label(record.status), registry, cache).inc()
        self._sent.labels(cache).inc(record.sent)
        if record.cache is CacheState.STALE:
            self._stale.labels(registry).inc()
        self._note(record)

    def _note(self, record: Record) -> None:
        self.looked_up += record.cache is not None
        if record.cache in _FROM_CACHE:
            self.hits += 1
            self.bytes_served += record.sent
