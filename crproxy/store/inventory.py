"""What is in the cache, as its operator sees it: images, and how much of each is here.

Reads the index by a connection of its own, and manifests from their files, so that it can run in a thread, or beside a
daemon. Blocking; changes nothing.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ..oci.digests import Digest
from ..oci.errors import RegistryError
from ..oci.manifests import MANIFEST_LIMIT, Descriptor, references
from ..oci.names import Reference, Registry, Repository, Tag
from .blobs import Blobs
from .entries import View
from .keys import view_of
from .schema import POOL

__all__ = ["Inventory", "RepositoryContents", "StoredImage", "Usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """How much is kept.

    Arguments:
        bytes, contents: whole; ``unlinked`` of these bytes are no repository's.
        partial_bytes, partial_files: begun, not whole.
        by_registry: bytes by the name of each registry that has a right to them; what several have counts for each.
        oldest_use: when the content was last asked for that was not asked for the longest, seconds since the epoch.
    """

    bytes: int
    contents: int
    unlinked: int
    partial_bytes: int
    partial_files: int
    by_registry: Mapping[str, int]
    oldest_use: float | None


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image that is kept, or was.

    Arguments:
        reference: its tag; its digest where it has none here.
        private: it took credentials.
        bytes: of what of it is here; others may share them.
        used: when something of it was last asked for, seconds since the epoch; None where nothing of it is here.
        complete: all of it is here, for every platform.
        platforms: those that are here completely, of an index.
        pinned: it stays whatever room is needed.
    """

    repository: Repository
    reference: Reference
    digest: Digest
    private: bool
    bytes: int
    used: float | None
    complete: bool
    platforms: tuple[str, ...] = ()
    pinned: bool = False

    @property
    def name(self) -> str:
        """As people write it."""
        return self.repository.named(self.reference)


@dataclass(frozen=True, slots=True)
class Kept:
    """Some stored content: its bytes, and when it was last asked for."""

    size: int
    used: float


@dataclass
class RepositoryContents:
    """What one repository has by one credential, or by none.

    Arguments:
        tags: where each points.
        lists: of tags and of referrers, by what was asked for, and where each is kept.
        links: digests it has a permission to have, and whether they are manifests.
        kept: what is stored of those, and of what its manifests refer to.
        pins: the tags and digests that are pinned, as they are written.
    """

    view: View
    blobs: Blobs
    tags: dict[str, Digest] = field(default_factory=dict)
    lists: dict[str, Digest] = field(default_factory=dict)
    links: dict[Digest, bool] = field(default_factory=dict)
    kept: dict[Digest, Kept] = field(default_factory=dict)
    pins: frozenset[str] = frozenset()
    _references: dict[Digest, list[Descriptor] | None] = field(default_factory=dict)

    def references(self, digest: Digest) -> list[Descriptor] | None:
        """Return what a manifest refers to; None where it is not here."""
        if digest not in self._references:
            content = self._read(digest) if digest in self.kept else None
            self._references[digest] = None if content is None else references(content)
        return self._references[digest]

    def reach(self, roots: Iterator[Digest] | list[Digest], barred: frozenset[Digest] = frozenset()) -> set[Digest]:
        """Return what ``roots`` are and refer to, through others than ``barred``."""
        reached: set[Digest] = set()
        waiting = list(roots)
        while waiting:
            digest = waiting.pop()
            if digest in reached or digest in barred:
                continue
            reached.add(digest)
            if self.links.get(digest):
                waiting += [found.digest for found in self.references(digest) or ()]
        return reached

    @cached_property
    def roots(self) -> dict[Reference, Digest]:
        """What is an image of its own: each tag, and each manifest here that nothing else here leads to."""
        manifests = [digest for digest, is_manifest in self.links.items() if is_manifest and digest in self.kept]
        below = {found.digest for digest in manifests for found in self.references(digest) or ()}
        tagged = set(self.tags.values())
        untagged = [digest for digest in manifests if digest not in below and digest not in tagged]
        return {**{Tag(name): digest for name, digest in self.tags.items()}, **{digest: digest for digest in untagged}}

    def image(self, reference: Reference, digest: Digest) -> StoredImage:
        """Return how it stands with one of the roots."""
        here = [self.kept[found] for found in self.reach([digest]) if found in self.kept]
        platforms = [
            str(child.platform)
            for child in self.references(digest) or ()
            if child.is_manifest and child.platform is not None and self._is_complete(child.digest)
        ]
        return StoredImage(
            repository=self.view.repository,
            reference=reference,
            digest=digest,
            private=self.view.private,
            bytes=sum(kept.size for kept in here),
            used=max((kept.used for kept in here), default=None),
            complete=self._is_complete(digest),
            platforms=tuple(platforms),
            pinned=not self.pins.isdisjoint((str(reference), str(digest))),
        )

    def _is_complete(self, digest: Digest, depth: int = 3) -> bool:
        found = self.references(digest)
        if found is None:
            return False
        return all(
            (depth > 0 and self._is_complete(child.digest, depth - 1))
            if child.is_manifest
            else child.is_foreign or child.digest in self.kept
            for child in found
        )

    def _read(self, digest: Digest) -> bytes | None:
        fd = self.blobs.open(self.view.entry(digest))
        if fd is None:
            return None
        with os.fdopen(fd, "rb") as file:
            return file.read(MANIFEST_LIMIT + 1)


