"""All that is wrong with a configuration, where reading it ends at the first thing.

What is wrong is taken out, and the rest is read again. A key that others of its table go with is taken out with the
table, so that nothing is told of what is wrong by that alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ..policy.redaction import redacted
from .key import EACH, ITEM
from .keys import KEYS, names_in
from .loading import read_document
from .options import OPTIONS, Options
from .table import ConfigError, OptionError, dotted, line_of, parse_toml, unknown_key
from .values import Config

__all__ = ["Checked", "check"]

# Tables each of whose keys can be told of by itself.
_INDEPENDENT = frozenset({"access", "aliases", "cache", "clients", "limits", "listen", "page", "pins", "timeouts"})
# Keys of one of a list's tables without which others of it are wrong.
_WITH_OTHERS = frozenset({"action", "keys", "minimum_age", "require"})
_WITH_EACH = frozenset(key.path[0] for key in KEYS if EACH in key.path)
# Aliases, certificates and ports go with a domain.
_SOME_DOMAIN = "cr.example.com"
_MOST_FAULTS = 100


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of it.

    Arguments:
        faults: in the order of the file's lines, those of options last.
        config: what the rest says; None where nothing can be read.
    """

    faults: tuple[ConfigError, ...]
    config: Config | None


def check(
    text: str,
    options: Options,
    *,
    read_file: Callable[[str], str],
    usual_data_dir: str = ".",
    environment: Mapping[str, str] | None = None,
) -> Checked:
    """Return what is wrong with what `load` would read. The arguments are its."""
    try:
        document = parse_toml(text)
    except ConfigError as error:
        return Checked((error,), None)
    faults = list(_unknown(document, text))
    config: Config | None = None
    while config is None and len(faults) < _MOST_FAULTS:
        try:
            config = read_document(
                copy.deepcopy(document),
                text,
                options,
                read_file=read_file,
                usual_data_dir=usual_data_dir,
                environment=environment,
            )
        except OptionError as error:
            faults.append(error)
            without = _without(options, str(error))
            if without is None:
                break
            options = without
        except ConfigError as error:
            faults.append(error)
            if not _take_out(document, error.path, error.item):
                break
            if "fleet" not in document:
                options = replace(options, fleet_advertise=None)
    return Checked(tuple(sorted(faults, key=lambda fault: _place(text, fault))), config)


def _unknown(document: dict[str, Any], text: str) -> Iterator[ConfigError]:
    """Yield a fault for each key that there is not, and take it out."""
    for path, table, known, item in list(_tables(document)):
        for name in [name for name in table if name not in known]:
            yield _fault(text, (*path, name), unknown_key(name, known), item)
            del table[name]


def _tables(document: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any], list[str], int | None]]:
    """Yield where each table is, the table, what may stand in it, and its number among those of a list."""
    yield (), document, names_in(""), None
    for name, table in document.items():
        if isinstance(table, list) and names_in(f"{name}.{ITEM}"):
            for item, found in enumerate(table, 1):
                if isinstance(found, dict):
                    yield (name,), found, names_in(f"{name}.{ITEM}"), item
        if not isinstance(table, dict):
            continue
        if name in _WITH_EACH:
            inner = ((each, found) for each, found in table.items() if isinstance(found, dict))
            yield from (((name, each), found, names_in(f"{name}.{EACH}"), None) for each, found in inner)
        elif names_in(name):
            yield (name,), table, names_in(name), None


def _fault(text: str, path: tuple[str, ...], what: str, item: int | None) -> ConfigError:
    line = line_of(text, path, item)
    return ConfigError(f"{f'line {line}: ' if line else ''}{dotted(path)}: {redacted(what)}", path, item)


def _take_out(document: dict[str, Any], path: tuple[str, ...], item: int | None) -> bool:
    """Take what is wrong out; tell whether there is less than before."""
    before = copy.deepcopy(document)
    if path == ("domain",):
        document["domain"] = _SOME_DOMAIN
    elif len(path) == 1:
        document.pop(path[0], None)
    elif item is not None:
        _take_out_of_item(document[path[0]], item - 1, path[1])
    elif path:
        _take_out_below(document, path)
    return document != before


def _take_out_of_item(tables: list[dict[str, Any]], index: int, key: str) -> None:
    """Take a key out of one of a list's tables; all of it where others of it go with that, so that others stay so."""
    if key in tables[index] and key not in _WITH_OTHERS:
        del tables[index][key]
    else:
        tables[index].clear()


def _take_out_below(document: dict[str, Any], path: tuple[str, ...]) -> None:
    table = document.get(path[0])
    by_itself = path[0] in _INDEPENDENT or path[0] in _WITH_EACH
    if by_itself and isinstance(table, dict) and path[1] in table:
        del table[path[1]]
    else:
        document.pop(path[0], None)


def _without(options: Options, said: str) -> Options | None:
    """Return ``options`` without the one that ``said`` begins with; None where it is none of them."""
    usual = {each.name: getattr(Options(), each.name) for each in fields(Options)}
    for option in OPTIONS:
        called = options.called(option.name)
        if option.key and (said.startswith((f"{called}:", f"{called} "))) and getattr(options, option.field):
            value: Any = _SOME_DOMAIN if option.name == "domain" else usual[option.field]
            changed: dict[str, Any] = {option.field: value}
            if value != getattr(options, option.field):
                return replace(options, **changed)
    return None


def _place(text: str, fault: ConfigError) -> tuple[bool, int]:
    return isinstance(fault, OptionError), line_of(text, fault.path, fault.item) or 0
