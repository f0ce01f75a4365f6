"""How registries are reached, as the configuration says it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cryptography import x509

from ..oci.names import Registry
from ..policy.proxies import DIRECT, Proxies, parse_proxy
from ..policy.urls import origin_of
from .table import Table
from .values import Upstream

__all__ = ["read_named", "read_upstreams"]

# More for one blob would be at the others' cost; what they hold in memory is bounded in any case.
_MOST_CONNECTIONS = 16

ReadFile = Callable[[str], str]


def read_upstreams(tables: Table, read_file: ReadFile, proxies: Proxies) -> Iterator[tuple[Registry, Upstream]]:
    """Give each registry that has a table, and how it is reached.

    Arguments:
        proxies: for those that say nothing of proxies.

    Raises:
        ConfigError: something in the tables cannot be used.
    """
    seen: set[Registry] = set()
    for name in list(tables.values):
        registry = tables.registry(name, name)
        if registry in seen:
            tables.fail(name, f"{registry} has a table already, under another of its names")
        seen.add(registry)
        yield registry, _upstream(registry, tables.table(name), read_file, proxies)


def _upstream(registry: Registry, table: Table, read_file: ReadFile, proxies: Proxies) -> Upstream:
    public = Upstream.public(registry)
    endpoint = table.string("endpoint")
    username = table.string("username")
    upstream = Upstream(
        registry=registry,
        endpoint=public.endpoint if endpoint is None else _endpoint(table, endpoint),
        username=username,
        password=_password(table, username, read_file),
        retries=table.whole("retries", public.retries),
        keepalive=table.boolean("keepalive", public.keepalive),
        private_hosts=_private_hosts(table, endpoint),
        token_hosts=_hosts(table, "token_hosts"),
        authorities=_authorities(table, read_file),
        proxies=_proxies(table, proxies),
        passthrough=_passthrough(table, username),
        connections=_connections(table, public.connections),
    )
    table.refuse_the_rest()
    return upstream


def _passthrough(table: Table, username: str | None) -> bool:
    passthrough = table.boolean("passthrough", False)
    if passthrough and username is not None:
        table.fail("passthrough", "there is a username as well: either clients log in there, or this proxy does")
    return passthrough


def _connections(table: Table, usual: int) -> int:
    connections = table.whole("connections", usual)
    if not 1 <= connections <= _MOST_CONNECTIONS:
        table.fail("connections", f"write a number from 1, which is one after the other, to {_MOST_CONNECTIONS}")
    return connections


def _private_hosts(table: Table, endpoint: str | None) -> frozenset[str]:
    listed = _hosts(table, "private_hosts")
    origin = None if endpoint is None else origin_of(endpoint)
    return listed if origin is None else listed | {origin.host}


def _hosts(table: Table, key: str) -> frozenset[str]:
    return frozenset(name.lower() for name in table.strings(key))


def _endpoint(table: Table, url: str) -> str:
    if origin_of(url) is None or "?" in url or "#" in url:
        table.fail("endpoint", f"{url!r} is not a registry's URL: write https://HOST or http://HOST:PORT")
    return url.rstrip("/")


def _password(table: Table, username: str | None, read_file: ReadFile) -> str | None:
    password = table.string("password")
    if password is not None and table.string("password_file") is not None:
        table.fail("password_file", "there is a password as well: keep one of them")
    from_file = read_named(table, "password_file", read_file)
    if from_file is not None:
        password = from_file.removesuffix("\n").removesuffix("\r")
    if (username is None) != (password is None):
        table.fail("username", "a username goes with a password or a password_file, and the other way round")
    if username is not None and ":" in username:
        table.fail("username", "there is a colon in it, which cannot be sent (RFC 7617, 2); a password may have any")
    return password


def _authorities(table: Table, read_file: ReadFile) -> str | None:
    text = read_named(table, "ca_file", read_file)
    if text is not None:
        try:
            x509.load_pem_x509_certificates(text.encode())
        except ValueError:
            table.fail("ca_file", "there is no certificate in PEM in it, which begins with -----BEGIN CERTIFICATE")
    return text


def _proxies(table: Table, usual: Proxies) -> Proxies:
    url = table.string("proxy")
    if url is None:
        return usual
    try:
        return Proxies.always(parse_proxy(url)) if url else DIRECT
    except ValueError as error:
        table.fail("proxy", f"this is {error}")


def read_named(table: Table, key: str, read_file: ReadFile) -> str | None:
    """Return the text of the file that ``key`` names; None where it names none. Raises ConfigError."""
    path = table.string(key)
    if path is None:
        return None
    try:
        return read_file(path)
    except OSError as error:
        table.fail(key, f"{path} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        table.fail(key, f"{path} is not UTF-8 text")
