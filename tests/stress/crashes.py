"""Kill the daemon with SIGKILL at random moments of concurrent pulls, again and again, on one data directory.

After each restart: nothing corrupt is on disk, the index agrees with the disk, what was partial is resumed by Range at
the byte it had reached, and every body that comes whole has the right digest.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from tests.parts.answers import Filler
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.places import REGISTRY, Place
from tests.parts.raw_http import fetch
from tests.parts.shapes import ranged

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Crashes", "Figures"]

_CUT, _TOO_LATE, _HIT = "cut", "too late", "crproxy; hit"
_CLIENTS = 8
_NEW_BLOBS = 24
_LARGEST = 12 << 20
_CACHE = "400M"
# A start takes about half a second; this is from the first request on.
_LONGEST_LIFE = 1.2
_SETTLED_WITHIN = 10.0


@dataclass(slots=True)
class Figures:
    """What happened in some rounds."""

    rounds: int = 0
    whole: int = 0
    cut: int = 0
    partial: int = 0
    resumed: int = 0
    hits: int = 0

    def __str__(self) -> str:
        return (
            f"{self.rounds} rounds: {self.whole} bodies came whole ({self.hits} from the cache) and {self.cut} were cut"
            f" by the kill; it left {self.partial} partial files, of which {self.resumed} were resumed by Range;"
            " none was corrupt"
        )


@dataclass(slots=True)
class _Life:
    """One daemon's life: what is asked of it, and whether its end is near."""

    daemon: Daemon
    upstream: FakeUpstream
    dying: threading.Event = field(default_factory=threading.Event)


class Crashes:
    """Rounds of pulling and killing.

    Arguments:
        directory: for all that is written.
        seed: the same seed asks for the same blobs, and kills after the same time.
    """

    def __init__(self, directory: Path, seed: int) -> None:
        self.figures = Figures()
        self._directory = directory
        self._data = directory / "data"
        self._random = Random(seed)
        self._blobs: dict[str, Filler] = {}
        self._partial: dict[str, int] = {}

    def round(self) -> None:
        """Start a daemon on what the last one left, check it, pull, and kill it; raise AssertionError."""
        with FakeUpstream() as upstream:
            wanted = self._choose(upstream)
            with Daemon(
                self._directory, configuration({REGISTRY: Upstream(upstream.url)}, cache={"size": _CACHE}), self._data
            ) as daemon:
                self._check(daemon)
                life = _Life(daemon, upstream)
                self._pull_and_kill(life, wanted)
            self._count_resumed(upstream)
            self._partial = {digest: size for digest, size in daemon.cache.partial().items() if size}
        self.figures.partial += len(self._partial)
        self.figures.rounds += 1

    def _choose(self, upstream: FakeUpstream) -> list[str]:
        """Publish what was ever asked for and some more; return what to ask for now."""
        known = list(self._blobs)
        for _ in range(_NEW_BLOBS):
            body = Filler(self._random.randrange(1, _LARGEST), seed=self._random.randrange(1 << 31))
            self._blobs[body.digest] = body
        for digest, body in self._blobs.items():
            upstream.script(_place(digest).path, ranged(body))
        new = list(self._blobs)[len(known) :]
        again = self._random.sample(known, min(len(known), _NEW_BLOBS // 2))
        wanted = [*self._partial, *new, *again, *self._random.sample(new, len(new) // 2)]
        # What was partial comes first, so that most of it is asked for before the end.
        rest = wanted[len(self._partial) :]
        self._random.shuffle(rest)
        return wanted[: len(self._partial)] + rest

    def _check(self, daemon: Daemon) -> None:
        """Look at what the last daemon left, once this one has tidied up."""
        deadline = time.monotonic() + _SETTLED_WITHIN
        while not daemon.cache.is_agreed():
            assert time.monotonic() < deadline, "the index does not agree with the disk"
            time.sleep(0.01)
        assert not daemon.cache.damaged(), f"corrupt on disk: {daemon.cache.damaged()}"

    def _pull_and_kill(self, life: _Life, wanted: Sequence[str]) -> None:
        with ThreadPoolExecutor(_CLIENTS) as clients:
            pulls = [clients.submit(self._pull, life, digest) for digest in wanted]
            # The moment of the kill is the experiment: there is nothing to wait for.
            time.sleep(self._random.uniform(0, _LONGEST_LIFE))
            life.dying.set()
            life.daemon.kill()
        outcomes = Counter(pull.result() for pull in pulls)
        self.figures.cut += outcomes[_CUT]
        self.figures.hits += outcomes[_HIT]
        self.figures.whole += outcomes.total() - outcomes[_CUT] - outcomes[_TOO_LATE]

    def _pull(self, life: _Life, digest: str) -> str:
        """Return the Cache-Status of a body that came whole, or what became of the others."""
        try:
            fetched = fetch(life.daemon.address, _place(digest).through)
        except ConnectionRefusedError:
            assert life.dying.is_set(), "refused though the daemon was alive"
            return _TOO_LATE
        except (OSError, HTTPException):
            assert life.dying.is_set(), "cut though the daemon was alive"
            return _CUT
        assert (fetched.status, fetched.digest) == (200, digest), f"corrupt: {digest} came as {fetched}"
        return str(fetched.headers["Cache-Status"])

    def _count_resumed(self, upstream: FakeUpstream) -> None:
        for digest, size in self._partial.items():
            for request in upstream.seen.requests(_place(digest).path, "GET")[:1]:
                assert request.values("Range") == [f"bytes={size}-"], f"{digest} had {size} bytes: {request}"
                self.figures.resumed += 1


def _place(digest: str) -> Place:
    return Place(f"/v2/team/app/blobs/{digest}")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.stress.crashes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=100, help="how many kills (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="of a run to repeat (default: another each time)")
    parser.add_argument(
        "--seconds", type=float, default=900, help="begin no round after this time (default: %(default)s)"
    )
    options = parser.parse_args()
    seed = Random().randrange(1 << 31) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    deadline = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory(prefix="crashes-") as directory:
        crashes = Crashes(Path(directory), seed)
        while crashes.figures.rounds < options.rounds and time.monotonic() < deadline:
            crashes.round()
            if crashes.figures.rounds % 10 == 0:
                print(crashes.figures, flush=True)
    print(crashes.figures)
    sys.exit(crashes.figures.rounds < options.rounds)


if __name__ == "__main__":
    main()
