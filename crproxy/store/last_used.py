"""When stored content was asked for last, as this node's index has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from .entries import Entry
from .index import Index
from .keys import blob_key

__all__ = ["last_used"]

# Contents that are looked up between two chances for others to run.
_BATCH = 500


async def last_used(index: Index, entries: Sequence[Entry], clock: IReactorTime) -> Mapping[Entry, float]:
    """Return it for those of ``entries`` that are stored, in seconds since the epoch.

    Arguments:
        clock: for letting others run.
    """
    found: dict[Entry, float] = {}
    for start in range(0, len(entries), _BATCH):
        found.update(_batch(index, entries[start : start + _BATCH]))
        await deferLater(clock, 0)
    return found


def _batch(index: Index, entries: Sequence[Entry]) -> Mapping[Entry, float]:
    wanted = {blob_key(entry): entry for entry in entries}
    digests = {digest for digest, _ in wanted}
    places = ", ".join("?" * len(digests))
    rows = index.read(f"SELECT digest, pool, used FROM blob WHERE digest IN ({places})", *digests)  # noqa: S608
    known = {(digest, pool): used for digest, pool, used in rows}
    for notes in reversed(list(index.noted())):
        known.update((key, kept.used) for key, kept in notes.blobs.items() if kept is not None)
        known.update((key, used) for key, used in notes.used.items() if key in known)
    return {entry: known[key] for key, entry in wanted.items() if key in known}
