"""What can be done on the operator's page. Each is a command as well: crproxy cache, tag, warm."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime

from ...oci.errors import ErrorCode, RegistryError
from ...oci.images import Image
from ...pullthrough.pulling import Progress, State, Wish
from ...pullthrough.warming import Warming
from ...store.entries import Entry
from ...store.scrubbing import verify_gently
from ...store.store import Store
from ..cache_work import CacheWork
from ..tag_work import TagWork
from .jobs import Jobs

__all__ = ["Action", "Actions", "Done"]

# Bytes read in a second, as by the command.
_VERIFY_RATE = 100_000_000


@dataclass(frozen=True, slots=True)
class Done:
    """What has come of an action.

    Arguments:
        key: of the text that says so.
        values: what is put into it.
    """

    key: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be done.

    Arguments:
        run: does it with an image, None where it is for none. Raises Mistake, RegistryError.
        has_image: it is for one.
    """

    run: Callable[[Image | None], Awaitable[Done]]
    has_image: bool = True


class Actions:
    """All that can be done.

    Arguments:
        store: what is kept.
        work: does it with images that are.
        tags: does it with tags.
        warming: pulls others.
        jobs: runs what takes long.
        clock: the time.
    """

    def __init__(
        self, store: Store, work: CacheWork, tags: TagWork, warming: Warming, jobs: Jobs, clock: IReactorTime
    ) -> None:
        self._store = store
        self._work = work
        self._tags = tags
        self._warming = warming
        self._jobs = jobs
        self._clock = clock
        self.by_name: Mapping[str, Action] = {
            "remove": Action(self._remove),
            "pin": Action(self._pin),
            "unpin": Action(self._unpin),
            "tag_pin": Action(self._tag_pin),
            "tag_unpin": Action(self._tag_unpin),
            "tag_rollback": Action(self._tag_rollback),
            "warm": Action(self._warm),
            "verify": Action(self._verify, has_image=False),
            "verify_image": Action(self._verify_image),
        }

    def image(self, name: str) -> Image:
        """Return the image that a form names. Raises RegistryError."""
        return self._work.image(name)

    async def _remove(self, image: Image | None) -> Done:
        gone = await self._work.remove(_named(image).full_name)
        return Done("done_remove", {"image": gone["removed"], "bytes": gone["freed_bytes"]})

    async def _pin(self, image: Image | None) -> Done:
        pinned = await self._work.pin(_named(image).full_name)
        return Done("done_pin", {"image": pinned["pinned"]})

    async def _unpin(self, image: Image | None) -> Done:
        unpinned = await self._work.unpin(_named(image).full_name)
        return Done("done_unpin", {"image": unpinned["unpinned"]})

    async def _tag_pin(self, image: Image | None) -> Done:
        return _pinned(await self._tags.pin(_named(image).full_name))

    async def _tag_unpin(self, image: Image | None) -> Done:
        unpinned = await self._tags.unpin(_named(image).full_name)
        return Done("done_tag_unpin", {"image": unpinned["unpinned"]})

    async def _tag_rollback(self, image: Image | None) -> Done:
        return _pinned(await self._tags.rollback(_named(image).full_name))

    async def _warm(self, image: Image | None) -> Done:
        wanted, progress = _named(image), Progress()

        async def warm() -> str:
            await self._warming.run([(wanted, progress)], Wish())
            return progress.why or "" if progress.state is not State.DONE else ""

        self._jobs.begin("warm", wanted.full_name, warm, lambda: (progress.done, progress.total))
        return Done("done_warm", {"image": wanted.full_name})

    async def _verify(self, image: Image | None) -> Done:
        self._read_again("verify", "", None, self._store.index.bytes_stored())
        return Done("done_verify", {})

    async def _verify_image(self, image: Image | None) -> Done:
        what = _named(image).full_name
        contents = await self._work.contents(what)
        self._read_again("verify_image", what, contents, sum(size for _, size in contents))
        return Done("done_verify_image", {"image": what})

    def _read_again(self, kind: str, what: str, contents: Sequence[tuple[Entry, int]] | None, total: int) -> None:
        """Begin to read so many bytes of contents; all that is kept where they are None."""
        read, damaged = 0, list[str]()

        def report(entry: Entry, size: int, sound: bool) -> None:
            nonlocal read
            read += size
            if not sound:
                damaged.append(str(entry))

        async def verify() -> str:
            await verify_gently(self._store, self._clock, _VERIFY_RATE, report, contents)
            return f"damaged, and dropped: {', '.join(damaged[:3])} ({len(damaged)})" if damaged else ""

        self._jobs.begin(kind, what, verify, lambda: (read, max(read, total)))


def _pinned(pinned: Mapping[str, object]) -> Done:
    return Done("done_tag_pin", {"image": pinned["pinned"], "digest": pinned["digest"]})


def _named(image: Image | None) -> Image:
    if image is None:
        raise RegistryError(ErrorCode.NAME_INVALID, "this is done with an image: name one")
    return image
