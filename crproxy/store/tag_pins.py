"""By which digest a tag is answered until the operator says otherwise, as the index keeps it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from twisted.internet.defer import Deferred

from ..oci.digests import Digest
from ..oci.errors import RegistryError
from ..oci.names import Registry, Repository, Tag
from .index import Index

__all__ = ["TagPin", "TagPins"]


@dataclass(frozen=True, slots=True)
class TagPin:
    """A tag, the digest that it is answered by, and since when, in seconds since the epoch."""

    repository: Repository
    tag: Tag
    digest: Digest
    made: float


class TagPins:
    """The pins that the operator's command has made. Arguments: index: keeps them."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def all(self) -> list[TagPin]:
        """Return those that there are, by their names."""
        rows = self._index.read("SELECT registry, repository, name, digest, made FROM tag_pin ORDER BY 1, 2, 3")
        return list(_parsed(rows))

    def of(self, repository: Repository, tag: Tag) -> TagPin | None:
        """Return the pin of a tag; None where it has none."""
        rows = self._index.read(
            "SELECT registry, repository, name, digest, made FROM tag_pin "
            "WHERE registry = ? AND repository = ? AND name = ?",
            repository.registry.name,
            repository.path,
            tag.name,
        )
        return next(_parsed(rows), None)

    def pin(self, pin: TagPin) -> Deferred[None]:
        """Answer a tag by a digest from now on. Fails with OSError, sqlite3.Error: the index cannot be written."""

        def write(database: sqlite3.Connection) -> None:
            row = pin.repository.registry.name, pin.repository.path, pin.tag.name, str(pin.digest), pin.made
            database.execute("INSERT OR REPLACE INTO tag_pin VALUES (?, ?, ?, ?, ?)", row)

        return self._index.ask(write)

    def unpin(self, repository: Repository, tag: Tag) -> Deferred[bool]:
        """Answer a tag as upstream does again; tell whether it was pinned. Fails as `pin` does."""

        def write(database: sqlite3.Connection) -> bool:
            statement = "DELETE FROM tag_pin WHERE registry = ? AND repository = ? AND name = ?"
            return database.execute(statement, (repository.registry.name, repository.path, tag.name)).rowcount > 0

        return self._index.ask(write)


def _parsed(rows: list[tuple[str, str, str, str, float]]) -> Iterator[TagPin]:
    for registry, path, name, digest, made in rows:
        # Of another version's grammar, perhaps.
        with contextlib.suppress(RegistryError):
            yield TagPin(Repository.parse(Registry.parse(registry), path), Tag.parse(name), Digest.parse(digest), made)
