"""Why a registry cannot be connected to, and what to do: by how the attempt ended."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet import defer, error

from ...policy.urls import Origin
from ...upstream.errors import describe, innermost
from .findings import Told

__all__ = ["Blocked", "connected", "explain"]

_ELSE = "where only an HTTP proxy leads out, set https_proxy for crproxy, or proxy under {table}"
_TIMEOUTS = (defer.TimeoutError, error.TimeoutError, error.TCPTimedOutError, error.ConnectingCancelledError)


@dataclass(frozen=True, slots=True)
class Blocked:
    """What to do about it.

    Arguments:
        advice: for one registry.
        common: for several that are blocked in the same way: it is this machine's way out then.
    """

    advice: str
    common: Told


def connected(reason: BaseException) -> bool:
    """Tell whether an attempt that ended by ``reason`` may have got as far as a connection."""
    return not isinstance(innermost(reason), (*_TIMEOUTS, error.ConnectError, error.DNSLookupError))


def explain(reason: BaseException, origin: Origin, table: str) -> Blocked:
    """Return what to do about an attempt that ended by ``reason``.

    Arguments:
        origin: that was connected to.
        table: where the registry is configured.
    """
    what = _what(reason, f"{origin.host} port {origin.port}")
    return Blocked(
        f"{what}; {_ELSE.format(table=table)}",
        Told(_plural(describe(reason)), f"{_what(reason, 'them')}; {_ELSE.format(table='[upstreams]')}"),
    )


def _what(reason: BaseException, where: str) -> str:
    match innermost(reason):
        case error.ConnectionRefusedError():
            return (
                f"See whether a firewall, here or on the way, refuses connections to {where}, or nothing listens there"
            )
        case root if isinstance(root, _TIMEOUTS):
            return f"Most often a firewall, here or on the way, drops what is sent to {where}: have it let that pass"
        case error.ConnectError():
            return f"See this machine's routes (ip route) and firewall: nothing leads to {where}"
        case error.ConnectionClosed():
            return f"Something cuts the connection off, such as a firewall that looks into TLS: let {where} pass"
        case _:
            return f"See that this machine reaches {where}: firewall, proxy, and whether it is up"


def _plural(text: str) -> str:
    """Return what is said of one (upstream/errors.py), said of several."""
    for one, several in (
        ("it refuses", "they refuse"),
        ("it ", "they "),
        ("its name", "their names"),
        ("its ", "their "),
    ):
        if text.startswith(one):
            return several + text[len(one) :]
    return text
