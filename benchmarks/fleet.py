"""Several nodes with a real S3 server and a real Valkey: one fetch for all of them, and what each way to bytes costs.

    make bench-fleet                     print the tables
    make bench-fleet ARGS="--write"      and put them into docs/performance.md
    make bench-fleet ARGS="--quick"      every row, from too little work to mean anything

All of it on this machine, over plain HTTP to clients (curl), who throw away what they get. The upstream is nginx, which
sends 16 MiB/s on each connection, and each node asks over one: what is looked at is who waits for whom, which a machine
that is busy with everything at once would hide.
"""

import contextlib
import platform
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from shutil import copyfile
from statistics import median

from benchmarks.parts.asked import Counter
from benchmarks.parts.blobs import GIB, MIB, Blob, Manifest
from benchmarks.parts.clients import download, download_together
from benchmarks.parts.command import run
from benchmarks.parts.machine import machine
from benchmarks.parts.registries import Registry, registry
from benchmarks.parts.servers import Server, crproxy
from benchmarks.parts.tables import table
from tests.parts.fleets import tables_of
from tests.parts.s3 import S3Server
from tests.parts.valkey import Valkey

REGISTRY = "registry.test"
TARGET = 1.3


@dataclass(frozen=True, slots=True)
class Scale:
    """How much work is done.

    Arguments:
        rounds: of each measurement.
        blob: bytes of it.
        nodes: of the fleet.
        clients: of each node.
        asked: requests of each kind of which what they ask of Valkey and the object store is counted.
    """

    rounds: int
    blob: int
    nodes: int
    clients: int
    asked: int


FULL = Scale(3, 256 * MIB, 3, 30, 50)
QUICK = Scale(1, 4 * MIB, 2, 3, 3)


class Bench:
    """The measurements."""

    def __init__(
        self,
        scale: Scale,
        directory: Path,
        files: Path,
        manifest: Manifest,
        upstream: Registry,
        s3: S3Server,
        valkey: Valkey,
    ) -> None:
        self._scale = scale
        self._directory = directory
        self._files = files
        self._manifest = manifest
        self._upstream = upstream
        self._s3 = s3
        self._valkey = valkey
        self._number = 0

    def blob(self) -> Blob:
        """Return another one."""
        return Blob.write(self._scale.blob, self._files, self._next())

    @contextlib.contextmanager
    def nodes(self, count: int) -> Iterator[list[Server]]:
        """So many nodes with empty disks."""
        with contextlib.ExitStack() as running:
            yield [running.enter_context(self._node()) for _ in range(count)]

    def _node(self) -> contextlib.AbstractContextManager[Server]:
        number = self._next()
        directory = self._directory / f"node-{number}"
        secrets = self._directory / f"secrets-{number}"
        secrets.mkdir()
        text = f'default_registry = "{REGISTRY}"\n[upstreams."{REGISTRY}"]\n'
        text += f'endpoint = "http://127.0.0.1:{self._upstream.server.port}"\nconnections = 1\n'
        text += "[limits]\nconnections_per_client = 2000\n"
        text += "\n".join(tables_of(secrets, number, self._s3, self._valkey))
        return crproxy(f"node-{number}", directory, text)

    def together(self, nodes: Sequence[Server], clients: int) -> tuple[float, float]:
        """Have so many clients of each node fetch a cold blob; return the seconds, and upstream's bytes for each."""
        blob = self.blob()
        path = blob.path("team/far")
        before, seconds = self._upstream.sent(path), _all_at_once(nodes, path, blob.size, clients)
        return seconds, (self._upstream.sent(path) - before) / blob.size

    def one_fetch(self) -> list[tuple[str, ...]]:
        """One node alone, and all of them."""
        alone = 0.0
        rows: list[tuple[str, ...]] = []
        for count in (1, self._scale.nodes):
            with self.nodes(count) as nodes:
                rounds = [self.together(nodes, self._scale.clients) for _ in range(self._scale.rounds)]
            seconds, sent = median(one[0] for one in rounds), max(one[1] for one in rounds)
            alone = alone or seconds
            met = "-" if count == 1 else "yes" if seconds <= TARGET * alone and sent < 1.005 else "no"
            times = "-" if count == 1 else f"{seconds / alone:.2f}"
            target = "-" if count == 1 else f"<= {TARGET}"
            clients = str(count * self._scale.clients)
            rows.append((str(count), clients, f"{seconds:.2f}", times, target, f"{sent:.2f}", met))
        return rows

    def costs(self) -> list[tuple[str, ...]]:
        """The CPU of a node for each way to the bytes."""
        found: dict[str, list[float]] = {}
        for _ in range(self._scale.rounds):
            for what, cpu in self._cost():
                found.setdefault(what, []).append(cpu * GIB / self._scale.blob)
        return [(what, f"{median(costs):.2f}", f"{min(costs):.2f}-{max(costs):.2f}") for what, costs in found.items()]

    def _cost(self) -> Iterator[tuple[str, float]]:
        blob = self.blob()
        path = blob.path("team/app")
        with self.nodes(2) as (first, second):
            leading = threading.Thread(target=download, args=(first, path, blob.size))
            before = first.meter.cpu_seconds(), second.meter.cpu_seconds()
            leading.start()
            download(second, path, blob.size)
            leading.join()
            self._wait_until_stored(blob)
            for node in (first, second):
                node.meter.settle()
            yield (
                "cold, the two nodes together, and the upload",
                sum(node.meter.cpu_seconds() - cpu for node, cpu in zip((first, second), before, strict=True)),
            )
            yield "on disk", _cpu(second, path, blob.size)
        with self.nodes(1) as (third,):
            yield "in the second tier, on a new node's way to its disk", _cpu(third, path, blob.size)
        for name, rate in (("steady", 64), ("far", 16)):
            follow = self.blob()
            path = follow.path(f"team/{name}")
            with self.nodes(2) as (first, second):
                leading = threading.Thread(target=download, args=(first, path, follow.size))
                leading.start()
                time.sleep(0.5)
                yield f"with another node that fills it at {rate} MiB/s", _cpu(second, path, follow.size)
                leading.join()

    def asked(self) -> list[tuple[str, ...]]:
        """What a request has Valkey and the object store do."""
        blobs = [Blob.write(MIB, self._files, self._next()) for _ in range(self._scale.asked)]
        paths = [(blob.path("team/app"), blob.size) for blob in blobs]
        size = (self._files / self._manifest.path().lstrip("/")).stat().st_size
        tags = [(self._manifest.path(self._tag()), size) for _ in blobs]
        with self.nodes(2) as (first, second):
            # The tags are of one manifest: what is counted is what a tag takes, and not its content.
            download(first, self._manifest.path(), size)
            counter = Counter(self._valkey, self._s3)
            rows = [("nothing, for a second, of two nodes", counter.idle)]
            for kind, asked, stored in (("tag", tags, []), ("blob", paths, blobs)):
                for what, node in (("first of all", first), ("at another node", second), ("again there", second)):
                    gets = [partial(download, node, path, length) for path, length in asked]
                    rows.append((f"a {kind}, {what}", counter.count(gets, partial(self._wait_until_stored, *stored))))
        return [(what, f"{max(0, asked.commands):.1f}", f"{asked.requests:.1f}") for what, asked in rows]

    def _tag(self) -> str:
        """Return another tag of the manifest."""
        tag = f"t{self._next()}"
        copyfile(*(self._files / self._manifest.path(name).lstrip("/") for name in ("v1", tag)))
        return tag

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _wait_until_stored(self, *blobs: Blob) -> None:
        # Looked at all together: each look is a request, too.
        wanted = {blob.digest.partition(":")[2] for blob in blobs}
        while blobs and not wanted <= {name.rpartition("/")[2] for name in self._s3.names()}:
            time.sleep(0.5)


