"""Memory for what waits to be written: few large blocks, used over and over.

A piece that is copied into a block is in the processor's cache already; a list of pieces would be new memory each time.
"""

from __future__ import annotations

__all__ = ["SIZE", "Blocks"]

# Bytes of one.
SIZE = 512 * 1024
# Those that are kept for the next who needs one.
_SPARE = 8

_spare: list[bytearray] = []


class Blocks:
    """Bytes in order, in blocks; ``size`` is how many."""

    def __init__(self) -> None:
        self.size = 0
        self._blocks: list[bytearray] = []
        # Bytes in the last one.
        self._used = SIZE

    def append(self, data: bytes | memoryview) -> None:
        """Copy ``data`` behind what there is."""
        view = memoryview(data)
        self.size += len(view)
        while view:
            if self._used == SIZE:
                self._blocks.append(_spare.pop() if _spare else bytearray(SIZE))
                self._used = 0
            count = min(SIZE - self._used, len(view))
            self._blocks[-1][self._used : self._used + count] = view[:count]
            self._used += count
            view = view[count:]

    def pieces(self) -> list[memoryview]:
        """Return what there is, until `release`."""
        views = [memoryview(block) for block in self._blocks]
        if views:
            views[-1] = views[-1][: self._used]
        return views

    def view(self, offset: int, wanted: int) -> memoryview:
        """Return some of the bytes at ``offset``, ``wanted`` at the most, until `release`; they are there."""
        number, start = divmod(offset, SIZE)
        last = number == len(self._blocks) - 1
        return memoryview(self._blocks[number])[start : min(start + wanted, self._used if last else SIZE)]

    def release(self) -> None:
        """Have nothing; what was returned as pieces must not be used any more."""
        for block in self._blocks:
            if len(_spare) < _SPARE:
                _spare.append(block)
        self._blocks, self._used, self.size = [], SIZE, 0
