"""Moments that are kept by many nodes, as Valkey's clock has them: such as go there and back stay the same.

The comparison of clocks is a little different each second. Were it used as it is, a moment of which the earliest counts
would become earlier each time that a node tells it.
"""

from __future__ import annotations

from .valkey import Valkey

__all__ = ["CommonTime"]

# Seconds by which a clock may be wrong: within that it is taken for right, and beyond for as wrong as it was.
_SLACK = 2.0


class CommonTime:
    """Makes moments of this node's clock (seconds since the epoch) such of all nodes', and back.

    Arguments:
        valkey: compares clocks.
    """

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey
        self._ahead = 0.0

    @property
    def ahead(self) -> float:
        """Seconds that this node's clock is ahead."""
        if abs(self._valkey.ahead - self._ahead) > _SLACK:
            self._ahead = self._valkey.ahead
        return self._ahead

    def told(self, moment: float) -> float:
        """Return a moment of this node's as it is told, in whole milliseconds."""
        return round(moment - self.ahead, 3)

    def heard(self, moment: float) -> float:
        """Return a moment that was told as this node's clock has it."""
        return moment + self.ahead
