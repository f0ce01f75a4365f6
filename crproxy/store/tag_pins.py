"""By which digest a tag is answered until the operator says otherwise, as the index keeps it.

Of a pin that was taken away it is remembered when, so that a node which has not heard of that does not bring it back.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from twisted.internet.defer import Deferred

from ..oci.digests import Digest
from ..oci.errors import RegistryError
from ..oci.names import Registry, Repository, Tag
from .index import Index

__all__ = ["PinChange", "TagPin", "TagPins"]

# Seconds for which it is remembered that a pin was taken away.
_REMEMBERED_SECONDS = 90 * 86400.0
# Between two changes of one pin at the least, in seconds: which is the later one can be told.
_STEP = 0.001

_COLUMNS = "registry, repository, name, digest, made"


@dataclass(frozen=True, slots=True)
class TagPin:
    """A tag, the digest that it is answered by, and since when, in seconds since the epoch."""

    repository: Repository
    tag: Tag
    digest: Digest
    made: float


@dataclass(frozen=True, slots=True)
class PinChange:
    """What was said of a tag last, on any node: of two the later counts.

    Arguments:
        digest: by which it is answered; None where the pin was taken away.
        at: seconds since the epoch.
    """

    repository: Repository
    tag: Tag
    digest: Digest | None
    at: float

    def counts_over(self, other: PinChange | None) -> bool:
        """Tell whether this counts, and not ``other``, which is about the same tag. All nodes come to the same."""
        return other is None or (self.at, str(self.digest or "")) > (other.at, str(other.digest or ""))


class TagPins:
    """The pins that the operator's command has made.

    ``observers`` are called with the repository and the tag of each that was made or taken away here, once it is
    written; not of what was heard from other nodes.

    Arguments:
        index: keeps them.
        now: seconds since the epoch.
    """

    def __init__(self, index: Index, now: Callable[[], float]) -> None:
        self._index = index
        self._now = now
        self.observers: list[Callable[[Repository, Tag], object]] = []

    def all(self) -> list[TagPin]:
        """Return those that there are, by their names."""
        rows = self._index.read(f"SELECT {_COLUMNS} FROM tag_pin WHERE digest != '' ORDER BY 1, 2, 3")  # noqa: S608
        return list(_pins(_parsed(rows)))

    def of(self, repository: Repository, tag: Tag) -> TagPin | None:
        """Return the pin of a tag; None where it has none."""
        rows = self._index.read(
            f"SELECT {_COLUMNS} FROM tag_pin WHERE registry = ? AND repository = ? AND name = ?",  # noqa: S608
            *_key(repository, tag),
        )
        return next(_pins(_parsed(rows)), None)

    def changes(self) -> list[PinChange]:
        """Return all that is known: pins, and such as were taken away, by their names."""
        rows = self._index.read(f"SELECT {_COLUMNS} FROM tag_pin ORDER BY 1, 2, 3")  # noqa: S608 - our columns
        return list(_parsed(rows))

    def pin(self, pin: TagPin) -> Deferred[None]:
        """Answer a tag by a digest from now on. Fails with OSError, sqlite3.Error: the index cannot be written.

        It counts as later than what was said of the tag before, whatever another node's clock made of that.
        """

        def write(database: sqlite3.Connection) -> None:
            before = _known(database, pin.repository, pin.tag)
            at = pin.made if before is None else max(pin.made, before.at + _STEP)
            _write(database, PinChange(pin.repository, pin.tag, pin.digest, at))

        return self._index.ask(write).addCallback(lambda _: self._tell(pin.repository, pin.tag))

    def unpin(self, repository: Repository, tag: Tag) -> Deferred[bool]:
        """Answer a tag as upstream does again; tell whether it was pinned. Fails as `pin` does."""

        def write(database: sqlite3.Connection) -> bool:
            before = _known(database, repository, tag)
            if before is None or before.digest is None:
                return False
            _write(database, PinChange(repository, tag, None, max(self._now(), before.at + _STEP)))
            return True

        def tell(was_pinned: bool) -> bool:
            if was_pinned:
                self._tell(repository, tag)
            return was_pinned

        return self._index.ask(write).addCallback(tell)

    def hear(self, changes: Iterable[PinChange]) -> Deferred[None]:
        """Have what other nodes say count where it is later than what is known here. Fails as `pin` does."""
        heard = list(changes)

        def write(database: sqlite3.Connection) -> None:
            for change in heard:
                if change.counts_over(_known(database, change.repository, change.tag)):
                    _write(database, change)

        return self._index.ask(write)

    def forget_old(self) -> Deferred[None]:
        """Forget what was taken away long ago. Fails as `pin` does."""
        before = self._now() - _REMEMBERED_SECONDS
        return self._index.ask(lambda database: _forget(database, before))

    def _tell(self, repository: Repository, tag: Tag) -> None:
        for observe in self.observers:
            observe(repository, tag)


def _forget(database: sqlite3.Connection, before: float) -> None:
    database.execute("DELETE FROM tag_pin WHERE digest = '' AND made < ?", (before,))


def _known(database: sqlite3.Connection, repository: Repository, tag: Tag) -> PinChange | None:
    rows = database.execute(
        f"SELECT {_COLUMNS} FROM tag_pin WHERE registry = ? AND repository = ? AND name = ?",  # noqa: S608
        _key(repository, tag),
    )
    return next(_parsed(rows), None)


def _write(database: sqlite3.Connection, change: PinChange) -> None:
    row = (*_key(change.repository, change.tag), str(change.digest or ""), change.at)
    database.execute("INSERT OR REPLACE INTO tag_pin VALUES (?, ?, ?, ?, ?)", row)


def _key(repository: Repository, tag: Tag) -> tuple[str, str, str]:
    return repository.registry.name, repository.path, tag.name


def _pins(changes: Iterable[PinChange]) -> Iterator[TagPin]:
    for change in changes:
        if change.digest is not None:
            yield TagPin(change.repository, change.tag, change.digest, change.at)


def _parsed(rows: Iterable[tuple[str, str, str, str, float]]) -> Iterator[PinChange]:
    for registry, path, name, digest, made in rows:
        # Of another version's grammar, perhaps.
        with contextlib.suppress(RegistryError):
            repository = Repository.parse(Registry.parse(registry), path)
            yield PinChange(repository, Tag.parse(name), Digest.parse(digest) if digest else None, made)
