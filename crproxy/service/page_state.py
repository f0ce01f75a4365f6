"""How the daemon is doing, put together for the page that people see."""

from __future__ import annotations

from collections.abc import Callable

from ..metrics import Meters
from ..store.store import Store
from ..web.page import Certificate, ReadState, State, Upstream

__all__ = ["state_of"]


def state_of(store: Store, ends: Callable[[], list[tuple[str, float | None]]], meters: Meters) -> ReadState:
    """Return what reads how the daemon is doing.

    Arguments:
        store: the cache.
        ends: returns each name that has, or shall have, a certificate, and when that ends, in seconds since 1970.
        meters: count.
    """
    requests = meters.requests

    def read() -> State:
        return State(
            hit_rate=requests.hits / requests.looked_up if requests.looked_up else None,
            bytes_served=requests.bytes_served,
            bytes_stored=store.taken,
            bytes_allowed=store.budget,
            upstreams=tuple(Upstream(name, up) for name, up in sorted(meters.upstreams.up.items())),
            certificates=tuple(Certificate(host, valid_until) for host, valid_until in ends()),
        )

    return read
