"""A change to the configuration's text that leaves all else in it as it is: comments, order, spelling.

Where the text lies, and who may write it, is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from .naming import alias_host, built_in
from .table import ConfigError, parse_toml

if TYPE_CHECKING:
    from tomlkit.items import Table

__all__ = ["alias_lines", "with_alias_line"]

_TABLE = "aliases"


def with_alias_line(text: str, label: str, registry: str, domain: str | None) -> str:
    """Return ``text`` (TOML) with ``label`` standing for ``registry``, or with ``""`` for nothing.

    Arguments:
        domain: the one that counts, which may be the command line's.

    Raises:
        ConfigError: the text is not TOML, or cannot be changed without changing more.
    """
    wanted = parse_toml(text)
    aliases = wanted.setdefault(_TABLE, {})
    if not isinstance(aliases, dict):
        raise ConfigError(f"{_TABLE} is no table in it")
    key = _key(aliases, label, domain)
    value = registry or _absence(label, domain)
    if value and key not in aliases and _is_right_by_itself(wanted, aliases):
        # The command line alone has a domain: the file stays one that commands can read without it.
        key = alias_host(label, domain)
    if aliases.get(key) == value:
        return text
    changed = _change(text if text.endswith("\n") or not text else f"{text}\n", key, value)
    _set(aliases, key, value)
    # What counts is what a reader makes of it, and that nothing else of it has changed.
    if {_TABLE: {}, **parse_toml(changed)} != wanted:
        raise ConfigError("its layout is such that a line cannot be put in without changing others")
    return changed


def alias_lines(label: str, registry: str) -> str:
    """Return what to write by hand for an alias."""
    import tomlkit

    table = tomlkit.table()
    table[label] = registry
    return tomlkit.dumps({_TABLE: table}).rstrip("\n")


def _is_right_by_itself(document: Mapping[str, object], aliases: Mapping[str, object]) -> bool:
    """Tell whether a file without a domain has no label below one either."""
    return not document.get("domain") and all("." in key for key in aliases)


def _key(aliases: Mapping[str, object], label: str, domain: str | None) -> str:
    """Return the key that there is for the host of ``label``, which may be spelled another way."""
    host = alias_host(label, domain)
    for key in aliases:
        try:
            if alias_host(key, domain) == host:
                return key
        except ConfigError:
            continue
    return label


def _absence(label: str, domain: str | None) -> str | None:
    """Return what stands for no alias: a line with "" where one is built in, else none at all."""
    return "" if alias_host(label, domain) in built_in(domain) else None


def _change(text: str, key: str, value: str | None) -> str:
    # Few ever change one while it runs.
    import tomlkit
    from tomlkit.exceptions import TOMLKitError
    from tomlkit.items import Table

    try:
        document = tomlkit.parse(text)
        if _TABLE not in document:
            document[_TABLE] = tomlkit.table()
        aliases = document[_TABLE]
        if isinstance(aliases, Table) and key not in aliases and value is not None:
            _insert(aliases, key, value, "\r\n" if "\r\n" in text else "\n")
        elif isinstance(aliases, MutableMapping):
            _set(aliases, key, value)
        return tomlkit.dumps(document)
    except TOMLKitError as error:
        raise ConfigError(f"it cannot be changed: {error}") from error


def _set(aliases: MutableMapping[str, Any], key: str, value: str | None) -> None:
    if value is None:
        aliases.pop(key, None)
    else:
        aliases[key] = value


def _insert(aliases: Table, key: str, value: str, line_end: str) -> None:
    """Put a line behind the last one that has a key: comments that follow belong to the next table."""
    body = aliases.value.body
    last = max((number for number, (found, _) in enumerate(body) if found is not None), default=-1)
    tail = body[last + 1 :]
    del body[last + 1 :]
    aliases.append(key, value)
    body[-1][1].trivia.trail = line_end
    body.extend(tail)
