"""What clients and upstreams may use, as the configuration says it."""

from __future__ import annotations

from dataclasses import dataclass

from ..policy.units import Frequency
from .table import Table

__all__ = ["Limits", "read_limits"]

# Bodies flow in pieces of up to 64 KiB: with less than one a second, a client would take the pauses for a dead server.
_LEAST_RATE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients and upstreams may use. None or 0 is no limit.

    A client is an IPv4 address, or a /64 of IPv6.

    Arguments:
        per_transfer: bytes per second of one answer's body.
        per_client: of all that one client is sent.
        total: of all that clients are sent.
        upstream: of all bodies, but for manifests, that upstreams send.
        requests_per_client: how often one client may ask.
        connections_per_client: that one client may have; as many again are let in to be told so.
        fills_per_client: transfers into the cache under way that one client began.
        fills_per_upstream: transfers into the cache under way from one registry.
    """

    per_transfer: int | None = None
    per_client: int | None = None
    total: int | None = None
    upstream: int | None = None
    requests_per_client: Frequency | None = None
    connections_per_client: int = 512
    fills_per_client: int = 128
    fills_per_upstream: int = 512


def read_limits(table: Table) -> Limits:
    """Return what ``[limits]`` says. Raises ConfigError."""
    usual = Limits()
    limits = Limits(
        per_transfer=_rate(table, "per_transfer"),
        per_client=_rate(table, "per_client"),
        total=_rate(table, "total"),
        upstream=_rate(table, "upstream"),
        requests_per_client=table.frequency("requests_per_client"),
        connections_per_client=table.whole("connections_per_client", usual.connections_per_client),
        fills_per_client=table.whole("fills_per_client", usual.fills_per_client),
        fills_per_upstream=table.whole("fills_per_upstream", usual.fills_per_upstream),
    )
    table.refuse_the_rest()
    return limits


def _rate(table: Table, key: str) -> int | None:
    rate = table.rate(key)
    if rate is not None and rate < _LEAST_RATE:
        table.fail(key, "this is less than 64K/s, at which clients would give up; 0 is no limit")
    return rate
