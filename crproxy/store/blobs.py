"""Bytes on disk, by digest: partial files that are filled under a lock, and whole ones that were verified.

The file system is the meeting point of processes that share a data directory: who holds the lock on a partial file
fills it, everybody may read it while it grows, and a whole file appears by rename. Blocking: called from threads,
but for opening what is whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..oci.digests import Digest, Verifier
from ..oci.errors import RegistryError
from ..oci.names import Registry
from .entries import Entry

__all__ = ["AlreadyStored", "Blobs", "Partial", "PartialKey", "WrongContent"]

# Whoever looks whether a file is locked has a lock himself, for microseconds: so often it is tried again, in seconds.
_MOST_LOOKS, _LOOK_SECONDS = 100, 0.001

_READ = 1024 * 1024
# The directory of partial files that come from no registry; none has this name.
_NO_ORIGIN = "-"
# The directory of what is being removed.
_REMOVED = "removed"
# What is left free for others: the index, logs, the system itself.
_HEADROOM = 4 * 1024 * 1024


class AlreadyStored(Exception):
    """The content is whole and in its place by somebody else's doing: look there again."""


class WrongContent(Exception):
    """The bytes are not those that the digest names; they were thrown away."""


@dataclass(frozen=True, slots=True)
class PartialKey:
    """Content on its way in, from one registry.

    What another registry sends for the same digest is another file: nobody reads on where a stranger began, nor follows
    what only somebody else's registry gives.

    Arguments:
        entry: what it is to be.
        origin: the registry it comes from; None where it is here already, and only written.
    """

    entry: Entry
    origin: Registry | None = None


