"""How the daemon is doing, put together for the page that people see."""

from __future__ import annotations

from collections.abc import Callable

from ..store.store import Store
from ..web.page import Certificate, ReadState, State

__all__ = ["state_of"]


def state_of(store: Store, ends: Callable[[], list[tuple[str, float | None]]]) -> ReadState:
    """Return what reads how the daemon is doing.

    Arguments:
        store: the cache.
        ends: returns each name that has, or shall have, a certificate, and when that ends, in seconds since 1970.
    """

    def read() -> State:
        return State(
            bytes_stored=store.index.bytes_stored() + store.partial_bytes,
            bytes_allowed=store.budget,
            certificates=tuple(Certificate(host, valid_until) for host, valid_until in ends()),
        )

    return read
