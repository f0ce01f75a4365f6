"""A daemon that is an HTTP proxy for its clients, in the clear and in TLS."""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from .daemon import Daemon, configuration
from .proxy_client import ProxyClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from .certificates import Authority
    from .daemon import Upstream

__all__ = ["DOMAIN", "House"]

DOMAIN = "cr.test"
_LISTEN = '[proxy]\nlisten = ["tcp:0:interface=127.0.0.1"]\nlisten_tls = ["tcp:0:interface=127.0.0.1"]\n'


@dataclass(frozen=True, slots=True)
class House:
    """One of them, and clients that speak to it either way."""

    daemon: Daemon
    clear: ProxyClient
    secured: ProxyClient

    @classmethod
    @contextmanager
    def build(
        cls, directory: Path, authority: Authority, upstreams: Mapping[str, Upstream], more: str = ""
    ) -> Iterator[Self]:
        """Start it; leaving the ``with`` block ends it.

        Arguments:
            authority: issues the certificate that the proxy itself shows.
            more: tables of its configuration.
        """
        config = configuration(upstreams, domain=DOMAIN) + _LISTEN + more
        with Daemon(directory, config, certificate=authority.issue(DOMAIN)) as daemon:
            clear, secured = (
                ("127.0.0.1", int(daemon.wait_for_log(rf"clients may have {scheme}://\S+:(\d+) as")[1]))
                for scheme in ("http", "https")
            )
            outer = ssl.create_default_context(cafile=str(authority.file)), DOMAIN
            yield cls(daemon, ProxyClient(clear, daemon.data_dir), ProxyClient(secured, daemon.data_dir, outer=outer))

    def client(self, kind: str) -> ProxyClient:
        """Return the client of one kind: clear, or tls."""
        return {"clear": self.clear, "tls": self.secured}[kind]
