"""The htpasswd file: changed all at once, by one command at a time, and read by nobody in between.

What becomes of its text is decided in crproxy/config/htpasswd.py.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .alias_file import rewrite

__all__ = ["edit_file", "is_open_to_all"]

# Seconds that another command has to end.
_PATIENCE = 10.0
_AGAIN = 0.05


def edit_file(path: Path, edit: Callable[[str], str], owner: int | None = None) -> bool:
    """Put ``edit`` of its text in the place of a file's; one that is not there is made, for its owner alone (0600).

    One that is there keeps its mode, its owner and its attributes. The directory is made where that alone is missing:
    nobody has /etc/crproxy before they have a file to put into it. Tell whether the file was made.

    Arguments:
        edit: may raise, and then nothing changes.
        owner: of a file that is made, where we may give it away; None is whoever runs this.

    Raises:
        OSError: it cannot be read or written; nothing has changed. A BlockingIOError: another command has it too long.
        ConfigError: somebody else has changed it meanwhile.
        UnicodeDecodeError: it is no text.
    """
    # A link stays one.
    path = path.resolve()
    path.parent.mkdir(exist_ok=True)
    with _only_one(path.parent):
        if path.exists():
            rewrite(path, edit)
            return False
        _make(path, edit("").encode(), owner)
        return True


def is_open_to_all(path: Path) -> bool:
    """Tell whether everybody on this machine may read it, and so try passwords against it."""
    return bool(path.stat().st_mode & 0o004)


@contextlib.contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """Keep other commands out. The lock is the directory's: the file's own would go with the file that is replaced."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise
                time.sleep(_AGAIN)
        yield
        os.fsync(fd)
    finally:
        os.close(fd)


def _make(path: Path, content: bytes, owner: int | None) -> None:
    # Its mode is 0600.
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor
            if owner is not None and owner != os.geteuid() and os.geteuid() == 0:
                os.fchown(fd, owner, -1)
            file.write(content)
            file.flush()
            os.fsync(fd)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
