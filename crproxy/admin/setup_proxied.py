"""``crproxy setup CLIENT --proxy``: what a client needs that is to have this proxy as its HTTP proxy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ..config import Config, ConfigError
from ..policy.endpoints import parse_endpoint
from ..policy.setups import PROXIED, HttpProxy, Login, Setup
from ..policy.urls import origin_of
from .client import AdminClient
from .configuration_file import read_config
from .options import options_of
from .paths import find_socket

__all__ = ["proxied"]

_EXAMPLE = "such as --host http://cr.example.com:3128"


def proxied(
    client: str,
    host: str | None,
    config_file: str | None,
    said: Mapping[str, Any],
    login: Login | None,
    ca_file: Path | None,
) -> Setup:
    """Return how ``client`` is set up.

    Arguments:
        host: the proxy; None is the one of the configuration.
        config_file, said: where that is, and what the command line says beside it.
        ca_file: what clients are to trust; None has the running daemon asked.

    Raises:
        ClickException: there is none, or nothing tells of it.
    """
    if client not in PROXIED:
        raise click.ClickException(f"with --proxy there are {', '.join(PROXIED)}")
    url = _configured(config_file, said) if host is None else host
    origin = origin_of(url)
    if origin is None or url.partition("://")[2].strip("/").count("/"):
        raise click.BadParameter(f"{url!r} is no proxy: write its scheme and port, {_EXAMPLE}", param_hint="--host")
    pem = _exported() if ca_file is None else _read(ca_file)
    authority = url.partition("://")[2].strip("/")
    proxy = HttpProxy(authority, origin.scheme == "https", pem, _fingerprints(pem), login)
    return PROXIED[client](proxy)


def _configured(config_file: str | None, said: Mapping[str, Any]) -> str:
    try:
        config = read_config(config_file, options_of(dict(said)))
    except ConfigError as error:
        raise click.ClickException(f"{error}; or name the proxy by --host") from error
    if not config.forward.is_on:
        raise click.ClickException("this proxy is no HTTP proxy: set listen under [proxy], or give --proxy ENDPOINT")
    scheme, endpoints = "http", config.forward.listen
    if config.forward.listen_tls:
        scheme, endpoints = "https", config.forward.listen_tls
    port, name = parse_endpoint(endpoints[0]).port, config.names.domain or _address(config)
    if not port or name is None:
        raise click.ClickException(f"the configuration does not tell how clients reach the proxy: {_EXAMPLE}")
    return f"{scheme}://{name}:{port}"


def _address(config: Config) -> str | None:
    """Return where the proxy listens, if that is one address."""
    host = parse_endpoint(config.forward.listen[0]).host if config.forward.listen else None
    return None if not host or host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104


def _exported() -> str:
    found = AdminClient(find_socket(None)).ask("GET", "/ca")
    return "".join(one["certificate"] for one in found["authorities"])


def _read(file: Path) -> str:
    try:
        return file.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file} cannot be read: {error}") from error


def _fingerprints(pem: str) -> tuple[str, ...]:
    try:
        found = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise click.ClickException("there is no certificate in it: write what crproxy ca export prints") from None
    return tuple(one.fingerprint(hashes.SHA256()).hex(":").upper() for one in found)
