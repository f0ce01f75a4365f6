"""What a blob costs by CONNECT, where crproxy is the HTTP proxy of its clients, beside the same blob by an alias.

    make bench-proxy                            print the table
    make bench-proxy ARGS="--write"             and put it into docs/performance.md
    make bench-proxy ARGS="--quick"             every row, from too little work to mean anything
    make bench-proxy ARGS="--profile flames"    and draw where crproxy's time goes
    make bench-proxy ARGS="--directory /dev/shm" with all files in memory

One daemon, asked in three ways that take turns: over HTTPS by an alias; by CONNECT to its proxy in the clear, with TLS
inside; and by CONNECT to its proxy in TLS, where there is TLS in TLS. The blob is on its disk from the first round on.
"""

import contextlib
import dataclasses
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

from benchmarks.parts.blobs import GIB, MIB, Blob, Manifest
from benchmarks.parts.caches import CRPROXY
from benchmarks.parts.certificates import HOST, Certificate
from benchmarks.parts.clients import ask, download
from benchmarks.parts.command import run
from benchmarks.parts.machine import machine
from benchmarks.parts.profiles import Profiler
from benchmarks.parts.quiet import Quiet
from benchmarks.parts.registries import registry
from benchmarks.parts.rounds import Costs, alternate
from benchmarks.parts.servers import Server, crproxy
from benchmarks.parts.tables import table
from benchmarks.parts.verdicts import Finding, Samples, Target
from tests.parts.ports import reserve_port
from tests.parts.proxy_client import CA_DIRECTORY, Inside, connect, read_answer

