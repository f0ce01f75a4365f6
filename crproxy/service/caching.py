"""The cache as a service: open while it runs, with threads for the disk."""

from __future__ import annotations

import functools
from collections.abc import Generator
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from ..config import Config
from ..flights import Flights, Hangar
from ..store.blobs import Blobs as StoredBlobs
from ..store.census import Census
from ..store.index import Index
from ..store.janitor import Janitor
from ..store.store import Store

__all__ = ["CacheService"]


class CacheService(Service):
    """The cache, open while the service runs.

    ``store`` is what is kept, ``flights`` what is on its way there; ``census`` looks at it, in ``threads``.
    """

    _log = Logger()

    def __init__(self, config: Config, reactor: Any) -> None:
        # Disks gain nothing from more at once; the reactor's own pool is left to name look-ups.
        self._pool = ThreadPool(minthreads=1, maxthreads=8, name="crproxy-disk")
        threads = self.threads = functools.partial(deferToThreadPool, reactor, self._pool)
        files = StoredBlobs(Path(config.data_dir) / "cache")
        try:
            files.prepare()
        except OSError as error:
            self._log.error("nothing will be kept, all is passed on: {error}", error=error)
        path = Path(config.data_dir) / "index.sqlite"
        index = Index(path, reactor.seconds)
        self.census = Census(path, files)
        self.store = Store(files, index, config.cache.size, threads)
        self.flights = Flights(Hangar(files, threads, reactor, self.store.make_room, self.store.stored))
        self.store.promised = self.flights.promised
        self._janitor = Janitor(self.store, threads, reactor)

    def startService(self) -> None:
        """Begin to work on disk."""
        super().startService()
        self._pool.start()
        self._janitor.start()

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """Stop what is being fetched, and close."""
        super().stopService()
        yield self.flights.stop()
        self._janitor.stop()
        self._pool.stop()
        self.store.index.close()
