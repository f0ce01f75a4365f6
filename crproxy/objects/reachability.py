"""Whether the object store is worth asking just now. Knows no store: is told what came of each question."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from .errors import TierFailed

__all__ = ["Reachability"]

# Seconds for which a store is left alone that could not be asked; twice as long each time, up to the most.
_REST, _LONGEST_REST = 5.0, 30.0


class Reachability:
    """Leaves a store alone for a while that could not be asked, then lets one question find out whether it is back.

    Who asks calls `begin`, then one of `answered`, `failed` and `left`. ``failures`` counts those that failed.

    Arguments:
        clock: the time.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self.failures = 0
        self._clock = clock
        self._rest = 0.0
        # When it may be asked again; None while all is well.
        self._alone_until: float | None = None
        self._is_found_out = False

    @property
    def is_up(self) -> bool:
        """Whether a question is worth its time."""
        return self._alone_until is None or (not self._is_found_out and self._clock.seconds() >= self._alone_until)

    @property
    def has_answered(self) -> bool:
        """Whether it did when it was asked last, or was never asked."""
        return self._alone_until is None

    def begin(self) -> None:
        """Somebody is about to ask. Raises TierFailed where it is left alone."""
        if not self.is_up:
            raise TierFailed("the object store could not be asked just now, and is left alone for some seconds")
        self._is_found_out = self._alone_until is not None

    def answered(self) -> None:
        """It has answered, whatever it was."""
        if self._alone_until is not None:
            self._log.info("the object store can be used again")
        self._alone_until, self._rest, self._is_found_out = None, 0.0, False

    def failed(self, error: TierFailed) -> None:
        """It has not."""
        self.failures += 1
        now = self._clock.seconds()
        if self._alone_until is None:
            self._log.warn("the object store cannot be used, and is asked again in some seconds: {error}", error=error)
        elif now < self._alone_until:
            # It was asked before that was known.
            return
        self._rest = min(2 * self._rest or _REST, _LONGEST_REST)
        self._alone_until, self._is_found_out = now + self._rest, False

    def left(self) -> None:
        """Nobody waits for the answer any more."""
        self._is_found_out = False
