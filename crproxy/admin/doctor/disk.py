"""Is there room for what is to be kept, can it be written, and does the index open?"""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from ...config import Config
from ...policy.units import format_size
from .filesystem import FileSystem, file_system
from .findings import Area, Finding, failed, fine, skipped, warning
from .permissions import nearest

__all__ = ["check_disk"]

_INDEX = "index.sqlite"
# With less, hardly a layer fits.
_LEAST_FREE = 64 * 1024**2
# Of files: a blob is one, and so is a part of one.
_FEWEST_FILES = 1000
# What is written to see whether anything can be.
_PROBE = b"\0" * 4096
_MAKE_ROOM = "Make room, or name a directory on another disk as data_dir"
_UNKEPT = "images are passed on and not kept"
_REMOUNT = (
    "Mount it for writing: mount -o remount,rw, or without :ro where it is a container's volume. The kernel makes a "
    "disk read-only after an error, too: see dmesg, and check that disk first"
)

Look = Callable[[Path], FileSystem]


def check_disk(config: Config, look: Look = file_system) -> list[Finding]:
    """Return how it stands with the data directory, what else is mounted in it, and where the audit log is.

    Arguments:
        look: returns what file system a directory is in; raises OSError.
    """
    directory = Path(config.data_dir)
    data = [*_directory(config, directory, look), *_inside(directory, look)]
    return [*data, *_audit(config, look)]


def _directory(config: Config, directory: Path, look: Look) -> Iterator[Finding]:
    try:
        found = nearest(directory)
        disk = look(found)
        unwritable = _unwritable(directory, disk)
        if unwritable is None and not os.access(found, os.W_OK | os.X_OK):
            yield skipped(Area.DISK, str(directory), "it cannot be written: see above")
            return
        hindered = unwritable or (_write(directory) if directory.is_dir() else None)
        yield hindered or _room(config, disk, _stored(directory))
        if hindered is None:
            yield _index(directory)
        else:
            # Half of it may have been written.
            yield skipped(Area.DISK, str(directory / _INDEX), "its disk cannot be written")
    except OSError as error:
        yield skipped(Area.DISK, str(directory), f"it cannot be looked at: {error.strerror}")


def _inside(directory: Path, look: Look) -> Iterator[Finding]:
    """Give what is wrong with other file systems that are mounted within it, such as one for the cache."""
    try:
        within = sorted(one for one in directory.iterdir() if one.is_dir() and one.is_mount())
        for one in within:
            hindered = _unwritable(one, look(one))
            if hindered is not None:
                yield hindered
    except OSError:
        # Of the directory itself is told above.
        return


def _audit(config: Config, look: Look) -> Iterator[Finding]:
    """Give what is wrong with the disk of the audit log, if there is a file of it on another one than the data."""
    if config.audit.file is None:
        return
    directory = Path(config.audit.file).parent
    try:
        disk, data = look(nearest(directory)), look(nearest(Path(config.data_dir)))
    except OSError as error:
        yield skipped(Area.DISK, str(directory), f"it cannot be looked at: {error.strerror}")
        return
    where = disk.mount or str(directory)
    if disk.mount and disk.mount == data.mount:
        return
    if disk.read_only:
        yield failed(Area.DISK, config.audit.file, f"its disk is read-only ({where}): no line is added", _REMOUNT)
    elif not disk.free or disk.files == 0:
        yield failed(Area.DISK, config.audit.file, f"its disk is full ({where}): no line is added", "Make room there")


def _unwritable(directory: Path, disk: FileSystem) -> Finding | None:
    """Return what hinders writing, as far as the file system tells by itself."""
    where = f" ({disk.mount})" if disk.mount else ""
    if disk.read_only:
        return failed(Area.DISK, str(directory), f"the disk is read-only{where}: {_UNKEPT}", _REMOUNT)
    if disk.files == 0:
        text = f"the disk is full{where}: it takes no more files (df -i), whatever room is left: {_UNKEPT}"
        return failed(Area.DISK, str(directory), text, "Remove files there, or make a file system with more inodes")
    if not disk.free:
        return failed(Area.DISK, str(directory), f"the disk is full{where}: {_UNKEPT}", _MAKE_ROOM)
    return None


def _write(directory: Path) -> Finding | None:
    """Return what hinders writing, as only an attempt can tell."""
    try:
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".doctor-") as file:
            file.write(_PROBE)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return _unwritten(str(directory), error)
    return None


def _unwritten(directory: str, error: OSError) -> Finding:
    match error.errno:
        case errno.EROFS:
            return failed(Area.DISK, directory, f"the disk is read-only: {_UNKEPT}", _REMOUNT)
        case errno.ENOSPC:
            return failed(Area.DISK, directory, f"the disk is full: {_UNKEPT}", _MAKE_ROOM)
        case errno.EDQUOT:
            text = f"what this user may store on its disk is used up (quota): {_UNKEPT}"
            return failed(Area.DISK, directory, text, _MAKE_ROOM)
        case _:
            text = f"cannot be written: {error.strerror}: {_UNKEPT}"
            return failed(Area.DISK, directory, text, "See the kernel's log (dmesg), and whether the disk fails")


def _room(config: Config, disk: FileSystem, stored: int) -> Finding:
    free, size, subject = disk.free, config.cache.size, str(config.data_dir)
    if free < min(_LEAST_FREE, size - stored):
        return failed(
            Area.DISK,
            subject,
            f"there are {format_size(free)} left on its disk: hardly anything more is kept",
            _MAKE_ROOM,
        )
    if disk.files is not None and disk.files < _FEWEST_FILES:
        text = f"its disk takes {disk.files} more files (df -i): hardly anything more is kept"
        return failed(Area.DISK, subject, text, "Remove files there, or make a file system with more inodes")
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
    path = directory / _INDEX
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
    path = directory / _INDEX
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
