"""The way to ask as an HTTP proxy, as the configuration says it."""

from __future__ import annotations

from ..policy.connecting import HostPattern, why_not_answered
from ..policy.endpoints import PROXIED
from .forward_values import Forward
from .table import Table

__all__ = ["read_forward"]


def read_forward(table: Table, spoken: Table, *, has_tls: bool) -> Forward:
    """Return what ``[proxy]`` and the command line say. Raises ConfigError.

    Arguments:
        has_tls: there is TLS for clients that ask in other ways, with a certificate of the domain.
    """
    written, said = table.strings("listen"), spoken.strings("proxy")
    forward = Forward(
        listen=tuple(filter(None, said or written)),
        listen_tls=tuple(filter(None, table.strings("listen_tls"))),
        registries=frozenset(table.registry("registries", name) for name in table.strings("registries")),
        tunnels=tuple(_pattern(table, text) for text in table.strings("tunnel")),
        idle=table.duration("tunnel_idle", Forward().idle),
    )
    table.refuse_the_rest()
    for key, endpoints in (("listen", forward.listen), ("listen_tls", forward.listen_tls)):
        for endpoint in endpoints:
            if endpoint.startswith(PROXIED):
                source, name = (spoken, "proxy") if said and key == "listen" else (table, key)
                source.fail(name, f"{endpoint!r} expects a PROXY header, which is not read here")
    if forward.listen_tls and not has_tls:
        table.fail("listen_tls", "its certificate is that of the domain: set domain, and let https listen somewhere")
    for registry in sorted(forward.registries):
        why = why_not_answered(registry)
        if why is not None:
            table.fail("registries", f"{registry} {why}")
    return forward


def _pattern(table: Table, text: str) -> HostPattern:
    try:
        return HostPattern.parse(text)
    except ValueError as error:
        table.fail("tunnel", str(error))
