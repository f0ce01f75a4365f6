"""What file descriptors are used for, so that none runs out of them at the others' cost.

Where the number comes from is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

__all__ = ["Descriptors"]

# For the index, logs, listening ports, operators and monitoring, look-ups of names, and what the threads have open.
_RESERVED = 48
# Of an object store, beside that: the outbox, and connections. Each of its 24 threads has one (service/second_tier.py),
# and as many may idle that were for reading while all of them write.
_OF_STORE = 56
# Of a fleet, beside that: Valkey, and those who connect and have not shown yet that they are nodes (nodes_only.py).
_OF_FLEET = 72
# Of the rest, in hundredths. A client's connection needs one more while a blob is sent on it from the disk, or while it
# is passed through to another host (forward/tunnel.py); one to an upstream needs one more for the partial file.
_CLIENTS, _UPSTREAMS, _IDLE = 27, 17, 12
# The same in a fleet. There, a connection from another node needs one more while a blob is sent on it, too; one to
# another node one for the partial file, and as many as these may idle.
_CLIENTS_OF_FLEET, _UPSTREAMS_OF_FLEET, _IDLE_OF_FLEET, _FROM_NODES, _TO_NODES = 23, 13, 7, 6, 3
# So many are enough: one for each blob that is under way to another node, and a few that idle.
_MOST_OF_NODES = 1024
# So many idle connections help nobody more.
_MOST_IDLE = 1024
# More than these is no client's need: it has 512 connections by default.
_MOST_OF_CLIENT = 1024


@dataclass(frozen=True, slots=True)
class Descriptors:
    """How many connections there may be.

    Arguments:
        clients: from clients, in all.
        of_client: from one of them.
        upstreams: to upstreams, under way.
        for_client: of those, for one client.
        idle: to upstreams, kept for later.
        from_nodes: from other nodes of a fleet.
        to_nodes: to other nodes, under way; as many again, at the most, are kept for later.
    """

    clients: int
    of_client: int
    upstreams: int
    for_client: int
    idle: int
    from_nodes: int = 0
    to_nodes: int = 0

    @classmethod
    def of(cls, limit: int, *, fleet: bool = False, store: bool = False) -> Self:
        """Return how ``limit`` descriptors are divided.

        Arguments:
            fleet: there are other nodes.
            store: there is an object store.
        """
        rest = max(limit - _RESERVED - _OF_FLEET * fleet - _OF_STORE * store, 16)
        clients, upstreams = rest * _CLIENTS // 100, rest * _UPSTREAMS // 100
        idle, of_nodes = rest * _IDLE // 100, (0, 0)
        if fleet:
            clients, upstreams = rest * _CLIENTS_OF_FLEET // 100, rest * _UPSTREAMS_OF_FLEET // 100
            idle, of_nodes = rest * _IDLE_OF_FLEET // 100, (rest * _FROM_NODES // 100, rest * _TO_NODES // 100)
        from_nodes, to_nodes = (min(max(each, int(fleet)), _MOST_OF_NODES) for each in of_nodes)
        return cls(
            clients=clients,
            # As many again are let in to be told that they are too many.
            of_client=max(clients // 4, 1),
            upstreams=upstreams,
            for_client=min(max(upstreams // 2, 1), _MOST_OF_CLIENT),
            idle=min(idle, _MOST_IDLE),
            from_nodes=from_nodes,
            to_nodes=to_nodes,
        )