# What counts is what is asked by CONNECT, in the clear; that is what `Finding` holds against the others.
BY_CONNECT, BY_ALIAS, IN_TLS = CRPROXY, "alias", "CONNECT in TLS"
COLUMNS = (BY_CONNECT, BY_ALIAS, IN_TLS)
TABLE_HEAD = ("work", "CONNECT", BY_ALIAS, IN_TLS, "ratio", "target", "met")
REGISTRY = "registry.test"
ALIAS = f"registry.{HOST}"
CONFIG = """
[aliases]
registry = "registry.test"
[upstreams."registry.test"]
endpoint = "{upstream}"
[cache]
size = "50G"
[proxy]
listen = ["tcp:{clear}:interface=127.0.0.1"]
listen_tls = ["tcp:{secured}:interface=127.0.0.1"]
"""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much work is done.

    Arguments:
        rounds: of each measurement.
        blob: bytes of the blob that is pulled.
        connections: that ask for one manifest each, in each round.
        quiet: nothing else may run meanwhile.
        profile: where flame graphs are drawn.
        directory: where all files lie.
    """

    rounds: int
    blob: int
    connections: int
    quiet: bool = False
    profile: Path | None = None
    directory: Path | None = None


FULL = Scale(9, 512 * MIB, 1000, quiet=True)
QUICK = Scale(1, 8 * MIB, 20)


@dataclass(frozen=True, slots=True)
class Ways:
    """The daemon, as it is asked in each way.

    Arguments:
        clear, secured: the ports of its proxy.
        outer: verifies the proxy that speaks TLS.
    """

    servers: Sequence[Server]
    clear: int
    secured: int
    outer: ssl.SSLContext

    def new_connection(self, server: Server, path: str) -> None:
        """Ask for something small on a connection of its own."""
        context = ssl.create_default_context(cafile=str(server.certificate))
        port = {BY_CONNECT: self.clear, IN_TLS: self.secured}.get(server.name, server.port)
        with socket.create_connection(("127.0.0.1", port)) as plain:
            if server.name == BY_ALIAS:
                with context.wrap_socket(plain, server_hostname=server.host) as encrypted:
                    ask(encrypted, path, server.host)
                return
            with self._proxied(server, plain) as connected, Inside(connected, context, server.host) as inside:
                ask(inside, path, server.host)  # type: ignore[arg-type]  # it has what is needed

    def _proxied(self, server: Server, plain: socket.socket) -> socket.socket:
        connected = self.outer.wrap_socket(plain, server_hostname=HOST) if server.name == IN_TLS else plain
        connected.sendall(connect(f"{server.host}:443"))
        if read_answer(connected).status != 200:
            raise RuntimeError("the proxy does not connect")
        return connected


class Bench:
    """The measurements."""

    def __init__(self, scale: Scale, ways: Ways, blob: Blob, manifest: Manifest) -> None:
        self._scale = scale
        self._ways = ways
        self._blob = blob
        self._manifest = manifest
        self._quiet = Quiet() if scale.quiet else None
        self._profiler = None if scale.profile is None else Profiler(scale.profile)

    def findings(self) -> Iterator[Finding]:
        """Measure everything."""
        scale, servers = self._scale, self._ways.servers
        warm = alternate(servers, scale.rounds, self._pull, self._quiet)
        each = {cost.server.name: [cpu * GIB / scale.blob for cpu in cost.cpu] for cost in warm}
        yield Finding("warm blob, CPU s/GiB", each, (Target(1.05, BY_ALIAS),))
        yield Finding("warm blob, one client, s", _clock(warm))
        new = alternate(servers, scale.rounds, self._connect, self._quiet)
        each = {cost.server.name: [1000 * cpu / scale.connections for cpu in cost.cpu] for cost in new}
        yield Finding("a new connection and a manifest, CPU ms", each)
        if self._profiler is not None:
            for server in servers:
                self._profiler.record(server, f"warm-blob-{server.name.replace(' ', '-')}", self._pull)

    def _pull(self, server: Server) -> float:
        return download(server, self._blob.path("team/app"), self._blob.size)

    def _connect(self, server: Server) -> float:
        begun = time.monotonic()
        for _ in range(self._scale.connections):
            self._ways.new_connection(server, self._manifest.path())
        return time.monotonic() - begun


def _clock(costs: Sequence[Costs]) -> dict[str, Samples]:
    return {cost.server.name: cost.clock for cost in costs}


@contextlib.contextmanager
def started(directory: Path, upstream: Server) -> Iterator[Ways]:
    """Start the daemon, for one ``with`` block."""
    certificate = Certificate.write(directory / "certificate", ALIAS)
    clear, secured = reserve_port(), reserve_port()
    configuration = CONFIG.format(upstream=f"http://127.0.0.1:{upstream.port}", clear=clear, secured=secured)
    with crproxy(BY_ALIAS, directory / "crproxy", configuration, certificate=certificate) as server:
        (own,) = (directory / "crproxy" / "data" / CA_DIRECTORY).glob("*.pem")
        authority = directory / "authority.pem"
        authority.write_text(own.read_text().partition("-----END PRIVATE KEY-----\n")[2])
        by_alias = dataclasses.replace(server, host=ALIAS)
        inside = dataclasses.replace(server, host=REGISTRY, port=443, certificate=authority)
        secure = ("--proxy", f"https://{HOST}:{secured}", "--resolve", f"{HOST}:{secured}:127.0.0.1")
        in_tls = (*secure, "--proxy-cacert", str(certificate.authority))
        servers = [
            dataclasses.replace(inside, name=BY_CONNECT, proxy=("--proxy", f"http://127.0.0.1:{clear}")),
            by_alias,
            dataclasses.replace(inside, name=IN_TLS, proxy=in_tls),
        ]
        yield Ways(servers, clear, secured, ssl.create_default_context(cafile=str(certificate.authority)))


def measure(scale: Scale, say: Callable[[str], object]) -> str:
    """Run everything; return the report."""
    with tempfile.TemporaryDirectory(prefix="crproxy-benchmark-", dir=scale.directory) as name:
        directory, files = Path(name), Path(name) / "files"
        manifest = Manifest.write(Blob.write(MIB, files), files)
        blob = Blob.write(scale.blob, files, 1)
        findings = []
        with (
            registry(directory / "upstream", files, manifest) as upstream,
            started(directory, upstream.server) as ways,
        ):
            for finding in Bench(scale, ways, blob, manifest).findings():
                findings.append(finding)
                say(" | ".join(finding.rows(COLUMNS)[0]))
    return report(findings, scale)


def report(findings: Sequence[Finding], scale: Scale) -> str:
    """The table, and what has to be known to read it."""
    return "\n".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, Python {platform.python_version()}, "
            f"Twisted {version('Twisted')}: medians of {scale.rounds} rounds (the least and the most of them); "
            f"a blob of {scale.blob // MIB} MiB, {scale.connections} connections.",
            "",
            table(TABLE_HEAD, [row for finding in findings for row in finding.rows(COLUMNS)]),
        ]
    )


if __name__ == "__main__":
    run("proxy", __doc__, FULL, QUICK, measure)
