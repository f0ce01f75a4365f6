"""The limit on this process's file descriptors (getrlimit(2), RLIMIT_NOFILE)."""

from __future__ import annotations

import contextlib
import resource

__all__ = ["raise_limit"]

# Where there is no limit: Linux has its own (fs.nr_open).
_UNLIMITED = 1 << 20


def raise_limit() -> int:
    """Raise the soft limit to the hard one, as daemons do that use no select(2), and return what holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _UNLIMITED if soft == resource.RLIM_INFINITY else soft
