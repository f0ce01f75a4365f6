"""Small contents in memory: those that were asked for last."""

from __future__ import annotations

from collections import OrderedDict

from .entries import Entry

__all__ = ["Memory"]


class Memory:
    """Contents by entry; the one that was not asked for longest goes first.

    Arguments:
        limit: bytes of all of them.
    """

    def __init__(self, limit: int) -> None:
        self.bytes = 0
        self._limit = limit
        self._contents: OrderedDict[Entry, bytes] = OrderedDict()

    def get(self, entry: Entry) -> bytes | None:
        """Return what is here; None where it is not."""
        content = self._contents.get(entry)
        if content is not None:
            self._contents.move_to_end(entry)
        return content

    def put(self, entry: Entry, content: bytes) -> None:
        """Have ``content`` here, for as long as there is room."""
        self.forget(entry)
        self._contents[entry] = content
        self.bytes += len(content)
        while self.bytes > self._limit:
            _, oldest = self._contents.popitem(last=False)
            self.bytes -= len(oldest)

    def forget(self, entry: Entry) -> None:
        """Have it no more."""
        content = self._contents.pop(entry, None)
        if content is not None:
            self.bytes -= len(content)
