"""What relaying a blob costs, in CPU seconds per GiB and in memory: crproxy next to nginx's proxy_pass.

    make bench-relay                            print the table
    make bench-relay ARGS="--write"             and put it into docs/performance.md
    make bench-relay ARGS="--mib 1024 --rounds 9"

Upstream is another nginx that serves a file of zeros, over plain HTTP on loopback; the client is curl, which
throws the bytes away. The proxies are started once and take turns: a warm-up, then so many rounds, of which
the medians count.
"""

import argparse
import contextlib
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.parts.blobs import GIB, MIB, Blob
from benchmarks.parts.clients import download
from benchmarks.parts.rounds import Costs, alternate
from benchmarks.parts.servers import Server, crproxy, nginx
from benchmarks.parts.tables import replace_section, table

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
REGISTRY = "registry.test"
# Too small for the blob, so that it passes through; it is checked against its digest all the same.
CACHE = "1M"


@contextlib.contextmanager
def proxies(directory: Path, upstream: str) -> Iterator[Sequence[Server]]:
    """The three that are compared, in front of `upstream`."""
    configuration = f'[upstreams."{REGISTRY}"]\nendpoint = "{upstream}"\n[cache]\nsize = "{CACHE}"\n'
    strip = f"rewrite ^/v2/{REGISTRY}/(.*) /v2/$1 break; proxy_pass {upstream};"
    with (
        crproxy("crproxy", directory / "crproxy", configuration) as ours,
        nginx("nginx, proxy_buffering off", directory / "unbuffered", f"{strip} proxy_buffering off;") as unbuffered,
        nginx("nginx, its defaults", directory / "defaults", strip) as defaults,
    ):
        yield ours, unbuffered, defaults


def measure(size: int, rounds: int) -> str:
    """Run everything; return the report."""
    with tempfile.TemporaryDirectory(prefix="crproxy-benchmark-") as name:
        directory = Path(name)
        blob = Blob.write(size, directory / "files")
        with (
            nginx("upstream", directory / "upstream", f"root {directory / 'files'};") as upstream,
            proxies(directory, upstream.url("")) as servers,
        ):
            path = blob.path(f"{REGISTRY}/team/app")
            costs = alternate(servers, rounds, lambda server: download(server, path, blob.size))
            return report(costs, size, rounds)


def report(costs: Sequence[Costs], size: int, rounds: int) -> str:
    """The table, and what has to be known to read it."""
    head = ("proxy", "CPU s/GiB", "of all rounds", "compared", "peak RSS", "MiB/s")
    ours = costs[0]
    return "\n".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}, "
            f"Twisted {version('Twisted')}: {rounds} rounds of {size // MIB} MiB each, medians.",
            "",
            table(head, [row(cost, ours, size) for cost in costs]),
            "",
            "`compared` is that proxy's CPU time over crproxy's: above 1, crproxy is the cheaper one.",
        ]
    )


def row(cost: Costs, ours: Costs, size: int) -> Sequence[str]:
    """One proxy's line."""
    per_gib = GIB / size
    return (
        cost.server.name,
        f"{cost.median_cpu * per_gib:.2f}",
        f"{min(cost.cpu) * per_gib:.2f} to {max(cost.cpu) * per_gib:.2f}",
        f"{cost.median_cpu / ours.median_cpu:.2f}",
        f"{cost.server.meter.peak_rss() / MIB:.0f} MiB",
        f"{size / MIB / cost.median_clock:.0f}",
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="benchmarks.relay", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mib", type=int, default=512, help="size of the blob (%(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="how often each proxy is measured (%(default)s)")
    parser.add_argument("--write", action="store_true", help=f"keep the result in {PAGE.name}")
    options = parser.parse_args()
    started = time.monotonic()
    result = measure(options.mib * MIB, options.rounds)
    print(f"{result}\n\nTook {time.monotonic() - started:.0f} s.")
    if options.write:
        replace_section(PAGE, "relay", result)


if __name__ == "__main__":
    main()
