"""How fast a fill has been lately."""

from __future__ import annotations

__all__ = ["Pace"]

# Seconds that "lately" goes back, at the least; twice as many at the most, while bytes come.
_WINDOW = 2.0


class Pace:
    """Bytes per second over the last few seconds. A fill that stands still gets slower by the second.

    Arguments:
        filled: bytes that are there at the beginning.
        now: seconds, of any clock that goes on.
    """

    def __init__(self, filled: int, now: float) -> None:
        self._before = self._since = (filled, now)

    def note(self, filled: int, now: float) -> None:
        """There are ``filled`` bytes now."""
        if now - self._since[1] >= _WINDOW:
            self._before, self._since = self._since, (filled, now)

    def rate(self, filled: int, now: float) -> float:
        """Return bytes per second."""
        then, began = self._before
        return (filled - then) / max(now - began, 0.001)
