"""Is the machine quiet? Absolute numbers double under load, and so may a ratio, where it falls on one of two."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from .meter import Meter

__all__ = ["Quiet", "Restless"]

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Fields of /proc/stat's first line that are time without work: idle, and waiting for a disk (proc(5)).
_IDLE = (3, 4)
# Seconds of a look, and the share of one core that others may use in it.
_LOOK_SECONDS = 0.5
_SHARE = 0.08
# Clock ticks of all processes are rounded.
_ROUNDING_SECONDS = 0.05


class Restless(Exception):
    """Something else uses the processors; the text says how much."""


class Quiet:
    """Watches what the machine does besides this process and its children.

    Arguments:
        patience: seconds that quiet is waited for.
        say: is told what is waited for, and what is repeated.
    """

    def __init__(self, patience: float = 120.0, say: Callable[[str], object] = print) -> None:
        self._patience = patience
        self._say = say
        self._own = Meter(os.getpid())

    def wait(self) -> None:
        """Return once the machine is quiet. Raises Restless."""
        deadline, told = time.monotonic() + self._patience, False
        while (share := self._look()) > _SHARE:
            if time.monotonic() > deadline:
                raise Restless(f"other programs use {share:.0%} of a core: end them, and measure again")
            if not told:
                self._say(f"waiting: other programs use {share:.0%} of a core")
                told = True

    def disturbed(self, begun: "Mark") -> bool:
        """Tell whether others have worked since ``begun``, by more than a little."""
        share = self._share(begun)
        if share > _SHARE:
            self._say(f"repeated: other programs used {share:.0%} of a core meanwhile")
        return share > _SHARE

    def mark(self) -> "Mark":
        """Return a moment to compare with."""
        return time.monotonic(), _busy_seconds() - self._own.cpu_seconds()

    def _look(self) -> float:
        begun = self.mark()
        time.sleep(_LOOK_SECONDS)
        return self._share(begun)

    def _share(self, begun: "Mark") -> float:
        clock, others = self.mark()
        return max(0.0, others - begun[1] - _ROUNDING_SECONDS) / (clock - begun[0])


# Seconds on the clock, and those that others have used so far.
Mark = tuple[float, float]


def _busy_seconds() -> float:
    ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - sum(ticks[each] for each in _IDLE)) / _TICKS_PER_SECOND
