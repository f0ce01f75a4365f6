"""Metrics and health of this daemon: who knows what, put together, and where monitoring may ask for it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

from twisted.application.service import MultiService
from twisted.web.resource import IResource

from ..metrics import Disk, Lag, Readings, Stalls, Stock, make_health
from ..metrics.exposition import Exposition
from ..policy.findings import Finding
from ..web.branch import Branch
from ..web.site import PlainSite
from .core import Core
from .graceful_shutdown import Listeners
from .listening import Listener

__all__ = ["Monitoring"]


class Monitoring:
    """What can be asked about a daemon.

    Arguments:
        core: what answers.
        listeners: the listeners.
    """

    def __init__(self, core: Core, listeners: Listeners) -> None:
        self._core = core
        self._listeners = listeners
        core.meters.registry.register(Readings(self._stock()))
        in_common = core.commons.readings(lambda: core.meters.upstreams.bytes_received)
        if in_common is not None:
            core.meters.registry.register(in_common)

    def start_with(self, daemon: MultiService) -> None:
        """Let its services be those of ``daemon``."""
        core = self._core
        core.gathering.setServiceParent(daemon)
        Lag(core.meters.lag, core.reactor).setServiceParent(daemon)
        Stalls(core.meters.turn, core.reactor).setServiceParent(daemon)

    def resources(self) -> Mapping[str, IResource]:
        """Return what answers, by its name below a site's root."""
        return {"metrics": Exposition(self._core.gathering), **make_health(self._ready)}

    def site(self) -> PlainSite:
        """Return the site of monitoring."""
        root = Branch()
        for name, resource in self.resources().items():
            root.putChild(name.encode(), resource)
        return PlainSite.make(root, "metrics", self._core.reactor, self._core.observe)

    def _stock(self) -> Stock:
        core = self._core
        return Stock(
            core.cache.store,
            core.cache.flights,
            core.fills,
            core.accounts,
            core.quotas,
            core.login_service.login,
            core.ends,
            lambda: _disk(self._directory),
            lambda: core.meters.upstreams.bytes_received,
            lambda: core.meters.upstreams.up,
            lambda: core.meters.upstreams.endpoints_up,
            core.meters.registries,
            lambda: self._listeners.connections,
        )

    @property
    def _directory(self) -> Path:
        return Path(self._core.configuration().data_dir) / "cache"

    def _ready(self) -> Iterator[Finding]:
        if not self._listeners.running:
            yield Finding("daemon", "it is stopping")
        for listener in self._listeners:
            if isinstance(listener, Listener):
                yield listener.finding()
        yield Finding("data directory", _trouble_with(self._directory), bears_it=True)
        yield self._index()

    def _index(self) -> Finding:
        index = self._core.cache.store.index
        try:
            index.check()
        except sqlite3.Error as error:
            return Finding("index", f"it cannot be read: {error}")
        trouble = "" if index.lasts else "it does not open: nothing is remembered beyond this run"
        return Finding("index", trouble, bears_it=True)


def _disk(directory: Path) -> Disk | None:
    try:
        found = os.statvfs(directory)
    except OSError:
        return None
    return Disk(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)


def _trouble_with(directory: Path) -> str:
    """Return why nothing can be kept there; images are passed on all the same."""
    if not os.access(directory, os.W_OK | os.X_OK):
        return "it cannot be written: nothing is kept"
    disk = _disk(directory)
    return "the disk is full: nothing is kept" if disk is not None and not disk.free else ""
