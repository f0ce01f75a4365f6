"""How a proxy is doing, as the page tells it. Knows nothing of where the numbers come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Certificate", "Fleet", "Node", "ReadState", "State", "Storage", "Upstream"]


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
class Node:
    """One of several that act as one. Where it is reached is nobody's business.

    Arguments:
        name: what it is called.
        version: of crproxy.
        transfers: from upstreams that are under way there.
        stored: bytes that it keeps on its disk.
        is_this: it is the one that shows the page.
    """

    name: str
    version: str
    transfers: int = 0
    stored: int = 0
    is_this: bool = False


@dataclass(frozen=True, slots=True)
class Fleet:
    """The other nodes.

    Arguments:
        up: they can agree on something.
        leases: that this node has.
        nodes: all that there are, this one among them.
    """

    up: bool
    leases: int
    nodes: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Storage:
    """The object store.

    Arguments:
        up: it answered when it was asked last.
        waiting, waiting_bytes: what is still to be uploaded.
    """

    up: bool
    waiting: int
    waiting_bytes: int


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
        fleet: of nodes that this is one of.
        storage: that they have in common.
    """

    hit_rate: float | None = None
    bytes_served: int | None = None
    bytes_stored: int | None = None
    bytes_allowed: int | None = None
    upstreams: tuple[Upstream, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    fleet: Fleet | None = None
    storage: Storage | None = None


ReadState = Callable[[], State]
