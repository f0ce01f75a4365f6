"""Where clients reach the proxy that a command writes for: as ``--host`` names it, or as it is configured."""

from __future__ import annotations

import click

from ..config import Config
from ..policy.endpoints import parse_endpoint
from ..policy.routing import host_name
from ..policy.urls import origin_of

__all__ = ["configured_proxy", "named_proxy"]

_SCHEME_PORTS = {"https": 443, "http": 80}
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def named_proxy(host: str) -> tuple[str, bool]:
    """Return what stands in front of images' names, and whether TLS is spoken there, of the proxy that ``host`` names.

    Without a scheme this machine's is plain, any other is not.

    Raises:
        BadParameter: it names none.
    """
    origin = origin_of(host) or origin_of(f"https://{host}")
    if (
        origin is None
        or host.partition("://")[2].strip("/").count("/")
        or (not host.startswith("http") and "/" in host)
    ):
        raise click.BadParameter(
            f"{host!r} is no host: write cr.example.com, or http://localhost:5000", param_hint="--host"
        )
    authority = (host.partition("://")[2].strip("/") if "://" in host else host).lower()
    secure = origin.scheme == "https" if "://" in host else host_name(authority) not in _LOOPBACK
    return authority, secure


def configured_proxy(config: Config) -> tuple[str, bool]:
    """Return the same of the proxy that is configured.

    Raises:
        ClickException: the configuration does not tell.
    """
    scheme, port = config.reached_at
    name = config.names.domain or _local_name(config)
    return name if port == _SCHEME_PORTS[scheme] else f"{name}:{port}", scheme == "https"


def _local_name(config: Config) -> str:
    for description in config.listen.http:
        endpoint = parse_endpoint(description)
        if endpoint.port:
            host = endpoint.host
            return "localhost" if host in ("127.0.0.1", "::1") else f"[{host}]" if ":" in host else host
    raise click.ClickException("the configuration does not tell how clients reach this proxy: name it by --host")
