"""The index's file from the writing side: notes in batches, and what takes longer than a request may.

Blocking: called in one thread, one call after the other.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from twisted.logger import Logger

from ..policy.minimum_age import TagChange
from ..policy.united_histories import MOST_CHANGES, bounded, united
from .changes import read_changes
from .notes import Change, Heard, Notes, TagKey
from .schema import connect, row_bytes

__all__ = ["Totals", "Writer"]

Result = TypeVar("Result")

# Rows that go in one step where there are too many.
_STEP = 1000
# They go down to this part of their limit, so that the next row does not begin it all again.
_SHED_TO = 0.9

_LINK = """
    INSERT INTO link VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
        media_type = excluded.media_type, size = excluded.size, confirmed = excluded.confirmed
"""
_BLOB = """
    INSERT INTO blob VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
        used = max(used, excluded.used), checked = max(checked, excluded.checked)
"""
_SIGHTING = """
    INSERT INTO sighting VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
        seen = min(seen, excluded.seen),
        dated = coalesce(excluded.dated, dated), source = coalesce(excluded.source, source)
"""
_ADD_CHANGE = """
    INSERT INTO tag_change (registry, repository, name, credential, digest, seen, last, asked_by)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_OF_TAG = "registry = ? AND repository = ? AND name = ? AND credential = ?"

# The oldest go, and of these first what leads to nothing.
_SHED = (
    """
    DELETE FROM link WHERE (digest, registry, repository, credential) IN (
        SELECT digest, registry, repository, credential FROM link
        WHERE NOT EXISTS (SELECT 1 FROM blob WHERE blob.digest = link.digest) ORDER BY confirmed LIMIT ?)
    """,
    """
    DELETE FROM tag WHERE (registry, repository, name, credential) IN (
        SELECT registry, repository, name, credential FROM tag
        WHERE NOT EXISTS (SELECT 1 FROM blob WHERE blob.digest = tag.digest) ORDER BY checked LIMIT ?)
    """,
    """
    DELETE FROM tag WHERE (registry, repository, name, credential) IN (
        SELECT registry, repository, name, credential FROM tag ORDER BY checked LIMIT ?)
    """,
    """
    DELETE FROM link WHERE (digest, registry, repository, credential) IN (
        SELECT digest, registry, repository, credential FROM link ORDER BY confirmed LIMIT ?)
    """,
    """
    DELETE FROM sighting WHERE (registry, repository, digest) IN (
        SELECT registry, repository, digest FROM sighting ORDER BY seen LIMIT ?)
    """,
    "DELETE FROM tag_change WHERE number IN (SELECT number FROM tag_change ORDER BY seen, number LIMIT ?)",
    """
    DELETE FROM verdict WHERE (registry, repository, digest, trust) IN (
        SELECT registry, repository, digest, trust FROM verdict ORDER BY checked LIMIT ?)
    """,
)


@dataclass(frozen=True, slots=True)
class Totals:
    """What there is: the bytes of contents and their number, and the bytes of the index's own rows."""

    bytes: int = 0
    contents: int = 0
    rows: int = 0


