"""What workers tell those of other nodes, as JSON. What another version adds is not read; what is wrong is left out.

Pure; knows nothing of what is told.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from ..oci.documents import parse_json
from .codecs import finite, text

__all__ = ["MOST", "Message", "Sender"]

_LONGEST_NAME = 500
# Entries of a message at the most; whoever has more to tell has another.
MOST = 1000


@dataclass(frozen=True, slots=True)
class Sender:
    """A worker of some node.

    Arguments:
        run: of the daemon: is another each time that it is started.
        slot: which of its workers.
    """

    run: str
    slot: int


@dataclass(frozen=True, slots=True)
class Message:
    """What a worker tells.

    Arguments:
        sender: who it is.
        levels: kind, name, and how much was put in, at which rate it drains.
        counts: kind, name, and how many there are now.
        records: kind, key and value; None: there is none any more. Keys and values are what a codec makes of them.
        is_all: ``counts`` are all there are.
        asks: all others may tell all of theirs.
    """

    sender: Sender
    levels: list[tuple[str, str, float, float]] = field(default_factory=list)
    counts: list[tuple[str, str, int]] = field(default_factory=list)
    records: list[tuple[str, Any, Any]] = field(default_factory=list)
    is_all: bool = False
    asks: bool = False

    def to_json(self) -> str:
        """Return it as it is published."""
        said: dict[str, Any] = {"run": self.sender.run, "slot": self.sender.slot}
        for key in ("levels", "counts", "records"):
            if getattr(self, key):
                said[key] = getattr(self, key)
        said |= {key: True for key, counts in (("all", self.is_all), ("asks", self.asks)) if counts}
        return json.dumps(said, separators=(",", ":"))

    @classmethod
    def parse(cls, content: bytes) -> Message:
        """Return what ``content`` says, as far as it can be read.

        Raises:
            ValueError: it does not say who tells it.
        """
        said = parse_json(content)
        if not isinstance(said, dict):
            raise ValueError("it is no object")
        run, slot = text(said.get("run")), said.get("slot")
        if not isinstance(slot, int) or isinstance(slot, bool) or slot < 0:
            raise ValueError("it has no slot")
        return cls(
            Sender(run, slot),
            _read(said.get("levels"), _level),
            _read(said.get("counts"), _count),
            _read(said.get("records"), _record),
            is_all=said.get("all") is True,
            asks=said.get("asks") is True,
        )


def _read(said: Any, entry: Any) -> list[Any]:
    found = []
    for each in said if isinstance(said, list) else ():
        try:
            found.append(entry(*each))
        except (ValueError, TypeError):
            continue
    return found


def _name(said: Any) -> str:
    if len(text(said)) > _LONGEST_NAME:
        raise ValueError("it is too long")
    return text(said)


def _level(kind: Any, name: Any, amount: Any, rate: Any) -> tuple[str, str, float, float]:
    if finite(amount) <= 0 or finite(rate) <= 0:
        raise ValueError("it is not above 0")
    return text(kind), _name(name), amount, rate


def _count(kind: Any, name: Any, number: Any) -> tuple[str, str, int]:
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ValueError("it is no number of anything")
    return text(kind), _name(name), number


def _record(kind: Any, key: Any, value: Any) -> tuple[str, Any, Any]:
    return text(kind), key, value
