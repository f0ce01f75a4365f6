"""What several workers give: as many times the work of one, for as much CPU time each.

    make bench-workers                    print the table
    make bench-workers ARGS="--write"     and put it into docs/performance.md
    make bench-workers ARGS="--quick"     every row, from too little work to mean anything

One, two and four workers serve over TLS with one certificate, from warm caches, and take turns. Clients run on the same
machine, and two workers have less than two cores beside them. So there are rows, too, for which workers are held to
a part of a core each, as if there were two cores, but slower ones (it takes root, and control groups).
"""

import contextlib
import os
import platform
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import count, cycle
from pathlib import Path
from statistics import median

from benchmarks.parts.blobs import GIB, MIB, Blob, Manifest
from benchmarks.parts.caches import CRPROXY_CONFIG
from benchmarks.parts.certificates import Certificate
from benchmarks.parts.clients import download, download_together, first_byte, requests_per_second
from benchmarks.parts.command import run
from benchmarks.parts.machine import machine
from benchmarks.parts.meter import Meter, proportional
from benchmarks.parts.quiet import Quiet
from benchmarks.parts.quotas import QuotaError, held
from benchmarks.parts.registries import registry
from benchmarks.parts.servers import Server, crproxy, environment, program
from benchmarks.parts.tables import table

NUMBERS = (1, 2, 4)
CONNECTIONS = 64
# Cores that are played, and how much of a real one each of them is.
CORES, SPEED = 2, 0.25
# Processes that shake hands, over and over.
SHAKING = 4
_CONNECTIONS_MADE = re.compile(r"^(\d+) connections in (\d+) real seconds", re.MULTILINE)

# Does the work, and returns how many times it was done.
Work = Callable[[Server], float]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much work is done.

    Arguments:
        rounds: of each measurement.
        seconds: of each run of requests and of handshakes.
        blob: bytes of the blob that is pulled.
        clients: how many pull it at once.
        quiet: nothing else may run meanwhile.
        cold_warm_ups: pulls of cold blobs before they count: each worker has memory to touch for the first time.
    """

    rounds: int
    seconds: int
    blob: int
    clients: int
    quiet: bool
    cold_warm_ups: int = 1


FULL = Scale(rounds=5, seconds=5, blob=256 * MIB, clients=8, quiet=True, cold_warm_ups=8)
QUICK = Scale(rounds=1, seconds=1, blob=2 * MIB, clients=2, quiet=False)


@dataclass(slots=True)
class Samples:
    """What was measured of one number of workers: work in a second, CPU seconds of each, and cores that were used."""

    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    cores: list[float] = field(default_factory=list)
    clients: list[float] = field(default_factory=list)


class Bench:
    """The measurements, and what they need."""

    def __init__(
        self, scale: Scale, servers: Sequence[Server], manifest: Manifest, files: Path, directory: Path
    ) -> None:
        self._directory = directory
        self._scale = scale
        self._servers = servers
        self._manifest = manifest
        self._files = files
        self._numbers = count(1)
        self._quiet = Quiet() if scale.quiet else None
        self._all = Meter(os.getpid())

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Measure everything. Raises QuotaError before the last rows."""
        scale = self._scale
        for server in self._servers:
            first_byte(server, self._manifest.path(""))
        yield self._memory()
        blob = self._new_blob()

        def pull_together(server: Server) -> float:
            download_together(server, blob.path("team/app"), blob.size, scale.clients)
            return scale.clients * blob.size / MIB

        works: tuple[tuple[str, Work, float, str], ...] = (
            ("manifests by digest, 1/s", self._ask, 1e6, "CPU us each"),
            ("full handshakes, 1/s", self._shake_hands, 1e6, "CPU us each"),
            (f"warm blob, {scale.clients} clients, MiB/s", pull_together, GIB / MIB, "CPU s/GiB"),
        )
        for what, work, factor, unit in works:
            found = self._measure_all(work)
            yield self._rates(what, found, four=0.9)
            yield self._costs(unit, found, factor)
            yield self._cores(found)
        cold = self._measure_all(self._pull_cold(), self._scale.cold_warm_ups)
        yield self._costs("CPU s/GiB", cold, GIB / MIB, "cold blobs, one client")
        with contextlib.ExitStack() as holding:
            for server in self._servers:
                self._hold(server, holding)
            for what, work, _, _ in works:
                found = self._measure_all(work)
                yield self._rates(f"held: {what}", found, two=1.8)
                yield self._cores(found)

    def _hold(self, server: Server, holding: contextlib.ExitStack) -> None:
        pids = [pid for pid in server.meter.family() if pid != server.meter.pid] or [server.meter.pid]
        if len(pids) <= CORES:
            for pid in pids:
                holding.enter_context(held([pid], SPEED))
        else:
            holding.enter_context(held(pids, CORES * SPEED))

    def _new_blob(self) -> Blob:
        return Blob.write(self._scale.blob, self._files, next(self._numbers))

    def _ask(self, server: Server) -> float:
        seconds = self._scale.seconds
        return requests_per_second(server, self._manifest.path(""), seconds, CONNECTIONS) * seconds

    def _pull_cold(self) -> Work:
        # Each is forgotten before the next is pulled: these few are cold again when their turn comes.
        cold = [self._new_blob() for _ in range(3)]
        blobs = {server.name: cycle(cold) for server in self._servers}

        def pull(server: Server) -> float:
            # In the place of the one before: the first touch of memory that a virtual machine's host has yet to find
            # costs more than all else.
            self._forget_blobs(server)
            download(server, next(blobs[server.name]).path("team/app"), self._scale.blob)
            return self._scale.blob / MIB

        return pull

    def _forget_blobs(self, server: Server) -> None:
        for path in (self._directory / server.name).rglob("*"):
            if path.is_file() and path.stat().st_size >= self._scale.blob:
                path.unlink()

    def _measure_all(self, work: Work, warm_ups: int = 1) -> list[Samples]:
        """Do ``work`` with each server in turn, so many rounds; so often before it counts."""
        found = [Samples() for _ in self._servers]
        for _ in range(warm_ups):
            for server in self._servers:
                work(server)
        for _ in range(self._scale.rounds):
            for server, samples in zip(self._servers, found, strict=True):
                self._measure(server, work, samples)
        return found

    def _rates(
        self, what: str, found: Sequence[Samples], *, two: float | None = None, four: float | None = None
    ) -> tuple[str, ...]:
        rates = [median(samples.rates) for samples in found]
        aims = [f"2 / 1 >= {two}"] if two is not None else []
        aims += [f"4 / 2 >= {four}"] if four is not None else []
        is_met = rates[1] >= (two or 0.0) * rates[0] and rates[2] >= (four or 0.0) * rates[1]
        return (what, *(f"{rate:,.0f}" for rate in rates), *_ratios(rates), ", ".join(aims), _yes_or_no(is_met))

    def _costs(self, unit: str, found: Sequence[Samples], factor: float, what: str = "the same") -> tuple[str, ...]:
        costs = [median(samples.costs) * factor for samples in found]
        is_met = costs[1] <= 1.1 * costs[0]
        written = (f"{cost:,.2f}" for cost in costs)
        return (f"{what}, {unit}", *written, *_ratios(costs), "2 / 1 <= 1.1", _yes_or_no(is_met))

    def _cores(self, found: Sequence[Samples]) -> tuple[str, ...]:
        shares = [f"{median(each.cores):.2f} + {median(each.clients):.2f}" for each in found]
        return ("the same, cores: crproxy + clients", *shares, "-", "-", "-", "-")

    def _measure(self, server: Server, work: Work, samples: Samples) -> None:
        if self._quiet is not None:
            self._quiet.wait()
        begun, before, everybody = time.monotonic(), server.meter.cpu_seconds(), self._all.cpu_seconds()
        done = work(server)
        seconds = time.monotonic() - begun
        server.meter.settle()
        used = server.meter.cpu_seconds() - before
        samples.rates.append(done / seconds)
        samples.costs.append(used / done)
        samples.cores.append(used / seconds)
        samples.clients.append((self._all.cpu_seconds() - everybody - used) / seconds)

    def _shake_hands(self, server: Server) -> float:
        """Make connections with OpenSSL's own client, which looks at no certificate; return how many."""
        command = [program("openssl"), "s_time", "-connect", f"127.0.0.1:{server.port}", "-new", "-tls1_3"]
        command += ["-time", str(self._scale.seconds)]
        running = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment())
            for _ in range(SHAKING)
        ]
        made = 0
        for each in running:
            output, _ = each.communicate()
            found = _CONNECTIONS_MADE.search(output)
            if found is None:
                raise RuntimeError(f"{each.args!r}: {output}")
            made += int(found[1])
        return made

    def _memory(self) -> tuple[str, ...]:
        """The memory of the largest process; of pages that several share, its part."""
        found = [proportional(max(server.meter.family(), key=proportional)) / MIB for server in self._servers]
        met = _yes_or_no(round(max(found[1:])) <= 45)
        return ("an idle worker, PSS MiB", *(f"{each:.0f}" for each in found), "-", "-", "<= 45", met)


