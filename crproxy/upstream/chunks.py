"""Bytes in memory, in chunks of one size: what is at the front can go without the rest being moved."""

from __future__ import annotations

from collections import deque

__all__ = ["add_to"]


def add_to(chunks: deque[bytearray], data: bytes | memoryview, size: int) -> None:
    """Copy ``data`` behind what is there, in chunks of ``size`` bytes, of which the last may have less."""
    view = memoryview(data)
    while view:
        if not chunks or len(chunks[-1]) == size:
            chunks.append(bytearray())
        room = size - len(chunks[-1])
        chunks[-1] += view[:room]
        view = view[room:]
