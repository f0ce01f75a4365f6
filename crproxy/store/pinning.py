"""Images that stay whatever room is needed, until the operator says otherwise.

A pin names an image, by a tag or a digest; what contents that is about is found out when it is made, and again now and
then: a tag moves, and layers come later than their manifest.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..oci.digests import Digest
from ..oci.errors import RegistryError
from ..oci.names import Reference, Registry, Repository, Tag, parse_reference
from .filling import Threads
from .index import Index
from .inventory import Inventory, RepositoryContents
from .keys import blob_key
from .notes import BlobKey

__all__ = ["Pin", "Pins"]


@dataclass(frozen=True, slots=True)
class Pin:
    """An image that stays."""

    repository: Repository
    reference: Reference

    def of(self, contents: RepositoryContents) -> Digest | None:
        """Return which manifest it is about, of what a repository has by one credential; None where it has none."""
        if isinstance(self.reference, Tag):
            return contents.tags.get(self.reference.name)
        return self.reference if self.reference in contents.links else None


class Pins:
    """The pins of one cache.

    Arguments:
        index: keeps them.
        inventory: looks at what they are about.
        threads: for blocking work.
        also: gives contents that stay besides, with all that they refer to: what tags are answered by.
    """

    def __init__(
        self,
        index: Index,
        inventory: Inventory,
        threads: Threads,
        also: Callable[[], Iterable[tuple[Repository, Digest]]] = tuple,
    ) -> None:
        self._also = also
        self._index = index
        self._inventory = inventory
        self._threads = threads

    def all(self) -> frozenset[Pin]:
        """Return those that there are."""
        return frozenset(_read(self._index.read("SELECT registry, repository, reference FROM pin")))

    def answering(self, repository: Repository) -> frozenset[Digest]:
        """Return what tags of a repository are pinned to, which stays besides."""
        return frozenset(digest for where, digest in self._also() if where == repository)

    async def pin(self, pin: Pin, now: float) -> bool:
        """Have an image stay from ``now`` (seconds since the epoch) on; tell whether it is here.

        One that is not here is not pinned.

        Raises:
            OSError, sqlite3.Error: the index cannot be read or written.
        """
        await self._index.flush()
        views = await self._threads(self._inventory.by_credential, pin.repository)
        if all(pin.of(contents) is None for contents in views):
            return False
        await self._index.ask(lambda database: _add(database, pin, now))
        await self.look()
        return True

    async def unpin(self, pin: Pin) -> bool:
        """Let an image go again; tell whether it was pinned. Raises as `pin` does."""
        was_pinned = await self._index.ask(lambda database: _take_away(database, pin))
        await self.look()
        return was_pinned

    async def look(self) -> None:
        """Find out what contents the pins are about by now. Raises as `pin` does."""
        pins = self.all() | {Pin(repository, digest) for repository, digest in self._also()}
        known = set(self._index.read("SELECT digest, pool FROM pinned"))
        if not pins and not known:
            return
        await self._index.flush()
        keys = await self._threads(self._keys, pins)
        if keys != known:
            await self._index.ask(lambda database: _replace(database, keys))

    def _keys(self, pins: Iterable[Pin]) -> frozenset[BlobKey]:
        """Return the contents that pins are about, also those that are still to come. Blocking."""
        found: set[BlobKey] = set()
        by_repository: dict[Repository, list[Pin]] = {}
        for pin in pins:
            by_repository.setdefault(pin.repository, []).append(pin)
        for repository, of_it in by_repository.items():
            for contents in self._inventory.by_credential(repository):
                roots = [digest for digest in (pin.of(contents) for pin in of_it) if digest is not None]
                found.update(blob_key(contents.view.entry(digest)) for digest in contents.reach(roots))
        return frozenset(found)


def _read(rows: Iterable[tuple[str, str, str]]) -> Iterator[Pin]:
    for registry, path, reference in rows:
        # Of another version's grammar, perhaps.
        with contextlib.suppress(RegistryError):
            yield Pin(Repository.parse(Registry.parse(registry), path), parse_reference(reference))


def _key(pin: Pin) -> tuple[str, str, str]:
    return pin.repository.registry.name, pin.repository.path, str(pin.reference)


def _add(database: sqlite3.Connection, pin: Pin, now: float) -> None:
    database.execute("INSERT OR IGNORE INTO pin VALUES (?, ?, ?, ?)", (*_key(pin), now))


def _take_away(database: sqlite3.Connection, pin: Pin) -> bool:
    statement = "DELETE FROM pin WHERE registry = ? AND repository = ? AND reference = ?"
    return database.execute(statement, _key(pin)).rowcount > 0


def _replace(database: sqlite3.Connection, keys: Iterable[BlobKey]) -> None:
    database.execute("DELETE FROM pinned")
    database.executemany("INSERT INTO pinned VALUES (?, ?)", list(keys))
