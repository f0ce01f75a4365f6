"""Where monitoring may ask, as the configuration says it."""

from __future__ import annotations

from ..policy.endpoints import parse_endpoint
from .table import Table
from .values import Metrics

__all__ = ["read_metrics"]

_KINDS = ("tcp", "tcp6", "unix", "systemd")


def read_metrics(table: Table) -> Metrics:
    """Return what ``[metrics]`` says. Raises ConfigError."""
    listen = table.string("listen") or None
    if listen is not None:
        endpoint = parse_endpoint(listen)
        no_port = endpoint.kind in ("tcp", "tcp6") and endpoint.port is None
        if endpoint.kind not in _KINDS or endpoint.proxied or no_port:
            table.fail("listen", f"{listen!r} is no endpoint for it: write one such as tcp:9091:interface=127.0.0.1")
    table.refuse_the_rest()
    return Metrics(listen)
