"""Slower cores: processes held to a part of one, so that clients on the same machine have the rest.

By control groups, version 2 or 1 (Linux, Documentation/admin-guide/cgroup-v2.rst: cpu.max), which takes root.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["QuotaError", "held"]

_V2, _V1 = Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/cpu")
# Microseconds: short, so that what is held waits for no more than some of them.
_PERIOD = 5000


class QuotaError(Exception):
    """Processes cannot be held here; the text says why."""


@contextlib.contextmanager
def held(pids: Sequence[int], cores: float) -> Iterator[None]:
    """Let these processes together have ``cores`` cores and no more, for one `with` block.

    Raises:
        QuotaError: they cannot be held.
    """
    is_v2 = (_V2 / "cgroup.controllers").exists()
    root = _V2 if is_v2 else _V1
    group = root / f"crproxy-benchmark-{os.getpid()}-{min(pids)}"
    quota = int(cores * _PERIOD)
    try:
        group.mkdir()
        if is_v2:
            (group / "cpu.max").write_text(f"{quota} {_PERIOD}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        for pid in pids:
            (group / "cgroup.procs").write_text(str(pid))
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        raise QuotaError(str(error)) from error
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(OSError):
                (root / "cgroup.procs").write_text(str(pid))
        with contextlib.suppress(OSError):
            group.rmdir()
