"""The file and the command line, read into one Config."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..oci.names import Registry
from ..policy.freshness import Lifetimes
from ..policy.proxies import Proxies, from_environment
from ..policy.routing import Names
from ..policy.units import parse_size
from .access import read_access
from .admin import read_admin
from .audit import read_audit
from .clients import read_clients
from .fleet import read_fleet
from .fleet_values import Fleet
from .forward import read_forward
from .forward_values import Forward
from .limits import read_limits
from .log import read_log
from .metrics import read_metrics
from .naming import read_names
from .options import Options
from .page import read_page
from .rules import read_pins, read_rules
from .storage import read_storage
from .table import ConfigError, OptionError, Table, parse_toml
from .tls import read_acme, read_listen
from .upstreams import read_all_named, read_named, read_upstreams
from .values import Cache, Config, Timeouts, Upstream

__all__ = ["MOST_WORKERS", "load", "read_document"]

# More processes than any machine has use for.
MOST_WORKERS = 256
_HOW_MANY = f'write the number of processes, 1 to {MOST_WORKERS}, or "auto" for one for each core'


def load(
    text: str,
    options: Options,
    *,
    read_file: Callable[[str], str],
    usual_data_dir: str = ".",
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Return the configuration that ``text`` (TOML) and ``options`` make together.

    Arguments:
        read_file: returns the text of a file that is named, such as a ``password_file``; may raise OSError.
        usual_data_dir: where data lies if nothing else is said.
        environment: the variables that say which proxy upstreams are reached through.

    Raises:
        ConfigError: with a text for the operator.
    """
    return read_document(
        parse_toml(text), text, options, read_file=read_file, usual_data_dir=usual_data_dir, environment=environment
    )


