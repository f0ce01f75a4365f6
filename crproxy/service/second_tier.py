"""The object store as a service: what is kept here goes there in the background, and it is kept within its size."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from ..config import Config, ConfigError, Storage
from ..sharing import Sharing
from ..store.entries import Entry
from ..store.filling import Threads
from ..store.notes import Notes
from .ordered_services import OrderedServices

if TYPE_CHECKING:
    from ..objects.janitor import LastUsed, TierJanitor
    from ..objects.outbox import Outbox
    from ..objects.pushing import Pushing
    from ..objects.tier import ObjectTier
    from ..objects.uploading import Uploading
    from .caching import CacheService

__all__ = ["ObjectThreads", "SecondTierService"]

# What may be under way at once.
_THREADS = 24
# Is told when all nodes can have some content from the object store, or will not be able to.
_OVER = "upload over"


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

    def __init__(
        self, config: Config, storage: Storage, reactor: Any, now: Callable[[], float], sharing: Sharing
    ) -> None:
        try:
            from ..objects.object_store import ObjectStore
            from ..objects.opening import open_stores
            from ..objects.outbox import Outbox
            from ..objects.tier import ObjectTier
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
        self.tier: ObjectTier = ObjectTier(self._objects)
        self.uploading: Uploading | None = None
        self.on_over: list[Callable[[Entry], object]] = []
        sharing.on(_OVER, self._over)

    def attach(
        self, cache: CacheService, may_tidy: Callable[[], Awaitable[bool]], last_used: LastUsed | None = None
    ) -> None:
        """Have what ``cache`` keeps go there.

        Arguments:
            may_tidy: tells whether this node is the one that keeps the store within its size.
            last_used: says when contents were used on any node.
        """
        from ..objects.facts import drafts
        from ..objects.janitor import TierJanitor
        from ..objects.uploading import Uploading

        store = cache.store

        def note(notes: Notes) -> None:
            self._outbox.put(drafts(notes))

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
            more = {} if last_used is None else {"last_used": last_used}
            self._janitor = TierJanitor(
                self._objects, self._storage.size, self._reactor, self._now, may_work=may_tidy, **more
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
            "up": self.tier.is_up,
            "waiting": waiting,
            "waiting_bytes": waiting_bytes,
        }

    def pushing(self, cache: CacheService) -> Pushing:
        """Return what uploads all that is in ``cache``."""
        from ..objects.pushing import Pushing

        return Pushing(self._outbox, cache.index_path, cache.threads, self._reactor)

    def startService(self) -> None:
        """Begin to upload."""
        super().startService()
        for each in (self.uploading, self._janitor):
            if each is not None:
                each.start()

    def stopService(self) -> Deferred[None]:
        """Upload nothing more; fires when nothing is under way."""
        super().stopService()
        if self._janitor is not None:
            self._janitor.stop()
        return succeed(None) if self.uploading is None else self.uploading.stop()

    def _tell(self, entry: Entry) -> None:
        self._over(entry)
        self._sharing.tell(_OVER, entry)

    def _over(self, entry: Entry) -> None:
        for tell in self.on_over:
            tell(entry)
