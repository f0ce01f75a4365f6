"""Memory and descriptors of crproxy at full load for ten minutes: blobs that drive others out, warm ones, manifests.

    make bench-soak                     print the table
    make bench-soak ARGS="--write"      and put it into docs/performance.md
    make bench-soak ARGS="--workers 1"  with another number of workers than two

Everything is checked by its size and status; one error ends it.
"""

import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import cycle
from pathlib import Path

from benchmarks.parts.blobs import GIB, MIB, Blob, Manifest
from benchmarks.parts.certificates import Certificate
from benchmarks.parts.clients import download
from benchmarks.parts.command import run
from benchmarks.parts.meter import proportional
from benchmarks.parts.registries import registry
from benchmarks.parts.servers import Server, crproxy
from benchmarks.parts.tables import table

REGISTRY = "registry.test"
PREFIX = f"{REGISTRY}/team/app"


@dataclass(frozen=True)
class Scale:
    """How long, and of what.

    Arguments:
        rounds: rows of the table.
        seconds: of each.
        cold: blobs that do not all fit into the cache.
        blob: bytes of each.
        workers: processes that serve clients.
    """

    rounds: int
    seconds: float
    cold: int
    blob: int
    workers: int = 2


FULL = Scale(10, 60.0, 24, 32 * MIB)
QUICK = Scale(2, 1.0, 4, MIB)


class Load:
    """Pulls without a pause, and counts."""

    def __init__(self, server: Server) -> None:
        self.pulls = 0
        self.bytes = 0
        self.over = threading.Event()
        self._server = server
        self._lock = threading.Lock()

    def pull(self, whole: Iterator[tuple[str, int]]) -> None:
        """Pull one after the other, until it is over."""
        for path, size in whole:
            if self.over.is_set():
                return
            download(self._server, path, size)
            with self._lock:
                self.pulls += 1
                self.bytes += size


def measure(scale: Scale, say: Callable[[str], object]) -> str:
    """Run everything; return the report."""
    with tempfile.TemporaryDirectory(prefix="crproxy-benchmark-") as name:
        directory = Path(name)
        files = directory / "files"
        manifest = Manifest.write(Blob.write(MIB, files), files)
        cold = [Blob.write(scale.blob, files, number + 1) for number in range(scale.cold)]
        warm = Blob.write(scale.blob, files, 1000)
        size = scale.blob * scale.cold // 2 // MIB
        tag = manifest.path("v1")
        work = [
            [(blob.path(PREFIX), blob.size) for blob in cold],
            [(warm.path(PREFIX), warm.size)],
            [(tag.replace("team/app", PREFIX), (files / tag[1:]).stat().st_size)],
        ]
        with registry(directory / "upstream", files, manifest) as upstream:
            endpoint = f"http://127.0.0.1:{upstream.server.port}"
            configuration = f'[upstreams."{REGISTRY}"]\nendpoint = "{endpoint}"\n[cache]\nsize = "{max(size, 1)}M"\n'
            certificate = Certificate.write(directory / "certificate")
            with crproxy(
                "crproxy", directory / "crproxy", configuration, certificate=certificate, workers=scale.workers
            ) as server:
                rows = list(_minutes(server, scale, work, say))
    return report(rows, scale)


def _minutes(
    server: Server, scale: Scale, work: list[list[tuple[str, int]]], say: Callable[[str], object]
) -> Iterator[tuple[str, ...]]:
    load = Load(server)
    with ThreadPoolExecutor(len(work)) as pool:
        pulling = [pool.submit(load.pull, cycle(each)) for each in work]
        try:
            for number in range(scale.rounds):
                done, count = load.bytes, load.pulls
                time.sleep(scale.seconds)
                for each in pulling:
                    if each.done():
                        each.result()
                row = (
                    f"{(number + 1) * scale.seconds:g}",
                    f"{_memory(server) / MIB:.0f}",
                    str(_descriptors(server)),
                    f"{load.pulls - count:,}",
                    f"{(load.bytes - done) / GIB:.1f}",
                )
                say(" | ".join(row))
                yield row
        finally:
            load.over.set()
        for each in pulling:
            each.result()


def _memory(server: Server) -> int:
    """Bytes of all processes; pages that they share count once."""
    return sum(proportional(pid) for pid in server.meter.family())


def _descriptors(server: Server) -> int:
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in server.meter.family())


def report(rows: list[tuple[str, ...]], scale: Scale) -> str:
    """The table, and what has to be known to read it."""
    return "\n".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}, "
            f"Twisted {version('Twisted')}, {scale.workers} workers: no error. "
            "Memory and descriptors are of all processes.",
            "",
            table(("after s", "PSS MiB", "descriptors", "pulls", "GiB"), rows),
        ]
    )


if __name__ == "__main__":
    run("soak", __doc__, FULL, QUICK, measure)
