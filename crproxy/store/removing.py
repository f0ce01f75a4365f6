"""What is taken out of the cache when its operator says so, and what can go because nothing needs it.

What is to go is decided first, and returned; then it goes, in small steps. Who is reading something reads on: a file
that is removed stays until it is closed. What is being fetched is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ..oci.digests import Digest
from ..oci.names import Reference
from ..policy.eviction import to_drop
from .blobs import PartialKey
from .entries import Entry, View
from .filling import Threads
from .inventory import RepositoryContents
from .janitor import LINK_AGE, PARTIAL_AGE
from .store import Store
from .tidying import orphans as orphans_of

__all__ = ["Freed", "Removal", "Sweepings", "pinned_among", "plan_removal", "remove", "sweep", "sweepings"]

# What is removed between two chances for others to run.
_STEP = 50
# Rows looked at, at the most, for what is to go.
_MOST = 1_000_000

Contents = list[tuple[Entry, int]]
Partials = list[tuple[PartialKey, int]]


@dataclass(frozen=True, slots=True)
class Removal:
    """What one repository loses: tags and lists by name, and rights to contents."""

    view: View
    tags: frozenset[str]
    digests: frozenset[Digest]
    lists: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Freed:
    """What went from the disk."""

    contents: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Sweepings:
    """What can go, each with its bytes.

    Arguments:
        evicted: used the longest ago, where the cache is over its size.
        orphans: contents that no repository has a right to, and that nobody asked for in a week.
        partials: partial files that nobody has filled for a day.
    """

    evicted: Contents
    orphans: Contents
    partials: Partials

    @property
    def bytes(self) -> int:
        """Bytes of all of it."""
        whole = sum(size for contents in (self.evicted, self.orphans) for _, size in contents)
        return whole + sum(size for _, size in self.partials)


def plan_removal(views: Iterable[RepositoryContents], reference: Reference | None) -> list[Removal]:
    """Return what goes with an image, or with a whole repository (None); nothing where it is not here.

    What other images of the repository need stays with it.
    """
    planned = (_all_of(contents) if reference is None else _one_of(contents, reference) for contents in views)
    return [removal for removal in planned if removal.tags or removal.digests]


def pinned_among(views: Iterable[RepositoryContents], removals: Iterable[Removal]) -> frozenset[str]:
    """Return the tags and digests that are pinned, and that would go."""
    by_view = {removal.view: removal for removal in removals}
    return frozenset(
        reference
        for contents in views
        for removal in [by_view.get(contents.view)]
        if removal is not None
        for reference in contents.pins
        if reference in removal.tags
        or contents.tags.get(reference) in removal.digests
        or reference in {str(digest) for digest in removal.digests}
    )


def _all_of(contents: RepositoryContents) -> Removal:
    return Removal(contents.view, frozenset(contents.tags), frozenset(contents.links), frozenset(contents.lists))


def _one_of(contents: RepositoryContents, reference: Reference) -> Removal:
    if isinstance(reference, Digest):
        tags = {name for name, digest in contents.tags.items() if digest == reference}
        return _without(contents, reference, tags, barred=frozenset({reference}))
    digest = contents.tags.get(reference.name)
    if digest is None:
        return Removal(contents.view, frozenset(), frozenset())
    return _without(contents, digest, {reference.name}, barred=frozenset())


def _without(contents: RepositoryContents, digest: Digest, tags: set[str], barred: frozenset[Digest]) -> Removal:
    lost = contents.reach([digest]) & contents.links.keys()
    tagged = [found for name, found in contents.tags.items() if name not in tags]
    others = [found for found, is_manifest in contents.links.items() if is_manifest and found not in lost]
    needed = contents.reach([*tagged, *others], barred)
    gone = lost - needed
    # What a tag was before it moved goes with it.
    before = {f"before/{tag}" for tag in tags}
    lists = {name for name in contents.lists if name in before or any(str(digest) in name for digest in gone)}
    kept = {found for name, found in contents.lists.items() if name not in lists}
    listed = {contents.lists[name] for name in lists} - kept
    return Removal(contents.view, frozenset(tags), frozenset(gone | listed), frozenset(lists))


async def remove(store: Store, removals: Iterable[Removal], clock: IReactorTime) -> Freed:
    """Take away tags and rights, and the bytes that nobody has a right to any more; return what was freed."""
    freed = Freed()
    for removal in removals:
        coming = {key.entry.digest for key in store.filling}
        digests = sorted(removal.digests - coming)
        store.index.untag(removal.view, *removal.tags, *removal.lists)
        store.index.unlink(removal.view, digests)
        await store.index.flush()
        entries = [removal.view.entry(digest) for digest in digests]
        freed = await _drop(store, entries, clock, freed)
    return freed


async def sweepings(store: Store, threads: Threads, now: float) -> Sweepings:
    """Return what can go at ``now``, in seconds since the epoch."""
    store.note_use()
    orphans = await store.index.ask(lambda database: orphans_of(database, now - LINK_AGE, _MOST))
    over = store.taken - sum(size for _, size in orphans) - store.budget
    known, evicted = frozenset(orphans), []
    if over > 0:
        oldest = {entry: size for entry, size in store.index.oldest(_MOST) if (entry, size) not in known}
        evicted = [(entry, oldest[entry]) for entry in to_drop(over, 0, oldest.items())]
    partials = await threads(_old_partials, store, store.filling, now - PARTIAL_AGE)
    return Sweepings(evicted, orphans, partials)


async def sweep(store: Store, found: Sweepings, threads: Threads, clock: IReactorTime) -> Freed:
    """Remove what `sweepings` found, where nobody has begun to need it meanwhile; return what was freed."""
    freed = await _drop(store, (entry for entry, _ in found.orphans), clock, Freed())
    freed = await _drop(store, (entry for entry, _ in found.evicted), clock, freed, linked=True)
    gone: Freed = await threads(_discard, store, [key for key, _ in found.partials])
    return Freed(freed.contents + gone.contents, freed.bytes + gone.bytes)


async def _drop(
    store: Store, entries: Iterable[Entry], clock: IReactorTime, freed: Freed, *, linked: bool = False
) -> Freed:
    """Drop entries; only where ``linked`` also those that somebody has a right to."""
    for number, entry in enumerate(entries, 1):
        size = store.index.size(entry)
        if size is not None and (linked or not store.index.is_linked(entry)):
            store.drop(entry)
            freed = Freed(freed.contents + 1, freed.bytes + size)
        if number % _STEP == 0:
            await deferLater(clock, 0)
    return freed


def _old_partials(store: Store, filling: frozenset[PartialKey], before: float) -> Partials:
    return [(key, size) for key, size, changed in store.blobs.partials() if changed < before and key not in filling]


def _discard(store: Store, keys: list[PartialKey]) -> Freed:
    contents = size = 0
    for key in keys:
        # Another process may fill it again: then the lock is its.
        partial = store.blobs.begin(key.entry, key.origin)
        if partial is None:
            continue
        size += store.blobs.partial_path(key).stat().st_size
        contents += 1
        partial.discard()
        partial.close()
    return Freed(contents, size)
