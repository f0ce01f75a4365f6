"""What fills with each use and drains with time: the arithmetic, and where one worker alone keeps it."""

from __future__ import annotations

import math

__all__ = ["OwnLevel", "OwnLevels", "drained"]


def drained(content: float, rate: float | None, seconds: float) -> float:
    """Return what is left of ``content`` after so many seconds.

    Arguments:
        rate: what drains in a second; None is all at once.
    """
    return 0.0 if rate is None else max(0.0, content - seconds * rate)


class OwnLevel:
    """A level (crproxy.sharing.Level)."""

    __slots__ = ("_content", "_since")

    def __init__(self) -> None:
        self._content = self._since = 0.0

    def fill(self, amount: float, rate: float | None, now: float, most: float = math.inf) -> float:
        """Let drain, then add (Level)."""
        content = drained(self._content, rate, now - self._since)
        filled = content + amount
        self._content, self._since = (filled if filled <= most else content), now
        return filled


class OwnLevels:
    """Levels that whoever asks for one keeps himself (crproxy.sharing.Levels)."""

    def level(self, name: str) -> OwnLevel:
        """Return an empty one (Levels)."""
        return OwnLevel()
