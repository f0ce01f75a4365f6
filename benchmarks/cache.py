"""What the cache costs and how fast it is: crproxy next to nginx's proxy_cache and to docker-registry in proxy mode.

    make bench-cache                            print the table
    make bench-cache ARGS="--write"             and put it into docs/performance.md
    make bench-cache ARGS="--quick"             every row, from too little work to mean anything
    make bench-cache ARGS="--peer other='other 127.0.0.1:{port} {upstream}'"
    make bench-cache ARGS="--profile flames"    and draw where crproxy's time goes
    make bench-cache ARGS="--directory /dev/shm" with all files in memory

All serve over TLS with one certificate, and have the same upstream: a registry made of files, served by nginx over
plain HTTP on loopback. They are started once and take turns, so many rounds, of which the medians count.
"""

import contextlib
import dataclasses
import functools
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import count
from pathlib import Path
from statistics import median

from benchmarks.parts.blobs import GIB, MIB, Blob, Manifest
from benchmarks.parts.caches import CRPROXY, DOCKER_REGISTRY, NGINX, Caches, Relays
from benchmarks.parts.certificates import Certificate
from benchmarks.parts.clients import (
    ask,
    connected,
    download,
    download_beside,
    download_together,
    first_byte,
    read_slowly,
    requests_per_second,
)
from benchmarks.parts.command import run
from benchmarks.parts.handshakes import Clients
from benchmarks.parts.machine import machine
from benchmarks.parts.peers import Peer
from benchmarks.parts.profiles import Profiler
from benchmarks.parts.quiet import Quiet
from benchmarks.parts.registries import Registry, registry
from benchmarks.parts.rounds import Costs, alternate
from benchmarks.parts.servers import Server, nginx
from benchmarks.parts.tables import table
from benchmarks.parts.verdicts import Finding, Samples, Target, head

CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Scale:
    """How much work is done.

    Arguments:
        rounds: of each measurement.
        blob: bytes of the blob that is pulled by one client.
        shared: bytes of the blob that many clients pull at once.
        clients: how many.
        filling: bytes of the blob that slow readers follow.
        readers: how many.
        reading: seconds that they do.
        idle: connections that do nothing.
        asking: seconds of each run of requests for manifests.
        handshakes: in each round.
        quiet: nothing else may run meanwhile.
        peers: who else is measured.
        profile: where flame graphs are drawn.
        directory: where all files lie.
    """

    rounds: int
    blob: int
    shared: int
    clients: int
    filling: int
    readers: int
    reading: float
    idle: int
    asking: int
    handshakes: int
    quiet: bool = False
    peers: Sequence[Peer] = ()
    profile: Path | None = None
    directory: Path | None = None


FULL = Scale(5, 512 * MIB, 64 * MIB, 64, GIB, 200, 8.0, 1000, 3, 3000, quiet=True)
QUICK = Scale(1, 8 * MIB, 4 * MIB, 8, 64 * MIB, 10, 1.0, 20, 1, 100)
# Processes that shake hands: one alone would be slower than what it measures.
SHAKING = 2


