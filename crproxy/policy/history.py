"""What was counted, over a day and over a month: few numbers, however long the daemon runs.

Pure: times are arguments, in seconds since the epoch; where it is kept is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

__all__ = ["DAY", "MONTH", "Bucket", "History", "Period", "Totals", "grouped"]

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Period:
    """How long it goes back, and in what steps; both in seconds."""

    length: int
    step: int

    def start(self, now: float) -> int:
        """Return when the bucket of ``now`` begins."""
        return int(now) // self.step * self.step

    def starts(self, now: float) -> range:
        """Return when each bucket of the period that ends at ``now`` begins, the oldest first."""
        last = self.start(now)
        return range(last - self.length + self.step, last + self.step, self.step)


DAY = Period(24 * 3600, 5 * 60)
MONTH = Period(31 * 24 * 3600, 2 * 3600)


@dataclass(frozen=True, slots=True)
class Totals:
    """What was counted.

    Arguments:
        asked: requests that the cache had to do with.
        hits: those of them that were answered from it.
        served: bytes of bodies that clients were sent.
        fetched: bytes of bodies that upstreams sent.
    """

    asked: int = 0
    hits: int = 0
    served: int = 0
    fetched: int = 0

    @property
    def hit_rate(self) -> float | None:
        """Which part was answered from the cache, from 0 to 1; None where nothing was asked."""
        return min(1.0, self.hits / self.asked) if self.asked else None

    def plus(self, other: Totals) -> Totals:
        """Return both together."""
        return Totals(
            self.asked + other.asked, self.hits + other.hits, self.served + other.served, self.fetched + other.fetched
        )

    def since(self, before: Totals) -> Totals:
        """Return what has been added; where a number is less than before, it was counted from 0 again."""
        pairs = zip(self.values, before.values, strict=True)
        return Totals(*(now - then if now >= then else now for now, then in pairs))

    @property
    def values(self) -> tuple[int, int, int, int]:
        """The numbers, in the order of the arguments."""
        return self.asked, self.hits, self.served, self.fetched


@dataclass(frozen=True, slots=True)
class Bucket:
    """What was counted from ``start`` on, for one step of a period."""

    start: int
    totals: Totals


@dataclass(slots=True)
class History:
    """The numbers of a day and of a month.

    ``last`` is what had been counted when it was last noted; None where that was never.
    """

    last: Totals | None = None
    _kept: dict[Period, dict[int, Totals]] = field(default_factory=lambda: {DAY: {}, MONTH: {}})

    def note(self, counted: Totals, now: float) -> None:
        """Take in what has been counted since the start of the daemon, up to ``now``."""
        added = Totals() if self.last is None else counted.since(self.last)
        self.last = counted
        for period, kept in self._kept.items():
            if any(added.values):
                start = period.start(now)
                kept[start] = kept.get(start, Totals()).plus(added)
            current = period.starts(now)
            # Later ones are what a clock set back leaves behind.
            for start in [start for start in kept if start not in current]:
                del kept[start]

    def buckets(self, period: Period, now: float) -> list[Bucket]:
        """Return all of a period that ends at ``now``, the oldest first; nothing was counted in some."""
        kept = self._kept[period]
        return [Bucket(start, kept.get(start, Totals())) for start in period.starts(now)]

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "version": _VERSION,
            "last": None if self.last is None else self.last.values,
            "day": _written(self._kept[DAY]),
            "month": _written(self._kept[MONTH]),
        }

    @classmethod
    def of_document(cls, document: Any) -> Self:
        """Return what `document` has returned. Raises ValueError where it is something else."""
        try:
            if document["version"] != _VERSION:
                raise ValueError("another version")
            last = None if document["last"] is None else _totals(document["last"])
            kept = {DAY: _read(document["day"], DAY), MONTH: _read(document["month"], MONTH)}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no history: {error}") from None
        return cls(last, kept)


def grouped(buckets: Iterable[Bucket], seconds: int) -> list[Bucket]:
    """Return buckets of so many seconds that hold what several have, the oldest first."""
    found: dict[int, Totals] = {}
    for bucket in buckets:
        start = bucket.start // seconds * seconds
        found[start] = found.get(start, Totals()).plus(bucket.totals)
    return [Bucket(start, totals) for start, totals in sorted(found.items())]


def _written(kept: Mapping[int, Totals]) -> dict[str, tuple[int, ...]]:
    return {str(start): totals.values for start, totals in kept.items()}


def _read(document: Any, period: Period) -> dict[int, Totals]:
    read = {int(start): _totals(values) for start, values in document.items()}
    most = period.length // period.step
    if len(read) > most + 1 or any(start % period.step for start in read):
        raise ValueError("these are no steps of the period")
    return read


def _totals(values: Any) -> Totals:
    asked, hits, served, fetched = values
    if not all(isinstance(value, int) and value >= 0 for value in values):
        raise ValueError("these are no numbers")
    return Totals(asked, hits, served, fetched)
