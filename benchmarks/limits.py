"""How exact the limits on bytes per second are: what clients received over what was configured.

    make bench-limits                           print the table
    make bench-limits ARGS="--write"            and put it into docs/performance.md
    make bench-limits ARGS="--quick"            every row, for too short a time to mean anything

A daemon for each row, over plain HTTP on loopback; the clients are curls, each from an address of 127.0.0.0/8, which
fetch for as long as the row takes and throw the bytes away. Stored blobs come from the disk; passing ones are larger
than the cache, so that they come from upstream, which is an nginx with files, as those that are being stored do.
"""

import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.parts.blobs import MIB, Blob
from benchmarks.parts.clients import download, download_for
from benchmarks.parts.command import run
from benchmarks.parts.servers import crproxy, nginx
from benchmarks.parts.tables import table

REGISTRY = "registry.test"
TABLE_HEAD = ("limit", "transfers", "configured, MiB/s", "measured, MiB/s", "ratio", "within 5 %")
ALLOWED = 0.05
# Rates in MiB/s, far below what the daemon can do, so that it is the limit that counts.
RATES = {"per_transfer": 20, "per_client": 50, "total": 100, "upstream": 50}
# What the fastest of several transfers in a row gets at the most, in MiB/s, and some more.
FASTEST = 32
BLOBS = 4
ONE, OTHERS = "127.0.0.2", ("127.0.0.3", "127.0.0.4", "127.0.0.5")


@dataclass(frozen=True, slots=True)
class Scale:
    """How much work is done.

    Arguments:
        rounds: of each measurement.
        seconds: that each takes.
        workers: processes that serve clients.
    """

    rounds: int
    seconds: int
    workers: int = 2


FULL = Scale(1, 30)
QUICK = Scale(1, 1)


@dataclass(frozen=True, slots=True)
class Case:
    """What is limited, and who fetches.

    Arguments:
        key: of [limits].
        what: the transfers, in words.
        sources: the address that each comes from.
        group: tells by its address which transfers have the limit together; None is each by itself.
        ways: how the bytes come: ``stored``, ``passing``, ``filling``.
    """

    key: str
    what: str
    sources: Sequence[str]
    group: Callable[[str], str] | None
    ways: Sequence[str] = ("stored", "passing")


def _address(source: str) -> str:
    return source


def _everybody(source: str) -> str:
    return "all"


CASES = (
    Case("per_transfer", "3 of one client", (ONE,) * 3, None),
    Case("per_client", "4 of one client", (ONE,) * 4, _address),
    Case("per_client", "2 each of 3 clients", OTHERS * 2, _address),
    Case("total", "2 each of 3 clients", OTHERS * 2, _everybody),
    Case("upstream", "4, a blob each", (ONE, *OTHERS), _everybody, ("filling", "passing")),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was measured of one case.

    Arguments:
        rates: of each that has the limit, in MiB/s.
    """

    case: Case
    way: str
    rates: Sequence[float]

    @property
    def ratio(self) -> float:
        """Measured over configured, of the one that is furthest off."""
        configured = RATES[self.case.key]
        return max((rate / configured for rate in self.rates), key=lambda ratio: abs(ratio - 1))

    def row(self) -> tuple[str, ...]:
        """The line of the table."""
        low, high = (f"{edge(self.rates):.1f}" for edge in (min, max))
        return (
            f"{self.case.key}, {self.way}",
            self.case.what,
            str(RATES[self.case.key]),
            low if low == high else f"{low} to {high}",
            f"{self.ratio:.3f}",
            "yes" if abs(self.ratio - 1) <= ALLOWED else "no",
        )


class Bench:
    """The measurements."""

    def __init__(self, scale: Scale, directory: Path, upstream: str, blobs: Sequence[Blob]) -> None:
        self._scale = scale
        self._directory = directory
        self._upstream = upstream
        self._paths = [blob.path(f"{REGISTRY}/team/app") for blob in blobs]
        self._stored = directory / "stored"
        self._started = 0

    def fill(self, blobs: Sequence[Blob]) -> None:
        """Have all that is to come from the disk there."""
        with crproxy(
            "crproxy", self._new(), self._configuration("50G"), data=self._stored, workers=self._scale.workers
        ) as server:
            for blob, path in zip(blobs, self._paths, strict=True):
                download(server, path, blob.size)

    def findings(self) -> Iterator[Finding]:
        """Measure everything."""
        for case in CASES:
            for way in case.ways:
                rounds = [self._rates(case, way) for _ in range(self._scale.rounds)]
                yield Finding(case, way, [median(of_one) / MIB for of_one in zip(*rounds, strict=True)])

    def _rates(self, case: Case, way: str) -> list[float]:
        """Bytes per second of each that has the limit."""
        limits = f'[limits]\n{case.key} = "{RATES[case.key]}M/s"\n'
        configuration = self._configuration("1M" if way == "passing" else "50G") + limits
        # Each blob is another one where it is to be filled; where it passes, nobody notices.
        downloads = [(source, self._paths[number % BLOBS]) for number, source in enumerate(case.sources)]
        with crproxy(
            "crproxy",
            self._new(),
            configuration,
            data=self._stored if way == "stored" else None,
            workers=self._scale.workers,
        ) as server:
            rates = download_for(server, self._scale.seconds, downloads)
        if case.group is None:
            return rates
        groups: dict[str, float] = {}
        for source, rate in zip(case.sources, rates, strict=True):
            groups[case.group(source)] = groups.get(case.group(source), 0.0) + rate
        return list(groups.values())

    def _configuration(self, cache: str) -> str:
        return f'[upstreams."{REGISTRY}"]\nendpoint = "{self._upstream}"\n[cache]\nsize = "{cache}"\n'

    def _new(self) -> Path:
        self._started += 1
        return self._directory / f"server-{self._started}"


def measure(scale: Scale, say: Callable[[str], object]) -> str:
    """Run everything; return the report."""
    with tempfile.TemporaryDirectory(prefix="crproxy-benchmark-") as name:
        directory = Path(name)
        # More than the fastest takes: it may begin at full speed, or take more than its half, and must not end.
        size = (FASTEST * scale.seconds * 3 // 2 + FASTEST) * MIB
        blobs = [Blob.write(size, directory / "files", number) for number in range(BLOBS)]
        with nginx("upstream", directory / "upstream", f"root {directory / 'files'};") as upstream:
            bench = Bench(scale, directory, upstream.url(""), blobs)
            bench.fill(blobs)
            findings = []
            for finding in bench.findings():
                findings.append(finding)
                say(" | ".join(finding.row()))
    return report(findings, scale)


def report(findings: Sequence[Finding], scale: Scale) -> str:
    """The table, and what has to be known to read it."""
    return "\n".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}, "
            f"Twisted {version('Twisted')}: {scale.seconds} s each, {scale.workers} workers, "
            f"medians of {scale.rounds} rounds.",
            "",
            table(TABLE_HEAD, [finding.row() for finding in findings]),
            "",
            "Where several have the limit, each for itself, `ratio` is of the one that is furthest off.",
        ]
    )


if __name__ == "__main__":
    run("limits", __doc__, FULL, QUICK, measure)
