"""A cache in a directory of the test's own: real files and a real index, blocking work done where it is called."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime

from crproxy.config import Config
from crproxy.flights import Dependencies, Flights
from crproxy.flights.tiers import Elsewhere
from crproxy.limits import Fills
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry, Repository, Tag
from crproxy.policy.freshness import Lifetimes
from crproxy.pullthrough import PullThrough
from crproxy.pullthrough.ages import Ages, OtherNodes
from crproxy.pullthrough.artifacts import Artifacts
from crproxy.pullthrough.blobs import Blobs
from crproxy.pullthrough.invalidation import Invalidation
from crproxy.pullthrough.lists import Lists
from crproxy.pullthrough.manifests import Manifests
from crproxy.pullthrough.patience import Patience
from crproxy.pullthrough.permissions import Permissions, Rules
from crproxy.pullthrough.recall import Recall
from crproxy.pullthrough.redirecting import Redirecting, Signer
from crproxy.pullthrough.references import KeptReferences
from crproxy.pullthrough.ruled_manifests import Counted, RuledManifests
from crproxy.pullthrough.signatures import Signatures
from crproxy.pullthrough.verdicts import MemoryVerdicts
from crproxy.sharing import Sharing
from crproxy.store.blobs import Blobs as StoredBlobs
from crproxy.store.entries import Entry
from crproxy.store.filling import Threads
from crproxy.store.index import Index
from crproxy.store.store import Store
from crproxy.store.tag_history import TagHistory
from crproxy.store.tag_pins import TagPins

__all__ = [
    "MIB",
    "HandRules",
    "close_indexes",
    "filled",
    "make_dependencies",
    "make_index",
    "make_store",
    "pull_through",
    "threads",
]

MIB = 1024 * 1024


@dataclass
class HandRules:
    """Rules that a test changes as it goes: an open proxy without any credentials, to begin with."""

    credentials: dict[Registry, str] = field(default_factory=dict)
    closed: set[Repository] = field(default_factory=set)
    apart: set[Registry] = field(default_factory=set)

    def credential(self, registry: Registry) -> str:
        return self.credentials.get(registry, "")

    def is_open(self, repository: Repository) -> bool:
        return repository not in self.closed and not self.credential(repository.registry)

    def may_share(self, registry: Registry) -> bool:
        return registry not in self.apart


OPEN = HandRules()


def threads(work: Callable[..., Any], *args: Any) -> Deferred[Any]:
    """Does what blocks at once."""
    return maybeDeferred(work, *args)


# Those of the test that runs: SQLite's connections do not end by being forgotten.
_indexes: list[Index] = []


def make_index(path: Path, now: Callable[[], float], *args: Any, **options: Any) -> Index:
    """An index that is closed when the test ends."""
    index = Index(path, now, *args, **options)
    _indexes.append(index)
    return index


def close_indexes() -> None:
    while _indexes:
        _indexes.pop().close()


def make_store(
    path: Path,
    clock: IReactorTime,
    budget: int = 1024 * MIB,
    sharing: Sharing | None = None,
    indexing: Threads = threads,
    writing: Threads = threads,
) -> Store:
    """A store whose index is closed when the test ends; ``indexing`` writes that, and ``writing`` the contents."""
    blobs = StoredBlobs(path / "cache")
    blobs.prepare()
    index = make_index(path / "index.sqlite", clock.seconds, indexing, sharing=sharing)
    return Store(blobs, index, budget, writing, sharing=sharing)


def make_dependencies(store: Store, clock: IReactorTime, elsewhere: Elsewhere | None = None) -> Dependencies:
    elsewhere = elsewhere or Elsewhere()
    return Dependencies(store.blobs, threads, clock, store, store.stored, elsewhere=elsewhere)


def pull_through(
    client: Any,
    store: Store,
    clock: IReactorTime,
    rules: Rules = OPEN,
    fills: Fills | None = None,
    settled: Callable[[], Deferred[None]] = lambda: succeed(None),
    commons: Any = None,
    signer: Signer | None = None,
    history: TagHistory | None = None,
    others: OtherNodes | None = None,
) -> PullThrough:
    """What answers requests.

    Arguments:
        history: of the tags; one of its own by default.
        others: know more of that.
        commons: what all nodes have kept (Facts and ObjectStore); None where there is one node.
        signer: sends clients to the object store.
    """
    fills = Fills(Config) if fills is None else fills
    permissions = Permissions(store, lambda: rules, Lifetimes(), clock.seconds)
    patience = Patience(Lifetimes().patience, clock)
    references = KeptReferences(store, permissions)
    history = history or TagHistory(store.index, clock.seconds)
    recall = None if commons is None else Recall(commons, store, Lifetimes(), clock, clock.seconds, history)
    redirecting = Redirecting(client, permissions, clock.seconds, signer)
    flights = Flights(make_dependencies(store, clock, Elsewhere(store=commons)))
    manifests = Manifests(client, store, permissions, Lifetimes(), patience, clock, history=history)
    blobs = Blobs(
        client,
        store,
        permissions,
        flights,
        fills,
        patience,
        clock,
        objects=commons,
        recall=recall,
        redirecting=redirecting,
    )
    lists = Lists(client, store, permissions, Lifetimes(), patience, clock.seconds)
    return PullThrough(
        ruled(client, store, manifests, Artifacts(manifests, blobs, lists), clock, history=history, others=others),
        blobs,
        lists,
        permissions,
        Invalidation(store.index, references, Lifetimes(), clock.seconds),
        settled,
        recall,
    )


def ruled(
    client: Any,
    store: Store,
    manifests: Manifests,
    artifacts: Artifacts,
    clock: IReactorTime,
    counted: Counted = lambda rule, outcome: None,
    denied: Callable[[], Collection[Digest]] = tuple,
    history: TagHistory | None = None,
    others: OtherNodes | None = None,
) -> RuledManifests:
    """Manifests by the rules, with pins that are in the index."""
    pins = TagPins(store.index, clock.seconds)

    def pin_of(repository: Repository, tag: Tag) -> Digest | None:
        pin = pins.of(repository, tag)
        return None if pin is None else pin.digest

    return RuledManifests(
        manifests,
        Ages(client, history or TagHistory(store.index, clock.seconds), artifacts, clock.seconds, others),
        store.index,
        Lifetimes(),
        pin_of,
        denied,
        Signatures(artifacts, threads, MemoryVerdicts(), Lifetimes(), clock.seconds),
        counted,
        clock.seconds,
    )


def filled(blobs: StoredBlobs, entry: Entry, content: bytes, origin: Registry | None = None) -> None:
    """Leave `content` as a partial file that nobody fills any more."""
    partial = blobs.begin(entry, origin)
    assert partial is not None
    partial.append([content])
    partial.close()
