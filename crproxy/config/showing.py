"""What counts, key by key, and who says so: file, option, environment variable, or nobody. No secret is in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..policy.redaction import REDACTED, redacted
from .key import EACH, ITEM, Key, Kind
from .keys import KEYS
from .naming import alias_host
from .options import Option, Options
from .table import ConfigError, dotted, line_of
from .values import Config

__all__ = ["Setting", "Source", "settings"]

_SECRET_NAMES = frozenset(key.name for key in KEYS if key.kind is Kind.SECRET)
# Where data lies if nobody says anything else, for what systemd starts.
_BY_SYSTEMD = "STATE_DIRECTORY"
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy")


@dataclass(frozen=True, slots=True)
class Source:
    """Who says something.

    Arguments:
        kind: ``default``, ``file``, ``option`` or ``variable``.
        name: of the option or the variable.
        line: of the file, where it is known.
    """

    kind: str
    name: str = ""
    line: int | None = None

    def told(self, file: str) -> str:
        """Return it for people. ``file`` is the file's name."""
        if self.kind == "file":
            return file if self.line is None else f"{file}:{self.line}"
        return self.name or self.kind


_DEFAULT = Source("default")


@dataclass(frozen=True, slots=True)
class Setting:
    """One key, and what counts for it.

    Arguments:
        key: as TOML writes it, its table in front.
        value: as JSON has it; None where it has none, or is not one value.
        source: who says so.
        words: what counts in words, where ``value`` is None.
    """

    key: str
    value: Any
    source: Source
    words: str = ""


def settings(
    document: Mapping[str, Any],
    text: str,
    options: Options,
    config: Config,
    computed: Mapping[str, Any],
    environment: Mapping[str, str],
) -> Iterator[Setting]:
    """Yield what counts.

    Arguments:
        document: what the file says.
        text: the file's, in which lines are found.
        options: what was said beside it, environment variables included.
        config: what all of it comes to.
        computed: by key, what counts where nobody says anything and it depends on other things.
        environment: of its variables, those that count besides the options'.
    """
    said = {option.key: (option, value) for option, value in options.said()}
    for key in KEYS:
        if ITEM in key.path:
            if key is _first_of(key.table):
                yield from _of_list(key.path[0], document, text)
        elif EACH not in key.path:
            setting = _setting(key, key.path, document, text, options, said, computed)
            by_systemd = key.name == "data_dir" and setting.source is _DEFAULT and environment.get(_BY_SYSTEMD)
            yield replace(setting, source=Source("variable", _BY_SYSTEMD)) if by_systemd else setting
        elif key is _first_of(key.table):
            yield from _of_each(key.path[0], document, text)
    yield from _aliases(document, text, options, config)
    yield from _free("pins", document, text)
    for name in _PROXY_VARIABLES:
        for variable in (name, name.upper()):
            if environment.get(variable):
                yield Setting(name, _shown(environment[variable]), Source("variable", variable))
                break


def _first_of(table: str) -> Key:
    return next(key for key in KEYS if key.table == table)


def _setting(
    key: Key,
    path: tuple[str, ...],
    document: Mapping[str, Any],
    text: str,
    options: Options,
    said: Mapping[str, tuple[Option, Any]],
    computed: Mapping[str, Any],
) -> Setting:
    name = dotted(path)
    if name in said:
        option, value = said[name]
        called = options.called(option.name)
        kind = "option" if called.startswith("--") else "variable"
        found = [each for each in value if each] if option.repeated else _as_written(key, value)
        return Setting(name, _hidden(key.name, found), Source(kind, called))
    value = _found(document, path)
    if value is not None:
        return Setting(name, _hidden(key.name, value), Source("file", line=line_of(text, path)))
    value = computed.get(name, key.literal_default)
    return Setting(name, value, _DEFAULT, "" if value is not None else key.plain_default)


def _as_written(key: Key, value: str) -> Any:
    return int(value) if key.kind is Kind.WORKERS and value.isdecimal() else value


def _found(document: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        document = document.get(name) if isinstance(document, Mapping) else None
    return document


def _of_each(table: str, document: Mapping[str, Any], text: str) -> Iterator[Setting]:
    for name in document.get(table, {}):
        for key in KEYS:
            if key.path[:2] == (table, EACH):
                yield _setting(key, (table, name, key.name), document, text, Options(), {}, {})


def _of_list(table: str, document: Mapping[str, Any], text: str) -> Iterator[Setting]:
    """Give what each table of a list says; what it leaves out is as the documentation has it."""
    for number, item in enumerate(document.get(table, []), 1):
        for name, value in item.items():
            line = line_of(text, (table, name), number)
            yield Setting(f"{table}[{number}].{name}", _hidden(name, value), Source("file", line=line))


def _free(table: str, document: Mapping[str, Any], text: str) -> Iterator[Setting]:
    for name, value in document.get(table, {}).items():
        yield Setting(dotted((table, name)), _shown(value), Source("file", line=line_of(text, (table, name))))


def _aliases(document: Mapping[str, Any], text: str, options: Options, config: Config) -> Iterator[Setting]:
    domain = config.names.domain
    sources = {
        _host(label, domain): Source("file", line=line_of(text, ("aliases", label)))
        for label in document.get("aliases", {})
    }
    called = options.called("alias")
    kind = "option" if called.startswith("--") else "variable"
    sources |= {_host(alias.partition("=")[0].strip(), domain): Source(kind, called) for alias in options.aliases}
    for host, registry in config.names.aliases.items():
        yield Setting(dotted(("aliases", host)), registry.name, sources.get(host, _DEFAULT))


def _host(label: str, domain: str | None) -> str:
    try:
        return alias_host(label, domain)
    except ConfigError:
        return label


def _hidden(name: str, value: Any) -> Any:
    """Return ``value`` without what is secret in it."""
    if name in _SECRET_NAMES:
        return REDACTED
    if isinstance(value, list):
        return [_hidden(name, each) for each in value]
    if isinstance(value, Mapping):
        return {key: _hidden(key, each) for key, each in value.items()}
    return _shown(value)


def _shown(value: Any) -> Any:
    return redacted(value) if isinstance(value, str) else value