class Writer:
    """Writes to the index.

    ``observers`` are told of all that is about to be written, in this thread. What they keep of it is kept whatever
    happens next; of what could not be written they are told again.

    Arguments:
        path: its file.
        shared: the connection to use, where there is no file.
        limit: bytes that its rows may take.
    """

    _log = Logger()

    def __init__(self, path: Path, shared: sqlite3.Connection | None, limit: Callable[[], int]) -> None:
        self._path = path
        self._shared = shared
        self._limit = limit
        self.observers: list[Callable[[Notes], object]] = []
        self._own: sqlite3.Connection | None = None
        # Another file is in the place of the one that is open.
        self.is_stale = False

    def write(self, notes: Notes) -> Totals:
        """Write all of it, or nothing; return what there is then. Raises OSError, sqlite3.Error."""
        self._tell(notes)
        database = self._connection()
        with database:
            database.execute("BEGIN IMMEDIATE")
            for statement, rows in _statements(notes):
                database.executemany(statement, rows)
            for _, change in sorted(notes.changes.items()):
                if isinstance(change, Heard):
                    _unite(database, change)
                else:
                    _change(database, change)
        return self._shed(database)

    def _tell(self, notes: Notes) -> None:
        for observe in self.observers:
            try:
                observe(notes)
            except Exception:
                self._log.failure("somebody could not be told of what is stored")

    def run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Return the result of ``work``, a transaction of its own. Raises OSError, sqlite3.Error."""
        database = self._connection()
        with database:
            return work(database)

    def leave(self) -> None:
        """Another file is in the place of this one: the next call opens that. May be called from another thread."""
        self.is_stale = True

    def close(self) -> None:
        """Let go of the file."""
        own, self._own = self._own, None
        if own is not None:
            own.close()

    def _connection(self) -> sqlite3.Connection:
        if self._shared is not None:
            return self._shared
        if self.is_stale:
            self.is_stale = False
            self.close()
        if self._own is None:
            self._own = connect(self._path)
        return self._own

    def _shed(self, database: sqlite3.Connection) -> Totals:
        """Keep the rows within their limit."""
        taken, limit = row_bytes(database), self._limit()
        if taken > limit:
            for statement in _SHED:
                taken = self._shed_by(database, statement, int(limit * _SHED_TO))
        ((size, contents),) = database.execute("SELECT bytes, contents FROM total")
        return Totals(int(size), int(contents), taken)

    def _shed_by(self, database: sqlite3.Connection, statement: str, limit: int) -> int:
        while (taken := row_bytes(database)) > limit:
            with database:
                if not database.execute(statement, (_STEP,)).rowcount:
                    break
        return taken


def _statements(notes: Notes) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    # A file that was cut short, and came anew before its row was gone: it counts as another.
    yield (
        "DELETE FROM blob WHERE digest = ? AND pool = ? AND size != ?",
        [(*key, kept.size) for key, kept in notes.blobs.items() if kept is not None],
    )
    yield _BLOB, [(*key, kept.size, kept.used, kept.checked) for key, kept in notes.blobs.items() if kept is not None]
    yield (
        "DELETE FROM blob WHERE digest = ? AND pool = ?",
        [key for key, kept in notes.blobs.items() if kept is None],
    )
    yield (
        "UPDATE blob SET checked = max(checked, ?) WHERE digest = ? AND pool = ?",
        [(moment, *key) for key, moment in notes.checked.items()],
    )
    yield (
        "UPDATE blob SET used = ? WHERE digest = ? AND pool = ?",
        [(moment, *key) for key, moment in notes.used.items()],
    )
    yield (
        _LINK,
        [(*key, link.media_type, link.size, link.confirmed) for key, link in notes.links.items() if link is not None],
    )
    yield (
        "DELETE FROM link WHERE digest = ? AND registry = ? AND repository = ? AND credential = ?",
        [key for key, link in notes.links.items() if link is None],
    )
    # After the links: what was confirmed before upstream refused does not count, whenever it is written.
    yield (
        "UPDATE link SET confirmed = 0 WHERE registry = ? AND repository = ? AND credential = ? AND confirmed <= ?",
        [(*view, moment) for view, moment in notes.revoked.items()],
    )
    yield (
        "INSERT OR REPLACE INTO tag VALUES (?, ?, ?, ?, ?, ?)",
        [(*key, str(tag.digest), tag.checked) for key, tag in notes.tags.items() if tag is not None],
    )
    yield (
        "DELETE FROM tag WHERE registry = ? AND repository = ? AND name = ? AND credential = ?",
        [key for key, tag in notes.tags.items() if tag is None],
    )
    yield (
        _SIGHTING,
        [(*key, sighting.seen, sighting.dated, sighting.source) for key, sighting in notes.sightings.items()],
    )
    yield "INSERT OR REPLACE INTO verdict VALUES (?, ?, ?, ?, ?)", [(*key, at) for key, at in notes.verdicts.items()]


def _change(database: sqlite3.Connection, change: Change) -> None:
    if change.before is not None:
        newest = f"SELECT max(number) FROM tag_change WHERE {_OF_TAG}"  # noqa: S608 - nothing from outside
        database.execute(
            f"UPDATE tag_change SET last = max(last, ?) WHERE number = ({newest})",  # noqa: S608 - nor here
            (change.before, *change.tag),
        )
    database.execute(_ADD_CHANGE, (*change.tag, change.digest, change.seen, change.seen, change.asked_by))
    ((many,),) = database.execute(f"SELECT count(*) FROM tag_change WHERE {_OF_TAG}", change.tag)  # noqa: S608
    if many > MOST_CHANGES:
        _rewrite(database, change.tag, bounded(_read(database, change.tag)))


def _unite(database: sqlite3.Connection, heard: Heard) -> None:
    """Have what is there, and what was heard, be one history: another worker may have noted something meanwhile."""
    known = _read(database, heard.tag)
    both = united(known, heard.changes)
    if both != known:
        _rewrite(database, heard.tag, both)


def _read(database: sqlite3.Connection, tag: TagKey) -> list[TagChange]:
    return read_changes(lambda statement, *values: database.execute(statement, values).fetchall(), tag)


def _rewrite(database: sqlite3.Connection, tag: TagKey, changes: list[TagChange]) -> None:
    database.execute(f"DELETE FROM tag_change WHERE {_OF_TAG}", tag)  # noqa: S608 - nothing from outside
    rows = [(*tag, str(each.digest or ""), each.seen, each.last, each.asked_by) for each in changes]
    database.executemany(_ADD_CHANGE, rows)
