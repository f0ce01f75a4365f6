"""What the configuration says of the way to ask as an HTTP proxy."""

from __future__ import annotations

from dataclasses import dataclass

from ..oci.names import Registry
from ..policy.connecting import HostPattern
from ..policy.endpoints import parse_endpoint

__all__ = ["Forward"]


@dataclass(frozen=True, slots=True)
class Forward:
    """An HTTP proxy for clients.

    Arguments:
        listen: where it is, in the clear: Twisted's endpoint strings.
        listen_tls: where it is in TLS, with the certificate of the domain.
        registries: that are answered here, besides those that have an alias or a table of their own.
        tunnels: hosts whose bytes are passed through.
        idle: seconds after which a connection to one of them ends on which nothing is sent.
    """

    listen: tuple[str, ...] = ()
    listen_tls: tuple[str, ...] = ()
    registries: frozenset[Registry] = frozenset()
    tunnels: tuple[HostPattern, ...] = ()
    idle: float = 300.0

    @property
    def is_on(self) -> bool:
        """Whether there is one."""
        return bool(self.listen or self.listen_tls)

    @property
    def shown(self) -> tuple[str, int] | None:
        """The scheme and the port that clients write; None where there is no proxy, or none with a known port."""
        scheme, endpoints = ("https", self.listen_tls) if self.listen_tls else ("http", self.listen)
        port = parse_endpoint(endpoints[0]).port if endpoints else None
        return (scheme, port) if port else None
