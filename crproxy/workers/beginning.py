"""What a worker is told first."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..config import Config

__all__ = ["Beginning"]


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a worker begins with.

    Arguments:
        config: the configuration that counts now.
        slot: which worker this is, from 0 on; 0 does what only one may.
        slots: how many there are.
        ports: the numbers of the places to listen whose sockets it has, in the order of their descriptors.
        ledger: the directory of what all workers have in common.
        secret: what all workers know and nobody else.
        logs_here: what it writes to standard output is in the log by that.
    """

    config: Config
    slot: int
    slots: int
    ports: tuple[int, ...]
    ledger: str
    secret: bytes = field(repr=False)
    logs_here: bool
