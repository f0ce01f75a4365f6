"""One key of the configuration's file: where it is, of which type, what it means, and what counts without it."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

__all__ = ["EACH", "ITEM", "Key", "Kind"]

# In a table's name: any name, such as a registry's; and each table of a list.
EACH = "*"
ITEM = "[]"

_CODE = re.compile(r"`([^`]+)`")
# Brackets in code are none.
_LINK = re.compile(r"\[((?:`[^`]*`|[^\]`])*)\]\([^)]*\)")


class Kind(Enum):
    """What a value is."""

    TEXT = auto()
    FILE = auto()
    URL = auto()  # may have a password in it
    SECRET = auto()
    BOOLEAN = auto()
    WHOLE = auto()
    CHOICE = auto()
    WORKERS = auto()
    DURATION = auto()
    DURATION_OR_OFF = auto()
    SIZE = auto()
    RATE = auto()
    FREQUENCY = auto()
    TEXTS = auto()
    NETWORKS = auto()
    ENDPOINTS = auto()
    IDENTITIES = auto()  # tables of subject and issuer
    UPSTREAM = auto()  # one URL, or a list of URLs and tables


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Arguments:
        table: its table, ``upstreams.*`` for that of any registry; empty at the top.
        name: of the key.
        kind: of its values.
        meaning, default: in Markdown, as the documentation has them.
        choices: the values that there are.
        least, most: of a whole number.
    """

    table: str
    name: str
    kind: Kind
    meaning: str
    default: str
    choices: tuple[str, ...] = ()
    least: int = 0
    most: int | None = None

    @property
    def path(self) -> tuple[str, ...]:
        """Its tables, the outermost first, and its name."""
        return (*filter(None, self.table.split(".")), self.name)

    @property
    def row(self) -> str:
        """Its row of the documentation's table."""
        return f"| `{self.name}` | {self.meaning} | {self.default} |"

    @property
    def plain_meaning(self) -> str:
        """What it means, without Markdown."""
        return _plain(self.meaning)

    @property
    def literal_default(self) -> Any:
        """The value that counts without it; None where that depends on something, or is none."""
        found = _CODE.fullmatch(self.default)
        return None if found is None else tomllib.loads(f"value = {found[1]}")["value"]

    @property
    def plain_default(self) -> str:
        """What counts without it, without Markdown."""
        return _plain(self.default)


def _plain(markdown: str) -> str:
    return _LINK.sub(r"\1", markdown).replace("`", "")
