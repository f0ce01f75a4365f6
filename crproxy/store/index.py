"""What is known of what is kept: sizes and last use, which repository may have it, and where tags point.

SQLite in WAL mode: processes share one file, and a statement takes microseconds. It can be lost: what is whole on disk
is taken up again, and links and tags come back with the next pulls.
"""

from __future__ import annotations

import contextlib
import fcntl
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from ..oci.digests import Digest
from ..oci.names import Registry
from .entries import Entry, View

__all__ = ["Index", "Link", "TagEntry"]

# Each brings the file from the version before it to its own; user_version says how many were applied. A pool is ''
# where anybody can have the content, else the registry whose credentials it took.
_MIGRATIONS = (
    """
    CREATE TABLE blob (
        digest TEXT NOT NULL,
        pool TEXT NOT NULL,
        size INTEGER NOT NULL,
        used REAL NOT NULL,
        PRIMARY KEY (digest, pool)
    ) WITHOUT ROWID;
    CREATE INDEX blob_by_use ON blob (used);

    CREATE TABLE total (bytes INTEGER NOT NULL);
    INSERT INTO total VALUES (0);
    CREATE TRIGGER blob_added AFTER INSERT ON blob BEGIN UPDATE total SET bytes = bytes + new.size; END;
    CREATE TRIGGER blob_dropped AFTER DELETE ON blob BEGIN UPDATE total SET bytes = bytes - old.size; END;

    CREATE TABLE link (
        digest TEXT NOT NULL,
        registry TEXT NOT NULL,
        repository TEXT NOT NULL,
        private INTEGER NOT NULL,
        media_type TEXT,
        size INTEGER,
        made REAL NOT NULL,
        PRIMARY KEY (digest, registry, repository, private)
    ) WITHOUT ROWID;
    CREATE INDEX link_by_age ON link (made);

    CREATE TABLE tag (
        registry TEXT NOT NULL,
        repository TEXT NOT NULL,
        name TEXT NOT NULL,
        private INTEGER NOT NULL,
        digest TEXT NOT NULL,
        checked REAL NOT NULL,
        PRIMARY KEY (registry, repository, name, private)
    ) WITHOUT ROWID;
    """,
    "CREATE INDEX link_by_repository ON link (registry, repository, private);",
)

# The pool that a link leads into.
_POOL = "CASE link.private WHEN 0 THEN '' ELSE link.registry END"

# Seconds to wait for another process's write.
_BUSY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Link:
    """A repository's right to some content.

    Arguments:
        media_type: the Content-Type it came with as a manifest; None for a blob.
        size: bytes, where they are known.
    """

    media_type: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class TagEntry:
    """Where a tag pointed at ``checked`` (seconds since the epoch)."""

    digest: Digest
    checked: float


