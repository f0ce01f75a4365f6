"""Stored content that was opened, to be read."""

from __future__ import annotations

import os
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

    def close(self) -> None:
        """Read nothing."""
        os.close(self.fd)
