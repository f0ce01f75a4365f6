"""Whom the daemon runs as, and what that user may read: root, as whom the doctor is often run, may read everything."""

from __future__ import annotations

import os
import pwd
import socket
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

from ...config import Config
from ...policy.endpoints import parse_endpoint
from ..endpoint import admin_endpoint

__all__ = ["User", "find_user", "hindrance", "user_of"]

_PATIENCE = 2.0
# CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH (capabilities(7)): modes count for nothing.
_POWERS = 1 << 1 | 1 << 2
# Where access lists are (acl(5)), which say more than the mode.
_ACL = "system.posix_acl_access"


@dataclass(frozen=True, slots=True)
class User:
    """Who may read what, by the modes of files.

    Arguments:
        name: for people.
        runs: it is known from the running daemon; otherwise it is who owns the data directory.
    """

    uid: int
    groups: frozenset[int]
    name: str
    runs: bool = False


def find_user(config: Config) -> User | None:
    """Return whom the daemon runs as; None where that is root, or cannot be told."""
    path = parse_endpoint(admin_endpoint(config)).path
    running = _listener(path) if path else None
    if running is not None:
        try:
            return user_of(Path(f"/proc/{running}/status").read_text())
        except (OSError, KeyError, ValueError):
            return None
    return _owner(Path(config.data_dir))


def user_of(status: str) -> User | None:
    """Return whom a process runs as, by its proc_pid_status(5); None where modes count for nothing to it.

    Raises:
        KeyError: it has not all lines.
        ValueError: there are no numbers in them.
    """
    fields = {key: value.split() for key, _, value in (line.partition(":") for line in status.splitlines())}
    # Real, effective, saved, and for files.
    uid, gid = int(fields["Uid"][3]), int(fields["Gid"][3])
    if int(fields["CapEff"][0], 16) & _POWERS:
        return None
    return User(uid, frozenset({gid, *map(int, fields["Groups"])}), _name(uid), runs=True)


def hindrance(path: Path, user: User) -> Path | None:
    """Return what keeps ``user`` from reading a file: that, or a directory above it; None for nothing.

    Raises:
        OSError: it cannot be looked at.
    """
    path = path.resolve(strict=True)
    for directory in reversed(path.parents):
        if not _may(directory, user, stat.S_IXOTH):
            return directory
    return None if _may(path, user, stat.S_IROTH) else path


def _may(path: Path, user: User, bit: int) -> bool:
    """Tell whether the mode of ``path`` lets ``user``: its owner, its group, or everybody (path_resolution(7))."""
    found = path.stat()
    try:
        os.getxattr(path, _ACL)
    except OSError:
        if found.st_uid == user.uid:
            return bool(found.st_mode & bit << 6)
        return bool(found.st_mode & (bit << 3 if found.st_gid in user.groups else bit))
    return True


def _listener(path: str) -> int | None:
    """Return the process that listens at a Unix socket (unix(7), SO_PEERCRED); None for nobody."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE)
            connection.connect(path)
            told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except OSError:
        return None
    pid: int = struct.unpack("3i", told)[0]
    return pid or None


def _owner(directory: Path) -> User | None:
    try:
        uid = directory.stat().st_uid
        entry = pwd.getpwuid(uid)
    except (OSError, KeyError):
        # There is none yet, or it is of a user that systemd makes up for each start.
        return None
    if uid == 0:
        return None
    return User(uid, frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid)), entry.pw_name)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user with the number {uid}"
