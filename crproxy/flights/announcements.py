"""What upstream said of a blob to the worker that fetches it, for those that follow."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ..sharing import Sharing
from ..store.blobs import PartialKey

__all__ = ["Announcement", "Announcements"]

# For which a worker waits for the header that upstream sends another, and between two looks.
_SECONDS = 2.0
_LOOK_SECONDS = 0.02


class Announcement(NamedTuple):
    """What was said: to whom (see `Flights.begin`), and the size in bytes, where it was said."""

    whose: Hashable
    size: int | None


class Announcements:
    """What was said, by blob; ``are_made`` tells whether there is anybody to say it to.

    Arguments:
        sharing: has it, for all workers.
        clock: for waiting.
    """

    def __init__(self, sharing: Sharing, clock: IReactorTime) -> None:
        self.are_made = not sharing.is_alone
        self._clock = clock
        self._records = sharing.records("flights")

    def said(self, key: PartialKey) -> Announcement | None:
        """Return what was said, to whomever; None where nothing is, or to nobody whom others could know."""
        said: tuple[Hashable, int | None] | None = self._records.get(_name(key)) if self.are_made else None
        return None if said is None else Announcement(*said)

    async def wait(self, key: PartialKey, whose: Hashable, is_in_vain: Callable[[], bool]) -> Announcement | None:
        """Return what was said to ``whose``; None where that is not said in time.

        Arguments:
            is_in_vain: tells whether not to wait any more.
        """
        until = self._clock.seconds() + _SECONDS
        while self.are_made and whose is not None and self._clock.seconds() < until:
            said = self.said(key)
            if said is not None:
                return said if said.whose == whose else None
            if is_in_vain():
                break
            await deferLater(self._clock, _LOOK_SECONDS)
        return None

    def put(self, key: PartialKey, whose: Hashable, size: int | None) -> None:
        """Say it; nothing where it is nobody else's."""
        if self.are_made and whose is not None:
            self._records.put(_name(key), (whose, size))

    def drop(self, key: PartialKey) -> None:
        """Say nothing any more."""
        if self.are_made:
            self._records.drop(_name(key))


def _name(key: PartialKey) -> str:
    # One registry's word is not another's: who fills the same file hears the same one.
    return f"{key.entry} from {key.origin}"
