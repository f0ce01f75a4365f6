"""The configuration: TOML text and command line options in, one frozen Config out.

Pure: the text of files is handed in. Every error names the key, and its line where there is one.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Never

from .oci.errors import RegistryError
from .oci.names import DOCKER_HUB, Registry
from .policy.freshness import Lifetimes
from .policy.quantities import parse_duration, parse_size
from .policy.routing import Names
from .policy.urls import origin_of

__all__ = ["Cache", "Config", "ConfigError", "OptionError", "Options", "Timeouts", "Upstream", "load"]

LOCAL_HTTP = ("tcp:5000:interface=127.0.0.1",)
DOMAIN_HTTP = ("tcp:80",)


class ConfigError(Exception):
    """The configuration cannot be used; the text says which key, on which line, and what to write instead."""


class OptionError(ConfigError):
    """The mistake is on the command line, not in the file."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long upstreams may take, in seconds; none is infinite.

    Arguments:
        connect: until a TCP connection stands; a TLS handshake counts with the headers.
        headers: from the request until the answer's header is there.
        idle: between two pieces of a body, while we are ready to take it.
    """

    connect: float = 10.0
    headers: float = 30.0
    idle: float = 60.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """How one registry is reached.

    Arguments:
        registry: which one.
        endpoint: URL of its root, without a trailing slash.
        username, password: for its own realm, and Basic; None asks anonymously.
        retries: how many attempts may follow a failed one.
        keepalive: whether connections are kept for the next request.
        private_hosts: hosts that may have addresses which are not public: the endpoint's where it is written in the
            configuration, and those listed there.
    """

    registry: Registry
    endpoint: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    retries: int = 3
    keepalive: bool = True
    private_hosts: frozenset[str] = frozenset()

    @property
    def allow_http(self) -> bool:
        """Whether this upstream may be spoken to in the clear."""
        return self.endpoint.startswith("http://")

    @classmethod
    def public(cls, registry: Registry) -> Upstream:
        """Return how a registry is reached of which the configuration says nothing."""
        host = "registry-1.docker.io" if registry == DOCKER_HUB else registry.name
        return cls(registry, f"https://{host}")


@dataclass(frozen=True, slots=True)
class Cache:
    """What is kept.

    Arguments:
        size: bytes on disk at the most.
        lifetimes: how long tags count.
    """

    size: int = 20 * 1024**3
    lifetimes: Lifetimes = field(default_factory=Lifetimes)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the daemon was told."""

    names: Names = field(default_factory=Names)
    http: tuple[str, ...] = LOCAL_HTTP
    upstreams: Mapping[Registry, Upstream] = field(default_factory=dict)
    timeouts: Timeouts = field(default_factory=Timeouts)
    data_dir: str = "."
    cache: Cache = field(default_factory=Cache)

    def upstream(self, registry: Registry) -> Upstream:
        """Return how ``registry`` is reached."""
        return self.upstreams.get(registry) or Upstream.public(registry)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says; None or empty where it says nothing. It wins over the file."""

    domain: str | None = None
    default_registry: str | None = None
    http: tuple[str, ...] = ()
    data_dir: str | None = None
    cache_size: str | None = None


def load(text: str, options: Options, *, read_secret: Callable[[str], str], usual_data_dir: str = ".") -> Config:
    """Return the configuration that ``text`` (TOML) and ``options`` make together.

    Arguments:
        usual_data_dir: where data lies if nothing else is said.
        read_secret: returns the text of the file that a ``password_file`` names; may raise OSError.

    Raises:
        ConfigError: with a text for the operator.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"this is not TOML: {error}") from None
    top = _Table(document, (), text)
    config = _config(top, options, read_secret, usual_data_dir)
    top.refuse_the_rest()
    return config


