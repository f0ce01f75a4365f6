"""The other nodes that this one is in agreement with, as the configuration says it."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import SplitResult, unquote, urlsplit

from cryptography import x509

from ..policy.endpoints import parse_endpoint
from ..policy.urls import Origin, origin_of
from .fleet_values import Fleet, ValkeyAddress
from .table import Table

__all__ = ["read_fleet"]

# Returns the text of the file that a key names; None where it names none.
Named = Callable[[Table, str], str | None]

_SCHEMES = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}
_PORT = 6379
# Databases that a server can be told to have; usually it has 16.
_MOST_DATABASES = 2**31 - 1
_KINDS = ("tcp", "tcp6", "unix", "systemd")
# What a name may be made of that is part of a key, a label of a metric, and a line in the log.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]")
_LONGEST = 100
_SECRET_BYTES = 32
_EXAMPLE = "write a URL such as redis://valkey:6379/0, rediss://valkey or unix:///run/valkey/valkey.sock"


def read_fleet(table: Table, named: Named) -> Fleet | None:
    """Return what ``[fleet]`` says; None where it says nothing.

    Arguments:
        named: returns the text of the file that a key names.

    Raises:
        ConfigError: with a text for the operator, and no secret in it.
    """
    url, advertise = table.string("valkey"), table.string("advertise")
    listen, name, prefix = table.strings("listen"), table.string("name"), table.string("prefix")
    secret, password = named(table, "secret_file"), named(table, "valkey_password_file")
    authorities = named(table, "valkey_ca_file")
    table.refuse_the_rest()
    if not table.values:
        return None
    if url is None:
        table.fail("valkey", f"nothing says where the nodes of a fleet meet: {_EXAMPLE}")
    address = _address(table, url, password, authorities)
    origin = _advertised(table, advertise)
    return Fleet(
        valkey=address,
        advertise=str(origin),
        listen=_listen(table, listen, origin),
        secret=_secret(table, secret),
        name=_plain(table, "name", _host_and_port(origin) if name is None else name),
        prefix=_plain(table, "prefix", "crproxy" if prefix is None else prefix),
    )


# Valkey


def _address(table: Table, url: str, password: str | None, authorities: str | None) -> ValkeyAddress:
    parts = _split(table, url)
    if parts.password is not None and password is not None:
        table.fail("valkey_password_file", "there is a password in the URL as well: keep one of them")
    if password is not None:
        password = password.removesuffix("\n").removesuffix("\r")
    elif parts.password is not None:
        password = unquote(parts.password)
    username = unquote(parts.username) if parts.username else None
    if username is not None and password is None:
        table.fail("valkey", "there is a username and no password: write one behind it, or valkey_password_file")
    tls = _SCHEMES.get(parts.scheme, False)
    if authorities is not None:
        _check_authorities(table, authorities, tls=tls)
    unix = parts.scheme == "unix"
    return ValkeyAddress(
        host="" if unix else parts.hostname or "",
        port=0 if unix else parts.port or _PORT,
        path=unquote(parts.path) if unix else "",
        tls=tls,
        database=_database(table, parts.query.removeprefix("db=") if unix else parts.path.removeprefix("/")),
        username=username,
        password=password,
        authorities=authorities,
    )


def _split(table: Table, url: str) -> SplitResult:
    """Return the parts of a URL that is one. What is wrong is said without it: there may be a password in it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        table.fail("valkey", f"this is no URL: {_EXAMPLE}")
    if parts.scheme == "unix":
        is_sound = parts.path.startswith("/") and not host and (not parts.query or parts.query.startswith("db="))
    else:
        is_sound = parts.scheme in _SCHEMES and bool(host) and port != 0 and not parts.query
    if not is_sound or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        table.fail("valkey", f"this is no place to meet: {_EXAMPLE}")
    return parts


def _database(table: Table, text: str) -> int:
    if not text:
        return 0
    if not text.isdecimal() or len(text) > len(str(_MOST_DATABASES)) or int(text) > _MOST_DATABASES:
        table.fail("valkey", f"its database is a number, such as the 0 of redis://valkey:6379/0: {_EXAMPLE}")
    return int(text)


def _check_authorities(table: Table, text: str, *, tls: bool) -> None:
    if not tls:
        table.fail("valkey_ca_file", "nothing is to be trusted without TLS: write rediss:// in valkey, or remove this")
    try:
        x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        table.fail("valkey_ca_file", "there is no certificate in PEM in it, which begins with -----BEGIN CERTIFICATE")


# This node


def _advertised(table: Table, url: str | None) -> Origin:
    origin = None if url is None else origin_of(url)
    if url is None or origin is None or origin.scheme != "https" or any(urlsplit(url.removesuffix("/"))[2:]):
        table.fail(
            "advertise", "other nodes must be told where to reach this one: write a URL such as https://10.0.0.5:5443"
        )
    return origin


def _host_and_port(origin: Origin) -> str:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return f"{host}:{origin.port}"


def _listen(table: Table, listed: tuple[str, ...], origin: Origin) -> tuple[str, ...]:
    for endpoint in map(parse_endpoint, listed):
        if endpoint.kind not in _KINDS or endpoint.proxied or (endpoint.kind in _KINDS[:2] and endpoint.port is None):
            table.fail("listen", "other nodes cannot be listened to there: write an endpoint such as tcp:5443")
    return listed or (f"{'tcp6' if ':' in origin.host else 'tcp'}:{origin.port}",)


def _secret(table: Table, text: str | None) -> str:
    if text is None:
        table.fail("secret_file", "nothing tells nodes from strangers: name a file with the same secret on every node")
    secret = text.strip()
    if len(secret.encode()) < _SECRET_BYTES:
        table.fail(
            "secret_file", f"there are less than {_SECRET_BYTES} bytes in it: openssl rand -hex 32 writes enough"
        )
    return secret


def _plain(table: Table, key: str, text: str) -> str:
    if not text or len(text) > _LONGEST or not _PLAIN.issuperset(text):
        table.fail(key, f"write 1 to {_LONGEST} letters, digits and .-_: for it, such as node-1")
    return text
