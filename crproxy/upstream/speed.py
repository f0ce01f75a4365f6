"""How fast a transfer is, by looks at it from time to time.

Knows nothing of connections, nor of the time but what it is told.
"""

from __future__ import annotations

from ..policy.parallel import Bounds, is_gain, is_stuck

__all__ = ["Speed"]

# Seconds until it is seen whether several connections bring more than one did,
_GAIN_SECONDS = 5.0
# and whether the one that all others wait for brings anything.
_STUCK_SECONDS = 3.0
# What a look counts for in the usual rate.
_WEIGHT = 0.25


class Speed:
    """The rates of one transfer, in bytes per second; ``of_one`` is that of one connection.

    Arguments:
        now: seconds, of any clock that goes on.
        received: bytes that have come so far.
    """

    def __init__(self, bounds: Bounds, now: float, received: int) -> None:
        self.of_one = 0.0
        self._bounds = bounds
        self._looked = now, received
        self._latest: float | None = None
        self._before: float | None = None
        # When several connections began, with what, and how fast one was; None where that is settled.
        self._begun: tuple[float, int, float] | None = None
        self._are_several = False
        self._first: tuple[object, float, int] | None = None

    def look(self, now: float, received: int, connections: int, *, was_paused: bool) -> None:
        """Take note of how much has come.

        Arguments:
            connections: over so many.
            was_paused: the consumer took nothing for a while, so that it says nothing of upstream.
        """
        (then, before), self._looked = self._looked, (now, received)
        if was_paused:
            self._latest = self._before = self._begun = self._first = None
            return
        rate = (received - before) / max(now - then, 0.001) / max(connections, 1)
        self._before, self._latest = self._latest, rate
        self.of_one = rate if not self._are_several else self.of_one + (rate - self.of_one) * _WEIGHT

    def is_slow(self, size: int, left: int) -> bool:
        """Tell whether one connection is (see Bounds)."""
        if self._latest is None or self._before is None:
            return False
        return self._bounds.is_slow(size, left, self._latest, self._before)

    def begin(self) -> None:
        """There are several connections from now on."""
        self._begun = (*self._looked, self.of_one)
        self._are_several = True

    def is_without_gain(self) -> bool:
        """Tell once, after some seconds, whether several connections bring no more than one did."""
        now, received = self._looked
        if self._begun is None or now - self._begun[0] < _GAIN_SECONDS:
            return False
        (then, before, of_one), self._begun = self._begun, None
        return not is_gain((received - before) / (now - then), of_one)

    def is_stuck(self, first: object, reached: int) -> bool:
        """Tell whether the connection that all others wait for brings nothing to speak of.

        Arguments:
            first: which one.
            reached: how far it is.
        """
        now, _ = self._looked
        if self._first is None or self._first[0] is not first:
            self._first = first, now, reached
            return False
        _, then, before = self._first
        if now - then < _STUCK_SECONDS:
            return False
        self._first = first, now, reached
        return is_stuck(reached - before, now - then, self.of_one)
