"""``crproxy setup CLIENT --proxy``: what a client needs that is to have this proxy as its HTTP proxy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from ..config import ConfigError
from ..policy.endpoints import parse_endpoint
from ..policy.setups import PROXIED, Anchor, HttpProxy, Login, Setup
from ..policy.urls import origin_of
from .client import AdminClient, Unreachable
from .configuration_fault import fault_in
from .configuration_file import read_config
from .options import options_of
from .paths import find_socket

__all__ = ["ASKS_FOR_LOGIN", "proxied"]

ASKS_FOR_LOGIN = "This proxy asks for a login: add --login USER."

_EXAMPLE = "such as --host http://cr.example.com:3128"
_WANTED = "give what crproxy ca export prints"


def proxied(
    client: str,
    host: str | None,
    config_file: str | None,
    said: Mapping[str, Any],
    login: Login | None,
    ca_file: Path | None,
    socket: Path | None = None,
) -> Setup:
    """Return how ``client`` is set up.

    Arguments:
        host: the proxy; None is the one of the configuration.
        config_file, said: where that is, and what the command line says beside it.
        ca_file: what clients are to trust; None has the running daemon asked.
        socket: where that is; None is where it usually is.

    Raises:
        ClickException: there is none, or nothing tells of it; or what is to be trusted is no CA of this proxy's kind.
    """
    if client not in PROXIED:
        raise click.ClickException(f"with --proxy there are {', '.join(PROXIED)}")
    url = _configured(config_file, said, login) if host is None else host
    origin, authority = origin_of(url), url.partition("://")[2].removesuffix("/")
    if origin is None or not set("/?#").isdisjoint(authority):
        raise click.BadParameter(f"{url!r} is no proxy: write its scheme and port, {_EXAMPLE}", param_hint="--host")
    anchors = _anchors(_exported(socket, config_file) if ca_file is None else _read(ca_file))
    return PROXIED[client](HttpProxy(authority.lower(), origin.scheme == "https", anchors, login))


def _configured(config_file: str | None, said: Mapping[str, Any], login: Login | None) -> str:
    try:
        config = read_config(config_file, options_of(dict(said)))
    except ConfigError as error:
        raise fault_in(config_file, error, "name the proxy by --host") from error
    forward = config.forward
    if not forward.is_on:
        raise click.ClickException(
            "this proxy is no HTTP proxy by its configuration: set listen under [proxy], or name it by --host, "
            f"{_EXAMPLE.removeprefix('such as --host ')}"
        )
    if config.clients.users is not None and login is None:
        click.echo(ASKS_FOR_LOGIN, err=True)
    secure = bool(forward.listen_tls)
    endpoint = parse_endpoint((forward.listen_tls if secure else forward.listen)[0])
    if not endpoint.port:
        raise click.ClickException(f"the configuration does not tell how clients reach the proxy: {_EXAMPLE}")
    # A certificate has a name in it, and no address.
    has_name = config.names.domain is not None and (secure or not endpoint.is_local)
    name = config.names.domain if has_name else _bracketed(endpoint.host)
    return f"{'https' if secure else 'http'}://{name}:{endpoint.port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _exported(socket: Path | None, config_file: str | None) -> str:
    try:
        found = AdminClient(find_socket(socket, None if config_file is None else Path(config_file))).ask("GET", "/ca")
    except Unreachable as error:
        raise Unreachable(f"{error.message}. Or give --ca FILE, with what crproxy ca export prints there") from error
    return "".join(one["certificate"] for one in found["authorities"])


def _read(file: Path) -> str:
    try:
        return file.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file} cannot be read: {error}") from error


def _anchors(pem: str) -> tuple[Anchor, ...]:
    """Return the CAs in ``pem``, and nothing else that is in it: the daemon's own files have the key as well."""
    try:
        found = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise click.ClickException(f"there is no certificate in it: {_WANTED}") from None
    return tuple(_anchor(certificate) for certificate in found)


def _anchor(certificate: x509.Certificate) -> Anchor:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except (x509.ExtensionNotFound, ValueError):
        constraints = None
    permitted = () if constraints is None else constraints.permitted_subtrees or ()
    names = tuple(name.value for name in permitted if isinstance(name, x509.DNSName))
    if not names:
        raise click.ClickException(f"a certificate in it may sign for any name, which nobody should trust: {_WANTED}")
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
    return Anchor(pem, certificate.fingerprint(hashes.SHA256()).hex(":").upper(), names)
