"""How registries are reached, as the configuration says it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from cryptography import x509

from ..oci.names import Registry
from ..policy.proxies import DIRECT, Proxies, parse_proxy
from ..policy.urls import origin_of
from .table import Table
from .values import Upstream

__all__ = ["read_all_named", "read_named", "read_upstreams", "unreadable"]

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
    listed = table.texts_or_tables("endpoint")
    username = table.string("username")
    usual = Upstream(
        registry=registry,
        endpoint=public.endpoint,
        username=username,
        password=_password(table, username, read_file),
        retries=table.whole("retries", public.retries),
        keepalive=table.boolean("keepalive", public.keepalive),
        private_hosts=_hosts(table, "private_hosts"),
        token_hosts=_hosts(table, "token_hosts"),
        authorities=_authorities(table, read_file),
        proxies=_proxies(table, proxies),
        passthrough=table.boolean("passthrough", False),
        redirect_blobs=table.boolean("redirect_blobs", False),
        connections=_connections(table, public.connections),
    )
    table.refuse_the_rest()
    upstream = usual if listed is None else _of_endpoints(table, listed, usual, read_file)
    _check_passthrough(table, upstream)
    return upstream


def _check_passthrough(table: Table, upstream: Upstream) -> None:
    if not upstream.passthrough:
        return
    if upstream.fallbacks:
        table.fail(
            "passthrough",
            "clients' own passwords are for the registry alone, and it has several endpoints: keep one of them",
        )
    if upstream.username is not None:
        table.fail("passthrough", "there is a username as well: either clients log in there, or this proxy does")


def _connections(table: Table, usual: int) -> int:
    connections = table.whole("connections", usual)
    if not 1 <= connections <= _MOST_CONNECTIONS:
        table.fail("connections", f"write a number from 1, which is one after the other, to {_MOST_CONNECTIONS}")
    return connections


def _hosts(table: Table, key: str) -> frozenset[str]:
    return frozenset(name.lower() for name in table.strings(key))


# Several endpoints


def _of_endpoints(table: Table, listed: list[str | Table], usual: Upstream, read_file: ReadFile) -> Upstream:
    """Return the upstream with its endpoints.

    Arguments:
        usual: what the registry's table says, the login included.
    """
    anonymous = replace(usual, username=None, password=None)
    endpoints, is_used = [], usual.username is None
    for one in listed:
        if isinstance(one, Table):
            endpoints.append(_of_table(one, anonymous, read_file))
            continue
        endpoint = _at(table, "endpoint", one, usual)
        # A login is for the host that it was made for, and not for whoever else has a copy of the images.
        is_for_it = len(listed) == 1 or endpoint.is_registrys_own
        is_used = is_used or is_for_it
        endpoints.append(endpoint if is_for_it else _at(table, "endpoint", one, anonymous))
    if not is_used:
        own = Upstream.public(usual.registry).endpoint
        table.fail(
            "username",
            f"of several endpoints it is for {own}, if that is written as a text, and for no other: write username and "
            'password_file into the endpoint\'s own table, { url = "...", username = "...", password_file = "..." }',
        )
    _check_endpoints(table, endpoints)
    first, *others = endpoints
    return replace(first, fallbacks=tuple(others))


def _check_endpoints(table: Table, endpoints: list[Upstream]) -> None:
    if not endpoints:
        table.fail("endpoint", "the list is empty: write URLs into it, or leave the key out")
    seen = set()
    for endpoint in endpoints:
        place = origin_of(endpoint.endpoint), urlsplit(endpoint.endpoint).path
        if place in seen:
            table.fail("endpoint", f"{endpoint.endpoint} is there twice: keep one of them")
        seen.add(place)
    if not any(endpoint.trust_tags for endpoint in endpoints):
        table.fail("endpoint", "nobody would say what a tag is: leave trust_tags = false out of one of the endpoints")


def _of_table(table: Table, usual: Upstream, read_file: ReadFile) -> Upstream:
    """Return an endpoint that has a table of its own; what that leaves out is as ``usual``."""
    url = table.string("url")
    if url is None:
        table.fail("url", 'it is missing: write { url = "https://..." }')
    username = table.string("username")
    own = replace(
        usual,
        username=username,
        password=_password(table, username, read_file),
        private_hosts=_hosts_or(table, "private_hosts", usual.private_hosts),
        # Those of the registry are not where another endpoint's login may go.
        token_hosts=_hosts_or(table, "token_hosts", usual.token_hosts if username is None else frozenset()),
        authorities=_authorities(table, read_file) or usual.authorities,
        proxies=_proxies(table, usual.proxies),
        trust_tags=table.boolean("trust_tags", True),
    )
    table.refuse_the_rest()
    return _at(table, "url", url, own)


def _hosts_or(table: Table, key: str, usual: frozenset[str]) -> frozenset[str]:
    hosts = _hosts(table, key)
    return hosts if key in table.values else usual


def _at(table: Table, key: str, url: str, upstream: Upstream) -> Upstream:
    """Return ``upstream`` at the endpoint ``url``, which ``key`` says."""
    origin = origin_of(url)
    if origin is None or "?" in url or "#" in url:
        table.fail(key, f"{url!r} is not a registry's URL: write https://HOST or http://HOST:PORT")
    private = upstream.private_hosts | {origin.host}
    return replace(upstream, endpoint=url.rstrip("/"), private_hosts=private)


# Files


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


def unreadable(path: str, error: OSError) -> str:
    """Return what is said of a file that cannot be read."""
    missing = isinstance(error, FileNotFoundError)
    advice = "make it, or name another" if missing else "the user that crproxy runs as must be able to read it"
    return f"{path} cannot be read: {error.strerror}: {advice}"


def read_named(table: Table, key: str, read_file: ReadFile) -> str | None:
    """Return the text of the file that ``key`` names; None where it names none. Raises ConfigError."""
    path = table.string(key)
    return None if path is None else _read(table, key, path, read_file)


def read_all_named(table: Table, key: str, read_file: ReadFile) -> tuple[str, ...]:
    """Return the texts of the files that ``key`` lists. Raises ConfigError."""
    return tuple(_read(table, key, path, read_file) for path in table.strings(key))


def _read(table: Table, key: str, path: str, read_file: ReadFile) -> str:
    try:
        return read_file(path)
    except OSError as error:
        table.fail(key, unreadable(path, error))
    except UnicodeDecodeError:
        table.fail(key, f"{path} is not UTF-8 text")
