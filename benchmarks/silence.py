"""How long clients wait for an upstream that takes connections and answers nothing, and until its return is noticed.

    make bench-silence                 print the table
    make bench-silence ARGS="--write"  and put it into docs/performance.md

The upstream is nginx, stopped by a signal: the kernel goes on to take connections for it. Each row has a daemon of its
own, and requests one after the other.
"""

import os
import platform
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from importlib.metadata import version
from pathlib import Path

from benchmarks.parts.blobs import MIB, Blob, Manifest
from benchmarks.parts.command import run
from benchmarks.parts.registries import registry
from benchmarks.parts.servers import Server, crproxy
from benchmarks.parts.tables import table

REGISTRY = "registry.test"
PREFIX = f"{REGISTRY}/team/app"
# Seconds after which a silent upstream is known to be down, whoever asked.
KNOWN = 12.0
# Seconds that are waited for anything, at the most.
LONGEST = 60.0


@dataclass(frozen=True)
class Scale:
    """How much is asked.

    Arguments:
        rounds: how often each row is measured; the longest counts.
        requests: of each kind, one after the other; the first, the second and the last are told.
    """

    rounds: int
    requests: int


FULL = Scale(3, 10)
QUICK = Scale(1, 3)


@dataclass(frozen=True)
class Kind:
    """What is asked for.

    Arguments:
        kept: it was pulled before.
        status: of the answers while upstream is silent.
    """

    name: str
    method: str
    path: str
    kept: bool
    status: int


def measure(scale: Scale, say: Callable[[str], object]) -> str:
    """Run everything; return the report."""
    with tempfile.TemporaryDirectory(prefix="crproxy-benchmark-") as name:
        blob, manifest = _content(Path(name) / "files")
        tag = manifest.path("v1").replace("team/app", PREFIX)
        kinds = [
            Kind("a tag that is kept, GET", "GET", tag, True, 200),
            Kind("the same, HEAD", "HEAD", tag, True, 200),
            Kind("a manifest that is not kept", "GET", tag, False, 503),
            Kind("a blob that is not kept", "GET", blob.path(PREFIX), False, 503),
        ]
        rows: list[tuple[str, ...]] = []
        for kind in kinds:
            rounds = []
            for number in range(scale.rounds):
                directory = Path(name) / f"{len(rows)}-{number}"
                directory.mkdir()
                rounds.append(list(_seconds(directory, kind, scale.requests)))
                say(f"{kind.name}: " + " ".join(f"{seconds:.2f}" for seconds in rounds[-1]))
            longest = [max(each) for each in zip(*rounds, strict=True)]
            rows.append((kind.name, *(f"{seconds:.2f}" for seconds in longest)))
    return report(rows, scale)


def _content(files: Path) -> tuple[Blob, Manifest]:
    """Write an image, the same each time."""
    blob = Blob.write(MIB, files)
    return blob, Manifest.write(blob, files)


def _seconds(directory: Path, kind: Kind, requests: int) -> Iterator[float]:
    """Give what the first, second and last request took, and what passed from upstream's return to its answer."""
    files = directory / "files"
    _, manifest = _content(files)
    with registry(directory / "upstream", files, manifest) as upstream:
        endpoint = f"http://127.0.0.1:{upstream.server.port}"
        configuration = f'[upstreams."{REGISTRY}"]\nendpoint = "{endpoint}"\n[cache]\ntag_ttl = "1ms"\n'
        with crproxy("crproxy", directory / "crproxy", configuration) as server:
            if kind.kept:
                assert _ask(server, "GET", kind.path)[0] == 200
            with _silent(upstream.server):
                began = time.monotonic()
                taken = [_timed(server, kind) for _ in range(requests)]
                while time.monotonic() - began < KNOWN:
                    _timed(server, kind)
                    time.sleep(0.5)
            returned = time.monotonic()
            while not _is_fresh(*_ask(server, kind.method, kind.path)):
                assert time.monotonic() - returned < LONGEST
                time.sleep(0.02)
            back = time.monotonic() - returned
    yield from (taken[0], taken[1], taken[-1], back)


@contextmanager
def _silent(server: Server) -> Iterator[None]:
    processes = list(server.meter.family())
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


def _timed(server: Server, kind: Kind) -> float:
    began = time.monotonic()
    status, warning = _ask(server, kind.method, kind.path)
    assert (status, warning is not None) == (kind.status, kind.kept), (kind, status, warning)
    return time.monotonic() - began


def _ask(server: Server, method: str, path: str) -> tuple[int, str | None]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=LONGEST)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        response.read()
        return response.status, response.headers["Warning"]
    finally:
        connection.close()


def _is_fresh(status: int, warning: str | None) -> bool:
    return status == 200 and warning is None


def report(rows: list[tuple[str, ...]], scale: Scale) -> str:
    """The table, and what has to be known to read it."""
    return "\n".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}, "
            f"Twisted {version('Twisted')}: seconds, the longest of {scale.rounds}.",
            "",
            table(("asked for", "first", "second", f"{scale.requests}th", "answered after its return"), rows),
        ]
    )


if __name__ == "__main__":
    run("silence", __doc__, FULL, QUICK, measure)
