"""Uploads what is in the outbox, in the background, a few things at a time; goes on after a restart, and after a store
that was away.

One worker of a daemon does. Bytes are checked against their digest on their way (object_store.py), so that what a disk
has spoiled is not what other nodes find; they check it once more.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import lmdb
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..policy.object_keys import RevokedKey, parse_key, parse_revoked
from ..store.blobs import WrongContent
from ..store.entries import Entry
from ..store.filling import Threads
from .errors import NotThere, Stopped, TierFailed, Unreadable
from .outbox import Came, Item, Outbox
from .recently import Recently

if TYPE_CHECKING:
    from .object_store import ObjectStore

__all__ = ["Done", "Uploading"]

# Things that are under way at once, and how many of them may be content, of which each has 24 MiB in memory.
_AT_ONCE, _CONTENTS_AT_ONCE = 8, 2
# Seconds between two looks into the outbox for what other workers have put there.
_LOOK = 1.0
# Seconds until it goes on after an upload failed; twice as long each time, up to the most.
_WAIT, _LONGEST_WAIT = 1.0, 60.0
# So often a thing may fail while others do not.
_MOST_FAILURES = 10
_LARGEST_FACT = 16 * 1024

# Is told of content that the object store has now (True), or will not have by what was waiting (False).
Done = Callable[[Entry, bool], object]


@dataclass(slots=True)
class _Failures:
    """How often a thing has failed, and how much else was uploaded when it did last."""

    number: int = 0
    uploaded: int = -1


class Uploading:
    """Carries what is in ``outbox`` to ``objects``, from `start` to `stop`.

    ``uploaded`` and ``uploaded_bytes`` count what was done, ``failed`` attempts at it that failed. ``observers`` are
    told of each content when it is over.

    Arguments:
        open_content: returns a descriptor of content on disk, None where it is not there; may raise OSError.
        threads: runs what blocks.
        clock: the time.
        found_wrong: is told of content whose bytes on disk are others.
    """

    _log = Logger()

    def __init__(
        self,
        outbox: Outbox,
        objects: ObjectStore,
        open_content: Callable[[Entry], int | None],
        threads: Threads,
        clock: IReactorTime,
        found_wrong: Callable[[Entry], object] = lambda _: None,
    ) -> None:
        self.uploaded = self.uploaded_bytes = self.failed = 0
        self.observers: list[Done] = []
        self._outbox = outbox
        self._objects = objects
        self._open_content = open_content
        self._threads = threads
        self._clock = clock
        self._found_wrong = found_wrong
        self._recently = Recently()
        self._looks = LoopingCall(self.look)
        self._looks.clock = clock
        self._under_way: dict[str, Item] = {}
        self._failures: dict[str, _Failures] = {}
        self._wait = 0.0
        self._not_before = 0.0
        self._stopped: Deferred[None] | None = None

    @property
    def waiting(self) -> tuple[int, int]:
        """How many things are still to be done, and how many bytes of them are to be uploaded."""
        return self._outbox.waiting()

    def start(self) -> None:
        """Begin, with what was left by an earlier run."""
        self._looks.start(_LOOK)

    def stop(self) -> Deferred[None]:
        """Begin with nothing more; fires when nothing is under way. What is not done stays for the next run."""
        if self._looks.running:
            self._looks.stop()
        if not self._under_way:
            return succeed(None)
        if self._stopped is None:
            self._stopped = Deferred()
        return self._stopped

    def look(self) -> None:
        """Begin with what waits, as far as there is room for it; also called by who has put something."""
        if not self._looks.running or self._clock.seconds() < self._not_before or not self._objects.is_up:
            return
        contents = sum(item.entry is not None for item in self._under_way.values())
        items = self._outbox.take(_AT_ONCE - len(self._under_way), self._under_way, _CONTENTS_AT_ONCE - contents)
        for item in items:
            self._under_way[item.key] = item
        for item in items:
            Deferred.fromCoroutine(self._carry(item)).addErrback(self._stumbled)

    async def _carry(self, item: Item) -> None:
        """Do one thing; leave it where it is if that cannot be done now."""
        try:
            await self._try(item)
        except Stopped:
            pass
        except TierFailed as error:
            await self._failed(item, error)
        finally:
            del self._under_way[item.key]
            stopped = self._stopped
            if stopped is not None and not self._under_way:
                self._stopped = None
                stopped.callback(None)
        self.look()

    async def _try(self, item: Item) -> None:
        came = await (self._tell(item) if item.entry is None else self._upload(item, item.entry))
        self._failures.pop(item.key, None)
        self._wait = 0.0
        self.uploaded += came is not Came.GIVEN_UP
        await self._over(item, came)

    async def _over(self, item: Item, came: Came) -> None:
        await self._threads(self._outbox.done, item, came)
        if item.entry is not None:
            for observe in self.observers:
                observe(item.entry, came is not Came.GIVEN_UP)

    async def _upload(self, item: Item, entry: Entry) -> Came:
        """See to it that some content is there."""
        there = await self._objects.head(item.key)
        if there is not None and there.size == item.size:
            return Came.THERE_BEFORE
        if not self._looks.running:
            # What is on disk is looked up where somebody may have stopped, too.
            raise Stopped
        fd = self._opened(entry)
        if fd is None:
            return Came.GIVEN_UP
        try:
            # Not to be cancelled: a thread reads from the descriptor.
            await self._objects.put_file(item.key, fd, entry.digest, lambda: self._looks.running)
        except (WrongContent, Unreadable) as error:
            self._log.warn("{entry} is not uploaded: {error}", entry=entry, error=error)
            self.failed += 1
            self._found_wrong(entry)
            return Came.GIVEN_UP
        finally:
            os.close(fd)
        self.uploaded_bytes += item.size
        return Came.UPLOADED

    def _opened(self, entry: Entry) -> int | None:
        try:
            return self._open_content(entry)
        except OSError as error:
            # Too many files are open, perhaps: it waits for better times, as it does for the store.
            raise TierFailed(f"{entry} cannot be opened: {error}") from None

    async def _tell(self, item: Item) -> Came:
        """Write a small object, or remove it."""
        if item.content is None:
            await self._objects.delete([item.key])
            self._recently.told(item.key, None)
        elif isinstance(parse_key(item.key), RevokedKey):
            await self._revoke(item.key, item.content)
            self._recently.forget()
        elif self._recently.is_news(item.key, item.content):
            await self._objects.put(item.key, item.content)
            self._recently.told(item.key, item.content)
        else:
            return Came.THERE_BEFORE
        return Came.UPLOADED

    async def _revoke(self, key: str, content: bytes) -> None:
        """Write a refusal, unless another node knows of a later one."""
        try:
            there = parse_revoked(await self._objects.read(key, _LARGEST_FACT))
        except NotThere:
            there = None
        ours = parse_revoked(content)
        if there is None or ours is None or there.at < ours.at:
            await self._objects.put(key, content)

    async def _failed(self, item: Item, error: TierFailed) -> None:
        """Wait a while, then begin with something else; give up what fails again and again while others do not."""
        self.failed += 1
        now = self._clock.seconds()
        if now >= self._not_before:
            # What was under way beside it, and failed as well, is no reason to wait longer.
            self._wait = min(2 * self._wait or _WAIT, _LONGEST_WAIT)
            self._not_before = now + self._wait
        failures = self._failures.setdefault(item.key, _Failures())
        failures.number += failures.uploaded != self.uploaded
        failures.uploaded = self.uploaded
        if failures.number < _MOST_FAILURES:
            await self._threads(self._outbox.put_back, item, str(error))
            return
        del self._failures[item.key]
        self._log.warn("{key} is not uploaded, it failed too often: {error}", key=item.key, error=error)
        await self._over(item, Came.GIVEN_UP)

    def _stumbled(self, failure: Failure) -> None:
        if failure.check(lmdb.Error):
            # It is done once more.
            self._log.warn("the outbox cannot be written: {error}", error=failure.value)
        else:
            self._log.failure("something could not be uploaded", failure)
        self._not_before = self._clock.seconds() + _LONGEST_WAIT
