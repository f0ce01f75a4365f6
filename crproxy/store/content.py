"""Stored content that was opened, to be read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from .files import FileFlow

__all__ = ["OpenContent"]


@dataclass(frozen=True, slots=True)
class OpenContent:
    """Stored content, opened: it can be read to its end even if it is dropped meanwhile."""

    fd: int
    size: int

    def flow(self, start: int, stop: int) -> FileFlow:
        """Return the bytes from ``start`` up to ``stop`` as a body. The descriptor is its own then."""
        return FileFlow(self.fd, start, stop, self.size)

    def flows(self, spans: Sequence[tuple[int, int]]) -> list[FileFlow]:
        """Return the bytes of each of ``spans``, of which there is one at least, as a body of its own, as `flow` does.

        Raises:
            OSError: there are no descriptors left for more than one. Nothing is open then.
        """
        *others, (start, stop) = spans
        flows: list[FileFlow] = []
        try:
            flows += [FileFlow(os.dup(self.fd), *span, self.size) for span in others]
        except OSError:
            for flow in flows:
                flow.abandon()
            self.close()
            raise
        return [*flows, self.flow(start, stop)]

    def close(self) -> None:
        """Read nothing."""
        os.close(self.fd)
