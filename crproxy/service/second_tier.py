"""The object store as a service: what is kept here goes there in the background, and it is kept within its size."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from ..config import Config, ConfigError, Storage
from ..metrics import StorageNumbers
from ..sharing import Sharing
from ..store.entries import Entry
from ..store.filling import Threads
from ..store.last_used import last_used
from ..store.notes import Notes
from ..store.store import Store
from ..web import page
from .ordered_services import OrderedServices

if TYPE_CHECKING:
    from ..objects.janitor import MayWork, TierJanitor
    from ..objects.outbox import Outbox
    from ..objects.pushing import Pushing
    from ..objects.tier import ObjectTier
    from ..objects.uploading import Uploading
    from ..objects.use_marks import UseMarks
    from ..objects.uses import CommonUses, Uses
    from .caching import CacheService

__all__ = ["ObjectThreads", "SecondTierService"]

# What may be under way at once.
_THREADS = 24
# Is told when all nodes can have some content from the object store, or will not be able to.
_OVER = "upload over"
# Seconds between two looks at whether one that did not answer has to be asked again.
_LOOK = 5.0
# Tells who tidies the store what a worker has seen used of it.
_USED = "objects used"


class ObjectThreads(Service):
    """The threads that wait for the object store, in ``pool``: those of the disk are left to the disk.

    What reads from the store stops before they do.
    """

    def __init__(self) -> None:
        self.pool = ThreadPool(minthreads=0, maxthreads=_THREADS, name="crproxy-objects")

    def startService(self) -> None:
        """Begin (IService)."""
        super().startService()
        self.pool.start()

    def stopService(self) -> None:
        """End (IService)."""
        super().stopService()
        self.pool.stop()


class SecondTierService(Service):
    """What a worker has to do with the object store. ``tier`` is asked; ``uploading`` is the leading worker's.

    It is started with the cache, see `beside`.

    Arguments:
        config: where it is.
        reactor: the time.
        now: seconds since the epoch.
        sharing: tells the other workers what was uploaded.

    Raises:
        ConfigError: what it takes is not installed, or not there.
    """

    _log = Logger()

    def __init__(
        self, config: Config, storage: Storage, reactor: Any, now: Callable[[], float], sharing: Sharing
    ) -> None:
        try:
            from ..objects.object_store import ObjectStore
            from ..objects.opening import open_stores
            from ..objects.outbox import Outbox
            from ..objects.tier import ObjectTier
            from ..objects.use_marks import UseMarks
        except ImportError as error:
            what = f"[storage] takes what is not installed here ({error.name}): pip install 'crproxy[fleet]'"
            raise ConfigError(what) from None
        self.threads = ObjectThreads()
        threads: Threads = functools.partial(deferToThreadPool, reactor, self.threads.pool)
        self._objects = ObjectStore(open_stores(storage), threads, reactor)
        self._storage = storage
        self._threads = threads
        self._reactor = reactor
        self._now = now
        self._sharing = sharing
        self._outbox: Outbox = Outbox(Path(config.data_dir) / "outbox")
        self._janitor: TierJanitor | None = None
        self._uses: Uses | None = None
        # Where nobody tidies, nobody asks what was used.
        self._marks: UseMarks | None = None
        if storage.size is not None:
            self._marks = UseMarks(lambda used: sharing.ask_leader(_USED, used), reactor)
        self.tier: ObjectTier = ObjectTier(self._objects, lambda entry: self._used([entry]))
        self.uploading: Uploading | None = None
        self.on_over: list[Callable[[Entry], object]] = []
        self._looks = LoopingCall(self._look)
        self._looks.clock = reactor
        self._looking: Deferred[Any] | None = None
        sharing.on(_OVER, self._over)

    def attach(self, cache: CacheService, may_tidy: MayWork | None = None, common: CommonUses | None = None) -> None:
        """Have what ``cache`` keeps go there.

        Arguments:
            may_tidy: tells whether this node is the one that keeps the store within its size; None: it is.
            common: what nodes tell each other of what they use; None where there are no others.
        """
        from ..objects.facts import drafts, used_in
        from ..objects.uploading import Uploading

        store = cache.store

        def note(notes: Notes) -> None:
            self._outbox.put(drafts(notes))
            if self._marks is not None:
                self._reactor.callFromThread(self._used_of, *used_in(notes))

        def opened(entry: Entry) -> int | None:
            return None if store.is_unread(entry) else store.blobs.open(entry)

        def found_wrong(entry: Entry) -> None:
            Deferred.fromCoroutine(store.read_first(entry))

        store.index.observers.append(note)
        if not self._sharing.leads:
            return
        self.uploading = Uploading(self._outbox, self._objects, opened, self._threads, self._reactor, found_wrong)
        self.uploading.observers.append(lambda entry, _: self._tell(entry))
        if self._storage.size is not None:
            self._tidy(self._storage.size, store, may_tidy, common)

    def _tidy(self, size: int, store: Store, may_tidy: MayWork | None, common: CommonUses | None) -> None:
        """Have the object store kept within ``size`` bytes."""
        from ..objects.facts import again
        from ..objects.janitor import TierJanitor
        from ..objects.uses import Uses

        async def own(entries: Sequence[Entry]) -> Mapping[Entry, float]:
            return await last_used(store.index, entries, self._reactor)

        def missing(entries: Sequence[Entry]) -> None:
            # Other nodes were asked first: the index may have been closed meanwhile.
            if not self.running:
                return
            wanted = again(entries, store.index.kept)
            putting = self._threads(self._outbox.put, [one for one in wanted if not self._outbox.has(one.key)])
            putting.addErrback(
                lambda failure: self._log.failure("what was used could not be sent to the object store again", failure)
            )

        uses = self._uses = Uses(own, common, missing, self._reactor, self._now)
        self._sharing.on(_USED, lambda used: Deferred.fromCoroutine(uses.told(used)))
        more = {} if may_tidy is None else {"may_work": may_tidy}
        self._janitor = TierJanitor(
            self._objects, size, self._reactor, self._now, uses.last_used, forget=uses.forget, **more
        )

    def beside(self, cache: Service) -> OrderedServices:
        """Return the cache, this and the threads of both as one service.

        What a thread that has ended was to do is never done: whoever waits for that would wait for good.
        """
        whole, both = OrderedServices(), MultiService()
        for service, parent in ((self.threads, whole), (both, whole), (cache, both), (self, both)):
            service.setServiceParent(parent)
        return whole

    async def describe(self) -> dict[str, Any]:
        """Return what the operator is shown of it."""
        waiting, waiting_bytes = await self._threads(self._outbox.waiting)
        return {
            "url": self._storage.url,
            "up": self._objects.has_answered,
            "waiting": waiting,
            "waiting_bytes": waiting_bytes,
        }

    def state(self) -> page.Storage:
        """Return what the page shows of it."""
        return page.Storage(self._objects.has_answered, *self._outbox.waiting())

    def numbers(self, redirects: int) -> StorageNumbers:
        """Return what monitoring is told of this worker's part in it.

        Arguments:
            redirects: URLs that clients were given.
        """
        waiting, waiting_bytes = self._outbox.waiting()
        uploading, janitor = self.uploading, self._janitor
        return StorageNumbers(
            is_up=self._objects.has_answered,
            failures=self._objects.failures,
            answers=self.tier.answers,
            bytes=self.tier.bytes_received,
            waiting=waiting,
            waiting_bytes=waiting_bytes,
            uploaded=0 if uploading is None else uploading.uploaded,
            uploaded_bytes=0 if uploading is None else uploading.uploaded_bytes,
            upload_failures=0 if uploading is None else uploading.failed,
            lost=self._outbox.lost,
            size=None if janitor is None else janitor.taken,
            budget=self._storage.size,
            evicted=0 if janitor is None else janitor.evicted,
            evicted_bytes=0 if janitor is None else janitor.evicted_bytes,
            redirects=redirects,
        )

    def pushing(self, cache: CacheService) -> Pushing:
        """Return what uploads all that is in ``cache``."""
        from ..objects.pushing import Pushing

        return Pushing(self._outbox, cache.index_path, cache.threads, self._reactor, self._objects)

    def startService(self) -> None:
        """Begin to upload."""
        super().startService()
        self._looks.start(_LOOK, now=False)
        for each in (self.uploading, self._uses, self._janitor):
            if each is not None:
                each.start()

    def stopService(self) -> Deferred[None]:
        """Upload nothing more; fires when nothing is under way."""
        super().stopService()
        if self._looks.running:
            self._looks.stop()
        if self._looking is not None:
            self._looking.cancel()
        for each in (self._janitor, self._uses, self._marks):
            if each is not None:
                each.stop()
        return succeed(None) if self.uploading is None else self.uploading.stop()

    def _look(self) -> None:
        """Find out whether it is back, which nobody may have asked for: it is told of, and told to monitoring."""
        if self._looking is None and not self._objects.has_answered and self._objects.is_up:
            self._looking = looking = Deferred.fromCoroutine(self._objects.is_there())
            looking.addErrback(self._stumbled).addBoth(lambda _: self._looked())

    def _looked(self) -> None:
        self._looking = None

    def _stumbled(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("the object store could not be looked at", failure)

    def _used(self, entries: Collection[Entry], *, on_disk: bool = False) -> None:
        if self._marks is not None:
            self._marks.mark(entries, on_disk=on_disk)

    def _used_of(self, stored: Collection[Entry], hits: Collection[Entry]) -> None:
        # What has come just now is on its way to the store as it is.
        self._used(stored)
        self._used(hits, on_disk=True)

    def _tell(self, entry: Entry) -> None:
        self._over(entry)
        self._sharing.tell(_OVER, entry)

    def _over(self, entry: Entry) -> None:
        for tell in self.on_over:
            tell(entry)
