"""Where the operator's page is besides, as the configuration says it."""

from __future__ import annotations

from ..policy.endpoints import parse_endpoint
from .table import Table
from .values import Admin

__all__ = ["read_admin"]

_KINDS = ("tcp", "tcp6", "unix")


def read_admin(table: Table) -> Admin:
    """Return what ``[admin]`` says. Raises ConfigError."""
    listen = table.string("listen") or None
    if listen is not None:
        endpoint = parse_endpoint(listen)
        no_port = endpoint.kind != "unix" and endpoint.port is None
        if endpoint.kind not in _KINDS or endpoint.proxied or no_port or not endpoint.is_local:
            # Whoever reaches it may do everything where no admins log in.
            table.fail(
                "listen",
                f"{listen!r} is no endpoint that only this machine reaches: "
                "write one such as tcp:5080:interface=127.0.0.1",
            )
    table.refuse_the_rest()
    return Admin(listen)
