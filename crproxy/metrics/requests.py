"""Clients' requests, counted when they are over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import Metric
from prometheus_client.samples import Sample

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
        sent: bytes of all bodies that answered those requests.
        received: bytes of bodies that upstreams sent, be it for clients or for the cache.
        registries: requests and hits by the label of the registry that was asked for.
    """

    looked_up: int
    hits: int
    bytes: int
    sent: int = 0
    received: int = 0
    registries: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, metrics: Iterable[Metric]) -> Self:
        """Return what ``metrics``, the counters of this module among them, say of it."""
        samples = [sample for metric in metrics for sample in metric.samples]
        looked_up = [sample for sample in samples if sample.labels.get("cache", NONE) != NONE]
        answers = [sample for sample in looked_up if sample.name == "crproxy_requests_total"]
        sent = [sample for sample in looked_up if sample.name == "crproxy_sent_bytes_total"]
        received = [sample for sample in samples if sample.name == "crproxy_upstream_received_bytes_total"]
        names = sorted({sample.labels["registry"] for sample in answers} - {NONE})
        of_names = {name: [sample for sample in answers if sample.labels["registry"] == name] for name in names}
        return cls(
            _sum(answers),
            _sum(filter(_is_hit, answers)),
            _sum(filter(_is_hit, sent)),
            _sum(sent),
            _sum(received),
            {name: (_sum(found), _sum(filter(_is_hit, found))) for name, found in of_names.items()},
        )


def _is_hit(sample: Sample) -> bool:
    return sample.labels["cache"] in _FROM_CACHE


def _sum(samples: Iterable[Sample]) -> int:
    return int(sum(sample.value for sample in samples))
