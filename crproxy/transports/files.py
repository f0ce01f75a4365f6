"""Pieces of a file, or of memory, on their way to whoever takes them, by a connection's own means where it has some."""

from __future__ import annotations

import os
from typing import Any

from twisted.protocols.tls import TLSMemoryBIOProtocol

__all__ = ["read_piece", "send_file", "send_view"]

# Larger pieces come from mmap and fault on every page: 64 KiB was measured up to twice as fast as 256 KiB.
_PIECE = 64 * 1024


def send_file(consumer: Any, fd: int, offset: int, count: int) -> int:
    """Send up to ``count`` bytes of a file; return how many ``consumer`` has taken.

    Arguments:
        consumer: has a ``send_file`` of its own, or is written to.

    Raises:
        EOFError: the file ends at ``offset``.
        OSError: it cannot be read.
    """
    own = _own(consumer, "send_file")
    if own is not None:
        sent: int = own(fd, offset, count)
        return sent
    piece = read_piece(fd, offset, count)
    consumer.write(piece)
    return len(piece)


def send_view(consumer: Any, view: memoryview) -> int:
    """Send some of ``view``, which may change after the call; return how many bytes ``consumer`` has taken.

    Arguments:
        consumer: has a ``send_view`` of its own, or is written to.
    """
    own = _own(consumer, "send_view")
    if own is not None:
        sent: int = own(view)
        return sent
    piece = view[:_PIECE]
    consumer.write(piece)
    return len(piece)


def _own(consumer: Any, name: str) -> Any:
    """Return what ``consumer`` has for it, or what it is around; None where that would pass by TLS in memory.

    Twisted's wrappers, TLS in memory among them, hand on what they do not know. Around a socket of ours, an endpoint
    that speaks TLS itself (ssl:) sent what was on the disk in the clear, between its records.
    """
    layer = consumer
    while not hasattr(type(layer), name):
        if isinstance(layer, TLSMemoryBIOProtocol) or not hasattr(layer, "transport"):
            return None
        layer = layer.transport
    return getattr(layer, name)


def read_piece(fd: int, offset: int, count: int) -> bytes:
    """Return up to ``count`` bytes of a file. Raises as `send_file` does."""
    piece = os.pread(fd, min(count, _PIECE), offset)
    if not piece:
        raise EOFError(f"the file ends at byte {offset}")
    return piece
