"""What is different between two configurations, in words for the log: names and numbers, and no secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from ..oci.digests import Digest
from ..oci.names import Repository, Tag
from ..policy.rules import Rules
from ..policy.units import exact_duration, exact_rate
from .forward_values import Forward
from .limits import Limits
from .operation_values import Log
from .values import Config

__all__ = ["changes"]

# What may be shown with its values; of all else only the key is named.
_PLAIN = (bool, int, float, type(None))
# Of [limits]: bytes per second.
_RATES = frozenset({"per_transfer", "per_client", "total", "upstream"})
# Keys whose values have another name here.
_KEYS = {
    "authorities": "ca_file",
    "fallbacks": "endpoint",
    "proxies": "proxy",
    "style": "format",
    "tunnels": "tunnel",
    "users": "htpasswd",
}


def changes(before: Config, after: Config) -> list[str]:
    """Return what is different in ``after``: a few words for each table that has changed, and nothing for others."""
    found = {
        "names": _names(before, after),
        "[aliases]": _mapping(before.names.aliases, after.names.aliases),
        "[upstreams]": _upstreams(before, after),
        "[access]": _counts(before.access, after.access),
        "[[rules]]": _rules(before.rules, after.rules),
        "[pins]": _mapping(_named(before.pins), _named(after.pins)),
        "[clients]": _clients(before, after),
        "[limits]": _limits(before.limits, after.limits),
        "[audit]": _keys(before.audit, after.audit),
        "[log]": _log(before.log, after.log),
        "[page]": _keys(before.page, after.page),
        "[proxy]": _forward(before.forward, after.forward),
        "proxies of the environment": ["changed"] if before.proxies != after.proxies else [],
    }
    told = {table: ", ".join(words) for table, words in found.items()}
    return [f"{table}: {words}" for table, words in told.items() if words]


def _names(before: Config, after: Config) -> Iterator[str]:
    for key in ("domain", "default_registry"):
        old, new = getattr(before.names, key), getattr(after.names, key)
        if old != new:
            yield f"{key} {_or_none(old)} -> {_or_none(new)}"


def _mapping(before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[str]:
    yield from _added("added", after.keys() - before.keys())
    yield from _added("removed", before.keys() - after.keys())
    for key in sorted(before.keys() & after.keys()):
        if before[key] != after[key]:
            yield f"{key} {before[key]} -> {after[key]}"


def _upstreams(before: Config, after: Config) -> Iterator[str]:
    old, new = before.upstreams, after.upstreams
    yield from _added("added", new.keys() - old.keys())
    yield from _added("removed", old.keys() - new.keys())
    for registry in sorted(old.keys() & new.keys()):
        keys = dict.fromkeys(_KEYS.get(key, key) for key in _different(old[registry], new[registry]))
        if keys:
            yield f"{registry} changed ({', '.join(keys)})"


def _counts(before: Any, after: Any) -> Iterator[str]:
    """Lists may be long, and their patterns are nobody's business who reads the log: only how many there are."""
    for key in _different(before, after):
        old, new = getattr(before, key), getattr(after, key)
        if key == "named":
            # What registries says, once more.
            continue
        if isinstance(old, str) or isinstance(new, str):
            yield f"{key} changed"
        else:
            yield f"{key} {_number(old)} -> {_number(new)}" if _number(old) != _number(new) else f"{key} changed"


def _rules(before: Rules, after: Rules) -> Iterator[str]:
    """Rules are called by their names, as everywhere."""
    old, new = ({rule.name: rule for rule in each.rules} for each in (before, after))
    yield from _added("added", map(repr, new.keys() - old.keys()))
    yield from _added("removed", map(repr, old.keys() - new.keys()))
    yield from _added("changed", (repr(name) for name in old.keys() & new.keys() if old[name] != new[name]))
    if [name for name in old if name in new] != [name for name in new if name in old]:
        yield "in another order"


def _named(pins: Mapping[tuple[Repository, Tag], Digest]) -> dict[str, Digest]:
    """Return pins by their images as people write them."""
    return {repository.named(tag): digest for (repository, tag), digest in pins.items()}


def _clients(before: Config, after: Config) -> Iterator[str]:
    old, new = before.clients.users, after.clients.users
    if old is None or new is None:
        if old is not new:
            yield "login turned off" if new is None else f"login turned on, users: {_number(new)}"
    else:
        yield from _added("users added", new.keys() - old.keys())
        yield from _added("users removed", old.keys() - new.keys())
        yield from _added("passwords changed of", {name for name in old.keys() & new.keys() if old[name] != new[name]})
    yield from (words for words in _keys(before.clients, after.clients) if not words.startswith("htpasswd "))


def _forward(before: Forward, after: Forward) -> Iterator[str]:
    for key in ("registries", "tunnels"):
        old, new = set(getattr(before, key)), set(getattr(after, key))
        yield from _added(f"{_KEYS.get(key, key)} added", new - old)
        yield from _added(f"{_KEYS.get(key, key)} removed", old - new)
    if before.idle != after.idle:
        yield f"tunnel_idle {_shown(before.idle)} -> {_shown(after.idle)}"


def _limits(before: Limits, after: Limits) -> Iterator[str]:
    for key in _different(before, after):
        show = exact_rate if key in _RATES else _shown
        old, new = (getattr(each, key) for each in (before, after))
        yield f"{key} {'none' if old is None else show(old)} -> {'none' if new is None else show(new)}"


def _log(before: Log, after: Log) -> Iterator[str]:
    for key in _different(before, after):
        yield f"{_KEYS.get(key, key)} {getattr(before, key).value} -> {getattr(after, key).value}"


def _keys(before: Any, after: Any) -> Iterator[str]:
    for key in _different(before, after):
        old, new = getattr(before, key), getattr(after, key)
        shown = isinstance(old, _PLAIN) and isinstance(new, _PLAIN)
        yield f"{key} {_shown(old)} -> {_shown(new)}" if shown else f"{_KEYS.get(key, key)} changed"


def _different(before: Any, after: Any) -> list[str]:
    """Return the keys whose values are not the same."""
    return [each.name for each in fields(before) if getattr(before, each.name) != getattr(after, each.name)]


def _added(what: str, names: Iterable[object]) -> Iterator[str]:
    listed = sorted(map(str, names))
    if listed:
        yield f"{what} {' '.join(listed)}"


def _number(value: Any) -> str:
    return "any" if value is None else str(len(value))


def _shown(value: object) -> str:
    """Return a value as people read it; what is no whole number here are seconds."""
    return exact_duration(value) if isinstance(value, float) else _or_none(value)


def _or_none(value: object) -> str:
    return "none" if value is None else str(value)
