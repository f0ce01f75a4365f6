"""Who waits for a flight, and what ends it when nobody does.

Knows nothing of bytes.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["Demand"]


class Demand:
    """Those who wait: for the header, or for the end.

    Arguments:
        clock: for waiting.
        on_change: called when somebody came or left.
        on_unwanted: called when nobody has wanted it for long enough.
    """

    def __init__(self, clock: IReactorTime, on_change: Callable[[], object], on_unwanted: Callable[[], object]) -> None:
        self._clock = clock
        self._on_change = on_change
        self._on_unwanted = on_unwanted
        self._header: list[Deferred[None]] = []
        self._end: list[Deferred[None]] = []
        self._timer: IDelayedCall | None = None

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._header) + len(self._end)

    def header(self) -> Deferred[None]:
        """Wait for the header."""
        return self._wait(self._header)

    def end(self) -> Deferred[None]:
        """Wait for the end."""
        return self._wait(self._end)

    def header_is_here(self) -> None:
        """Tell those who wait for it; they may turn elsewhere then."""
        self._wake(self._header)
        self._on_change()

    def is_over(self) -> None:
        """Tell those who wait for the end."""
        self._wake(self._end)

    def end_in(self, seconds: float | None) -> None:
        """Be unwanted in so many seconds, unless that is begun already; None is not at all."""
        if seconds is None:
            timer, self._timer = self._timer, None
            if timer is not None and timer.active():
                timer.cancel()
        elif self._timer is None:
            self._timer = self._clock.callLater(seconds, self._unwanted)

    def _unwanted(self) -> None:
        self._timer = None
        self._on_unwanted()

    def _wait(self, waiters: list[Deferred[None]]) -> Deferred[None]:
        def left(waiter: Deferred[None]) -> None:
            waiters.remove(waiter)
            self._on_change()

        waiter: Deferred[None] = Deferred(left)
        waiters.append(waiter)
        self._on_change()
        return waiter

    def _wake(self, waiters: list[Deferred[None]]) -> None:
        waiting = waiters[:]
        waiters.clear()
        for waiter in waiting:
            waiter.callback(None)
