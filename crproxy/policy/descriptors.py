"""What file descriptors are used for, so that none runs out of them at the others' cost.

Where the number comes from is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

__all__ = ["Descriptors"]

# For the index, logs, listening ports, operators and monitoring, look-ups of names, and what the threads have open.
_RESERVED = 48
# Of the rest, in hundredths. A client's connection needs one more while a blob is sent on it from the disk, and one to
# an upstream needs one more for the partial file.
_CLIENTS, _UPSTREAMS, _IDLE = 27, 17, 12
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
    """

    clients: int
    of_client: int
    upstreams: int
    for_client: int
    idle: int

    @classmethod
    def of(cls, limit: int) -> Self:
        """Return how ``limit`` descriptors are divided."""
        rest = max(limit - _RESERVED, 16)
        clients, upstreams = rest * _CLIENTS // 100, rest * _UPSTREAMS // 100
        return cls(
            clients=clients,
            # As many again are let in to be told that they are too many.
            of_client=max(clients // 4, 1),
            upstreams=upstreams,
            for_client=min(max(upstreams // 2, 1), _MOST_OF_CLIENT),
            idle=min(rest * _IDLE // 100, _MOST_IDLE),
        )