class Inventory:
    """The cache below one data directory, looked at.

    Arguments:
        path: the index's file.
        blobs: the cache's files.

    Each method raises sqlite3.Error where the index cannot be read.
    """

    def __init__(self, path: Path, blobs: Blobs) -> None:
        self._path = path
        self._blobs = blobs

    def usage(self) -> Usage:
        """Return how much is kept."""
        partials = list(self._blobs.partials())
        with self._connected() as database:
            ((total, contents, oldest),) = database.execute(_TOTAL)
            by_registry = dict(database.execute(_BY_REGISTRY))
            ((unlinked,),) = database.execute(_UNLINKED)
        return Usage(
            bytes=total,
            contents=contents,
            unlinked=unlinked,
            partial_bytes=sum(size for _, size, _ in partials),
            partial_files=len(partials),
            by_registry=by_registry,
            oldest_use=oldest,
        )

    def images(self) -> Iterator[StoredImage]:
        """Yield every image that is here, or was and still has its tag."""
        with self._connected() as database:
            repositories = database.execute(_REPOSITORIES).fetchall()
            for registry, path, credential in repositories:
                with contextlib.suppress(RegistryError):
                    repository = Repository.parse(Registry.parse(registry), path)
                    contents = self._contents(database, repository, credential)
                    for reference, digest in contents.roots.items():
                        yield contents.image(reference, digest)

    def by_credential(self, repository: Repository) -> list[RepositoryContents]:
        """Return what the repository has, without credentials and with each that it was seen with."""
        with self._connected() as database:
            credentials = database.execute(_CREDENTIALS, (repository.registry.name, repository.path) * 2).fetchall()
            return [self._contents(database, repository, credential) for (credential,) in credentials]

    def _contents(self, database: sqlite3.Connection, repository: Repository, credential: str) -> RepositoryContents:
        contents = RepositoryContents(view_of(repository, credential), self._blobs)
        pool = repository.registry.name if contents.view.private else ""
        whose = (repository.registry.name, repository.path, credential)
        for name, text in database.execute(_TAGS, whose):
            # Lists are noted like tags, by names that no tag has.
            named = contents.lists if "/" in name else contents.tags
            named[name] = Digest.parse(text)
        for text, media_type, size, used in database.execute(_LINKS, (pool, *whose)):
            digest = Digest.parse(text)
            contents.links[digest] = media_type is not None
            if size is not None:
                contents.kept[digest] = Kept(size, used)
        contents.pins = frozenset(reference for (reference,) in database.execute(_PINS, whose[:2]))
        # A layer may be here by another repository's doing.
        manifests = [digest for digest, is_manifest in contents.links.items() if is_manifest]
        referred = {found.digest for digest in manifests for found in contents.references(digest) or ()}
        for digest in referred - contents.kept.keys():
            for size, used in database.execute(_KEPT, (str(digest), pool)):
                contents.kept[digest] = Kept(size, used)
        return contents

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        # Read only, but for the shared memory that a reader of a WAL needs.
        database = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)
        try:
            # One state of things for all that is asked.
            database.execute("BEGIN")
            yield database
        finally:
            database.close()


_TOTAL = "SELECT coalesce(sum(size), 0), count(*), min(used) FROM blob"

_BY_REGISTRY = f"""
    SELECT registry, sum(size) FROM (
        SELECT DISTINCT link.registry AS registry, blob.digest, blob.pool, blob.size AS size
        FROM link JOIN blob ON blob.digest = link.digest AND blob.pool = {POOL})
    GROUP BY registry ORDER BY registry
"""  # noqa: S608 - nothing from outside

_UNLINKED = f"""
    SELECT coalesce(sum(size), 0) FROM blob WHERE NOT EXISTS (
        SELECT 1 FROM link WHERE link.digest = blob.digest AND blob.pool = {POOL})
"""  # noqa: S608 - nothing from outside

_REPOSITORIES = """
    SELECT registry, repository, credential FROM link WHERE media_type IS NOT NULL
    UNION SELECT registry, repository, credential FROM tag ORDER BY 1, 2, 3
"""

_CREDENTIALS = """
    SELECT credential FROM link WHERE registry = ? AND repository = ?
    UNION SELECT credential FROM tag WHERE registry = ? AND repository = ? ORDER BY 1
"""

_TAGS = """
    SELECT name, digest FROM tag WHERE registry = ? AND repository = ? AND credential = ? ORDER BY name
"""

_LINKS = """
    SELECT link.digest, link.media_type, blob.size, blob.used
    FROM link LEFT JOIN blob ON blob.digest = link.digest AND blob.pool = ?
    WHERE link.registry = ? AND link.repository = ? AND link.credential = ?
"""

_PINS = "SELECT reference FROM pin WHERE registry = ? AND repository = ?"

_KEPT = "SELECT size, used FROM blob WHERE digest = ? AND pool = ?"