class Bench:
    """The measurements, and what they need."""

    def __init__(self, scale: Scale, directory: Path, files: Path, upstream: Registry, manifest: Manifest) -> None:
        self._scale = scale
        self._directory = directory
        self._files = files
        self._upstream = upstream
        self._manifest = manifest
        self._numbers = count(1)
        self._quiet = Quiet() if scale.quiet else None
        self._profiler = None if scale.profile is None else Profiler(scale.profile)
        self._certificate = Certificate.write(directory / "certificate")
        caches = directory / "caches"
        caches.mkdir()
        self._caches = Caches(caches, f"127.0.0.1:{upstream.server.port}", self._certificate, scale.peers)

    def findings(self) -> Iterator[Finding]:
        """Measure everything."""
        with self._caches.start_all() as servers:
            yield from self._one_client(servers)
            yield self._beside_a_slow_reader(servers)
            yield from self._many_clients(servers)
            yield from self._manifests(servers)
            # TLS 1.3 is what counts, which docker-registry does not speak.
            yield from self._handshakes(servers[:2])
            # Last: what a slow upstream began to send goes on arriving.
            yield from self._first_bytes(servers)
        yield from self._passed_through()
        yield self._slow_readers()
        yield self._idle_connections()
        yield self._starts()

    def _new_blob(self, size: int) -> Blob:
        return Blob.write(size, self._files, next(self._numbers))

    def _cold_blob(self) -> Blob:
        """Another one, in the place of the one before."""
        self._forget_blobs(self._files)
        return self._new_blob(self._scale.blob)

    def _pull_cold(self, server: Server, blob: Blob) -> float:
        """Pull what `server` has not seen, in the place of what it has.

        A virtual machine has memory that its host has yet to find: it took 3 CPU seconds more for a GiB, and fell on
        whoever came to it first.
        """
        for directory in self._caches.directory.glob(f"*-{server.name}"):
            self._forget_blobs(directory)
        return _pull(server, blob)

    def _forget_blobs(self, directory: Path) -> None:
        for path in directory.rglob("*"):
            if path.is_file() and not path.is_symlink() and path.stat().st_size >= self._scale.blob:
                path.unlink()

    def _one_client(self, servers: Sequence[Server]) -> Iterator[Finding]:
        """One blob after another, each pulled cold by everyone; then one of them again and again."""
        scale = self._scale
        cold_blobs = _Fresh(self._cold_blob)
        cold = alternate(
            servers, scale.rounds, lambda server: self._pull_cold(server, cold_blobs.next(server)), self._quiet
        )
        targets = (Target(1.0, NGINX), Target(0.6, DOCKER_REGISTRY))
        yield Finding("cold blob, CPU s/GiB", _cpu_per_gib(cold, scale.blob), targets)
        yield Finding("cold blob, one client, s", _clock(cold))
        self._draw("cold-blob", servers[0], lambda server: self._pull_cold(server, self._cold_blob()))

        # What a client gets that offers both, as containerd does, and what it would cost without HTTP/2.
        downgraded = [dataclasses.replace(server, http2=False) for server in servers if server.http2]
        blob = self._cold_blob()
        warm = alternate([*servers, *downgraded], scale.rounds, lambda server: _pull(server, blob), self._quiet)
        as_usual, over_http1 = warm[: len(servers)], warm[len(servers) :]
        targets = (Target(0.85, NGINX), Target(0.5, DOCKER_REGISTRY))
        yield Finding("warm blob, CPU s/GiB", _cpu_per_gib(as_usual, scale.blob), targets)
        without = {**_cpu_per_gib(as_usual, scale.blob), **_cpu_per_gib(over_http1, scale.blob)}
        yield Finding("the same, HTTP/1.1 for all", without)
        self._draw("warm-blob", servers[0], lambda server: _pull(server, blob))
        yield Finding("warm blob, one client, s", _clock(as_usual))
        peaks = {server.name: server.meter.peak_rss() / MIB for server in servers}
        yield Finding("peak RSS after these, MiB", peaks, digits=0)

    def _beside_a_slow_reader(self, servers: Sequence[Server]) -> Finding:
        """One cold blob alone, the next beside a slow reader of the same: how many times as long does that take?"""
        size = self._scale.blob // 2
        ratios: dict[str, list[float]] = {server.name: [] for server in servers}
        for _ in range(self._scale.rounds):
            alone, beside = (self._new_blob(size).path("team/app") for _ in range(2))
            for server in servers:
                seconds = download(server, alone, size)
                ratios[server.name].append(download_beside(server, beside, size) / seconds)
        return Finding("cold blob beside a reader at 1 MiB/s, times as long", ratios, (Target(1.1),))

    def _many_clients(self, servers: Sequence[Server]) -> Iterator[Finding]:
        """Everyone wants the same cold blob at the same moment."""
        scale = self._scale
        sent: dict[str, list[float]] = {server.name: [] for server in servers}
        blobs = _Fresh(lambda: self._new_blob(scale.shared))

        def work(server: Server) -> float:
            path = blobs.next(server).path("team/app")
            before = self._upstream.sent(path)
            seconds = download_together(server, path, scale.shared, scale.clients)
            server.meter.settle()
            sent[server.name].append((self._upstream.sent(path) - before) / scale.shared)
            return seconds

        costs = alternate(servers, min(scale.rounds, 3), work, self._quiet)
        what = f"{scale.clients} clients, one cold blob"
        yield Finding(f"{what}, upstream bytes / blob", sent, (Target(1.0),))
        yield Finding(f"{what}, last one done, s", _clock(costs), (Target(1.1, NGINX),))

    def _first_bytes(self, servers: Sequence[Server]) -> Iterator[Finding]:
        """How much later than upstream's the first byte of a cold blob comes."""
        size = min(self._scale.blob, 16 * MIB)
        for repository, what in (("app", "a fast upstream's"), ("slow", "a slow upstream's")):
            seen: dict[str, list[float]] = {server.name: [] for server in (self._upstream.server, *servers)}
            # Each takes some milliseconds, and a little of anything else is much of that.
            for _ in range(3 * self._scale.rounds):
                path = self._new_blob(size).path(f"team/{repository}")
                for server in (self._upstream.server, *servers):
                    seen[server.name].append(first_byte(server, path))
            upstream = median(seen.pop(self._upstream.server.name))
            delays = {name: [1000 * (value - upstream) for value in values] for name, values in seen.items()}
            yield Finding(f"cold blob, first byte after {what}, ms", delays, (Target(5),), digits=1)

    def _manifests(self, servers: Sequence[Server]) -> Iterator[Finding]:
        """A manifest that is kept, asked for on a few connections without a pause."""
        rounds = min(self._scale.rounds, 3)
        for reference, what, factor in (("", "digest", 5), ("v1", "tag", 15)):
            rates: dict[str, list[float]] = {server.name: [] for server in servers}
            path = self._manifest.path(reference)
            for server in servers:
                first_byte(server, path)
            for _ in range(rounds):
                for server in servers:
                    rates[server.name].append(requests_per_second(server, path, self._scale.asking, CONNECTIONS))
            yield Finding(f"manifests by {what}, 1/s", rates, (Target(factor, DOCKER_REGISTRY, at_least=True),), 0)
            self._draw(f"manifests-by-{what}", servers[0], functools.partial(_ask_over_and_over, path=path))

    def _handshakes(self, servers: Sequence[Server]) -> Iterator[Finding]:
        """Connections that are made and closed, in full and with a ticket: how many for one CPU second."""
        many = self._scale.handshakes
        with Clients(SHAKING) as clients:
            for what, work in (("full", clients.shake_hands), ("resumed", clients.resume)):

                def timed(server: Server, work: Callable[[Server, Sequence[str], int], None] = work) -> float:
                    begun = time.monotonic()
                    work(server, [server.host], many)
                    return time.monotonic() - begun

                costs = alternate(servers, self._scale.rounds, timed, self._quiet)
                # A tick, where it was less than one.
                rates = {cost.server.name: [many / max(cpu, 0.01) for cpu in cost.cpu] for cost in costs}
                yield Finding(f"{what} handshakes / CPU s", rates, (Target(0.8, NGINX, at_least=True),), 0)
                self._draw(f"handshakes-{what}", servers[0], timed)

    def _passed_through(self) -> Iterator[Finding]:
        """A blob that nobody keeps, by those that let their clients have it as it comes."""
        scale, blob = self._scale, self._new_blob(self._scale.blob)
        for what, certificate in (("TLS on both sides", self._certificate), ("in the clear", None)):
            here = self._directory / what.replace(" ", "-")
            here.mkdir()
            scheme = "http" if certificate is None else "https"
            with (
                nginx("upstream", here / "upstream", f"root {self._files};", certificate=certificate) as upstream,
                Relays(here / "relays", f"{scheme}://127.0.0.1:{upstream.port}", certificate).start() as servers,
            ):
                costs = alternate(servers, scale.rounds, lambda server: _pull(server, blob), self._quiet)
                targets = (Target(1.0, NGINX),)
                yield Finding(f"passed through, {what}, CPU s/GiB", _cpu_per_gib(costs, scale.blob), targets)
                self._draw(f"passed-through-{scheme}", servers[0], lambda server: _pull(server, blob))

    def _draw(self, name: str, server: Server, work: Callable[[Server], object]) -> None:
        if self._profiler is not None:
            self._profiler.record(server, name, work)

    def _slow_readers(self) -> Finding:
        scale = self._scale
        path = self._new_blob(scale.filling).path("team/steady")

        def work(server: Server) -> None:
            with contextlib.ExitStack() as stack:
                readers = [
                    stack.enter_context(connected(server, receive_buffer=64 * 1024)) for _ in range(scale.readers)
                ]
                read_slowly(readers, path, scale.reading)

        return Finding(f"{scale.readers} slow readers of a filling blob, RSS MiB", self._peaks(work), (Target(100),), 0)

    def _idle_connections(self) -> Finding:
        scale = self._scale

        def work(server: Server) -> None:
            with contextlib.ExitStack() as stack:
                for _ in range(scale.idle):
                    ask(stack.enter_context(connected(server)), "/v2/")

        return Finding(f"{scale.idle} idle connections, RSS MiB", self._peaks(work), (Target(100),), 0)

    def _peaks(self, work: Callable[[Server], None]) -> dict[str, float]:
        """The peak of memory, in MiB, of each cache, new, doing `work`."""
        peaks = {}
        for kind in self._caches.startable:
            with self._caches.start(kind) as server:
                work(server)
                peaks[kind] = server.meter.peak_rss() / MIB
        return peaks

    def _starts(self) -> Finding:
        seconds: dict[str, list[float]] = {kind: [] for kind in self._caches.startable}
        for _ in range(self._scale.rounds):
            for kind in self._caches.startable:
                begun = time.monotonic()
                with self._caches.start(kind) as server:
                    first_byte(server, "/v2/")
                    seconds[kind].append(time.monotonic() - begun)
        return Finding("start to first answer, s", seconds, (Target(0.3),))


