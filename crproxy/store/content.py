"""Stored content that was opened, to be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .activity import Activity
from .files import FileFlow

__all__ = ["OpenContent"]


@dataclass(frozen=True, slots=True)
class OpenContent:
    """Stored content, opened: it can be read to its end even if it is dropped meanwhile.

    Arguments:
        fd: of its file.
        size: bytes.
        is_unread: nobody has read it since it was found on disk: it must be checked before it is served.
        on_error: is told of an error of reading it, before ``fd`` is closed.
        activity: counts it while it is served; None where nobody counts.
    """

    fd: int
    size: int
    is_unread: bool
    on_error: Callable[[OSError], object]
    activity: Activity | None = None

    def flow(self, start: int, stop: int) -> FileFlow:
        """Return the bytes from ``start`` up to ``stop`` as a body. The descriptor is its own then.

        Raises:
            ValueError: nobody knows what is in it.
        """
        if self.is_unread:
            raise ValueError("this content is unread: check it first")
        return _StoredFlow(self, start, stop)

    def flows(self, spans: Sequence[tuple[int, int]]) -> list[FileFlow]:
        """Return the bytes of each of ``spans``, of which there is one at least, as a body of its own, as `flow` does.

        Raises:
            OSError: there are no descriptors left for more than one. Nothing is open then.
            ValueError: nobody knows what is in it.
        """
        *others, (start, stop) = spans
        flows: list[FileFlow] = []
        try:
            flows += [replace(self, fd=os.dup(self.fd)).flow(*span) for span in others]
        except OSError:
            for flow in flows:
                flow.abandon()
            self.close()
            raise
        return [*flows, self.flow(start, stop)]

    def close(self) -> None:
        """Read nothing."""
        os.close(self.fd)


class _StoredFlow(FileFlow):
    """Bytes of ``content``."""

    def __init__(self, content: OpenContent, start: int, stop: int) -> None:
        super().__init__(content.fd, start, stop, content.size)
        self._content = content
        if content.activity is not None:
            content.activity.begin()

    def _send(self, consumer: Any, wanted: int) -> int:
        try:
            return super()._send(consumer, wanted)
        except OSError as error:
            self._content.on_error(error)
            raise

    def _close(self) -> None:
        if self._fd >= 0 and self._content.activity is not None:
            self._content.activity.end()
        super()._close()
