"""How much sooner a cold blob is there over several connections, from an upstream that is slow on each.

    make bench-parallel                     print the table
    make bench-parallel ARGS="--write"      and put it into docs/performance.md
    make bench-parallel ARGS="--quick"      every row, with a blob that is hardly large enough

A daemon for each row, over plain HTTP on loopback, and a curl that fetches the blob and throws it away. The registry
redirects each question to another server, and in one row both take 50 ms for an answer, as those do that are some way
off. What that server sends flows at 5 MiB/s in pieces of 64 KiB, for each answer by itself. (nginx's limit_rate sends a
second's worth of each answer at once: asked for parts, it would send more than its rate.)
"""

import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.parts.blobs import GIB, MIB
from benchmarks.parts.clients import download
from benchmarks.parts.command import run
from benchmarks.parts.servers import crproxy
from benchmarks.parts.tables import table
from tests.parts.answers import Answer, Filler, Request, Script
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.places import REGISTRY, blob
from tests.parts.shapes import ranged, redirect

TABLE_HEAD = (
    "connections",
    "answers after ms",
    "s",
    "times as fast",
    "target",
    "met",
    "most at once",
    "CPU s/GiB",
    "peak RSS MiB",
)
# Connections, and the seconds that each of the two servers takes for an answer. Others are compared with the first.
CASES = ((1, 0.0), (2, 0.0), (4, 0.0), (8, 0.0), (4, 0.05))
TARGETS = {4: 3.5}


@dataclass(frozen=True, slots=True)
class Scale:
    """How much work is done.

    Arguments:
        rounds: of each measurement.
        blob: bytes of it.
        rate: bytes per second of one connection.
    """

    rounds: int
    blob: int
    rate: int


FULL = Scale(1, 512 * MIB, 5 * MIB)
QUICK = Scale(1, 72 * MIB, 12 * MIB)


@dataclass(frozen=True, slots=True)
class Round:
    """What was measured once.

    Arguments:
        seconds: until curl had all of it.
        at_once: connections that the upstream was sending on at the same time, at the most.
        cpu: seconds of it that the daemon took.
        rss: its peak, in bytes.
    """

    seconds: float
    at_once: int
    cpu: float
    rss: int


class Bench:
    """The measurements."""

    def __init__(self, scale: Scale, directory: Path) -> None:
        self._scale = scale
        self._directory = directory
        self._started = 0

    def rounds(self, connections: int, latency: float) -> list[Round]:
        """Measure with so many, from servers that take so many seconds for an answer."""
        return [self._round(connections, latency) for _ in range(self._scale.rounds)]

    def _round(self, connections: int, latency: float) -> Round:
        self._started += 1
        body = Filler(self._scale.blob, seed=self._started)
        place = blob(body)
        with FakeUpstream() as registry, FakeUpstream() as storage:
            storage.script(place.path, _later(ranged(body), latency, self._scale.rate))
            registry.script(place.path, _later(redirect(storage.url + place.path), latency))
            configuration = (
                f'[upstreams."{REGISTRY}"]\nendpoint = "{registry.url}"\nprivate_hosts = ["127.0.0.1"]\n'
                f"connections = {connections}\n"
            )
            with crproxy("crproxy", self._directory / f"server-{self._started}", configuration) as server:
                before = server.meter.cpu_seconds()
                seconds = download(server, place.through, len(body))
                server.meter.settle()
                cpu = server.meter.cpu_seconds() - before
                return Round(seconds, storage.seen.most_at_once(place.path), cpu, server.meter.peak_rss())


def _later(script: Script, seconds: float, rate: int | None = None) -> Script:
    """The same so many seconds later, at a rate."""

    def answer(request: Request) -> Answer:
        time.sleep(seconds)
        return replace(script if isinstance(script, Answer) else script(request), rate=rate)

    return answer


def row(connections: int, latency: float, rounds: Sequence[Round], of_one: float, size: int) -> tuple[str, ...]:
    """The line of the table."""
    seconds = median(one.seconds for one in rounds)
    ratio, target = of_one / seconds, TARGETS.get(connections)
    return (
        str(connections),
        f"{latency * 2000:.0f}",
        f"{seconds:.1f}",
        f"{ratio:.2f}",
        "-" if target is None else f">= {target}",
        "-" if target is None else "yes" if ratio >= target else "no",
        str(max(one.at_once for one in rounds)),
        f"{median(one.cpu for one in rounds) * GIB / size:.2f}",
        f"{max(one.rss for one in rounds) / MIB:.0f}",
    )


def rows(bench: Bench, size: int) -> Iterator[tuple[str, ...]]:
    """Measure everything."""
    of_one = 0.0
    for connections, latency in CASES:
        rounds = bench.rounds(connections, latency)
        of_one = of_one or median(one.seconds for one in rounds)
        yield row(connections, latency, rounds, of_one, size)


def measure(scale: Scale, say: Callable[[str], object]) -> str:
    """Run everything; return the report."""
    with tempfile.TemporaryDirectory(prefix="crproxy-benchmark-") as name:
        measured = []
        for line in rows(Bench(scale, Path(name)), scale.blob):
            measured.append(line)
            say(" | ".join(line))
    return report(measured, scale)


def report(measured: Sequence[tuple[str, ...]], scale: Scale) -> str:
    """The table, and what has to be known to read it."""
    return "\n".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}, "
            f"Twisted {version('Twisted')}: a blob of {scale.blob // MIB} MiB, {scale.rate // MIB} MiB/s on each "
            f"connection, medians of {scale.rounds} rounds.",
            "",
            table(TABLE_HEAD, measured),
        ]
    )


if __name__ == "__main__":
    run("parallel", __doc__, FULL, QUICK, measure)
