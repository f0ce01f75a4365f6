"""Where tags have pointed, and when digests were seen first: what the index keeps of it, and notes on their way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Protocol

from ..oci.digests import Digest
from ..oci.names import Registry, Repository, Tag
from ..policy.minimum_age import Dated, TagChange, with_last
from ..policy.united_histories import united
from .changes import digest_of, read_changes
from .entries import View
from .index import Index
from .keys import tag_key, view_of
from .notes import Change, Heard, Sighting, SightingKey, TagKey

__all__ = ["Follower", "Moved", "TagHistory"]

# Numbers of notes, which several histories of one index must not share.
_numbers = count()


@dataclass(frozen=True, slots=True)
class Moved:
    """A change of some tag, for people: what it pointed to before, and what since."""

    repository: Repository
    tag: Tag
    before: Digest | None
    change: TagChange


class Follower(Protocol):
    """Is told what this node sees itself; not what it hears of others."""

    def pointed(self, view: View, tag: Tag, *, moved: bool) -> None:
        """Upstream has said where a tag points, or that it is gone; ``moved``: that was not known."""

    def sighted(self, repository: Repository, digest: Digest) -> None:
        """A digest was seen that had not been, or not as early."""


class TagHistory:
    """The history of the tags of one cache.

    ``observers`` are called with each change that is noted here of a tag that was known: repository, tag, the digest
    that it pointed to, and the change. ``followers`` are told what there is to tell other nodes.

    Arguments:
        index: keeps it.
        now: seconds since the epoch.
    """

    def __init__(self, index: Index, now: Callable[[], float]) -> None:
        self._index = index
        self._now = now
        self.observers: list[Callable[[Repository, Tag, Digest | None, TagChange], object]] = []
        self.followers: list[Follower] = []

    def changes(self, view: View, tag: Tag) -> list[TagChange]:
        """Return the tag's history, the oldest first. The last one's ``last`` is when upstream confirmed it."""
        key = tag_key(view, tag.name)
        found = self._read(key)
        entry = self._index.tagged(view, tag.name)
        return found if entry is None else with_last(found, entry.digest, entry.checked)

    def dated(self, repository: Repository, digests: Iterable[Digest]) -> dict[Digest, Dated]:
        """Return what is known of the age of digests; those of which nothing is are left out."""
        found = {}
        for digest in set(digests):
            sighting = self._sighting(_sighting_key(repository, digest))
            if sighting is not None:
                found[digest] = Dated(sighting.seen, sighting.dated, sighting.source)
        return found

    def point(
        self, view: View, tag: Tag, digest: Digest, checked: float | None = None, asked_by: str | None = None
    ) -> None:
        """Note that upstream said at ``checked``, just now by default, that the tag points to ``digest``.

        Arguments:
            asked_by: the client that asked; None is nobody.
        """
        self.saw(view.repository, digest)
        # Though it points where it did: another node may have told that it pointed elsewhere in between.
        moved = self._note(view, tag, digest, asked_by)
        self._index.tag(view, tag.name, digest, checked)
        for follower in self.followers:
            follower.pointed(view, tag, moved=moved)

    def gone(self, view: View, tag: Tag, *also: str) -> None:
        """Note that upstream does not have the tag any more, and forget what else is kept by the names of ``also``."""
        moved = self._note(view, tag, None, None)
        self._index.untag(view, tag.name, *also)
        if moved:
            for follower in self.followers:
                follower.pointed(view, tag, moved=True)

    def _note(self, view: View, tag: Tag, digest: Digest | None, asked_by: str | None) -> bool:
        """Note a change, before the index is told where the tag points now; tell whether it is one."""
        key = tag_key(view, tag.name)
        known, entry = self._read(key), self._index.tagged(view, tag.name)
        # Of a tag that nobody knows it is no news that it is gone.
        if (known[-1].digest if known else None) == digest:
            return False
        before = entry.checked if entry is not None and known and known[-1].digest == entry.digest else None
        self._add(Change(key, str(digest or ""), self._now(), before, asked_by))
        change = TagChange(digest, self._now(), self._now(), asked_by)
        for observe in self.observers if known else ():
            observe(view.repository, tag, known[-1].digest, change)
        return True

    def hear(self, view: View, tag: Tag, changes: Sequence[TagChange]) -> None:
        """Note what other nodes have seen of a tag, the oldest first."""
        known = self.changes(view, tag)
        both = united(known, changes)
        if both != known:
            self._add(Heard(tag_key(view, tag.name), tuple(both)))
        for change in changes:
            if change.digest is not None:
                self._saw(view.repository, change.digest, change.seen)

    def saw(self, repository: Repository, digest: Digest, at: float | None = None) -> None:
        """Note that a digest was seen, just now by default: the first time counts."""
        if self._saw(repository, digest, self._now() if at is None else at):
            for follower in self.followers:
                follower.sighted(repository, digest)

    def hear_of(self, repository: Repository, digest: Digest, seen: float) -> None:
        """Note when another node saw a digest first."""
        self._saw(repository, digest, seen)

    def _saw(self, repository: Repository, digest: Digest, moment: float) -> bool:
        key = _sighting_key(repository, digest)
        known = self._sighting(key)
        if known is not None and known.seen <= moment:
            return False
        self._note_sighting(key, Sighting(moment) if known is None else replace(known, seen=moment))
        return True

    def date(self, repository: Repository, digest: Digest, dated: float, source: str) -> None:
        """Note since when a digest is there by somebody else's word (``source``, of `Sources`)."""
        key = _sighting_key(repository, digest)
        known = self._sighting(key) or Sighting(self._now())
        self._note_sighting(key, replace(known, dated=dated, source=source))

    def recent(self, limit: int) -> list[Moved]:
        """Return the last changes of all tags that are written, the latest first; not that a tag was seen first."""
        rows = self._index.read(
            """
            SELECT registry, repository, name, digest, seen, last, asked_by, (
                SELECT digest FROM tag_change AS former WHERE former.registry = tag_change.registry
                AND former.repository = tag_change.repository AND former.name = tag_change.name
                AND former.credential = tag_change.credential AND former.number < tag_change.number
                ORDER BY former.number DESC LIMIT 1) AS before
            FROM tag_change WHERE before IS NOT NULL ORDER BY seen DESC, number DESC LIMIT ?
            """,
            limit,
        )
        return [
            Moved(
                Repository(Registry(registry), path),
                Tag(name),
                digest_of(before),
                TagChange(digest_of(digest), seen, last, asked_by),
            )
            for registry, path, name, digest, seen, last, asked_by, before in rows
        ]

    def seen(self, repository: Repository, digest: Digest) -> float | None:
        """Return when a digest was seen first; None where it never was."""
        sighting = self._sighting(_sighting_key(repository, digest))
        return None if sighting is None else sighting.seen

    def latest_tags(self, limit: int) -> list[tuple[View, Tag]]:
        """Return the tags that are written, those that moved last first."""
        rows = self._index.read(
            "SELECT registry, repository, name, credential FROM tag_change GROUP BY 1, 2, 3, 4 "
            "ORDER BY max(seen) DESC LIMIT ?",
            limit,
        )
        return [
            (view_of(Repository(Registry(registry), path), credential), Tag(name))
            for registry, path, name, credential in rows
        ]

    def latest_sightings(self, limit: int) -> list[tuple[Repository, Digest]]:
        """Return digests whose sightings are written, those that were seen last first."""
        rows = self._index.read("SELECT registry, repository, digest FROM sighting ORDER BY seen DESC LIMIT ?", limit)
        return [(Repository(Registry(registry), path), Digest.parse(digest)) for registry, path, digest in rows]

    def _read(self, key: TagKey) -> list[TagChange]:
        found = read_changes(self._index.read, key)
        # What is written meanwhile may be among both.
        for notes in reversed(self._index.pending.waiting()):
            for _, change in sorted(notes.changes.items()):
                if change.tag == key:
                    found = _with(found, change)
        return found

    def _sighting(self, key: SightingKey) -> Sighting | None:
        for notes in self._index.pending.waiting():
            if key in notes.sightings:
                return notes.sightings[key]
        rows = self._index.read(
            "SELECT seen, dated, source FROM sighting WHERE registry = ? AND repository = ? AND digest = ?", *key
        )
        return Sighting(*rows[0]) if rows else None

    def _note_sighting(self, key: SightingKey, sighting: Sighting) -> None:
        if self._index.pending.has_room:
            self._index.pending.notes.sightings[key] = sighting
        self._index.pending.begin()

    def _add(self, change: Change | Heard) -> None:
        if self._index.pending.has_room:
            self._index.pending.notes.changes[next(_numbers)] = change
        self._index.pending.begin()


def _with(found: list[TagChange], change: Change | Heard) -> list[TagChange]:
    """Return a history with one more change, which it may have already; or with what was heard."""
    if isinstance(change, Heard):
        return united(found, change.changes)
    new = TagChange(digest_of(change.digest), change.seen, change.seen, change.asked_by)
    if any((each.digest, each.seen) == (new.digest, new.seen) for each in found):
        return found
    if found and change.before is not None:
        found[-1] = replace(found[-1], last=max(found[-1].last, change.before))
    return [*found, new]


def _sighting_key(repository: Repository, digest: Digest) -> SightingKey:
    return repository.registry.name, repository.path, str(digest)
