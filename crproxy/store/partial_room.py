"""What partial files take of the cache's size: those that this worker fills, that others fill, and that nobody does.

Numbers only; what is on disk, and what is whole, is not known here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from ..sharing import Sharing
from .blobs import PartialKey
from .entries import Entry

__all__ = ["PartialRoom"]

# What the files take that are being filled, and how often what nobody fills became more.
_BYTES, _LEFT = "bytes", "left"


class PartialRoom:
    """Bytes by partial file. ``bytes`` and ``files`` are this worker's and nobody's; ``of_others`` the other workers'.

    Arguments:
        block: bytes that each file may take on disk beyond its own.
        sharing: has what the files of all workers take.
    """

    def __init__(self, block: int, sharing: Sharing) -> None:
        self.bytes = 0
        self._block = block
        self._is_alone = sharing.is_alone
        self._shared = sharing.count("room")
        # What of it all is this worker's: what becomes whole is so still until others can see that it is.
        self._own = 0
        # It takes no less to the others than it did when this was set.
        self._least = 0
        # How often something was left when that was last asked: less often, where a worker has died meanwhile.
        self._left = -1
        self._shared.add(_LEFT)
        # What is being filled takes, or may; and what nobody fills, the oldest first.
        self._filling: dict[PartialKey, int] = {}
        self._leftovers: dict[PartialKey, int] = {}

    @property
    def filling(self) -> frozenset[PartialKey]:
        """What this worker fills."""
        return frozenset(self._filling)

    def is_filling(self, entry: Entry) -> bool:
        """Tell whether this worker fills ``entry``, from whichever registry it comes."""
        return any(key.entry == entry for key in self._filling)

    @property
    def files(self) -> int:
        """How many there are."""
        return len(self._filling) + len(self._leftovers)

    @property
    def of_others(self) -> int:
        """What those take that other workers fill, blocks and all, or have filled just now."""
        return 0 if self._is_alone else max(self._least, self._shared.of(_BYTES) - self._own)

    @property
    def taken_by_filling(self) -> int:
        """What those take that anybody fills, blocks and all."""
        return sum(self._filling.values()) + len(self._filling) * self._block + self.of_others

    @contextlib.contextmanager
    def counting_others(self) -> Iterator[None]:
        """Let nothing be missed that others let go of meanwhile, because the index has it: it counts here still."""
        self._least = self.of_others
        try:
            yield
        finally:
            self._least = 0

    def leftovers(self) -> Iterator[tuple[PartialKey, int]]:
        """Yield what nobody fills, the oldest first, with its bytes."""
        yield from self._leftovers.items()

    def of(self, key: PartialKey) -> int | None:
        """Return the bytes of what this worker fills; None where it does not."""
        return self._filling.get(key)

    def fill(self, key: PartialKey, size: int) -> None:
        """Count a file that this worker fills with ``size`` bytes."""
        had = self._filling.get(key)
        self.bytes += size - (had or 0)
        self._filling[key] = size
        self._share(size + self._block if had is None else size - had)

    def end(self, key: PartialKey) -> int:
        """Count a file no more that this worker has filled; return what is to be given to `let_go` for it."""
        had = self._filling.pop(key, None)
        if had is None:
            return 0
        self.bytes -= had
        return had + self._block

    def let_go(self, size: int) -> None:
        """Let other workers have the room of what has ended."""
        if size:
            self._own -= size
            self._shared.remove(_BYTES, size)

    def leave(self, key: PartialKey, size: int) -> None:
        """Count a file of ``size`` bytes that nobody fills from now on."""
        self.take_up(key)
        self._leftovers[key] = size
        self.bytes += size
        self._shared.add(_LEFT)

    def take_up(self, key: PartialKey) -> int:
        """Count a leftover no more as one; return its bytes, 0 where it is none."""
        size = self._leftovers.pop(key, 0)
        self.bytes -= size
        return size

    def find(self, found: Mapping[PartialKey, int]) -> None:
        """Count as leftovers what was found on disk, the oldest first, and nothing else."""
        self.bytes -= sum(self._leftovers.values())
        self._leftovers = {key: size for key, size in found.items() if key not in self._filling}
        self.bytes += sum(self._leftovers.values())

    def have_others_left(self) -> bool:
        """Tell whether another worker may have left something half done since this was last asked."""
        before, self._left = self._left, self._shared.of(_LEFT)
        return before != self._left

    def _share(self, size: int) -> None:
        self._own += size
        self._shared.add(_BYTES, size)
