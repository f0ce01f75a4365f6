"""Waiting until what was noted is in the index's file, where other workers see it: but not for long."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

__all__ = ["Settling"]

# Seconds. A batch takes some milliseconds; whoever holds the file for longer must hold up nobody.
_PATIENCE = 0.25


class Settling:
    """Waits for notes.

    Arguments:
        flush: writes them, and fires when none waits any more, or when they cannot be written now.
        clock: the time.
    """

    def __init__(self, flush: Callable[[], Deferred[None]], clock: IReactorTime) -> None:
        self._flush = flush
        self._clock = clock
        # Who was waited for in vain is waited for by nobody else, until it is there.
        self._is_late = False

    def __call__(self) -> Deferred[None]:
        """Fire when what was noted so far is written, or after a moment."""
        if self._is_late:
            return succeed(None)
        flushed = self._flush()
        if flushed.called:
            return flushed
        settled: Deferred[None] = Deferred()
        timer = self._clock.callLater(_PATIENCE, self._be_late, settled)

        def written(_: object) -> None:
            self._is_late = False
            if timer.active():
                timer.cancel()
                settled.callback(None)

        flushed.addBoth(written)
        return settled

    def _be_late(self, settled: Deferred[None]) -> None:
        self._is_late = True
        settled.callback(None)