class Blobs:
    """The files of one cache.

    Arguments:
        root: directory; made, with its parents, by `prepare`.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._numbers = itertools.count(1)

    def prepare(self) -> None:
        """Make the directories. Raises OSError."""
        self._root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root.mkdir(mode=0o700, exist_ok=True)
        self._root.chmod(0o700)

    def open(self, entry: Entry) -> int | None:
        """Return a file descriptor of the whole content, or None where it is not here.

        Raises:
            OSError: it cannot be told: too many files are open, or the disk fails.
        """
        return _open(self._whole(entry))

    def size(self, entry: Entry) -> int | None:
        """Return the bytes of the whole content, or None where it is not here. Raises OSError as `open` does."""
        try:
            return self._whole(entry).stat().st_size
        except FileNotFoundError:
            return None

    def open_partial(self, entry: Entry, origin: Registry | None = None) -> int | None:
        """Return a file descriptor of what another process is filling, or None where it does not. Raises OSError."""
        return _open(self._partial(entry, origin))

    def partial_size(self, entry: Entry, origin: Registry | None = None) -> int | None:
        """Return the bytes of the partial file of what ``origin`` sends; None where there is none to be looked at."""
        try:
            return self._partial(entry, origin).stat().st_size
        except OSError:
            return None

    def begin(self, entry: Entry, origin: Registry | None = None) -> Partial | None:
        """Return the partial file of what ``origin`` sends, locked, or None where another holds the lock.

        Raises:
            OSError: it cannot be made or opened.
        """
        path, looks = self._partial(entry, origin), 0
        while True:
            fd = _open_or_make(path)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The file may have been renamed or removed between open and lock: then the lock is on nothing.
                if _is_at(fd, path):
                    return Partial(self, PartialKey(entry, origin), fd)
            except BlockingIOError:
                is_looked_at = looks < _MOST_LOOKS and _is_only_looked_at(fd)
                os.close(fd)
                if is_looked_at:
                    looks += 1
                    time.sleep(_LOOK_SECONDS)
                    continue
                return None
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    def is_abandoned(self, key: PartialKey) -> bool:
        """Tell whether there is a partial file that nobody fills; not where it cannot be looked at."""
        path = self._partial(key.entry, key.origin)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            # Shared, as those who look have it and no one who fills.
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return _is_at(fd, path)
        except OSError:
            return False
        finally:
            os.close(fd)

    def block_size(self) -> int:
        """Return the bytes by which the disk gives room to files; 4096 where it cannot be told."""
        try:
            return os.statvfs(self._root).f_frsize
        except OSError:
            return 4096

    def room_for(self, size: int) -> bool:
        """Tell whether the disk has ``size`` bytes, and a little more, to spare."""
        try:
            disk = os.statvfs(self._root)
        except OSError:
            return False
        return disk.f_bavail * disk.f_frsize >= size + _HEADROOM

    def remove(self, entry: Entry) -> None:
        """Remove the whole content; who is reading it reads on."""
        self._whole(entry).unlink(missing_ok=True)

    def take_away(self, entry: Entry) -> Path | None:
        """Move the whole content out of its place, and return where it lies then, to be removed by who has the time."""
        directory = self._root / _REMOVED
        directory.mkdir(exist_ok=True)
        removed = directory / f"{entry.digest.hex}-{os.getpid()}-{next(self._numbers)}"
        try:
            return self._whole(entry).rename(removed)
        except FileNotFoundError:
            return None

    def removed(self) -> Iterator[Path]:
        """Yield what was moved out of its place and is still there; and partial files that no registry is named for.

        Those are an earlier version's: nobody will take them up.
        """
        yield from (self._root / _REMOVED).glob("*")
        for _, directory in self._pools():
            yield from (path for path in directory.glob("partial/*") if path.is_file())

    def whole(self) -> Iterator[tuple[Entry, int]]:
        """Yield the entry and size in bytes of all that is whole, in no order."""
        for pool, directory in self._pools():
            for algorithm in ("sha256", "sha512"):
                for path in directory.glob(f"{algorithm}/??/*"):
                    with contextlib.suppress(RegistryError, OSError):
                        yield Entry(Digest.parse(f"{algorithm}:{path.name}"), pool), path.stat().st_size

    def partials(self) -> Iterator[tuple[PartialKey, int, float]]:
        """Yield the key, size in bytes and time of last change (seconds since the epoch) of all partial files."""
        for pool, directory in self._pools():
            for path in directory.glob("partial/*/*"):
                with contextlib.suppress(RegistryError, OSError):
                    state = path.stat()
                    digest = Digest.parse(path.name.replace("-", ":", 1))
                    origin = None if path.parent.name == _NO_ORIGIN else Registry.parse(path.parent.name)
                    yield PartialKey(Entry(digest, pool), origin), state.st_size, state.st_mtime

    def is_the_one(self, entry: Entry, fd: int) -> bool:
        """Tell whether ``fd`` leads to the file that lies where the whole content does now."""
        return _is_at(fd, self._whole(entry))

    def keep(self, entry: Entry) -> Path:
        """Return where the whole content of ``entry`` lies, in a directory that is there."""
        path = self._whole(entry)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _pools(self) -> Iterator[tuple[Registry | None, Path]]:
        yield None, self._root
        for directory in self._root.glob("private/*"):
            with contextlib.suppress(RegistryError):
                yield Registry.parse(directory.name), directory

    def _pool(self, entry: Entry) -> Path:
        return self._root if entry.pool is None else self._root / "private" / entry.pool.name

    def _whole(self, entry: Entry) -> Path:
        digest = entry.digest
        return self._pool(entry) / digest.algorithm / digest.hex[:2] / digest.hex

    def _partial(self, entry: Entry, origin: Registry | None) -> Path:
        name = _NO_ORIGIN if origin is None else origin.name
        return self._pool(entry) / "partial" / name / f"{entry.digest.algorithm}-{entry.digest.hex}"

    def partial_path(self, key: PartialKey) -> Path:
        """Return where partial content lies."""
        return self._partial(key.entry, key.origin)


class Partial:
    """Content on its way in. The lock on its file is ours until `close`.

    ``filled`` is how many bytes are in the file and in the hash; ``is_gone`` tells that the file is not where it was.
    """

    def __init__(self, blobs: Blobs, key: PartialKey, fd: int) -> None:
        self.key = key
        self.entry = key.entry
        self.fd = fd
        self.filled = 0
        self.is_gone = False
        self.verifier = Verifier(key.entry.digest)
        self._blobs = blobs

    @property
    def is_leftover(self) -> bool:
        """Whether an earlier fill left something in the file, which is not in the hash before `rehash`."""
        return os.fstat(self.fd).st_size > self.filled

    def rehash(self) -> None:
        """Take in what an earlier fill left in the file. Raises OSError."""
        while piece := os.pread(self.fd, _READ, self.filled):
            self.verifier.update(piece)
            self.filled += len(piece)

    def append(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Write and hash what comes next. Raises OSError; what could be written before it counts."""
        for piece in pieces:
            view = memoryview(piece)
            while view:
                written = os.pwrite(self.fd, view, self.filled)
                self.verifier.update(view[:written])
                self.filled += written
                view = view[written:]

    def verify(self) -> None:
        """Check the content, which is all here. Raises WrongContent, and removes it then."""
        if not self.verifier.matches():
            # Whoever follows it sees by its length that it was thrown away as wrong.
            os.ftruncate(self.fd, 0)
            self.discard()
            raise WrongContent(f"the bytes that came for {self.entry} are others: nothing of them was kept")

    def commit(self) -> None:
        """Move verified content to where whole content lies, durably. Raises OSError."""
        os.fsync(self.fd)
        path = self._blobs.keep(self.entry)
        self._blobs.partial_path(self.key).rename(path)
        self.is_gone = True
        _fsync_directory(path.parent)

    def reset(self) -> None:
        """Begin again from nothing. Raises OSError."""
        os.ftruncate(self.fd, 0)
        self.filled = 0
        self.verifier = Verifier(self.entry.digest)

    def discard(self) -> None:
        """Remove the file, if the disk lets us: nothing of it is worth keeping."""
        with contextlib.suppress(OSError):
            self._blobs.partial_path(self.key).unlink(missing_ok=True)
            self.is_gone = True

    def close(self) -> None:
        """Let go of the lock. What was not committed stays, to be taken up again."""
        # Closing alone would not do: the lock belongs to all duplicates of the descriptor (flock(2)).
        fcntl.flock(self.fd, fcntl.LOCK_UN)
        os.close(self.fd)


def _is_only_looked_at(fd: int) -> bool:
    """Tell whether nobody fills a file that is locked: then it is free again in a moment."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _open_or_make(path: Path) -> int:
    """Return a file descriptor of what is to be written, in a directory that is made if it is not there."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, 0o600)


def _open(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def _is_at(fd: int, path: Path) -> bool:
    try:
        there = path.stat()
    except OSError:
        return False
    ours = os.fstat(fd)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _fsync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
