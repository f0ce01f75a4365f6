"""For how long an answer would be given again as it is, found out without making it again.

Knows versions and times; what an answer is made from is for those to tell who made it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

__all__ = ["Lasting"]

# Seconds after which an answer is made sure of, though nothing was noted here: other processes write to the index, too.
_LEASE = 1.0


class Lasting:
    """Tells whether an answer would be given again.

    Arguments:
        version: changes with whatever is noted in the index.
        confirm: looks; returns until when the answer counts (seconds since the epoch), or None where it is another now.
        now: seconds since the epoch.
    """

    __slots__ = ("_confirm", "_now", "_seen", "_since", "_until", "_version")

    def __init__(
        self, version: Callable[[], Hashable], confirm: Callable[[], float | None], now: Callable[[], float]
    ) -> None:
        self._version = version
        self._confirm = confirm
        self._now = now
        self._seen: Hashable = None
        self._since = self._until = 0.0

    def holds(self) -> bool:
        """Tell whether the answer counts just now."""
        now = self._now()
        # A clock may be set back: what was looked at in the future is looked at again.
        if self._seen == self._version() and self._since <= now < self._until:
            return True
        until = self._confirm()
        if until is None or until <= now:
            return False
        self._seen, self._since, self._until = self._version(), now, min(until, now + _LEASE)
        return True

    def only_while(self, confirm: Callable[[], float | None]) -> Lasting:
        """Return what tells the same, where ``confirm`` says so, too: until when (seconds since the epoch), or None."""
        inner = self._confirm

        def both() -> float | None:
            until, also = inner(), confirm()
            return None if until is None or also is None else min(until, also)

        return Lasting(self._version, both, self._now)
