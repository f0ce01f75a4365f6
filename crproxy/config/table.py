"""One TOML table being read: each key is taken once, and what nobody took is an error that names its line."""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
import tomllib
from collections.abc import Callable
from typing import Any, Never

from ..oci.errors import RegistryError
from ..oci.names import Registry
from ..policy.clients import Network
from ..policy.redaction import redacted
from ..policy.units import Frequency, parse_duration, parse_frequency, parse_rate, parse_size

__all__ = ["ConfigError", "OptionError", "Table", "dotted", "line_of", "parse_toml", "unknown_key", "written"]

# Where tomllib found something, at the end of what it says.
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


class ConfigError(Exception):
    """The configuration cannot be used; the text says which key, on which line, and what to write instead.

    Arguments:
        text: for the operator.
        path: the key that is to blame, below the tables that it is in; empty where it is none.
        item: in which of a list's tables, from 1 on; None where the key is in none of these.
    """

    def __init__(self, text: str, path: tuple[str, ...] = (), item: int | None = None) -> None:
        super().__init__(text)
        self.path = path
        self.item = item


class OptionError(ConfigError):
    """The mistake is in an option, or in the environment variable in its place, and not in the file."""


def parse_toml(text: str) -> dict[str, Any]:
    """Return what ``text`` says. Raises ConfigError, with line and column."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_no_toml(text, str(error))) from None


def _no_toml(text: str, said: str) -> str:
    found = _PLACE.search(said)
    what = said if found is None else said[: found.start()]
    # What is forgotten most often.
    hint = "; texts stand in quotes" if what.startswith("Invalid value") else ""
    line, column = found.groups() if found is not None else (None, None)
    if line is None:
        lines = text.split("\n")
        line, column = str(len(lines)), str(len(lines[-1]) + 1)
    return f"line {line}, column {column}: this is not TOML: {what}{hint}"


def dotted(path: tuple[str, ...]) -> str:
    """Return a key as TOML writes it, below the tables that it is in."""
    return ".".join(part if part.replace("_", "").replace("-", "").isalnum() else f'"{part}"' for part in path)


def unknown_key(key: str, known: list[str]) -> str:
    """Return what is said of a key that there is not."""
    near = difflib.get_close_matches(key, known, 1)
    hint = f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(sorted(set(known)))}"
    return f"there is no such key{hint}"


class Table:
    """A table of the file, or what the command line says in place of one.

    Arguments:
        values: what it holds.
        path: where it is in the document.
        text: the document, in which mistakes are found.
        error: what a mistake is.
        within: where its mistakes are to be found, if it is one of a list's, of whose keys no line tells.
        called: says how the operator has written a key, where there is no file.
        number: which of a list's tables it is, from 1 on.
    """

    def __init__(
        self,
        values: dict[str, Any],
        path: tuple[str, ...],
        text: str,
        error: type[ConfigError] = ConfigError,
        within: tuple[str, ...] | None = None,
        called: Callable[[tuple[str, ...]], str] = dotted,
        number: int | None = None,
    ) -> None:
        self.values = values
        self._path = path
        self._text = text
        self._error = error
        self._within = within
        self._called = called
        self._number = number
        self._known: list[str] = []

    def take(self, key: str) -> Any:
        """Return the value of ``key``, or None."""
        self._known.append(key)
        return self.values.get(key)

    def table(self, key: str) -> Table:
        """Return the table ``key``, an empty one where it is missing."""
        value = self.take(key)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            self.fail(key, "this is a table: write its keys below [" + dotted((*self._path, key)) + "]")
        return Table(value, (*self._path, key), self._text, self._error, called=self._called)

    def tables(self, key: str) -> list[Table]:
        """Return the tables listed at ``key``, each written below ``[[key]]``."""
        value = self.take(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.fail(key, f"this is a list of tables: write the keys of each below [[{dotted((*self._path, key))}]]")
        path = (*self._path, key)
        return [
            Table(item, path, self._text, self._error, called=self._called, number=number)
            for number, item in enumerate(value, 1)
        ]

    def texts_or_tables(self, key: str) -> list[str | Table] | None:
        """Return what is listed at ``key``; a text that stands there by itself is one, None where nothing does."""
        value = self.take(key)
        if value is None or isinstance(value, str):
            return value if value is None else [value]
        if not isinstance(value, list) or not all(isinstance(item, str | dict) for item in value):
            self.fail(key, 'this is a URL or a list of them: write "https://..." or ["https://...", { url = "..." }]')
        path = (*self._path, key)
        return [item if isinstance(item, str) else Table(item, path, self._text, self._error, path) for item in value]

    def string(self, key: str) -> str | None:
        """Return the text at ``key``, or None."""
        value = self.take(key)
        if value is not None and not isinstance(value, str):
            # A password that is all digits would stand in the log.
            shown = "this" if "password" in key else repr(value)
            self.fail(key, f"{shown} is not a text: put it in quotes")
        return value

    def strings(self, key: str) -> tuple[str, ...]:
        """Return the texts listed at ``key``."""
        value = self.take(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.fail(key, 'this is a list of texts: write ["...", "..."]')
        return tuple(value)

    def whole(self, key: str, usual: int) -> int:
        """Return the whole number at ``key``, from 0 up."""
        value = self.take(key)
        if value is None:
            return usual
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            self.fail(key, f"{value!r} is not a whole number from 0 up")
        return value

    def boolean(self, key: str, usual: bool) -> bool:
        """Return what ``key`` says."""
        value = self.take(key)
        if value is None:
            return usual
        if not isinstance(value, bool):
            self.fail(key, f"{value!r} is neither true nor false")
        return value

    def duration(self, key: str, usual: float) -> float:
        """Return the seconds at ``key``."""
        text = self.string(key)
        return usual if text is None else self._seconds(key, text)

    def duration_or_off(self, key: str, usual: float | None) -> float | None:
        """Return the seconds at ``key``; None where ``0`` or ``off`` is written."""
        text = self.string(key)
        if text is None:
            return usual
        return None if text.strip() in ("0", "off") else self._seconds(key, text)

    def size(self, key: str, usual: int) -> int:
        """Return the bytes at ``key``."""
        text = self.string(key)
        if text is None:
            return usual
        try:
            return parse_size(text)
        except ValueError as error:
            self.fail(key, str(error))

    def rate(self, key: str) -> int | None:
        """Return the bytes per second at ``key``; None where nothing, or 0, is written."""
        text = self.string(key)
        try:
            return None if text is None else parse_rate(text) or None
        except ValueError as error:
            self.fail(key, str(error))

    def frequency(self, key: str) -> Frequency | None:
        """Return how often something may be, by ``key``; None where nothing, or 0, is written."""
        text = self.string(key)
        try:
            return None if text is None else parse_frequency(text)
        except ValueError as error:
            self.fail(key, str(error))

    def networks(self, key: str) -> tuple[Network, ...]:
        """Return the networks listed at ``key``."""
        found = []
        for text in self.strings(key):
            try:
                found.append(ipaddress.ip_network(text))
            except ValueError:
                self.fail(key, f"{text!r} is no network: write one such as 192.0.2.0/24, or an address")
        return tuple(found)

    def registry(self, key: str, name: str) -> Registry:
        """Return the registry ``name``, which ``key`` says."""
        try:
            return Registry.parse(name)
        except RegistryError as error:
            self.fail(key, error.message)

    def refuse_the_rest(self) -> None:
        """Fail if there is a key that nobody took."""
        for key in self.values:
            if key not in self._known:
                self.fail(key, unknown_key(key, self._known))

    def fail(self, key: str, what: str) -> Never:
        """Raise the error that blames ``key``."""
        path = (*self._path, key)
        line = line_of(self._text, self._within or path, self._number)
        where = f"line {line}: " if line else ""
        raise self._error(f"{where}{self._called(path)}: {redacted(what)}", self._within or path, self._number)

    def _seconds(self, key: str, text: str) -> float:
        try:
            seconds = parse_duration(text)
        except ValueError as error:
            self.fail(key, str(error))
        if seconds <= 0:
            self.fail(key, f"{text!r} is no time at all")
        return seconds


def line_of(text: str, path: tuple[str, ...], item: int | None = None) -> int | None:
    """Return the number of the line that sets ``path``. tomllib keeps no positions, so it is asked line by line.

    Arguments:
        item: in which of a list's tables, from 1 on; that where it begins, where it does not set the key.
    """
    above: tuple[str, ...] = ()
    begun, begins = 0, None
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("["):
            above = _key_path(stripped)
            if item is not None and above == path[:-1]:
                begun += 1
                begins = number if begun == item else begins
            if above == path:
                return number
        elif item is not None and begun != item:
            continue
        elif path[: len(above)] == above and _key_path(f"{stripped.partition('=')[0]}=0") == path[len(above) :]:
            return number
    return begins


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


def written(value: Any) -> str:
    """Return a value as TOML writes it, on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{dotted((key,))} = {written(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
