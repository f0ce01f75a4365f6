"""The cache as a service: open while it runs, with threads for the disk."""

from __future__ import annotations

import contextlib
import functools
import stat
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from ..config import Config
from ..flights import Dependencies, Flights
from ..flights.tiers import Elsewhere
from ..peers import Asking, OtherWorkers
from ..sharing import REPLACED, Alone, Sharing
from ..store.activity import Activity
from ..store.index import Index
from ..store.inventory import Inventory
from ..store.janitor import Janitor
from ..store.opening import row_limit
from ..store.pinning import Pins
from ..store.scrubbing import Scrub
from ..store.settling import Settling
from ..store.store import Store
from .data_directory import files_of, prepare_data_directory
from .rules import RulesState

__all__ = ["CacheService"]


class CacheService(Service):
    """The cache, open while the service runs.

    ``store`` is what is kept, ``flights`` what is on its way there; ``inventory`` looks at it, in ``threads``;
    ``settled`` waits until other workers see it; ``index_path`` is where the index's file is. ``rules`` has what rules
    are applied with, ``pins`` the images that stay.
    """

    _log = Logger()

    def __init__(
        self,
        config: Config,
        reactor: Any,
        *,
        now: Callable[[], float] | None = None,
        sharing: Sharing | None = None,
        elsewhere: Elsewhere | None = None,
        current: Callable[[], Config] | None = None,
    ) -> None:
        sharing = sharing or Alone()
        # Disks gain nothing from more at once; the reactor's own pool is left to name look-ups.
        self._pool = ThreadPool(minthreads=1, maxthreads=8, name="crproxy-disk")
        # One batch of notes after the other, and none waits for a large file.
        self._index_pool = ThreadPool(minthreads=0, maxthreads=1, name="crproxy-index")
        threads = self.threads = functools.partial(deferToThreadPool, reactor, self._pool)
        try:
            files = prepare_data_directory(config)
        except OSError as error:
            files = files_of(config)
            self._log.error("nothing will be kept, all is passed on: {error}", error=error)
        path = self.index_path = Path(config.data_dir) / "index.sqlite"
        _warn_of_readers(path.parent)
        budget = config.cache.size
        index = Index(
            path,
            now or reactor.seconds,
            functools.partial(deferToThreadPool, reactor, self._index_pool),
            lambda: row_limit(budget),
            sharing,
        )
        self.inventory = Inventory(path, files)
        self.rules = RulesState(current or (lambda: config), index, reactor, now or reactor.seconds)
        self.pins = Pins(index, self.inventory, threads, self.rules.pinned)
        self._activity = Activity(sharing, reactor)
        self.store = Store(files, index, budget, threads, files.block_size(), sharing, self._activity)
        self.settled = Settling(index.settled, reactor)
        needs = Dependencies(
            files,
            threads,
            reactor,
            self.store,
            self.store.stored,
            sharing=sharing,
            settled=self.settled,
            activity=self._activity,
            elsewhere=elsewhere or Elsewhere(),
        )
        if sharing.directory is not None:
            asking = Asking(sharing.directory, config.timeouts, reactor)
            needs = replace(needs, peers=OtherWorkers(sharing, asking))
        self.flights = Flights(needs)
        self._scrub: Scrub | None = None
        if sharing.leads and config.cache.verify_every is not None:
            every = config.cache.verify_every
            self._scrub = Scrub(self.store, every, self._activity, reactor, now=now or reactor.seconds)
        self._janitor = Janitor(
            self.store,
            threads,
            reactor,
            now=now,
            leads=sharing.leads,
            on_found=self._look_at_what_was_found,
            pin_again=self.pins.look,
        )
        sharing.on(REPLACED, lambda _: self._janitor.look_for_files())

    def startService(self) -> None:
        """Begin to work on disk."""
        super().startService()
        self._pool.start()
        self._index_pool.start()
        self._janitor.start()
        self.rules.denied.startService()
        if self._scrub is not None:
            self._scrub.start()

    def _look_at_what_was_found(self) -> None:
        if self._scrub is not None:
            self._scrub.look()

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """Stop what is being fetched, write what is known, and close."""
        super().stopService()
        yield self.flights.stop()
        self._janitor.stop()
        self.rules.denied.stopService()
        if self._scrub is not None:
            self._scrub.stop()
        self._activity.stop()
        self._pool.stop()
        yield self.store.index.flush()
        self._index_pool.stop()
        self.store.index.close()


def _warn_of_readers(directory: Path) -> None:
    """Say so where others may look into a directory that was there before: it is not ours to change then."""
    with contextlib.suppress(OSError):
        mode = directory.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            CacheService._log.warn(
                "other users of this machine may look into {directory}: chmod 700 {directory}", directory=str(directory)
            )
