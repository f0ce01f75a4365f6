"""What rules cost: manifests that are kept, by a daemon with two hundred rules next to one with none.

    make bench-rules                            print the table
    make bench-rules ARGS="--write"             and put it into docs/performance.md
    make bench-rules ARGS="--quick"             every row, for too short a time to mean anything

Of the rules the last one is about the image, and asks for a minimum age; of those before some are about other images,
others about other clients or users of this one. The upstream is an nginx with files, whose dates are old enough.
Answers that are asked for again and again are prepared; with a header that changes with each request they are not.
"""

import json
import platform
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.parts.blobs import MIB, Blob, Manifest
from benchmarks.parts.caches import CRPROXY
from benchmarks.parts.clients import first_byte, requests_per_second
from benchmarks.parts.command import run
from benchmarks.parts.machine import machine
from benchmarks.parts.registries import registry
from benchmarks.parts.servers import Server, crproxy
from benchmarks.parts.tables import table
from benchmarks.parts.verdicts import Finding, Target, head

WITHOUT = "without"
REGISTRY = "registry.test"
CONNECTIONS = 16
RULES = 200
# Of each ten before the last one.
OTHER_IMAGES, OTHER_CLIENTS = 6, 2
# Is no answer's that is prepared.
ANEW = ("X-Request-Id: 1",)


@dataclass(frozen=True, slots=True)
class Scale:
    """How much work is done.

    Arguments:
        rounds: of each measurement.
        asking: seconds of each run of requests.
    """

    rounds: int
    asking: int


FULL = Scale(5, 5)
QUICK = Scale(1, 1)


def rules() -> str:
    """Return all of them, as the configuration's file has them."""
    return "\n".join([*map(_rule, range(RULES - 1)), f'[[rules]]\nregistries = ["{REGISTRY}"]\nminimum_age = "1s"\n'])


def _rule(number: int) -> str:
    lines = ["[[rules]]", 'action = "deny"']
    if number % 10 < OTHER_IMAGES:
        lines.append(f"images = {json.dumps([f'{REGISTRY}/other/app-{number}', f'quay.io/org-{number}/*'])}")
    elif number % 10 < OTHER_IMAGES + OTHER_CLIENTS:
        lines += [f'images = ["{REGISTRY}/*"]', f'networks = ["192.0.2.{number}/32"]']
    else:
        lines += [f'images = ["{REGISTRY}/team/app"]', f'users = ["user-{number}"]']
    return "\n".join([*lines, ""])


def findings(scale: Scale, servers: Sequence[Server], manifest: Manifest) -> Iterator[Finding]:
    """Measure everything."""
    for reference, by in (("v1", "tag"), ("", "digest")):
        path = manifest.path(reference).replace("/v2/", f"/v2/{REGISTRY}/", 1)
        for headers, what in (((), ""), (ANEW, ", not prepared")):
            rates: dict[str, list[float]] = {server.name: [] for server in servers}
            for server in servers:
                first_byte(server, path)
            for _ in range(scale.rounds):
                for server in servers:
                    rates[server.name].append(requests_per_second(server, path, scale.asking, CONNECTIONS, headers))
            yield Finding(f"manifests by {by}{what}, 1/s", rates, (Target(0.95, WITHOUT, at_least=True),), 0)


def measure(scale: Scale, say: Callable[[str], object]) -> str:
    """Run everything; return the report."""
    with tempfile.TemporaryDirectory(prefix="crproxy-benchmark-") as name:
        directory = Path(name)
        files = directory / "files"
        manifest = Manifest.write(Blob.write(MIB, files), files)
        found = []
        with registry(directory / "upstream", files, manifest) as upstream:
            common = f'[upstreams."{REGISTRY}"]\nendpoint = "http://127.0.0.1:{upstream.server.port}"\n'
            with (
                crproxy(CRPROXY, directory / "with", common + rules()) as ruled,
                crproxy(WITHOUT, directory / WITHOUT, common) as without,
            ):
                for finding in findings(scale, (ruled, without), manifest):
                    found.append(finding)
                    say(" | ".join(finding.rows((CRPROXY, WITHOUT))[0]))
    return report(found, scale)


def report(found: Sequence[Finding], scale: Scale) -> str:
    """The table, and what has to be known to read it."""
    columns = (CRPROXY, WITHOUT)
    return "\n".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, Python {platform.python_version()}, "
            f"Twisted {version('Twisted')}: {RULES} rules, medians of {scale.rounds} rounds of {scale.asking} s "
            "(the least and the most of them).",
            "",
            table(head(columns), [row for finding in found for row in finding.rows(columns)]),
        ]
    )


if __name__ == "__main__":
    run("rules", __doc__, FULL, QUICK, measure)