class Index:
    """The index of one cache.

    Arguments:
        path: the SQLite file; made where it is not there.
        now: seconds since the epoch.
    """

    _log = Logger()

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        # Begun anew in the place of a damaged file: what is on disk is to be taken up again.
        self.rebuilt = False
        # In memory alone, where the file cannot be opened.
        self.lasts = True
        self._path = path
        self._now = now
        self._database = self._open()

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    # What is stored

    def stored(self, entry: Entry, size: int) -> None:
        """Note that ``entry``, of ``size`` bytes, is whole on disk."""
        self._write(
            "INSERT INTO blob VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET used = excluded.used",
            [(*_key(entry), size, self._now())],
        )

    def dropped(self, entry: Entry) -> None:
        """Forget content that is not on disk any more."""
        self._write("DELETE FROM blob WHERE digest = ? AND pool = ?", [_key(entry)])

    def size(self, entry: Entry) -> int | None:
        """Return the bytes of stored content; None where it is not stored."""
        rows = self._read("SELECT size FROM blob WHERE digest = ? AND pool = ?", *_key(entry))
        return rows[0][0] if rows else None

    def used(self, entries: Iterable[Entry]) -> None:
        """Note that these were asked for now."""
        now = self._now()
        self._write(
            "UPDATE blob SET used = ? WHERE digest = ? AND pool = ?", [(now, *_key(entry)) for entry in entries]
        )

    def bytes_stored(self) -> int:
        """Return the bytes of everything stored."""
        rows = self._read("SELECT bytes FROM total")
        return int(rows[0][0])

    def contents(self) -> int:
        """Return how many contents are stored: 3 ms were measured for 100,000."""
        rows = self._read("SELECT count(*) FROM blob")
        return int(rows[0][0])

    def oldest(self, limit: int) -> list[tuple[Entry, int]]:
        """Return entry and size of up to ``limit`` contents, the least recently used first."""
        rows = self._read("SELECT digest, pool, size FROM blob ORDER BY used LIMIT ?", limit)
        return [(_entry(digest, pool), size) for digest, pool, size in rows]

    def after(self, entry: Entry | None, limit: int) -> list[tuple[Entry, int]]:
        """Return entry and size of up to ``limit`` contents in a fixed order, from the one after ``entry`` on."""
        last = ("", "") if entry is None else _key(entry)
        rows = self._read(
            "SELECT digest, pool, size FROM blob WHERE (digest, pool) > (?, ?) ORDER BY digest, pool LIMIT ?",
            *last,
            limit,
        )
        return [(_entry(digest, pool), size) for digest, pool, size in rows]

    # Who may have it

    def link(self, view: View, links: Iterable[tuple[Digest, Link]]) -> None:
        """Give ``view`` the right to some contents. What an older link knew and these do not stays known."""
        now, whose = self._now(), _whose(view)
        self._write(
            """
            INSERT INTO link VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
                media_type = coalesce(excluded.media_type, media_type),
                size = coalesce(excluded.size, size),
                made = excluded.made
            """,
            [(str(digest), *whose, link.media_type, link.size, now) for digest, link in links],
        )

    def linked(self, view: View, digest: Digest) -> Link | None:
        """Return the right of ``view`` to ``digest``; None where it has none."""
        rows = self._read(
            "SELECT media_type, size FROM link WHERE digest = ? AND registry = ? AND repository = ? AND private = ?",
            str(digest),
            *_whose(view),
        )
        return Link(*rows[0]) if rows else None

    def is_linked(self, entry: Entry) -> bool:
        """Tell whether any repository has a right to ``entry``."""
        rows = self._read(f"SELECT 1 FROM link WHERE digest = ? AND {_POOL} = ? LIMIT 1", *_key(entry))  # noqa: S608
        return bool(rows)

    def unlink(self, view: View, digests: Iterable[Digest]) -> None:
        """Take the right to some contents from ``view``."""
        self._write(
            "DELETE FROM link WHERE digest = ? AND registry = ? AND repository = ? AND private = ?",
            [(str(digest), *_whose(view)) for digest in digests],
        )

    def orphans(self, before: float, limit: int) -> list[tuple[Entry, int]]:
        """Return entry and size of up to ``limit`` contents, not used since ``before``, that no repository may have."""
        rows = self._read(
            f"""
            SELECT digest, pool, size FROM blob WHERE used < ? AND NOT EXISTS (
                SELECT 1 FROM link WHERE link.digest = blob.digest AND {_POOL} = blob.pool)
            ORDER BY used LIMIT ?
            """,  # noqa: S608 - nothing from outside
            before,
            limit,
        )
        return [(_entry(digest, pool), size) for digest, pool, size in rows]

    def forget_empty_links(self, before: float, limit: int) -> int:
        """Forget up to ``limit`` links made before ``before`` to what is not stored; return how many there were."""
        return self._write(
            """
            DELETE FROM link WHERE (digest, registry, repository, private) IN (
                SELECT digest, registry, repository, private FROM link
                WHERE made < ? AND NOT EXISTS (SELECT 1 FROM blob WHERE blob.digest = link.digest)
                ORDER BY made LIMIT ?)
            """,
            [(before, limit)],
        )

    # Tags

    def tag(self, view: View, name: str, digest: Digest) -> None:
        """Note that upstream said just now that the tag points to ``digest``."""
        registry, repository, private = _whose(view)
        self._write(
            "INSERT OR REPLACE INTO tag VALUES (?, ?, ?, ?, ?, ?)",
            [(registry, repository, name, private, str(digest), self._now())],
        )

    def tagged(self, view: View, name: str) -> TagEntry | None:
        """Return where the tag pointed when it was last checked."""
        rows = self._read(
            "SELECT digest, checked FROM tag WHERE registry = ? AND repository = ? AND private = ? AND name = ?",
            *_whose(view),
            name,
        )
        return TagEntry(Digest.parse(rows[0][0]), rows[0][1]) if rows else None

    def untag(self, view: View, *names: str) -> None:
        """Forget tags, such as one that upstream does not have any more."""
        self._write(
            "DELETE FROM tag WHERE registry = ? AND repository = ? AND private = ? AND name = ?",
            [(*_whose(view), name) for name in names],
        )

    # The file

    def _read(self, statement: str, *values: object) -> list[Any]:
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            self._mend(error)
            return self._database.execute(statement, values).fetchall()

    def _write(self, statement: str, rows: list[tuple[object, ...]]) -> int:
        """Return how many rows changed. A disk that is full costs the note, not the request it was about."""
        try:
            return self._write_once(statement, rows)
        except sqlite3.OperationalError as error:
            self._log.warn("the index cannot be written: {error}", error=error)
            return 0
        except sqlite3.DatabaseError as error:
            self._mend(error)
            return self._write_once(statement, rows)

    def _write_once(self, statement: str, rows: list[tuple[object, ...]]) -> int:
        with self._database:
            return self._database.executemany(statement, rows).rowcount

    def _mend(self, error: sqlite3.DatabaseError) -> None:
        """Begin a new file in the place of a damaged one, or raise ``error`` again where it is another."""
        if isinstance(error, sqlite3.OperationalError | sqlite3.ProgrammingError):
            raise error
        self._database.close()
        _set_aside(self._path, error, self._now())
        self._database = _connect(self._path)
        self.rebuilt = True

    def _open(self) -> sqlite3.Connection:
        try:
            return self._open_file()
        except (OSError, sqlite3.OperationalError) as error:
            self._log.error(
                "the index {path} cannot be opened ({error}): nothing is remembered beyond this run",
                path=str(self._path),
                error=error,
            )
            self.lasts = False
            return _connect(None)

    def _open_file(self) -> sqlite3.Connection:
        # Two processes that start at once must not both migrate, or both set a damaged file aside.
        with _locked(self._path.with_suffix(".lock")):
            try:
                return _connect(self._path)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                _set_aside(self._path, error, self._now())
                return _connect(self._path)


