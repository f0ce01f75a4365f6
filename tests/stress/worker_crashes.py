"""Kill workers with SIGKILL, one after another, while real clients pull: each pull succeeds by the client's retries.

Beside docker and ctr (containerd), which pull one new image after another, one client keeps asking for what is in the
cache. It is told how long that was not to be had, and the manifest and blob that it is given are always right.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from tests.parts.answers import Filler
from tests.parts.containerd import Containerd, hosts
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.docker_engine import DockerEngine
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import OCI_LAYER
from tests.parts.layouts import Layout, random_tar
from tests.parts.places import REGISTRY, Place, blob
from tests.parts.program import Failed
from tests.parts.raw_http import fetch
from tests.parts.registry import DockerRegistry
from tests.parts.shapes import ranged
from tests.parts.skopeo import Skopeo

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Figures", "WorkerCrashes"]

_WORKERS = 2
_LAYERS, _LAYER = 4, 6 << 20
# The moment of a kill is chosen within this time after the one before is replaced.
_LONGEST_LIFE = 1.0
_QUAY = "quay.io"
# That somebody makes who pulls by hand.
_ATTEMPTS = 3


@dataclass(slots=True)
class Figures:
    """What happened."""

    kills: int = 0
    pulls: int = 0
    repeated: int = 0
    warm: int = 0
    cut: int = 0
    longest: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.kills} workers were killed; {self.pulls} pulls of docker and containerd succeeded, {self.repeated}"
            f" times when they were told once more, and all of {self.warm} warm answers were right; {self.cut}"
            f" connections were cut; the longest time without a warm answer was {self.longest * 1000:.0f} ms"
        )


class WorkerCrashes:
    """A daemon of several workers, clients that pull, and kills.

    Arguments:
        directory: for all that is written.
        seed: of what is pulled, and when is killed.
    """

    def __init__(self, directory: Path, seed: int) -> None:
        self.figures = Figures()
        self._directory = directory
        self._random = Random(seed)
        self._over = threading.Event()

    def run(self, kills: int, seconds: float) -> None:
        """Kill so often, for so many seconds at the most; raise AssertionError where anything is wrong."""
        with ExitStack() as stack:
            registry = stack.enter_context(DockerRegistry(self._made("registry")))
            fake = stack.enter_context(FakeUpstream())
            kept = Filler(1 << 20, seed=1)
            fake.script(blob(kept).path, ranged(kept))
            config = configuration({_QUAY: Upstream(registry.url), REGISTRY: Upstream(fake.url)})
            daemon = stack.enter_context(Daemon(self._made("daemon"), config, workers=_WORKERS))
            pull = (self._docker(stack, daemon), self._containerd(stack, daemon))
            assert fetch(daemon.address, blob(kept).through).digest == kept.digest
            with ThreadPoolExecutor(len(pull) + 1) as running:
                work = [running.submit(self._pull, registry, each, name) for name, each in enumerate(pull)]
                work.append(running.submit(self._ask, daemon, blob(kept), kept.digest))
                try:
                    self._kill(daemon, kills, seconds)
                finally:
                    self._over.set()
                for each in work:
                    each.result()
            self._check(daemon)

    def _made(self, name: str) -> Path:
        directory = self._directory / name
        directory.mkdir()
        return directory

    def _docker(self, stack: ExitStack, daemon: Daemon) -> Callable[[str], object]:
        engine = stack.enter_context(DockerEngine(self._made("docker")))
        return lambda name: engine.pull(f"127.0.0.1:{daemon.port}/{_QUAY}/{name}")

    def _containerd(self, stack: ExitStack, daemon: Daemon) -> Callable[[str], object]:
        engine = stack.enter_context(Containerd(self._made("containerd")))
        option = hosts(self._made("hosts"), daemon.url)
        return lambda name: engine.pull(f"{_QUAY}/{name}", option)

    def _pull(self, registry: DockerRegistry, pull: Callable[[str], object], whose: int) -> None:
        """Pull new images until it is over; each is right, or the client says so, and this fails."""
        layout = Layout(self._made(f"images-{whose}") / "layout", seed=whose)
        skopeo = Skopeo(self._made(f"skopeo-{whose}"))
        number, tars = 0, Random(whose)
        while not self._over.is_set():
            number += 1
            name = f"team/app-{whose}:v{number}"
            layers = [layout.add(random_tar(tars, _LAYER), OCI_LAYER) for _ in range(_LAYERS)]
            skopeo.push(layout.source(layout.image(*layers)), registry.authority, name)
            self._insist(pull, name)
            self.figures.pulls += 1

    def _insist(self, pull: Callable[[str], object], name: str) -> None:
        """Pull, and once more where the client gave up: of a manifest that is cut docker makes no second attempt."""
        for _ in range(_ATTEMPTS - 1):
            try:
                pull(name)
            except Failed:
                self.figures.repeated += 1
            else:
                return
        pull(name)

    def _ask(self, daemon: Daemon, place: Place, digest: str) -> None:
        """Ask for what is kept, each time by a new connection, and again at once where that was cut."""
        last = time.monotonic()
        while not self._over.is_set():
            try:
                fetched = fetch(daemon.address, place.through)
            except ConnectionRefusedError:
                raise
            except (OSError, HTTPException):
                self.figures.cut += 1
                continue
            assert (fetched.status, fetched.digest) == (200, digest), fetched
            now = time.monotonic()
            self.figures.longest = max(self.figures.longest, now - last)
            self.figures.warm += 1
            last = now

    def _kill(self, daemon: Daemon, kills: int, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.figures.kills < kills and time.monotonic() < deadline and not self._over.is_set():
            workers = daemon.worker_pids()
            # The moment of the kill is the experiment: there is nothing to wait for.
            time.sleep(self._random.uniform(0, _LONGEST_LIFE))
            daemon.kill_worker(self._random.choice(workers))
            self.figures.kills += 1

    def _check(self, daemon: Daemon) -> None:
        """Look at what is left."""
        daemon.stop()
        assert not daemon.cache.damaged(), f"corrupt on disk: {daemon.cache.damaged()}"
        left = daemon.cache.partial()
        assert not left, f"partial files were left, whose pulls all ended well: {left}"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.stress.worker_crashes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kills", type=int, default=100, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="of a run to repeat (default: another each time)")
    parser.add_argument(
        "--seconds", type=float, default=900, help="kill no more after this time (default: %(default)s)"
    )
    options = parser.parse_args()
    seed = Random().randrange(1 << 31) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="crashes-") as directory:
        crashes = WorkerCrashes(Path(directory), seed)
        crashes.run(options.kills, options.seconds)
    print(crashes.figures)
    sys.exit(crashes.figures.kills < options.kills)


if __name__ == "__main__":
    main()
