"""Levels, numbers and records that other nodes know as well: a worker's own, which tell of what is done to them.

They are read as they are without a fleet, for what others tell is put into them by one worker of each node
(crproxy.fleet.hearing).
"""

from __future__ import annotations

import math
from typing import Any
from weakref import WeakValueDictionary

from ..sharing import Count, Level, Levels, Records, Sharing
from ..sharing.bounding import drop_oldest
from .telling import GONE, Telling

__all__ = ["COUNTS", "LEVELS", "Common", "FleetCount", "FleetLevels", "FleetRecords"]

# Numbers that count for the fleet, by what they are called in `Sharing.count`: what clients may have of something. Not
# the fills of a registry, which are bounded by what one machine can bear.
COUNTS = frozenset({"connections", "password checks", "fills of client"})
# Levels that do, which are all: of bytes for each client and in all, and of requests.
LEVELS = frozenset({"requests", "transfers", "all"})

# Levels that others have told of, before one looks for those that have drained.
_FEW = 1000


class FleetLevel:
    """A level (crproxy.sharing.Level) whose filling is told."""

    __slots__ = ("__weakref__", "_inside", "_kind", "_name", "_telling", "rate")

    def __init__(self, inside: Level, kind: str, name: str, telling: Telling) -> None:
        # The last one that others have told.
        self.rate: float | None = None
        self._inside = inside
        self._kind = kind
        self._name = name
        self._telling = telling

    def fill(self, amount: float, rate: float | None, now: float, most: float = math.inf) -> float:
        """Let drain, then add (Level)."""
        filled = self._inside.fill(amount, rate, now, most)
        if amount and rate is not None and filled <= most:
            self._telling.filled(self._kind, self._name, amount, rate)
        return filled

    def told(self, amount: float, rate: float, now: float) -> None:
        """Add what was put in at another node."""
        self.rate = rate
        self._inside.fill(amount, rate, now)

    def has_drained(self, now: float) -> bool:
        """Tell whether there is nothing in it."""
        return self._inside.fill(0.0, self.rate, now) <= 0


class FleetLevels:
    """Levels (crproxy.sharing.Levels) of the fleet.

    One that this worker holds, and one that others tell of, are the same: where the worker's own are nobody else's
    (it is alone), they are found here by their names.
    """

    def __init__(self, inside: Levels, kind: str, telling: Telling) -> None:
        self._inside = inside
        self._kind = kind
        self._telling = telling
        self._known: WeakValueDictionary[str, FleetLevel] = WeakValueDictionary()
        # Those that others told of, so that they are there when their client comes here.
        self._told: dict[str, FleetLevel] = {}
        self._full = _FEW

    def level(self, name: str) -> FleetLevel:
        """Return the level of that name (Levels)."""
        level = self._known.get(name)
        if level is None:
            level = self._known[name] = FleetLevel(self._inside.level(name), self._kind, name, self._telling)
        return level

    def told(self, name: str, amount: float, rate: float, now: float) -> None:
        """Add what was put in at another node."""
        level = self.level(name)
        level.told(amount, rate, now)
        self._told[name] = level
        if len(self._told) >= self._full:
            self._told = {name: level for name, level in self._told.items() if not level.has_drained(now)}
            drop_oldest(self._told)
            # So that the next look is not due at the next name.
            self._full = max(_FEW, 2 * len(self._told))


class FleetCount:
    """Numbers (crproxy.sharing.Count) of the fleet."""

    def __init__(self, inside: Count, kind: str, telling: Telling) -> None:
        self._inside = inside
        self._kind = kind
        self._telling = telling

    def __len__(self) -> int:
        return len(self._inside)

    def of(self, name: str) -> int:
        """Return the number (Count)."""
        return self._inside.of(name)

    def add(self, name: str, number: int = 1) -> int:
        """There are so many more (Count)."""
        self._telling.counted(self._kind, name, number)
        return self._inside.add(name, number)

    def remove(self, name: str, number: int = 1) -> None:
        """There are so many less (Count)."""
        self._telling.counted(self._kind, name, -number)
        self._inside.remove(name, number)


class FleetRecords:
    """Records (crproxy.sharing.Records) of the fleet."""

    def __init__(self, inside: Records, kind: str, telling: Telling) -> None:
        self._inside = inside
        self._kind = kind
        self._telling = telling

    def get(self, key: Any) -> Any:
        """Return the value (Records)."""
        return self._inside.get(key)

    def put(self, key: Any, value: Any) -> None:
        """Have ``value`` be the one (Records)."""
        self._inside.put(key, value)
        self._telling.noted(self._kind, key, value)

    def drop(self, key: Any) -> None:
        """Have none (Records)."""
        self._inside.drop(key)
        self._telling.noted(self._kind, key, GONE)

    def all(self) -> dict[Any, Any]:
        """Return all that there are (Records)."""
        return self._inside.all()


class Common:
    """What this node's workers have in common, each kind once: a worker that is alone makes another each time.

    Arguments:
        inside: has it.
        telling: tells other nodes of what fills levels.
    """

    def __init__(self, inside: Sharing, telling: Telling) -> None:
        self._inside = inside
        self._telling = telling
        self._levels: dict[str, FleetLevels] = {}
        self._counts: dict[str, Count] = {}
        self._records: dict[str, Records] = {}

    def levels(self, kind: str) -> FleetLevels:
        """Return the levels that are called so."""
        if kind not in self._levels:
            self._levels[kind] = FleetLevels(self._inside.levels(kind), kind, self._telling)
        return self._levels[kind]

    def count(self, kind: str) -> Count:
        """Return the numbers that are called so."""
        if kind not in self._counts:
            self._counts[kind] = self._inside.count(kind)
        return self._counts[kind]

    def records(self, kind: str) -> Records:
        """Return the records that are called so."""
        if kind not in self._records:
            self._records[kind] = self._inside.records(kind)
        return self._records[kind]