def _key(entry: Entry) -> tuple[str, str]:
    return str(entry.digest), "" if entry.pool is None else entry.pool.name


def _entry(digest: str, pool: str) -> Entry:
    return Entry(Digest.parse(digest), Registry.parse(pool) if pool else None)


def _whose(view: View) -> tuple[str, str, int]:
    # 0: anybody's, 1: the proxy's own credentials', 2: those of clients, whose rights are no right of the proxy's.
    side = 2 if view.caller is not None else int(view.private)
    return view.repository.registry.name, view.repository.path, side


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _set_aside(path: Path, error: sqlite3.DatabaseError, now: float) -> None:
    aside = path.with_suffix(f".damaged-{int(now)}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    Index._log.error(
        "the index {path} is damaged ({error}): it was set aside as {aside}, and is built anew from what is on disk",
        path=str(path),
        error=error,
        aside=aside.name,
    )


def _connect(path: Path | None) -> sqlite3.Connection:
    database = sqlite3.connect(":memory:" if path is None else path, timeout=_BUSY_SECONDS, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        # In WAL mode a power cut loses the last notes with this, never the file's integrity.
        database.execute("PRAGMA synchronous = NORMAL")
        _migrate(database)
    except BaseException:
        database.close()
        raise
    return database


def _migrate(database: sqlite3.Connection) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    for number, statements in enumerate(_MIGRATIONS[version:], version + 1):
        database.executescript(f"BEGIN IMMEDIATE; {statements} PRAGMA user_version = {number}; COMMIT;")
