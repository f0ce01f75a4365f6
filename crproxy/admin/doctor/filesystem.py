"""The file system that a directory is in: may it be written, what room is left, and where it is mounted."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FileSystem", "file_system", "mounted_at"]

_MOUNTS = Path("/proc/self/mountinfo")
# What would end a field or a line, as octal digits; the backslash comes last, since it begins the others.
_ESCAPED = ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\"))


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A file system, as statvfs(3) has it.

    Arguments:
        read_only: nobody may write to it, whatever files' modes say.
        free: bytes that are left for who is not root.
        files: that may yet be made; None where their number is not bounded.
        mount: where and what it is, such as "/dev/sda1 at /var, ext4"; empty where that cannot be told.
    """

    read_only: bool = False
    free: int = 0
    files: int | None = None
    mount: str = ""


def file_system(directory: Path) -> FileSystem:
    """Return what ``directory`` is in. Raises OSError."""
    found = os.statvfs(directory)
    return FileSystem(
        bool(found.f_flag & os.ST_RDONLY),
        found.f_bavail * found.f_frsize,
        found.f_favail if found.f_files else None,
        _mount(directory),
    )


def mounted_at(mounts: str, path: str) -> str:
    """Return where and what ``path`` is in, for people.

    Arguments:
        mounts: as proc_pid_mountinfo(5) has it.
        path: absolute, without links.
    """
    best, told = -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if len(fields) < 5 or len(kind) < 2:
            continue
        place = _unescaped(fields[4])
        inside = path == place or path.startswith(place.rstrip("/") + "/")
        # The last of those at the same place is the one that is seen.
        if inside and len(place) >= best:
            best, told = len(place), f"{_unescaped(kind[1])} at {place}, {kind[0]}"
    return told


def _mount(directory: Path) -> str:
    try:
        return mounted_at(_MOUNTS.read_text("utf-8", "replace"), str(directory.resolve()))
    except OSError:
        return ""


def _unescaped(text: str) -> str:
    """Return a name as it is."""
    for written, meant in _ESCAPED:
        text = text.replace(written, meant)
    return text