def _config(top: _Table, options: Options, read_secret: Callable[[str], str], usual_data_dir: str) -> Config:
    domain = options.domain if options.domain is not None else top.string("domain")
    top.take("domain")
    listen = top.table("listen")
    endpoints = listen.strings("http")
    listen.refuse_the_rest()
    default = DOMAIN_HTTP if domain else LOCAL_HTTP
    return Config(
        names=Names(_domain(_source(top, options.domain), domain), {}, _default_registry(top, options)),
        http=options.http or endpoints or default,
        upstreams=dict(_upstreams(top.table("upstreams"), read_secret)),
        timeouts=_timeouts(top.table("timeouts")),
        data_dir=options.data_dir or top.string("data_dir") or usual_data_dir,
        cache=_cache(top.table("cache"), options),
    )


def _source(top: _Table, option: str | None) -> _Table:
    """Return what a mistake is blamed on: an option stands on no line of the file."""
    return top if option is None else _Table({}, (), "", OptionError)


def _domain(top: _Table, name: str | None) -> str | None:
    if not name:
        return None
    registry = _registry(top, "domain", name.removesuffix("."))
    if ":" in name or "." not in registry.name:
        top.fail("domain", f"{name!r} is not a domain: write a name such as cr.example.com, without a port")
    return registry.name


def _default_registry(top: _Table, options: Options) -> Registry | None:
    from_file = top.string("default_registry")
    name = options.default_registry if options.default_registry is not None else from_file
    if name is None:
        return DOCKER_HUB
    return _registry(_source(top, options.default_registry), "default_registry", name) if name else None


def _cache(table: _Table, options: Options) -> Cache:
    usual = Lifetimes()
    size = table.size("size", Cache().size)
    if options.cache_size is not None:
        size = _option_size(options.cache_size)
    lifetimes = Lifetimes(
        tag_ttl=table.duration("tag_ttl", usual.tag_ttl),
        stale_if_error=table.duration("stale_if_error", usual.stale_if_error),
    )
    table.refuse_the_rest()
    return Cache(size, lifetimes)


def _option_size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise OptionError(f"--cache-size: {error}") from None


def _timeouts(table: _Table) -> Timeouts:
    usual = Timeouts()
    timeouts = Timeouts(
        connect=table.duration("connect", usual.connect),
        headers=table.duration("headers", usual.headers),
        idle=table.duration("idle", usual.idle),
    )
    table.refuse_the_rest()
    return timeouts


def _upstreams(tables: _Table, read_secret: Callable[[str], str]) -> Iterator[tuple[Registry, Upstream]]:
    seen: set[Registry] = set()
    for name in list(tables.values):
        registry = _registry(tables, name, name)
        if registry in seen:
            tables.fail(name, f"{registry} has a table already, under another of its names")
        seen.add(registry)
        yield registry, _upstream(registry, tables.table(name), read_secret)


def _upstream(registry: Registry, table: _Table, read_secret: Callable[[str], str]) -> Upstream:
    public = Upstream.public(registry)
    endpoint = table.string("endpoint")
    username = table.string("username")
    upstream = Upstream(
        registry=registry,
        endpoint=public.endpoint if endpoint is None else _endpoint(table, endpoint),
        username=username,
        password=_password(table, username, read_secret),
        retries=table.whole("retries", public.retries),
        keepalive=table.boolean("keepalive", public.keepalive),
        private_hosts=_private_hosts(table, endpoint),
    )
    table.refuse_the_rest()
    return upstream


def _private_hosts(table: _Table, endpoint: str | None) -> frozenset[str]:
    listed = frozenset(name.lower() for name in table.strings("private_hosts"))
    origin = None if endpoint is None else origin_of(endpoint)
    return listed if origin is None else listed | {origin.host}


def _endpoint(table: _Table, url: str) -> str:
    if origin_of(url) is None or "?" in url or "#" in url:
        table.fail("endpoint", f"{url!r} is not a registry's URL: write https://HOST or http://HOST:PORT")
    return url.rstrip("/")


