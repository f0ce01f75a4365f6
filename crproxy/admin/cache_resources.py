"""``/cache`` on the admin socket: what is kept, and what may go."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.server import Request

from ..objects.errors import TierFailed
from ..policy.routing import Names
from ..policy.units import parse_size
from ..store.entries import Entry
from ..store.filling import Threads
from ..store.inventory import Inventory, StoredImage
from ..store.pinning import Pins
from ..store.removing import Sweepings, sweep, sweepings
from ..store.scrubbing import verify_gently
from ..store.store import Store
from ..web.branch import Branch
from .cache_work import CacheWork
from .documents import Lines, Mistake, answer_later, answer_lines, argument, error_answer

if TYPE_CHECKING:
    from ..objects.pushing import Pushing

__all__ = ["CacheResource", "ReadServed"]

# Returns what the cache was good for, as JSON has it.
ReadServed = Callable[[], Coroutine[Deferred[Any], Any, Mapping[str, Any]]]


class CacheResource(Branch):
    """``GET /cache``: how much is kept.

    Below it ``GET`` and ``DELETE /cache/images``, ``POST`` and ``DELETE /cache/pins``, ``POST /cache/verify``,
    ``POST /cache/gc`` and ``POST /cache/push``.

    Arguments:
        store: what is kept.
        inventory: looks at it.
        threads: for blocking work.
        names: returns the names this proxy answers to.
        clock: the time.
        pins: the images that stay.
        now: seconds since the epoch, by which contents have an age; the clock's by default.
        pushing: uploads all of it to the object store; None where there is none.
        served: returns what the cache was good for since the daemon started, as JSON has it.
    """

    def __init__(
        self,
        store: Store,
        inventory: Inventory,
        threads: Threads,
        names: Callable[[], Names],
        clock: IReactorTime,
        pins: Pins,
        *,
        now: Callable[[], float] | None = None,
        pushing: Pushing | None = None,
        served: ReadServed | None = None,
    ) -> None:
        super().__init__()
        self._store = store
        self._served = served
        self._inventory = inventory
        self._threads = threads
        self.putChild(b"push", _Push(store, pushing))
        work = CacheWork(store, inventory, threads, names, clock, pins, now)
        self.putChild(b"images", _Images(work))
        self.putChild(b"pins", _Pins(work))
        self.putChild(b"verify", _Verify(store, work, clock))
        self.putChild(b"gc", _Collection(store, threads, clock, now or clock.seconds))

    def render_GET(self, request: Request) -> int:
        """Answer with the bytes, the budget and what they are made of."""
        return answer_later(request, self._usage())

    async def _usage(self) -> dict[str, Any]:
        self._store.note_use()
        usage = await self._threads(self._inventory.usage)
        served = None if self._served is None else await self._served()
        return {**asdict(usage), "budget": self._store.budget, "served": served}


class _Images(Branch):
    """``GET /cache/images?pattern=``; ``DELETE /cache/images?image=``."""

    def __init__(self, work: CacheWork) -> None:
        super().__init__()
        self._work = work

    def render_GET(self, request: Request) -> int:
        return answer_later(request, self._list(argument(request, "pattern")))

    def render_DELETE(self, request: Request) -> int:
        return answer_later(request, self._work.remove(argument(request, "image")))

    async def _list(self, pattern: str) -> list[dict[str, Any]]:
        return [_described(image) for image in await self._work.images(pattern)]


class _Pins(Branch):
    """``POST`` and ``DELETE /cache/pins?image=``: what is to stay."""

    isLeaf = True

    def __init__(self, work: CacheWork) -> None:
        super().__init__()
        self._work = work

    def render_POST(self, request: Request) -> int:
        return answer_later(request, self._work.pin(argument(request, "image")))

    def render_DELETE(self, request: Request) -> int:
        return answer_later(request, self._work.unpin(argument(request, "image")))


class _Verify(Branch):
    """``POST /cache/verify?rate=&image=``: a line for what was read, and for what was damaged and so dropped.

    Of an image, or a repository; without one, of all that is kept.
    """

    isLeaf = True

    def __init__(self, store: Store, work: CacheWork, clock: IReactorTime) -> None:
        super().__init__()
        self._store = store
        self._work = work
        self._clock = clock

    def render_POST(self, request: Request) -> bytes | int:
        try:
            rate = parse_size(argument(request, "rate") or "100M")
        except ValueError as error:
            return error_answer(request, Mistake(str(error)))
        image = argument(request, "image")
        return answer_lines(request, lambda lines: self._verify(lines, rate, image))

    async def _verify(self, lines: Lines, rate: int, image: str) -> None:
        contents = await self._work.contents(image) if image else None
        total = self._store.index.bytes_stored() if contents is None else sum(size for _, size in contents)
        read = dropped = 0

        def report(entry: Entry, size: int, sound: bool) -> None:
            nonlocal read, dropped
            read += size
            if not sound:
                dropped += 1
                lines.write({"damaged": str(entry)})
            lines.offer({"read": read, "total": total})

        lines.write({"read": 0, "total": total})
        await verify_gently(self._store, self._clock, rate, report, contents)
        lines.write({"verified": True, "read": read, "dropped": dropped})


class _Push(Branch):
    """``POST /cache/push``: a line about each second for how much is found, and still to be uploaded."""

    isLeaf = True

    def __init__(self, store: Store, pushing: Pushing | None) -> None:
        super().__init__()
        self._store = store
        self._pushing = pushing

    def render_POST(self, request: Request) -> bytes | int:
        pushing = self._pushing
        if pushing is None:
            return error_answer(request, Mistake("there is no object store: set url under [storage], and restart", 409))
        return answer_lines(request, lambda lines: self._push(lines, pushing))

    async def _push(self, lines: Lines, pushing: Pushing) -> None:
        said: dict[str, Any] = {}

        def report(found: int, size: int, waiting: int, waiting_bytes: int) -> None:
            said.update(found=found, bytes=size, waiting=waiting, waiting_bytes=waiting_bytes)
            lines.offer({**said, **asdict(pushing.tally().since(before))})

        try:
            await pushing.check()
        except TierFailed as error:
            raise Mistake(f"the object store cannot be used: {error}") from None
        # What was noted a moment ago is on its way by itself; what is in the file is all else.
        await self._store.index.flush()
        before = pushing.tally()
        await pushing.run(report)
        lines.write({"pushed": True, **said, **asdict(pushing.tally().since(before)), "unread": pushing.unread})


class _Collection(Branch):
    """``POST /cache/gc?dry_run=``: what nothing needs."""

    isLeaf = True

    def __init__(self, store: Store, threads: Threads, clock: IReactorTime, now: Callable[[], float]) -> None:
        super().__init__()
        self._store = store
        self._threads = threads
        self._clock = clock
        self._now = now

    def render_POST(self, request: Request) -> int:
        return answer_later(request, self._collect(bool(argument(request, "dry_run"))))

    async def _collect(self, dry_run: bool) -> dict[str, Any]:
        found = await sweepings(self._store, self._threads, self._now())
        document = {"dry_run": dry_run, **_swept(found), "bytes": found.bytes}
        if not dry_run:
            freed = await sweep(self._store, found, self._threads, self._clock)
            document |= {"freed_bytes": freed.bytes, "freed_contents": freed.contents}
        return document


def _swept(found: Sweepings) -> dict[str, Any]:
    return {
        kind: [{"content": str(entry), "bytes": size} for entry, size in contents]
        for kind, contents in (
            ("evicted", found.evicted),
            ("orphans", found.orphans),
            ("partials", [(key.entry, size) for key, size in found.partials]),
        )
    }


def _described(image: StoredImage) -> dict[str, Any]:
    return {
        "image": image.name,
        "repository": str(image.repository),
        "reference": str(image.reference),
        "digest": str(image.digest),
        "bytes": image.bytes,
        "used": image.used,
        "complete": image.complete,
        "platforms": list(image.platforms),
        "private": image.private,
        "pinned": image.pinned,
    }
