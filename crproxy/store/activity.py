"""Whether anybody uses the disk: clients that are served from it, and what is fetched for them, of all workers.

Others are told when a worker begins and when it has had none for a while, not of each use.
"""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ..sharing import Sharing

__all__ = ["Activity"]

# Seconds without any use after which a worker does not use the disk.
_QUIET = 2.0

# What is counted: workers that use it.
_BUSY = "busy"


class Activity:
    """Counts what uses the disk.

    Arguments:
        sharing: has the number of workers that do.
        clock: the time.
    """

    def __init__(self, sharing: Sharing, clock: IReactorTime) -> None:
        self._shared = sharing.count("disk")
        self._clock = clock
        self._number = 0
        self._last = 0.0
        self._look: IDelayedCall | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no worker has used the disk for a while."""
        return not self._shared.of(_BUSY)

    def begin(self) -> None:
        """One more use begins."""
        self._number += 1
        if self._look is None:
            self._shared.add(_BUSY)
            self._look = self._clock.callLater(_QUIET, self._look_again)

    def end(self) -> None:
        """One ends."""
        self._number -= 1
        self._last = self._clock.seconds()

    def stop(self) -> None:
        """Look no more."""
        if self._look is not None:
            self._look.cancel()
            self._be_quiet()

    def _look_again(self) -> None:
        quiet_for = 0.0 if self._number else self._clock.seconds() - self._last
        if quiet_for >= _QUIET:
            self._be_quiet()
        else:
            self._look = self._clock.callLater(_QUIET - quiet_for, self._look_again)

    def _be_quiet(self) -> None:
        self._look = None
        self._shared.remove(_BUSY)
