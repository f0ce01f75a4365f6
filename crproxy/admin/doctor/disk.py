"""Is there room for what is to be kept, can it be written, and does the index open?"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ...config import Config
from ...policy.units import format_size
from .findings import Area, Finding, failed, fine, skipped, warning
from .permissions import nearest

__all__ = ["check_disk"]

# With less, hardly a layer fits.
_LEAST_FREE = 64 * 1024**2
# What is written to see whether anything can be.
_PROBE = b"\0" * 4096


def check_disk(config: Config) -> list[Finding]:
    """Return how it stands with the data directory."""
    directory = Path(config.data_dir)
    try:
        found = nearest(directory)
        if not os.access(found, os.W_OK | os.X_OK):
            return [skipped(Area.DISK, str(directory), "it cannot be written: see above")]
        stored = _stored(directory)
        writable = _write(directory) if directory.is_dir() else None
        return list(filter(None, [writable or _room(config, found, stored), _index(directory)]))
    except OSError as error:
        return [skipped(Area.DISK, str(directory), f"it cannot be looked at: {error.strerror}")]


def _write(directory: Path) -> Finding | None:
    """Return what hinders writing."""
    try:
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".doctor-") as file:
            file.write(_PROBE)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = "the disk is full" if full else f"cannot be written: {error.strerror}"
        return failed(
            Area.DISK,
            str(directory),
            f"{what}: images are passed on and not kept",
            "Make room, or name a directory on another disk as data_dir"
            if full
            else "Is the file system mounted read-only? See mount(8) and the kernel's log",
        )
    return None


def _room(config: Config, directory: Path, stored: int) -> Finding:
    free = shutil.disk_usage(directory).free
    size, subject = config.cache.size, str(config.data_dir)
    if free < min(_LEAST_FREE, size - stored):
        return failed(
            Area.DISK,
            subject,
            f"there are {format_size(free)} left on its disk: hardly anything more is kept",
            "Make room, or name a directory on another disk as data_dir",
        )
    if free + stored < size:
        return warning(
            Area.DISK,
            subject,
            f"the cache may take {format_size(size)}, and its disk has {format_size(free)} left beside "
            f"{format_size(stored)} that are kept",
            f"Set size under [cache] to {_writable(int((free + stored) * 0.9))} or less, or give it a larger disk",
        )
    return fine(
        Area.DISK, subject, f"{format_size(free)} free; of {format_size(size)} the cache has {format_size(stored)}"
    )


def _index(directory: Path) -> Finding:
    path = directory / "index.sqlite"
    if not path.exists():
        return fine(Area.DISK, str(path), "is not there yet")
    try:
        return fine(Area.DISK, str(path), f"opens, with {_count(path)} contents")
    except sqlite3.Error as error:
        return failed(
            Area.DISK,
            str(path),
            f"cannot be opened: {error}",
            "Restart crproxy: it sets a damaged index aside, and builds it anew from what is on disk",
        )


def _stored(directory: Path) -> int:
    """Return the bytes that are kept, as the index has them; 0 where that cannot be told."""
    path = directory / "index.sqlite"
    try:
        rows = list(_ask(path, "SELECT bytes FROM total")) if path.exists() else []
    except sqlite3.Error:
        rows = []
    return int(rows[0][0]) if rows else 0


def _count(path: Path) -> int:
    ((count,),) = _ask(path, "SELECT count(*) FROM blob")
    return int(count)


def _ask(path: Path, statement: str) -> Iterator[tuple[int]]:
    """Read only: what opens the index for the daemon would set a damaged one aside."""
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)
    try:
        yield from database.execute(statement)
    finally:
        database.close()


def _writable(size: int) -> str:
    """Return a size as it may be written into the configuration."""
    return format_size(size).replace(" ", "")
