"""The names the proxy answers to: its domain, its aliases, and the registry that is meant where none is named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..oci.names import DOCKER_HUB, Registry, canonical_host
from ..policy.aliases import BUILT_IN
from ..policy.routing import Names
from .table import ConfigError, Table

__all__ = ["alias_host", "built_in", "read_names", "with_alias"]


def read_names(top: Table, spoken: Table) -> Names:
    """Return the names that the file (``top``) and the command line (``spoken``) give together. Raises ConfigError."""
    domain = _domain(*_first(top, spoken, "domain"))
    default_registry = _default_registry(*_first(top, spoken, "default_registry"))
    aliases = built_in(domain)
    for table in (top.table("aliases"), spoken.table("alias")):
        _apply(table, domain, aliases)
    return Names(domain, aliases, default_registry)


def built_in(domain: str | None) -> dict[str, Registry]:
    """Return the aliases below ``domain`` that are there without a word, by host."""
    return {} if domain is None else {f"{label}.{domain}": registry for label, registry in BUILT_IN.items()}


def alias_host(label: str, domain: str | None) -> str:
    """Return the host that an alias is for: of a label below ``domain``, or of a whole name. Raises ConfigError."""
    return _host(_spoken_alias(label, ""), label, domain)


def with_alias(names: Names, label: str, registry: str) -> Names:
    """Return ``names`` with one alias more, or with ``""`` one less. Raises ConfigError."""
    aliases = dict(names.aliases)
    _apply(_spoken_alias(label, registry), names.domain, aliases)
    return replace(names, aliases=aliases)


def _spoken_alias(label: str, registry: str) -> Table:
    return Table({label: registry}, ("alias",), "", ConfigError, called=" ".join)


def _apply(table: Table, domain: str | None, aliases: dict[str, Registry]) -> None:
    seen: set[str] = set()
    for key, host, registry in _written(table, domain):
        if host in seen:
            table.fail(key, f"{host} has a line already, in another spelling")
        seen.add(host)
        if registry is not None:
            aliases[host] = registry
        elif aliases.pop(host, None) is None:
            table.fail(key, "there is no such alias to remove: crproxy alias list shows what there is")


def _first(top: Table, spoken: Table, key: str) -> tuple[Table, str | None]:
    """Return what ``key`` is, and who says so: the command line wins over the file."""
    from_file, from_options = top.string(key), spoken.string(key)
    return (top, from_file) if from_options is None else (spoken, from_options)


def _domain(table: Table, name: str | None) -> str | None:
    if not name:
        return None
    host = canonical_host(name.removesuffix("."))
    if host is None or "." not in host:
        table.fail("domain", f"{name!r} is not a domain: write a name such as cr.example.com, without a port")
    return host


def _default_registry(table: Table, name: str | None) -> Registry | None:
    if name is None:
        return DOCKER_HUB
    return table.registry("default_registry", name) if name else None


def _written(table: Table, domain: str | None) -> Iterator[tuple[str, str, Registry | None]]:
    """Give each line's key, the host that it is for, and the registry; None takes the alias away."""
    for key in list(table.values):
        name = table.string(key)
        yield key, _host(table, key, domain), table.registry(key, name) if name else None


def _host(table: Table, key: str, domain: str | None) -> str:
    if "." not in key and domain is None:
        table.fail(key, "this is a label below the domain, and no domain is set: set one, or write a whole host name")
    host = canonical_host(key.removesuffix(".") if "." in key else f"{key}.{domain}")
    if host is None or host.startswith("["):
        table.fail(key, "this is not a name: write a label such as quay, or a whole host name such as hub.example.net")
    if host == domain:
        table.fail(key, "this is the domain itself, which stands for default_registry")
    return host
