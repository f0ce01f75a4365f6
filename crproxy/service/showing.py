"""How the daemon is doing, put together for the page that people see."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..store.store import Store
from ..web.page import Certificate, ReadState, State

if TYPE_CHECKING:
    from ..tls.plan import NameState

__all__ = ["state_of"]


def state_of(store: Store, states: Callable[[], list[NameState]]) -> ReadState:
    """Return what reads how the daemon is doing.

    Arguments:
        store: the cache.
        states: returns how it stands with each certificate.
    """

    def read() -> State:
        certificates = tuple(Certificate(state.name, state.valid_until) for state in states())
        return State(
            bytes_stored=store.index.bytes_stored() + store.partial_bytes,
            bytes_allowed=store.budget,
            certificates=certificates,
        )

    return read