class _Fresh:
    """Blobs that a server has never seen, the same for each, made when the first of them needs one."""

    def __init__(self, make: Callable[[], Blob]) -> None:
        self._make = make
        self._made: list[Blob] = []
        self._seen: dict[str, int] = {}

    def next(self, server: Server) -> Blob:
        """The next for this one."""
        number = self._seen[server.name] = self._seen.get(server.name, -1) + 1
        if number == len(self._made):
            self._made.append(self._make())
        return self._made[number]


def _ask_over_and_over(server: Server, path: str) -> float:
    return requests_per_second(server, path, 3, CONNECTIONS)


def _pull(server: Server, blob: Blob) -> float:
    return download(server, blob.path("team/app"), blob.size)


def _cpu_per_gib(costs: Sequence[Costs], size: int) -> dict[str, Samples]:
    return {cost.server.name: [cpu * GIB / size for cpu in cost.cpu] for cost in costs}


def _clock(costs: Sequence[Costs]) -> dict[str, Samples]:
    return {cost.server.name: cost.clock for cost in costs}


def measure(scale: Scale, say: Callable[[str], object]) -> str:
    """Run everything; return the report."""
    with tempfile.TemporaryDirectory(prefix="crproxy-benchmark-", dir=scale.directory) as name:
        directory = Path(name)
        files = directory / "files"
        manifest = Manifest.write(Blob.write(MIB, files), files)
        findings = []
        with registry(directory / "upstream", files, manifest) as upstream:
            for finding in Bench(scale, directory, files, upstream, manifest).findings():
                findings.append(finding)
                say(" | ".join(finding.rows(_columns(scale))[0]))
    return report(findings, scale)


def _columns(scale: Scale) -> list[str]:
    return [CRPROXY, NGINX, DOCKER_REGISTRY, *(peer.name for peer in scale.peers)]


def report(findings: Sequence[Finding], scale: Scale) -> str:
    """The table, and what has to be known to read it."""
    columns = _columns(scale)
    return "\n".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, Python {platform.python_version()}, "
            f"Twisted {version('Twisted')}: medians of {scale.rounds} rounds (the least and the most of them); "
            f"blobs of {scale.blob // MIB} MiB ({scale.shared // MIB} MiB for {scale.clients} clients).",
            "",
            table(head(columns), [row for finding in findings for row in finding.rows(columns)]),
        ]
    )


if __name__ == "__main__":
    run("cache", __doc__, FULL, QUICK, measure)
