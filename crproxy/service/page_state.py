"""How the daemon is doing, put together for the page that people see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import Metric

from ..metrics import CertificateEnds
from ..metrics.requests import Served
from ..metrics.upstreams import Upstreams
from ..store.store import Store
from ..web.page import Certificate, Fleet, ReadState, State, Storage, Upstream

__all__ = ["InCommon", "state_of"]

# Returns how it stands with other nodes, and with the object store; None where there are none.
InCommon = Callable[[], tuple[Fleet | None, Storage | None]]


def _nothing() -> tuple[Fleet | None, Storage | None]:
    return None, None


def state_of(
    store: Store,
    ends: CertificateEnds,
    upstreams: Upstreams,
    counted: Callable[[], Iterable[Metric]],
    in_common: InCommon = _nothing,
) -> ReadState:
    """Return what reads how the daemon is doing.

    Arguments:
        store: the cache.
        ends: returns each name that has, or shall have, a certificate, and when that ends, in seconds since 1970.
        upstreams: knows whether each answered when it was asked last.
        counted: returns what was counted of requests.
        in_common: returns how it stands with other nodes, and with the object store.
    """

    def read() -> State:
        served = Served.of(counted())
        fleet, storage = in_common()
        return State(
            hit_rate=served.hits / served.looked_up if served.looked_up else None,
            bytes_served=served.bytes,
            bytes_stored=store.taken,
            bytes_allowed=store.budget,
            upstreams=tuple(_rows(upstreams)),
            certificates=tuple(Certificate(host, valid_until) for host, valid_until in ends()),
            fleet=fleet,
            storage=storage,
        )

    return read


def _rows(upstreams: Upstreams) -> Iterator[Upstream]:
    """Give a row for each registry, and below it one for each of its endpoints where it has several."""
    endpoints = sorted(upstreams.endpoints_up.items())
    for name, is_up in sorted(upstreams.up.items()):
        yield Upstream(name, is_up)
        yield from (Upstream(f"{name} ({url})", of_it) for (registry, url), of_it in endpoints if registry == name)
