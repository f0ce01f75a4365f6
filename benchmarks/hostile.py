"""What clients that only hold connections cost one that pulls: Docker beside slow and idle ones.

    make bench-hostile                              print the table
    make bench-hostile ARGS="--write"               and put it into docs/performance.md
    make bench-hostile ARGS="--quick"               every row, from too little work to mean anything

Docker pulls a warm image over TLS, alone and beside the attackers in turn. Needs root, as Docker does.
"""

import os
import platform
import resource
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.parts.attackers import Attack
from benchmarks.parts.blobs import MIB
from benchmarks.parts.caches import CRPROXY
from benchmarks.parts.command import run
from benchmarks.parts.tables import table
from benchmarks.parts.verdicts import Finding, Target
from tests.parts.certificates import Authority
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.docker_engine import DockerEngine
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.layouts import Layout
from tests.parts.node import Node

NAME = "cr.test"
REGISTRY = "registry.example.org"
TABLE_HEAD = ("work", CRPROXY, "target", "met")
# Two for each attacker: ours, and theirs in the daemon.
DESCRIPTORS = 16_384
RSS_TARGET = 150.0


@dataclass(frozen=True, slots=True)
class Scale:
    """How much work is done.

    Arguments:
        rounds: of each measurement.
        attackers: of each kind.
        layers: of the image.
        mib: of each layer.
    """

    rounds: int
    attackers: int
    layers: int
    mib: int


FULL = Scale(5, 1000, 4, 64)
QUICK = Scale(1, 50, 2, 2)


@dataclass(slots=True)
class Rounds:
    """What was seen in each: seconds, bytes, and how many stood at its end."""

    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    rss_alone: list[int] = field(default_factory=list)
    rss_beside: list[int] = field(default_factory=list)
    standing: list[int] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)


class Bench:
    """A daemon, Docker, and those that mean ill."""

    def __init__(self, scale: Scale, directory: Path, running: ExitStack) -> None:
        self._scale = scale
        (directory / "ca").mkdir()
        authority = Authority(directory / "ca")
        self._authority = authority.file
        upstream = running.enter_context(FakeUpstream())
        layout = Layout(directory / "images")
        layers = [layout.large_layer(scale.mib * MIB + number * 1024) for number in range(scale.layers)]
        upstream.publish("team/app", "v1", layout.image(*layers))
        config = configuration({REGISTRY: Upstream(upstream.url)}, cache={"tag_ttl": "1h"}, domain=NAME)
        proxy = directory / "proxy"
        proxy.mkdir()
        self._daemon = running.enter_context(Daemon(proxy, config, certificate=authority.issue(NAME)))
        etc, docker = directory / "etc", directory / "d"
        etc.mkdir()
        docker.mkdir()
        self._docker = running.enter_context(DockerEngine(docker, Node.make(etc, [NAME], authority.file)))
        self._image = f"{NAME}:{self._daemon.tls_port}/{REGISTRY}/team/app:v1"

    def rounds(self) -> Rounds:
        """Pull alone and beside them, in turn; once before, so that all of it is warm."""
        self._docker.seconds_to_pull(self._image)
        seen = Rounds()
        for _ in range(self._scale.rounds):
            seen.alone.append(self._docker.seconds_to_pull(self._image))
            seen.rss_alone.append(self._daemon.rss_bytes())
            attack = Attack(self._daemon.tls_port, NAME, self._authority, *[self._scale.attackers] * 2)
            with attack:
                seen.beside.append(self._docker.seconds_to_pull(self._image))
                seen.rss_beside.append(self._daemon.rss_bytes())
            seen.standing.append(attack.outcome.slow + attack.outcome.idle)
            seen.cut.append(attack.outcome.cut)
        return seen

    def findings(self) -> Iterator[Finding]:
        """Measure everything."""
        seen = self.rounds()
        alone, beside = median(seen.alone), median(seen.beside)
        both = f"{self._scale.attackers:,} slow and {self._scale.attackers:,} idle ones"
        yield _finding("warm pull alone, s", alone)
        yield _finding(f"warm pull beside {both}, s", beside)
        yield _finding("the same, times as long", beside / alone)
        yield _finding("RSS alone, MiB", max(seen.rss_alone) / MIB, digits=0)
        yield _finding("RSS beside them, MiB", max(seen.rss_beside) / MIB, Target(RSS_TARGET), digits=0)
        yield _finding("attackers that stood in the end", median(seen.standing), digits=0)
        yield _finding("connections cut off and opened again", median(seen.cut), digits=0)


def _finding(work: str, number: float, *targets: Target, digits: int = 2) -> Finding:
    return Finding(work, {CRPROXY: number}, targets, digits)


def measure(scale: Scale, say: Callable[[str], object]) -> str:
    """Run everything; return the report."""
    # Inherited by the daemon, and by the attackers.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, max(DESCRIPTORS, most)))
    findings = []
    with tempfile.TemporaryDirectory(prefix="bh-") as name, ExitStack() as running:
        for finding in Bench(scale, Path(name), running).findings():
            findings.append(finding)
            say(" | ".join(_row(finding)))
    return report(findings, scale)


def report(findings: Sequence[Finding], scale: Scale) -> str:
    """The table, and what has to be known to read it."""
    return "\n".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}, "
            f"Twisted {version('Twisted')}: medians of {scale.rounds} rounds, memory at its highest; an image of "
            f"{scale.layers} layers of {scale.mib} MiB.",
            "",
            table(TABLE_HEAD, [_row(finding) for finding in findings]),
        ]
    )


def _row(finding: Finding) -> tuple[str, ...]:
    """The row of one who has nobody beside it."""
    (work, ours, _, _, _, target, met) = finding.rows()[0]
    return work, ours, target, met


if __name__ == "__main__":
    run("hostile", __doc__, FULL, QUICK, measure)