def _ratios(values: Sequence[float]) -> tuple[str, ...]:
    # What took less than a tick of the clock took no time.
    pairs = ((values[1], values[0]), (values[2], values[1]))
    return tuple(f"{more / less:.2f}" if less else "-" for more, less in pairs)


def _yes_or_no(is_met: bool) -> str:
    return "yes" if is_met else "no"


def measure(scale: Scale, say: Callable[[str], object]) -> str:
    """Run everything; return the report."""
    with tempfile.TemporaryDirectory(prefix="crproxy-benchmark-") as name, contextlib.ExitStack() as running:
        directory = Path(name)
        files = directory / "files"
        manifest = Manifest.write(Blob.write(MIB, files), files)
        upstream = running.enter_context(registry(directory / "upstream", files, manifest))
        configuration = CRPROXY_CONFIG.format(upstream=f"http://127.0.0.1:{upstream.server.port}")
        certificate = Certificate.write(directory / "certificate")
        servers = [
            running.enter_context(
                crproxy(str(number), directory / str(number), configuration, certificate=certificate, workers=number)
            )
            for number in NUMBERS
        ]
        rows = []
        try:
            for row in Bench(scale, servers, manifest, files, directory).rows():
                rows.append(row)
                say(" | ".join(row))
        except QuotaError as error:
            say(f"workers cannot be held to a part of a core: {error}")
    return report(rows, scale)


def report(rows: Sequence[tuple[str, ...]], scale: Scale) -> str:
    """The table, and what has to be known to read it."""
    heads = [f"{number} worker{'s' if number > 1 else ''}" for number in NUMBERS]
    return "\n".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, Python {platform.python_version()}, "
            f"Twisted {version('Twisted')}: medians of {scale.rounds} rounds; "
            f"blobs of {scale.blob // MIB} MiB. "
            f"Where they are held, workers have {SPEED:g} of a core each, four of them {CORES * SPEED:g} together.",
            "",
            table(("work", *heads, "2 / 1", "4 / 2", "target", "met"), rows),
        ]
    )


if __name__ == "__main__":
    run("workers", __doc__, FULL, QUICK, measure)
