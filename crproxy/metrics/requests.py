"""Clients' requests, counted when they are over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import Metric

from ..policy.audit import CacheState, Record
from .labels import NONE, Registries, method_label, status_label

__all__ = ["Requests", "Served"]

# The operator's own requests, and those of monitoring, would drown the clients' on a quiet proxy.
_CLIENTS = frozenset({"registry", "plain", "refusing"})
# What came out of the cache; what joined a transfer that was under way came from upstream.
_FROM_CACHE = frozenset(
    state.value for state in (CacheState.HIT, CacheState.REVALIDATED, CacheState.STALE, CacheState.SPARED)
)


class Requests:
    """Counts requests.

    Arguments:
        registry: takes the metrics.
        registries: makes the labels of registries.
    """

    def __init__(self, registry: CollectorRegistry, registries: Registries) -> None:
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


@dataclass(frozen=True, slots=True)
class Served:
    """What the cache was good for.

    Arguments:
        looked_up: requests that it had to do with.
        hits: those of them that were answered from it.
        bytes: of bodies, that came out of it.
    """

    looked_up: int
    hits: int
    bytes: int

    @classmethod
    def of(cls, metrics: Iterable[Metric]) -> Self:
        """Return what ``metrics``, the counters of this module among them, say of it."""
        samples = [sample for metric in metrics for sample in metric.samples if "cache" in sample.labels]
        answers = [sample for sample in samples if sample.name == "crproxy_requests_total"]
        sent = [sample for sample in samples if sample.name == "crproxy_sent_bytes_total"]
        return cls(
            int(sum(sample.value for sample in answers if sample.labels["cache"] != NONE)),
            int(sum(sample.value for sample in answers if sample.labels["cache"] in _FROM_CACHE)),
            int(sum(sample.value for sample in sent if sample.labels["cache"] in _FROM_CACHE)),
        )
