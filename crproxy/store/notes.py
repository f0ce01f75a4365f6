"""Rows of the index that are still to be written: the last state of each counts.

Pure: knows rows; knows nothing of the file, nor of who writes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ..oci.digests import Digest
from ..policy.minimum_age import TagChange

__all__ = [
    "NEVER",
    "BlobKey",
    "Change",
    "Heard",
    "Link",
    "LinkKey",
    "Notes",
    "Sighting",
    "SightingKey",
    "Stored",
    "TagEntry",
    "TagKey",
    "VerdictKey",
    "ViewKey",
    "unless_revoked",
]

# Before all times.
NEVER = -1.0

# digest, pool
BlobKey = tuple[str, str]
# registry, repository, credential
ViewKey = tuple[str, str, str]
# digest, registry, repository, credential
LinkKey = tuple[str, str, str, str]
# registry, repository, name, credential
TagKey = tuple[str, str, str, str]
# registry, repository, digest
SightingKey = tuple[str, str, str]
# registry, repository, digest, and who is trusted
VerdictKey = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Link:
    """A repository's permission to have some content, as upstream gave it.

    Arguments:
        media_type: the Content-Type it came with as a manifest; None for a blob.
        size: bytes, where they are known.
        confirmed: when upstream gave the content, or its word for it, last; seconds since the epoch. 0 where it has
            refused something of the repository since.
    """

    media_type: str | None = None
    size: int | None = None
    confirmed: float = 0.0


@dataclass(frozen=True, slots=True)
class TagEntry:
    """Where a tag pointed at ``checked`` (seconds since the epoch)."""

    digest: Digest
    checked: float


@dataclass(frozen=True, slots=True)
class Stored:
    """A file: its bytes, and when it was last asked for (seconds since the epoch).

    Arguments:
        checked: when it was last read and found right; `NEVER` where it was not since it was found on disk.
    """

    size: int
    used: float
    checked: float = NEVER

    @property
    def is_unread(self) -> bool:
        """Whether nobody can say what is in it."""
        return self.checked < 0


@dataclass(frozen=True, slots=True)
class Change:
    """That a tag points elsewhere than before.

    Arguments:
        tag: whose it is.
        digest: where it points; empty where it is gone.
        seen: when that was seen, in seconds since the epoch.
        before: when upstream last said that it points where it did before; None where it did not.
        asked_by: for whom it was asked; None is nobody.
    """

    tag: TagKey
    digest: str
    seen: float
    before: float | None = None
    asked_by: str | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What other nodes have seen of a tag (``changes``, the oldest first), to be united with what was seen here."""

    tag: TagKey
    changes: tuple[TagChange, ...]


@dataclass(frozen=True, slots=True)
class Sighting:
    """When a digest was seen first in a repository, and since when it is there by somebody else's word (``source``)."""

    seen: float
    dated: float | None = None
    source: str | None = None


@dataclass(slots=True)
class Notes:
    """Rows to be written; None deletes one. ``changed`` is by how many bytes and files each changes what is stored."""

    blobs: dict[BlobKey, Stored | None] = field(default_factory=dict)
    changed: dict[BlobKey, tuple[int, int]] = field(default_factory=dict)
    used: dict[BlobKey, float] = field(default_factory=dict)
    checked: dict[BlobKey, float] = field(default_factory=dict)
    links: dict[LinkKey, Link | None] = field(default_factory=dict)
    tags: dict[TagKey, TagEntry | None] = field(default_factory=dict)
    # By numbers that grow.
    changes: dict[int, Change | Heard] = field(default_factory=dict)
    sightings: dict[SightingKey, Sighting] = field(default_factory=dict)
    # When it was found that something is signed.
    verdicts: dict[VerdictKey, float] = field(default_factory=dict)
    # Nothing that was confirmed up to then counts any more.
    revoked: dict[ViewKey, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(len(kind) for kind in self._kinds())

    @property
    def bytes(self) -> int:
        """By how many bytes it changes what is stored."""
        return sum(size for size, _ in self.changed.values())

    @property
    def files(self) -> int:
        """By how many files it does."""
        return sum(files for _, files in self.changed.values())

    def note(self, key: BlobKey, kept: Stored | None) -> None:
        """Have ``kept`` be what is known of a file: when one that was there before was checked says nothing of it."""
        self.blobs[key] = kept
        self.checked.pop(key, None)

    def change(self, key: BlobKey, size: int, files: int) -> None:
        """Count a change of ``size`` bytes and so many files."""
        before = self.changed.get(key, (0, 0))
        self.changed[key] = (before[0] + size, before[1] + files)

    def take(self, limit: int) -> Notes:
        """Return up to ``limit`` of them, which are not among these any more."""
        taken = Notes()
        # What is taken back goes before all else, and may then be later than the links beside it, never earlier.
        for ours, theirs in zip(self._kinds(), taken._kinds(), strict=True):
            while ours and len(taken) < limit:
                key = next(iter(ours))
                theirs[key] = ours.pop(key)
        taken.changed = {key: self.changed.pop(key) for key in taken.blobs if key in self.changed}
        return taken

    def put_back(self, earlier: Notes) -> None:
        """Add those that were noted before these, and could not be written."""
        for ours, theirs in zip(self._kinds(), earlier._kinds(), strict=True):
            for key, value in theirs.items():
                ours.setdefault(key, value)
        for key, change in earlier.changed.items():
            self.change(key, *change)
        for view, moment in self.revoked.items():
            self._let_nothing_count(view, moment)

    def forget(self) -> None:
        """Do without what only spares questions: links and tags."""
        self.links.clear()
        self.tags.clear()
        self.used.clear()

    def revoke(self, view: ViewKey, moment: float) -> None:
        """Let nothing count for ``view`` that was confirmed up to ``moment``."""
        self.revoked[view] = moment
        self._let_nothing_count(view, moment)

    def _let_nothing_count(self, view: ViewKey, moment: float) -> None:
        for key, link in self.links.items():
            if link is not None and key[1:] == view and link.confirmed <= moment:
                self.links[key] = replace(link, confirmed=0.0)

    def _kinds(self) -> tuple[dict[Any, Any], ...]:
        first = self.revoked, self.blobs, self.used, self.checked
        return *first, self.links, self.tags, self.changes, self.sightings, self.verdicts


def unless_revoked(waiting: Iterable[Notes], whose: ViewKey, link: Link) -> Link:
    """Return ``link`` as it counts: not, where notes that are ``waiting`` say that upstream has refused since."""
    if any(notes.revoked and link.confirmed <= notes.revoked.get(whose, NEVER) for notes in waiting):
        return replace(link, confirmed=0.0)
    return link
