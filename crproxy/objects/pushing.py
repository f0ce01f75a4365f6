"""Everything that a disk has on its way to the object store: how a node with a full disk moves in.

It goes the way of what is new, by the outbox, and so goes on after a restart. What the store has already is not sent
again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ..store.exporting import notes_in
from ..store.filling import Threads
from ..store.notes import Notes
from .facts import drafts
from .outbox import Draft, Outbox, Tally

if TYPE_CHECKING:
    from .object_store import ObjectStore

__all__ = ["Progress", "Pushing"]

# Things that may wait in the outbox before more is put into it, and seconds between two looks.
_MOST_WAITING = 20_000
_LOOK_SECONDS = 1.0
# An object that is written to see whether that can be done.
_PROBE = "probe"

# Is told how many things, and bytes of them, were found so far, and how many are still to be uploaded.
Progress = Callable[[int, int, int, int], object]


class Pushing:
    """Puts all that the index at ``path`` says into ``outbox``.

    ``unread`` is what nobody has read since it was found on disk, and so is passed over.

    Arguments:
        objects: where it goes; asked by `check`.
        threads: for blocking work.
        clock: for waiting.
    """

    def __init__(
        self, outbox: Outbox, path: Path, threads: Threads, clock: IReactorTime, objects: ObjectStore | None = None
    ) -> None:
        self.unread = 0
        self._objects = objects
        self._outbox = outbox
        self._path = path
        self._threads = threads
        self._clock = clock

    async def check(self) -> None:
        """Write an object, and remove it; raises TierFailed where that cannot be done, such as with a wrong key."""
        if self._objects is not None:
            await self._objects.put(_PROBE, b"")
            await self._objects.delete([_PROBE])

    def tally(self) -> Tally:
        """Return what has come of all that was to be uploaded, of what came beside this, too."""
        return self._outbox.tally()

    async def run(self, report: Progress) -> None:
        """Do it; return when nothing waits to be uploaded any more. ``report`` is called about each second."""
        found, size, self.unread = 0, 0, 0
        batches = self._batches()
        while batch := await self._threads(next, batches, None):
            found += len(batch)
            size += sum(draft.size for draft in batch)
            await self._threads(self._outbox.put, batch)
            await self._wait_until(_MOST_WAITING, found, size, report)
        await self._wait_until(0, found, size, report)

    async def _wait_until(self, most: int, found: int, size: int, report: Progress) -> None:
        """Return when no more than ``most`` things wait."""
        while True:
            waiting, left = self._outbox.waiting()
            report(found, size, waiting, left)
            if waiting <= most:
                return
            await deferLater(self._clock, _LOOK_SECONDS)

    def _batches(self) -> Iterator[list[Draft]]:
        notes: Notes
        for notes in notes_in(self._path):
            self.unread += sum(kept is not None and kept.is_unread for kept in notes.blobs.values())
            found = list(drafts(notes))
            if found:
                yield found