def _password(table: _Table, username: str | None, read_secret: Callable[[str], str]) -> str | None:
    password, path = table.string("password"), table.string("password_file")
    if password is not None and path is not None:
        table.fail("password_file", "there is a password as well: keep one of them")
    if path is not None:
        try:
            password = read_secret(path).removesuffix("\n")
        except OSError as error:
            table.fail("password_file", f"{path} cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            table.fail("password_file", f"{path} is not UTF-8 text")
    if (username is None) != (password is None):
        table.fail("username", "a username goes with a password or a password_file, and the other way round")
    return password


def _registry(table: _Table, key: str, name: str) -> Registry:
    try:
        return Registry.parse(name)
    except RegistryError as error:
        table.fail(key, error.message)


class _Table:
    """One TOML table being read: each key is taken once, and what nobody took is an error."""

    def __init__(
        self,
        values: dict[str, Any],
        path: tuple[str, ...],
        text: str,
        error: type[ConfigError] = ConfigError,
    ) -> None:
        self.values = values
        self._path = path
        self._text = text
        self._error = error
        self._known: list[str] = []

    def take(self, key: str) -> Any:
        self._known.append(key)
        return self.values.get(key)

    def table(self, key: str) -> _Table:
        value = self.take(key)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            self.fail(key, "this is a table: write its keys below [" + self._dotted(key) + "]")
        return _Table(value, (*self._path, key), self._text)

    def string(self, key: str) -> str | None:
        value = self.take(key)
        if value is not None and not isinstance(value, str):
            self.fail(key, f"{value!r} is not a text: put it in quotes")
        return value

    def strings(self, key: str) -> tuple[str, ...]:
        value = self.take(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.fail(key, 'this is a list of texts: write ["...", "..."]')
        return tuple(value)

    def whole(self, key: str, usual: int) -> int:
        value = self.take(key)
        if value is None:
            return usual
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            self.fail(key, f"{value!r} is not a whole number from 0 up")
        return value

    def boolean(self, key: str, usual: bool) -> bool:
        value = self.take(key)
        if value is None:
            return usual
        if not isinstance(value, bool):
            self.fail(key, f"{value!r} is neither true nor false")
        return value

    def duration(self, key: str, usual: float) -> float:
        text = self.string(key)
        if text is None:
            return usual
        try:
            seconds = parse_duration(text)
        except ValueError as error:
            self.fail(key, str(error))
        if seconds <= 0:
            self.fail(key, f"{text!r} is no time at all")
        return seconds

    def size(self, key: str, usual: int) -> int:
        text = self.string(key)
        if text is None:
            return usual
        try:
            return parse_size(text)
        except ValueError as error:
            self.fail(key, str(error))

    def refuse_the_rest(self) -> None:
        for key in self.values:
            if key not in self._known:
                near = difflib.get_close_matches(key, self._known, 1)
                hint = f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(sorted(set(self._known)))}"
                self.fail(key, f"there is no such key{hint}")

    def fail(self, key: str, what: str) -> Never:
        path = (*self._path, key)
        line = _line_of(self._text, path)
        where = f"line {line}: " if line else ""
        raise self._error(f"{where}{self._dotted(key)}: {what}")

    def _dotted(self, key: str) -> str:
        parts = (*self._path, key)
        return ".".join(part if part.replace("_", "").replace("-", "").isalnum() else f'"{part}"' for part in parts)


def _line_of(text: str, path: tuple[str, ...]) -> int | None:
    """Return the number of the line that sets ``path``. tomllib keeps no positions, so it is asked line by line."""
    above: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("["):
            above = _key_path(stripped)
            if above == path:
                return number
        elif path[: len(above)] == above and _key_path(f"{stripped.partition('=')[0]}=0") == path[len(above) :]:
            return number
    return None


def _key_path(toml: str) -> tuple[str, ...]:
    try:
        document: Any = tomllib.loads(toml)
    except tomllib.TOMLDecodeError:
        return ()
    path = []
    while isinstance(document, dict | list) and document:
        if isinstance(document, list):
            document = document[0]
            continue
        key, document = next(iter(document.items()))
        path.append(key)
    return tuple(path)
