"""A cache in a directory of the test's own: real files and a real index, blocking work done where it is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime

from crproxy.config import Config
from crproxy.flights import Flights, Hangar
from crproxy.limits import Fills
from crproxy.oci.names import Registry
from crproxy.policy.freshness import Lifetimes
from crproxy.pullthrough import PullThrough
from crproxy.pullthrough.blobs import Blobs
from crproxy.pullthrough.manifests import Manifests
from crproxy.store.blobs import Blobs as StoredBlobs
from crproxy.store.entries import Entry
from crproxy.store.index import Index
from crproxy.store.store import Store

__all__ = ["MIB", "filled", "make_hangar", "make_store", "pull_through", "threads"]

MIB = 1024 * 1024


def threads(work: Callable[..., Any], *args: Any) -> Deferred[Any]:
    """Does what blocks at once."""
    return maybeDeferred(work, *args)


def make_store(path: Path, clock: IReactorTime, budget: int = 1024 * MIB) -> Store:
    blobs = StoredBlobs(path / "cache")
    blobs.prepare()
    return Store(blobs, Index(path / "index.sqlite", clock.seconds), budget, threads)


def make_hangar(store: Store, clock: IReactorTime) -> Hangar:
    return Hangar(store.blobs, threads, clock, store.make_room, store.stored)


def pull_through(
    client: Any,
    store: Store,
    clock: IReactorTime,
    is_private: Callable[[Registry], bool] = lambda _: False,
    fills: Fills | None = None,
) -> PullThrough:
    fills = Fills(Config) if fills is None else fills
    return PullThrough(
        Manifests(client, store, Lifetimes(), clock),
        Blobs(client, store, Flights(make_hangar(store, clock)), fills, clock),
        client,
        is_private,
    )


def filled(blobs: StoredBlobs, entry: Entry, content: bytes) -> None:
    """Leave `content` as a partial file that nobody fills any more."""
    partial = blobs.begin(entry)
    assert partial is not None
    partial.append([content])
    partial.close()
