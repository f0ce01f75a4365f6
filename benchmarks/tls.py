"""What a TLS handshake costs, with few names and with many: crproxy next to nginx.

    make bench-tls                              print the table
    make bench-tls ARGS="--write"               and put it into docs/performance.md
    make bench-tls ARGS="--quick"               every row, from too little work to mean anything

Both have a certificate for each name, ECDSA P-256 by one authority: crproxy a file in --certs, nginx a server block.
The clients are Python's, in two processes; what counts is the CPU time of the servers, which take turns.
"""

import contextlib
import dataclasses
import os
import platform
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.parts.blobs import MIB
from benchmarks.parts.caches import CRPROXY, NGINX
from benchmarks.parts.clients import ask
from benchmarks.parts.command import run
from benchmarks.parts.handshakes import Clients
from benchmarks.parts.names import Names
from benchmarks.parts.rounds import alternate
from benchmarks.parts.servers import Server, crproxy, nginx
from benchmarks.parts.tables import table
from benchmarks.parts.verdicts import Finding, Target

PROCESSES = 2
TABLE_HEAD = ("work", CRPROXY, NGINX, "ratio", "target", "met")

# As the distribution specification wants it, so that both answer alike.
NGINX_LOCATION = "add_header Docker-Distribution-Api-Version registry/2.0; return 200 '{}';"
NGINX_HTTP = """
server_names_hash_max_size 65536;
server_names_hash_bucket_size 128;
"""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much work is done.

    Arguments:
        rounds: of each measurement.
        handshakes: in each.
        few: names.
        many: names.
    """

    rounds: int
    handshakes: int
    few: int
    many: int


FULL = Scale(5, 3000, 12, 5000)
QUICK = Scale(1, 100, 3, 50)


class Bench:
    """The measurements of one number of names."""

    def __init__(self, scale: Scale, directory: Path, count: int, clients: Clients) -> None:
        self._scale = scale
        self._directory = directory
        self._clients = clients
        self._names = Names.write(directory, count)
        self._started = 0

    def findings(self) -> Iterator[Finding]:
        """Measure everything."""
        many = f"{len(self._names.names):,} names"
        yield Finding(f"{many}: start to first answer, s", self._starts(), (Target(1.0),))
        with self._crproxy() as ours, self._nginx() as theirs:
            servers = (ours, theirs)
            for server in servers:
                first_answer(server, self._names)
            yield Finding(f"{many}: peak RSS after the first answer, MiB", _peaks(servers), digits=0)
            yield Finding(f"{many}: the first handshake of each, CPU ms", self._first(servers))
            yield Finding(f"{many}: peak RSS after these, MiB", _peaks(servers), digits=0)
            for what, work in (("full", self._clients.shake_hands), ("resumed", self._clients.resume)):
                yield Finding(f"{many}: {what} handshakes / CPU s", self._rates(servers, work), digits=0)

    def _starts(self) -> dict[str, float]:
        seconds: dict[str, list[float]] = {CRPROXY: [], NGINX: []}
        for _ in range(self._scale.rounds):
            for name, start in ((CRPROXY, self._crproxy), (NGINX, self._nginx)):
                begun = time.monotonic()
                with start() as server:
                    first_answer(server, self._names)
                    seconds[name].append(time.monotonic() - begun)
        return {name: median(values) for name, values in seconds.items()}

    def _first(self, servers: Sequence[Server]) -> dict[str, float]:
        """What it costs once more when a name is asked for the first time, its handshake included."""
        names = self._names.names
        costs = {}
        for server in servers:
            before = server.meter.cpu_seconds()
            self._clients.shake_hands(server, names, len(names))
            server.meter.settle()
            costs[server.name] = 1000 * (server.meter.cpu_seconds() - before) / len(names)
        return costs

    def _rates(self, servers: Sequence[Server], work: Callable[[Server, Sequence[str], int], None]) -> dict[str, float]:
        count = self._scale.handshakes

        def timed(server: Server) -> float:
            begun = time.monotonic()
            work(server, self._names.names, count)
            return time.monotonic() - begun

        costs = alternate(servers, self._scale.rounds, timed)
        # A tick, where it was less than one.
        return {cost.server.name: count / max(cost.median_cpu, 0.01) for cost in costs}

    def _crproxy(self) -> contextlib.AbstractContextManager[Server]:
        domain, *others = self._names.names
        lines = [f'domain = "{domain}"', "[aliases]", *(f'"{name}" = "registry.test"' for name in others)]
        return self._trusted(crproxy(CRPROXY, self._new(), "\n".join([*lines, ""]), certs=self._names.directory))

    def _nginx(self) -> contextlib.AbstractContextManager[Server]:
        hosts = {name: self._names.file(name) for name in self._names.names}
        return self._trusted(nginx(NGINX, self._new(), NGINX_LOCATION, http=NGINX_HTTP, hosts=hosts))

    @contextlib.contextmanager
    def _trusted(self, started: contextlib.AbstractContextManager[Server]) -> Iterator[Server]:
        with started as server:
            yield dataclasses.replace(server, certificate=self._names.authority)

    def _new(self) -> Path:
        self._started += 1
        return self._directory / f"server-{self._started}"


def first_answer(server: Server, names: Names) -> None:
    """Ask for /v2/ at the last of the names."""
    name = names.names[-1]
    context = ssl.create_default_context(cafile=str(names.authority))
    with (
        socket.create_connection(("127.0.0.1", server.port)) as plain,
        context.wrap_socket(plain, server_hostname=name) as encrypted,
    ):
        ask(encrypted, "/v2/", name)


def _peaks(servers: Sequence[Server]) -> dict[str, float]:
    return {server.name: server.meter.peak_rss() / MIB for server in servers}


def measure(scale: Scale, say: Callable[[str], object]) -> str:
    """Run everything; return the report."""
    findings = []
    with tempfile.TemporaryDirectory(prefix="crproxy-benchmark-") as name, Clients(PROCESSES) as clients:
        for count in (scale.few, scale.many):
            for finding in Bench(scale, Path(name) / str(count), count, clients).findings():
                findings.append(finding)
                say(" | ".join(_row(finding)))
    return report(findings, scale)


def report(findings: Sequence[Finding], scale: Scale) -> str:
    """The table, and what has to be known to read it."""
    return "\n".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}, "
            f"Twisted {version('Twisted')} with {_openssl()}: medians of {scale.rounds} rounds of "
            f"{scale.handshakes} handshakes.",
            "",
            table(TABLE_HEAD, [_row(finding) for finding in findings]),
        ]
    )


def _openssl() -> str:
    """Return crproxy's, such as OpenSSL 3.5.0; nginx has the system's."""
    return " ".join(ssl.OPENSSL_VERSION.split()[:2])


def _row(finding: Finding) -> tuple[str, ...]:
    """The row without the third, who is not here, and with a ratio in any case."""
    (work, ours, theirs, _, _, target, met) = finding.rows()[0]
    return work, ours, theirs, f"{finding.number(CRPROXY) / (finding.number(NGINX) or 1):.2f}", target, met


if __name__ == "__main__":
    run("tls", __doc__, FULL, QUICK, measure)
