"""Disks with little room, or that cannot be written: file systems of a test's own."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .requirements import need, need_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["fill_up", "make_read_only", "small_disk"]


@contextmanager
def small_disk(directory: Path, size: str) -> Iterator[Path]:
    """Give a file system of ``size`` (as mount(8) writes it) in memory, at ``directory``, which is made."""
    need_root("mounting a file system")
    directory.mkdir(parents=True)
    _run(need("mount"), "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory))
    try:
        yield directory
    finally:
        _run(need("umount"), "--lazy", str(directory))


def make_read_only(disk: Path) -> None:
    """Let nobody write to a file system, of which no file is open for writing."""
    _run(need("mount"), "-o", "remount,ro", str(disk))


def fill_up(disk: Path) -> None:
    """Leave no room at all."""
    piece = b"\0" * 4096
    with (disk / "junk").open("wb", buffering=0) as junk:
        try:
            while True:
                junk.write(piece)
        except OSError:
            return


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
