"""What a flight's readers have in common: the file that they read, and what all of them are told."""

from __future__ import annotations

import errno
import os

from twisted.python.failure import Failure

from ..oci.digests import Verifier
from ..store.files import FileFlow
from .reader import Reader

__all__ = ["ReadFile", "Readers"]

# Bytes read at a time.
_READ = 1024 * 1024


class ReadFile:
    """The file that readers read: partial, and whole in the end."""

    def __init__(self) -> None:
        self._fd: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is one yet."""
        return self._fd is not None

    @property
    def size(self) -> int:
        """Bytes that are in it."""
        return os.fstat(self._opened()).st_size

    @property
    def is_removed(self) -> bool:
        """Whether it has no place in the file system any more."""
        return os.fstat(self._opened()).st_nlink == 0

    def duplicate(self) -> int:
        """Return a descriptor of one's own."""
        return os.dup(self._opened())

    def hash(self, verifier: Verifier, stop: int) -> None:
        """Have ``verifier`` take in the first ``stop`` bytes. Blocking; raises OSError, also where there are less."""
        position = 0
        while position < stop:
            piece = os.pread(self._opened(), min(_READ, stop - position), position)
            if not piece:
                raise OSError(errno.EIO, "what was there is there no more")
            verifier.update(piece)
            position += len(piece)

    def is_the_one(self, fd: int) -> bool:
        """Tell whether ``fd`` leads to it."""
        return self._fd is not None and os.path.sameopenfile(self._fd, fd)

    def become(self, fd: int) -> bool:
        """Read from ``fd``, which is ours, from now on; tell whether what was read before was another file."""
        is_another = self._fd is not None and not self.is_the_one(fd)
        self.close()
        self._fd = fd
        return is_another

    def close(self) -> None:
        """Let go of it."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _opened(self) -> int:
        if self._fd is None:
            raise ValueError("this flight has no file yet: await known() first")
        return self._fd


class Readers(set[Reader]):
    """Those who read at the moment."""

    @property
    def furthest(self) -> int:
        """The position of the fastest."""
        return max((reader.flow.position for reader in self), default=0)

    def grow(self, readable: int) -> None:
        """All of them may read up to ``readable``."""
        for flow in self._flows():
            flow.grow(readable)

    def end(self, stop: int) -> None:
        """All that there is may be read, up to ``stop``."""
        for flow in self._flows():
            flow.end(stop)

    def fail(self, readable: int, failure: Failure) -> None:
        """Nothing more comes than ``readable`` bytes."""
        for flow in self._flows():
            flow.grow(readable)
            flow.fail(failure)

    def _flows(self) -> list[FileFlow]:
        # Some leave while they are told.
        return [reader.flow for reader in self]
