"""How the daemon is doing, put together for the page that people see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import Metric

from ..metrics import CertificateEnds
from ..metrics.requests import Served
from ..store.store import Store
from ..web.page import Certificate, ReadState, State, Upstream

__all__ = ["state_of"]


def state_of(
    store: Store,
    ends: CertificateEnds,
    up: Callable[[], Mapping[str, bool]],
    counted: Callable[[], Iterable[Metric]],
) -> ReadState:
    """Return what reads how the daemon is doing.

    Arguments:
        store: the cache.
        ends: returns each name that has, or shall have, a certificate, and when that ends, in seconds since 1970.
        up: returns whether each upstream answered when it was asked last.
        counted: returns what was counted of requests.
    """

    def read() -> State:
        served = Served.of(counted())
        return State(
            hit_rate=served.hits / served.looked_up if served.looked_up else None,
            bytes_served=served.bytes,
            bytes_stored=store.taken,
            bytes_allowed=store.budget,
            upstreams=tuple(Upstream(name, up) for name, up in sorted(up().items())),
            certificates=tuple(Certificate(host, valid_until) for host, valid_until in ends()),
        )

    return read
