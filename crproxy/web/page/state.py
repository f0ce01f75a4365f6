"""How a proxy is doing, as the page tells it. Knows nothing of where the numbers come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Certificate", "ReadState", "State", "Upstream"]


@dataclass(frozen=True, slots=True)
class Certificate:
    """A host's certificate.

    Arguments:
        host: whose it is.
        valid_until: its end, in seconds since 1970; None where there is none.
    """

    host: str
    valid_until: float | None = None


@dataclass(frozen=True, slots=True)
class Upstream:
    """A registry that was asked.

    Arguments:
        name: of the registry.
        up: it answered when it was asked last.
    """

    name: str
    up: bool


@dataclass(frozen=True, slots=True)
class State:
    """What is known; what is None, or empty, is not shown.

    Arguments:
        hit_rate: which part of the requests was answered from the cache, from 0 to 1.
        bytes_served: from the cache, since the start.
        bytes_stored: what the cache holds now.
        bytes_allowed: what it may hold.
        upstreams: those that were asked.
        certificates: by host.
    """

    hit_rate: float | None = None
    bytes_served: int | None = None
    bytes_stored: int | None = None
    bytes_allowed: int | None = None
    upstreams: tuple[Upstream, ...] = ()
    certificates: tuple[Certificate, ...] = ()


ReadState = Callable[[], State]
