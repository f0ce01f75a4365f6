"""Keeps the second tier within its size: what no node used for longest goes, and what is said of it.

One node does, whoever is let, and no longer than that. What was used while it was at it stays. What is dropped while
somebody reads it all the same is had from elsewhere. Nothing goes where not all of it could be listed, or nobody can
say what was used.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..oci.digests import Digest
from ..policy.object_keys import (
    ROOT,
    BlobKey,
    LinkKey,
    RevokedKey,
    ViewNames,
    parse_key,
    parse_tag,
    tags_below,
)
from ..policy.tier_eviction import Held, is_in_use, latest_use, link_goes, revoked_goes, tag_goes, what_goes
from ..store.entries import Entry
from .errors import NotThere, TierFailed
from .naming import entry_of
from .uses import LastUsed

if TYPE_CHECKING:
    from .object_store import Listed, ObjectStore

__all__ = ["MayWork", "TierJanitor", "Turn"]

# Seconds between two rounds; each so-manieth looks at links, tags and refusals, too, though nothing goes.
_ROUND, _ALL_OF_IT = 900.0, 96
# Objects that are removed by one request.
_BATCH = 1000
_LARGEST_FACT = 16 * 1024
_FACTS = ("links", "tags", "revoked")

# Tells whether this node may still go on with what it began.
Turn = Callable[[], bool]
# Returns that, or None where another node is to do the work.
MayWork = Callable[[], Awaitable[Turn | None]]
Forget = Callable[[Sequence[Entry]], Awaitable[None]]


async def _nobody_knows(entries: Sequence[Entry]) -> Mapping[Entry, float]:
    return {}


async def _to_nobody(entries: Sequence[Entry]) -> None:
    pass


def _always() -> bool:
    return True


async def _alone() -> Turn:
    return _always


@dataclass(slots=True)
class _Found:
    """What was listed of content: each, and the bytes of all of it."""

    held: list[tuple[BlobKey, int, float]]
    bytes: int = 0


class TierJanitor:
    """Looks after ``objects``, a round after the other.

    ``taken`` are the bytes that there were at the last look, None where another node looks; ``evicted`` and
    ``evicted_bytes`` count the contents that went.

    Arguments:
        size: bytes that there may be.
        clock: the time.
        now: seconds since the epoch.
        last_used: says when contents were used; of what it does not know, the time of writing counts.
        may_work: tells whether this node is the one that does it, and for how long.
        forget: is told of what is gone.
    """

    _log = Logger()

    def __init__(
        self,
        objects: ObjectStore,
        size: int,
        clock: IReactorTime,
        now: Callable[[], float],
        last_used: LastUsed = _nobody_knows,
        may_work: MayWork = _alone,
        forget: Forget = _to_nobody,
    ) -> None:
        self.taken: int | None = None
        self.evicted = self.evicted_bytes = 0
        self._objects = objects
        self._size = size
        self._now = now
        self._last_used = last_used
        self._may_work = may_work
        self._forget = forget
        self._rounds = LoopingCall(self._round)
        self._rounds.clock = clock
        self._round_under_way: Deferred[None] | None = None
        self._rounds_until_all = 0
        self._bytes_of_facts = 0

    def start(self) -> None:
        """Begin, with a first round in a while: a node that starts has other things to do."""
        self._rounds.start(_ROUND, now=False)

    def stop(self) -> None:
        """End, in the midst of a round, too."""
        if self._rounds.running:
            self._rounds.stop()
        if self._round_under_way is not None:
            self._round_under_way.cancel()

    def _round(self) -> Deferred[None]:
        self._round_under_way = Deferred.fromCoroutine(self._work_if_let())
        return self._round_under_way.addErrback(self._stumbled)

    async def _work_if_let(self) -> None:
        turn = await self._may_work()
        if turn is None:
            self.taken = None
        else:
            await self.tidy(turn)

    def _stumbled(self, failure: Failure) -> None:
        if failure.check(TierFailed):
            self._log.warn("the object store could not be tidied, nothing goes: {error}", error=failure.value)
        elif not failure.check(CancelledError):
            self._log.failure("the object store could not be tidied", failure)

    async def tidy(self, turn: Turn = _always) -> None:
        """Drop what there is too much of. Raises TierFailed, also where ``turn`` is over; all else stays."""
        looks_at_all = self._rounds_until_all <= 0
        if looks_at_all:
            self._bytes_of_facts = await self._count_facts()
        found = await self._content()
        held = await self._with_use(found.held)
        gone = await self._drop(what_goes(held, found.bytes + self._bytes_of_facts, self._size, self._now()), turn)
        bytes_gone = sum(one.size for one in gone)
        if gone:
            self._log.info("{count} blobs were dropped from the object store to make room", count=len(gone))
        if gone or looks_at_all:
            gone_keys = {one.key for one in gone}
            await self._tidy_facts({one.key for one in held} - gone_keys, gone_keys, turn)
        self._rounds_until_all = (_ALL_OF_IT if looks_at_all else self._rounds_until_all) - 1
        self.taken = found.bytes - bytes_gone + self._bytes_of_facts

    async def _count_facts(self) -> int:
        """Return their bytes: what comes within a day beside content is little."""
        size = 0
        for kind in _FACTS:
            async for one in self._facts(kind):
                size += one.size
        return size

    async def _content(self) -> _Found:
        found = _Found([])
        for place in (f"{ROOT}/blobs", f"{ROOT}/pools"):
            async for batch in self._objects.list(place):
                for one in batch:
                    key = parse_key(one.key)
                    found.bytes += one.size
                    if isinstance(key, BlobKey):
                        found.held.append((key, one.size, one.modified))
        return found

    async def _with_use(self, found: list[tuple[BlobKey, int, float]]) -> list[Held]:
        used, now = await self._last_used([entry_of(key) for key, _, _ in found]), self._now()
        return [Held(key, size, latest_use(modified, used.get(entry_of(key)), now)) for key, size, modified in found]

    async def _drop(self, held: Sequence[Held], turn: Turn) -> list[Held]:
        """Remove content, but for what was used since it was looked at; return what is gone."""
        gone: list[Held] = []
        for start in range(0, len(held), _BATCH):
            batch = held[start : start + _BATCH]
            looked = await self._with_use([(one.key, one.size, one.used) for one in batch])
            idle = [one for one in looked if not is_in_use(one.used, self._now())]
            await self._remove((str(one.key) for one in idle), turn)
            await self._forget([entry_of(one.key) for one in idle])
            gone += idle
            self.evicted += len(idle)
            self.evicted_bytes += sum(one.size for one in idle)
        return gone

    async def _tidy_facts(self, kept: set[BlobKey], gone: set[BlobKey], turn: Turn) -> None:
        """Remove the links, tags and refusals that lead to nothing."""
        unlinked: list[Listed] = []
        now, linked, views = self._now(), set[ViewNames](), set[ViewNames]()
        async for one in self._facts("links"):
            key = parse_key(one.key)
            if not isinstance(key, LinkKey):
                continue
            if link_goes(key, one.modified, kept, gone, now):
                unlinked.append(one)
                views.add(key.view)
            else:
                linked.add(key.view)
        await self._remove_facts([one async for one in self._tags_to_nothing(views, kept)], turn)
        # After the tags: these are found by their links.
        await self._remove_facts(unlinked, turn)
        refusals = [one async for one in self._facts("revoked") if _revoked_goes(one, linked, now)]
        await self._remove_facts(refusals, turn)

    async def _facts(self, kind: str) -> AsyncIterator[Listed]:
        async for batch in self._objects.list(f"{ROOT}/{kind}"):
            for one in batch:
                yield one

    async def _tags_to_nothing(self, views: Iterable[ViewNames], kept: set[BlobKey]) -> AsyncIterator[Listed]:
        for view in views:
            async for batch in self._objects.list(tags_below(view)):
                for one in batch:
                    if tag_goes(view, await self._points_to(one.key), one.modified, kept, self._now()):
                        yield one

    async def _points_to(self, key: str) -> Digest | None:
        try:
            tag = parse_tag(await self._objects.read(key, _LARGEST_FACT))
        except NotThere:
            return None
        return None if tag is None else tag.digest

    async def _remove_facts(self, facts: Sequence[Listed], turn: Turn) -> None:
        await self._remove((one.key for one in facts), turn)
        self._bytes_of_facts -= sum(one.size for one in facts)

    async def _remove(self, keys: Iterable[str], turn: Turn) -> None:
        waiting = list(keys)
        for start in range(0, len(waiting), _BATCH):
            if not turn():
                raise TierFailed("another node may be at it by now")
            await self._objects.delete(waiting[start : start + _BATCH])


def _revoked_goes(one: Listed, linked: set[ViewNames], now: float) -> bool:
    key = parse_key(one.key)
    return isinstance(key, RevokedKey) and revoked_goes(key, one.modified, linked, now)
