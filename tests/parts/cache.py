"""A daemon's data directory looked at from outside: what is whole, what is partial, what the index says.

It knows the layout on disk, which is what operators and other versions meet.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from contextlib import closing, suppress
from stat import S_ISREG
from typing import TYPE_CHECKING

from tests.parts.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Cache"]


class Cache:
    """The cache below a data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.directory = data_dir / "cache"
        self.index = data_dir / "index.sqlite"

    def whole(self) -> dict[str, Path]:
        """The file of each digest that is whole, in whatever pool."""
        return {
            f"{algorithm}:{file.name}": file
            for algorithm in ("sha256", "sha512")
            for file in self.directory.glob(f"**/{algorithm}/??/*")
        }

    def partial(self) -> dict[str, int]:
        """The bytes there are of each digest that is not whole yet."""
        files = self.directory.glob("**/partial/*/*")
        return {file.name.replace("-", ":", 1): file.stat().st_size for file in files}

    def wait_until_whole(self, digest: str) -> None:
        """Wait until a digest is whole. Nothing tells of it from outside, so it is looked for."""
        until(lambda: digest in self.whole(), found=lambda: f"{digest} is not whole; partial: {self.partial()}")

    def bytes_on_disk(self) -> int:
        """What its files take, as du counts."""
        sizes = {}
        for file in self.directory.glob("**/*"):
            with suppress(FileNotFoundError):  # it was evicted, or became whole, meanwhile
                status = file.stat()
                if S_ISREG(status.st_mode):
                    sizes[status.st_ino] = status.st_blocks * 512
        return sum(sizes.values())

    def promised(self) -> dict[str, int]:
        """The bytes of each digest that the index says is whole."""
        with closing(sqlite3.connect(f"file:{self.index}?mode=ro", uri=True)) as database:
            return dict(database.execute("SELECT digest, size FROM blob"))

    def tags(self) -> dict[str, float]:
        """When each tag that the index has was checked, of any repository: what each worker knows."""
        with closing(sqlite3.connect(f"file:{self.index}?mode=ro", uri=True)) as database:
            return dict(database.execute("SELECT name, checked FROM tag"))

    def damaged(self) -> list[str]:
        """The digests whose file has other bytes."""
        return [digest for digest, file in self.whole().items() if _hash(digest, file) != digest]

    def is_agreed(self, seconds: float = 60) -> bool:
        """Whether the index promises what is on disk, and nothing else: soon, for it is written by a thread."""
        deadline = time.monotonic() + seconds
        while not (agreed := self._agrees()) and time.monotonic() < deadline:
            time.sleep(0.01)
        return agreed

    def _agrees(self) -> bool:
        with suppress(FileNotFoundError):
            return self.promised() == {digest: file.stat().st_size for digest, file in self.whole().items()}
        return False


def _hash(digest: str, path: Path) -> str:
    algorithm = digest.partition(":")[0]
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"