def _cpu(node: Server, path: str, size: int) -> float:
    node.meter.settle()
    before = node.meter.cpu_seconds()
    download(node, path, size)
    node.meter.settle()
    return node.meter.cpu_seconds() - before


def _all_at_once(nodes: Sequence[Server], path: str, size: int, clients: int) -> float:
    begun = time.monotonic()
    threads = [threading.Thread(target=download_together, args=(node, path, size, clients)) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - begun


def measure(scale: Scale, say: Callable[[str], object]) -> str:
    """Run everything; return the report."""
    with tempfile.TemporaryDirectory(prefix="crproxy-benchmark-") as name:
        directory = Path(name)
        files, store = directory / "files", directory / "s3"
        store.mkdir()
        manifest = Manifest.write(Blob.write(MIB, files), files)
        with registry(directory / "upstream", files, manifest) as upstream, S3Server(store) as s3, Valkey() as valkey:
            bench = Bench(scale, directory, files, manifest, upstream, s3, valkey)
            fetches = bench.one_fetch()
            for row in fetches:
                say(" | ".join(row))
            costs = bench.costs()
            for row in costs:
                say(" | ".join(row))
            asked = bench.asked()
            for row in asked:
                say(" | ".join(row))
    head = ("nodes", "clients", "last one done, s", "times as long", "target", "upstream bytes / blob", "met")
    return "\n".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, Python {platform.python_version()}, "
            f"Twisted {version('Twisted')}: medians of {scale.rounds} rounds, a blob of {scale.blob // MIB} MiB.",
            "",
            table(head, fetches),
            "",
            table(("where a node has the bytes from", "CPU s/GiB of nodes", "least to most"), costs),
            "",
            table(("what is asked of a node", "commands of Valkey", "requests of the object store"), asked),
        ]
    )


if __name__ == "__main__":
    run("fleet", __doc__, FULL, QUICK, measure)