def read_document(
    document: dict[str, Any],
    text: str,
    options: Options,
    *,
    read_file: Callable[[str], str],
    usual_data_dir: str = ".",
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Return what ``document``, of the file's ``text``, and ``options`` make together. The rest is as for `load`."""
    try:
        proxies = from_environment(environment or {})
    except ValueError as error:
        raise OptionError(str(error)) from None
    _advertise(document, options)
    top = Table(document, (), text)
    config = _config(top, options, read_file, usual_data_dir, proxies)
    top.refuse_the_rest()
    return config


def _config(
    top: Table, options: Options, read_file: Callable[[str], str], usual_data_dir: str, proxies: Proxies
) -> Config:
    spoken = _spoken(options)
    names = read_names(top, spoken)
    certs, data_dir = top.string("certs"), top.string("data_dir")

    def named(table: Table, key: str) -> str | None:
        return read_named(table, key, read_file)

    def named_files(table: Table, key: str) -> tuple[str, ...]:
        return read_all_named(table, key, read_file)

    tables, clients = top.table("upstreams"), top.table("clients")
    listen = read_listen(top.table("listen"), spoken, has_domain=names.domain is not None)
    forward = read_forward(top.table("proxy"), spoken, has_tls=bool(listen.https))
    return Config(
        names=names,
        listen=listen,
        upstreams=_upstreams(tables, read_file, proxies, names, forward),
        timeouts=_timeouts(top.table("timeouts")),
        data_dir=options.data_dir or data_dir or usual_data_dir,
        cache=_cache(top.table("cache"), options),
        access=read_access(top.table("access"), clients, named),
        clients=read_clients(clients, named),
        proxies=proxies,
        certs=certs if options.certs is None else options.certs or None,
        acme=read_acme(top.table("acme"), spoken, named),
        limits=read_limits(top.table("limits")),
        audit=read_audit(top.table("audit")),
        page=read_page(top.table("page")),
        admin=read_admin(top.table("admin")),
        metrics=read_metrics(top.table("metrics")),
        storage=read_storage(top.table("storage"), named),
        workers=_workers(top, options),
        fleet=_fleet(top, options, named),
        forward=forward,
        log=read_log(top.table("log"), options),
        rules=read_rules(top, named_files, named),
        pins=read_pins(top.table("pins"), names.default_registry),
    )


def _advertise(document: dict[str, Any], options: Options) -> None:
    """Put what is each node's own into the file's ``[fleet]``, which is the same on all of them."""
    url = options.fleet_advertise
    if url is None:
        return
    fleet = document.get("fleet")
    if not isinstance(fleet, dict):
        called = options.called("fleet-advertise")
        raise OptionError(f"{called} {url}: there is no [fleet] in the configuration file")
    fleet["advertise"] = url


def _fleet(top: Table, options: Options, named: Callable[[Table, str], str | None]) -> Fleet | None:
    try:
        return read_fleet(top.table("fleet"), named)
    except ConfigError as error:
        if options.fleet_advertise is None or error.path != ("fleet", "advertise"):
            raise
        what = str(error).partition("fleet.advertise: ")[2]
        raise OptionError(f"{options.called('fleet-advertise')} {options.fleet_advertise}: {what}") from None


def _workers(top: Table, options: Options) -> int | None:
    configured = top.take("workers")
    if options.workers is not None:
        given = int(options.workers) if options.workers.isdecimal() else options.workers
        if not _is_workers(given):
            raise OptionError(f"{options.called('workers')} {options.workers}: {_HOW_MANY}")
        configured = given
    elif not _is_workers(configured):
        top.fail("workers", f"{configured!r} is none of them: {_HOW_MANY}")
    return None if configured == "auto" else int(configured or 1)


def _is_workers(value: object) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return 1 <= value <= MOST_WORKERS
    return value is None or value == "auto"


def _upstreams(
    tables: Table, read_file: Callable[[str], str], proxies: Proxies, names: Names, forward: Forward
) -> dict[Registry, Upstream]:
    upstreams = dict(read_upstreams(tables, read_file, proxies))
    for registry, upstream in upstreams.items():
        has_host = registry in names.aliases.values() or (forward.is_on and bool(registry.hosts))
        if upstream.passthrough and not has_host:
            tables.fail(
                registry.name,
                "passthrough needs a host that stands for this registry alone, where clients log in: "
                "set domain, and an alias for it under [aliases], or listen under [proxy]",
            )
    return upstreams


def _spoken(options: Options) -> Table:
    """Return what the options say, as a table whose mistakes stand on no line of the file."""
    said: dict[str, Any] = {
        "domain": options.domain,
        "default_registry": options.default_registry,
        "acme-directory": options.acme_directory,
        "acme-email": options.acme_email,
        "alias": {},
    }
    listen = (("http", options.http), ("https", options.https), ("proxy", options.proxy))
    said |= {key: list(found) for key, found in listen if found}
    for alias in options.aliases:
        label, equals, registry = alias.partition("=")
        if not equals:
            called = options.called("alias")
            raise OptionError(f"{called} {alias}: write LABEL=REGISTRY, such as quay=quay.io, or LABEL= to remove one")
        said["alias"][label.strip()] = registry.strip()

    def called_there(path: tuple[str, ...]) -> str:
        return " ".join([options.called(path[0].replace("_", "-")), *path[1:]])

    return Table(said, (), "", OptionError, called=called_there)


def _cache(table: Table, options: Options) -> Cache:
    usual = Lifetimes()
    size = table.size("size", Cache().size)
    if options.cache_size is not None:
        size = _option_size(options.called("cache-size"), options.cache_size)
    lifetimes = Lifetimes(
        tag_ttl=table.duration("tag_ttl", usual.tag_ttl),
        stale_if_error=table.duration("stale_if_error", usual.stale_if_error),
        patience=table.duration("patience", usual.patience),
        permission_ttl=table.duration("permission_ttl", usual.permission_ttl),
    )
    verify_every = table.duration_or_off("verify_every", Cache().verify_every)
    table.refuse_the_rest()
    return Cache(size, lifetimes, verify_every)


def _option_size(called: str, text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise OptionError(f"{called}: {error}") from None


def _timeouts(table: Table) -> Timeouts:
    usual = Timeouts()
    timeouts = Timeouts(
        connect=table.duration("connect", usual.connect),
        headers=table.duration("headers", usual.headers),
        idle=table.duration("idle", usual.idle),
        write=table.duration("write", usual.write),
    )
    table.refuse_the_rest()
    return timeouts
