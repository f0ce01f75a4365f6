"""What a run with hostile registries costs, and what it may."""

from __future__ import annotations

import os
import platform
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median, quantiles
from typing import TYPE_CHECKING

from benchmarks.parts.tables import table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.daemon import Daemon

__all__ = ["BOUNDS", "CACHE", "MIB", "Bounds", "Figures", "Sample", "report"]

MIB = 1 << 20
# What the daemon is told that its cache may take.
CACHE = 64 * MIB


@dataclass(frozen=True, slots=True)
class Bounds:
    """What it may cost.

    Arguments:
        stall: seconds for which nobody is answered.
        memory: bytes beyond what it was after a tenth of all answers.
        index: bytes of the index with its log; the cache has 64 MiB.
        latency: seconds for an answer of the honest registry's, of one in a hundred.
    """

    stall: float = 0.1
    memory: int = 48 * MIB
    index: int = 16 * MIB
    latency: float = 2.0


BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class Sample:
    """What the daemon took at one time, in bytes.

    Arguments:
        memory: resident.
        index: with its log.
        cache: all of its files.
    """

    memory: int
    index: int
    cache: int

    @classmethod
    def of(cls, daemon: Daemon) -> Sample:
        """Return what ``daemon`` takes now."""
        index = daemon.cache.index
        files = [index.with_name(index.name + end) for end in ("", "-wal")]
        size = sum(file.stat().st_size for file in files if file.exists())
        return cls(daemon.rss_bytes(), size, daemon.cache.bytes_on_disk())


@dataclass(slots=True)
class Figures:
    """What happened.

    Arguments:
        answers: of the hostile registries, and how many had which lie.
        statuses: of the answers to clients; 0 where there was none, or it broke off.
        honest: how long each answer of the honest registry's took, in seconds.
        stall: the longest, in seconds.
        samples: at the start, after a tenth of the answers, and at the end.
    """

    answers: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    honest: list[float] = field(default_factory=list)
    stall: float = 0.0
    seconds: float = 0.0
    samples: list[Sample] = field(default_factory=list)

    def __str__(self) -> str:
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        return (
            f"{self.answers['']} answers of registries in {self.seconds:.0f} s; to clients {statuses}; honest"
            f" {len(self.honest)}; longest stall {1000 * self.stall:.0f} ms"
        )

    def beyond(self, bounds: Bounds) -> Iterator[str]:
        """Say what is more than it may be."""
        _, tenth, end = self.samples
        if self.stall > bounds.stall:
            yield f"the reactor stalled for {1000 * self.stall:.0f} ms"
        if end.memory > tenth.memory + bounds.memory:
            yield f"the memory grew from {tenth.memory >> 20} to {end.memory >> 20} MiB"
        if max(sample.index for sample in self.samples) > bounds.index:
            yield f"the index has {end.index >> 20} MiB"
        if self.slowest_of_a_hundred > bounds.latency:
            yield f"an honest answer took {self.slowest_of_a_hundred:.1f} s"

    @property
    def slowest_of_a_hundred(self) -> float:
        """The 99th percentile of the honest registry's answers."""
        return quantiles(self.honest, n=100)[-1] if len(self.honest) > 1 else 0.0

    def rows(self, bounds: Bounds) -> list[tuple[str, str, str]]:
        """The table's."""
        start, tenth, end = self.samples
        lies = sum(count for name, count in self.answers.items() if name)
        failures = sum(count for status, count in self.statuses.items() if status >= 500)
        memory = " / ".join(f"{sample.memory / MIB:.0f}" for sample in (start, tenth, end))
        index = " / ".join(f"{sample.index / MIB:.1f}" for sample in (start, tenth, end))
        return [
            ("answers of hostile registries", f"{self.answers['']:,}", ""),
            ("lies in them", f"{lies:,}", ""),
            ("answers to clients", f"{self.statuses.total() - self.statuses[0]:,}", ""),
            ("of these 502, 503 and 504", f"{failures:,}", ""),
            ("broken off, or not waited for", f"{self.statuses[0]:,}", ""),
            ("longest stall of the reactor, ms", f"{1000 * self.stall:.0f}", f"{1000 * bounds.stall:.0f}"),
            (
                "RSS at the start, after a tenth, at the end, MiB",
                memory,
                f"+{bounds.memory / MIB:.0f} from the tenth on",
            ),
            (f"index likewise, of a cache of {CACHE >> 20} MiB, MiB", index, f"{bounds.index / MIB:.0f}"),
            ("all of the cache at the end, MiB", f"{(end.cache + end.index) / MIB:.0f}", ""),
            ("honest registry's answers", f"{len(self.honest):,}", "all right"),
            ("median of their time, ms", f"{1000 * median(self.honest or [0]):.0f}", ""),
            ("99th percentile, ms", f"{1000 * self.slowest_of_a_hundred:.0f}", f"{1000 * bounds.latency:.0f}"),
        ]


def report(figures: Figures, what: str, bounds: Bounds = BOUNDS) -> str:
    """The table, and what has to be known to read it: ``what`` was run, among others."""
    return "\n".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}, Twisted"
            f" {version('Twisted')}: {figures.seconds:.0f} s, {what}.",
            "",
            table(("what", "seen", "at the most"), figures.rows(bounds)),
        ]
    )
