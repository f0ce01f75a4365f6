"""Where a ledger lies: a directory in memory, which goes with the daemon, however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["LedgerDirectory"]

# A file system in memory (shm_overview(7)): what the disk has room for is of no consequence.
_IN_MEMORY = "/dev/shm"  # noqa: S108 - a directory of our own is made there
_PREFIX, _NEW = "crproxy-ledger-", "crproxy-new-"


class LedgerDirectory:
    """A new directory, which nobody else may look into. Those of daemons that were killed go first.

    Raises:
        OSError: none can be made.
    """

    def __init__(self, parent: str | None = None) -> None:
        parents = [parent or _IN_MEMORY, tempfile.gettempdir()]
        usable = [each for each in parents if Path(each).is_dir() and os.access(each, os.W_OK | os.X_OK)]
        chosen = Path(usable[0] if usable else parents[-1])
        _remove_abandoned(chosen)
        made = Path(tempfile.mkdtemp(prefix=_NEW, dir=chosen))
        # Held as long as this process lives; and from before it has the name by which others look for abandoned ones.
        self._lock = _lock(made)
        self.path = made.rename(chosen / f"{_PREFIX}{made.name.removeprefix(_NEW)}")

    def remove(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _remove_abandoned(parent: Path) -> None:
    for path in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = _lock(path) if path.stat().st_uid == os.geteuid() else None
            if lock is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)


def _lock(path: Path) -> int | None:
    """Return a descriptor that holds the lock; None where somebody else does."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
