"""CPU time and memory of a server, read from /proc: of its first process and of all that descend from it."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Meter", "proportional"]

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Who uses less than one tick in this time, rests.
_REST_SECONDS = 0.15


@dataclass(frozen=True, slots=True)
class Meter:
    """Reads what the process `pid` and its descendants have used so far."""

    pid: int

    def cpu_seconds(self) -> float:
        """User and system time, that of children which have ended included."""
        return sum(_cpu_ticks(pid) for pid in self.family()) / TICKS_PER_SECOND

    def settle(self, seconds: float = 20.0) -> None:
        """Wait until they rest: what they do for a client may go on after it has left."""
        deadline = time.monotonic() + seconds
        before, now = -1.0, self.cpu_seconds()
        while now > before and time.monotonic() < deadline:
            time.sleep(_REST_SECONDS)
            before, now = now, self.cpu_seconds()

    def peak_rss(self) -> int:
        """Bytes: the sum of each process's own peak, so pages that processes share count more than once."""
        return sum(_peak_rss(pid) for pid in self.family())

    def family(self) -> Iterator[int]:
        """Yield the process and its descendants, by their numbers."""
        children = _children_by_parent()
        waiting = [self.pid]
        while waiting:
            pid = waiting.pop()
            yield pid
            waiting += children.get(pid, [])


def _children_by_parent() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for directory in PROC.iterdir():
        if directory.name.isdecimal():
            try:
                parent = int(_stat(int(directory.name))[1])
            except (FileNotFoundError, ProcessLookupError):  # it ended in between
                continue
            children.setdefault(parent, []).append(int(directory.name))
    return children


def _stat(pid: int) -> list[str]:
    """The fields of proc(5)'s stat from the third on: the second, the name, may contain anything."""
    return (PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()


def _cpu_ticks(pid: int) -> int:
    utime, stime, cutime, cstime = map(int, _stat(pid)[11:15])
    return utime + stime + cutime + cstime


def _peak_rss(pid: int) -> int:
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def proportional(pid: int) -> int:
    """Bytes of a process' memory, of each page its part among those that share it (proc(5), smaps_rollup: Pss)."""
    for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
