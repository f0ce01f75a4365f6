"""The index's file: its tables, and how a connection to it is made.

Knows SQLite; knows nothing of what the rows mean. Blocking.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

__all__ = ["NOT_PINNED", "POOL", "connect", "is_damage", "open_file", "open_read_only", "row_bytes", "set_aside"]

_VERSION = 6

# A pool is '' where anybody can have the content, else the registry whose credentials it took. A credential is '' where
# a registry was asked anonymously, '*' where clients brought their own, else it names one of the proxy's.
_TABLES = """
    CREATE TABLE link (
        digest TEXT NOT NULL,
        registry TEXT NOT NULL,
        repository TEXT NOT NULL,
        credential TEXT NOT NULL,
        media_type TEXT,
        size INTEGER,
        confirmed REAL NOT NULL,
        PRIMARY KEY (digest, registry, repository, credential)
    ) WITHOUT ROWID;
    CREATE INDEX link_by_age ON link (confirmed);
    CREATE INDEX link_by_repository ON link (registry, repository, credential);

    CREATE TABLE tag (
        registry TEXT NOT NULL,
        repository TEXT NOT NULL,
        name TEXT NOT NULL,
        credential TEXT NOT NULL,
        digest TEXT NOT NULL,
        checked REAL NOT NULL,
        PRIMARY KEY (registry, repository, name, credential)
    ) WITHOUT ROWID;
    CREATE INDEX tag_by_age ON tag (checked);
"""
_CONTENTS = """
    CREATE TABLE blob (
        digest TEXT NOT NULL,
        pool TEXT NOT NULL,
        size INTEGER NOT NULL,
        used REAL NOT NULL,
        PRIMARY KEY (digest, pool)
    ) WITHOUT ROWID;
    CREATE INDEX blob_by_use ON blob (used);
"""
_TOTAL = """
    CREATE TABLE total (bytes INTEGER NOT NULL, contents INTEGER NOT NULL);
    INSERT INTO total SELECT coalesce(sum(size), 0), count(*) FROM blob;
    CREATE TRIGGER blob_added AFTER INSERT ON blob BEGIN
        UPDATE total SET bytes = bytes + new.size, contents = contents + 1;
    END;
    CREATE TRIGGER blob_dropped AFTER DELETE ON blob BEGIN
        UPDATE total SET bytes = bytes - old.size, contents = contents - 1;
    END;
"""
# When content was last read and found right, in seconds since the epoch; -1 where it never was since it was found
# on disk. What an earlier version has stored counts as read when this one takes it over.
_CHECKED = """
    ALTER TABLE blob ADD COLUMN checked REAL NOT NULL DEFAULT -1;
    UPDATE blob SET checked = strftime('%s', 'now');
    CREATE INDEX blob_by_check ON blob (checked);
"""
# Images that are to stay, by a tag or a digest, since when; and the contents that this is about, as the manifests that
# are here tell.
_PINS = """
    CREATE TABLE pin (
        registry TEXT NOT NULL,
        repository TEXT NOT NULL,
        reference TEXT NOT NULL,
        made REAL NOT NULL,
        PRIMARY KEY (registry, repository, reference)
    ) WITHOUT ROWID;
    CREATE TABLE pinned (
        digest TEXT NOT NULL,
        pool TEXT NOT NULL,
        PRIMARY KEY (digest, pool)
    ) WITHOUT ROWID;
"""
# Where tags pointed: each change that was seen, until when upstream said so last, and for whom it was asked; '' where
# the tag was gone. When digests were seen first in a repository, and since when they are there by others' words. By
# which digest a tag is answered until the operator says otherwise. Who has signed what, as it was found out.
_HISTORY = """
    CREATE TABLE tag_change (
        number INTEGER PRIMARY KEY,
        registry TEXT NOT NULL,
        repository TEXT NOT NULL,
        name TEXT NOT NULL,
        credential TEXT NOT NULL,
        digest TEXT NOT NULL,
        seen REAL NOT NULL,
        last REAL NOT NULL,
        asked_by TEXT
    );
    CREATE INDEX tag_change_by_tag ON tag_change (registry, repository, name, credential, number);
    CREATE INDEX tag_change_by_age ON tag_change (seen);
    CREATE TRIGGER tag_confirmed AFTER INSERT ON tag BEGIN
        UPDATE tag_change SET last = max(last, new.checked) WHERE digest = new.digest AND number = (
            SELECT max(number) FROM tag_change WHERE registry = new.registry AND repository = new.repository
            AND name = new.name AND credential = new.credential);
    END;
    CREATE TABLE sighting (
        registry TEXT NOT NULL,
        repository TEXT NOT NULL,
        digest TEXT NOT NULL,
        seen REAL NOT NULL,
        dated REAL,
        source TEXT,
        PRIMARY KEY (registry, repository, digest)
    ) WITHOUT ROWID;
    CREATE INDEX sighting_by_age ON sighting (seen);
    CREATE TABLE tag_pin (
        registry TEXT NOT NULL,
        repository TEXT NOT NULL,
        name TEXT NOT NULL,
        digest TEXT NOT NULL,
        made REAL NOT NULL,
        PRIMARY KEY (registry, repository, name)
    ) WITHOUT ROWID;
    CREATE TABLE verdict (
        registry TEXT NOT NULL,
        repository TEXT NOT NULL,
        digest TEXT NOT NULL,
        trust TEXT NOT NULL,
        checked REAL NOT NULL,
        PRIMARY KEY (registry, repository, digest, trust)
    ) WITHOUT ROWID;
    INSERT INTO tag_change (registry, repository, name, credential, digest, seen, last)
        SELECT registry, repository, name, credential, digest, checked, checked FROM tag WHERE name NOT LIKE '%/%';
    INSERT INTO sighting (registry, repository, digest, seen)
        SELECT registry, repository, digest, min(confirmed) FROM link
        WHERE media_type IS NOT NULL AND confirmed > 0 GROUP BY registry, repository, digest;
"""
# Up to version 2 a link was made by what a manifest said, too: none of them counts now. What is stored stays.
_ANEW = "DROP TABLE link; DROP TABLE tag; DROP TRIGGER blob_added; DROP TRIGGER blob_dropped; DROP TABLE total;"
_MIGRATIONS = {
    0: _CONTENTS + _TOTAL + _TABLES + _CHECKED + _PINS + _HISTORY,
    1: _ANEW + _TOTAL + _TABLES + _CHECKED + _PINS + _HISTORY,
    2: _ANEW + _TOTAL + _TABLES + _CHECKED + _PINS + _HISTORY,
    3: _CHECKED + _PINS + _HISTORY,
    4: _PINS + _HISTORY,
    5: _HISTORY,
}

# Asked of each connection once: a table or a column that is missing is found before it is needed.
_CHECKS = (
    "SELECT digest, pool, size, used, checked FROM blob LIMIT 0",
    "SELECT digest, registry, repository, credential, media_type, size, confirmed FROM link LIMIT 0",
    "SELECT registry, repository, name, credential, digest, checked FROM tag LIMIT 0",
    "SELECT registry, repository, reference, made FROM pin LIMIT 0",
    "SELECT digest, pool FROM pinned LIMIT 0",
    "SELECT number, registry, repository, name, credential, digest, seen, last, asked_by FROM tag_change LIMIT 0",
    "SELECT registry, repository, digest, seen, dated, source FROM sighting LIMIT 0",
    "SELECT registry, repository, name, digest, made FROM tag_pin LIMIT 0",
    "SELECT registry, repository, digest, trust, checked FROM verdict LIMIT 0",
)

# The pool that a link leads into.
POOL = "CASE link.credential WHEN '' THEN '' ELSE link.registry END"

# Of contents those that may go to make room.
NOT_PINNED = "WHERE NOT EXISTS (SELECT 1 FROM pinned WHERE pinned.digest = blob.digest AND pinned.pool = blob.pool)"

# SQLite's primary result codes for a file that is no index of ours: no such table or column, a malformed one, none.
_DAMAGE = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA})

# What may lie in the write-ahead log for good, in bytes; a checkpoint cuts it to this.
_LOG_BYTES = 4 * 1024 * 1024


class OtherVersion(sqlite3.DatabaseError):
    """The file is an index, or something else, of a version that is not known here."""


def is_damage(error: sqlite3.Error) -> bool:
    """Tell whether ``error`` says that the file is no index, or none any more: waiting will not mend it."""
    if isinstance(error, OtherVersion):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return type(error) is sqlite3.DatabaseError
    return code & 0xFF in _DAMAGE


def open_file(path: Path, now: float) -> tuple[sqlite3.Connection, Path | None]:
    """Return a connection to the index at ``path``, made where it is not there, and what was in its place if damaged.

    Raises:
        OSError, sqlite3.Error: it cannot be opened.
    """
    # Two processes that start at once must not both migrate, or both set a damaged file aside.
    with _locked(path.with_suffix(".lock")):
        try:
            return connect(path), None
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            aside = set_aside(path, now)
            return connect(path), aside


def open_read_only(path: Path) -> sqlite3.Connection | None:
    """Return a connection to an index that may only be read; None where it cannot be, or is none."""
    # Beside a file that nobody may write there is no write-ahead log either, unless somebody else has made one.
    for options in ("mode=ro", "mode=ro&immutable=1"):
        try:
            database = sqlite3.connect(
                f"{path.absolute().as_uri()}?{options}", uri=True, timeout=0, check_same_thread=False
            )
        except sqlite3.Error:
            continue
        try:
            ((version,),) = database.execute("PRAGMA user_version")
            _check(database)
        except (sqlite3.Error, ValueError):
            database.close()
            continue
        if version == _VERSION:
            return database
        database.close()
    return None


def connect(path: Path | None, busy: float = 5.0) -> sqlite3.Connection:
    """Return a connection to the index at ``path``; None is one in memory alone.

    Arguments:
        busy: seconds to wait for another process's write.

    Raises:
        OSError, sqlite3.Error: it cannot be opened, or is no index (`is_damage`).
    """
    if path is not None:
        _make_private(path)
    database = sqlite3.connect(":memory:" if path is None else path, timeout=busy, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        # In WAL mode a power cut loses the last notes with this, never the file's integrity.
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        _migrate(database)
    except BaseException:
        database.close()
        raise
    return database


def set_aside(path: Path, now: float) -> Path:
    """Rename the file, and return where it is then. Who has it open goes on with it in vain. Raises OSError."""
    aside = path.with_suffix(f".damaged-{int(now)}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside


def row_bytes(database: sqlite3.Connection) -> int:
    """Return the bytes of the file that rows take: all but free pages, and those of empty tables."""
    ((pages,),) = database.execute("PRAGMA page_count")
    ((free,),) = database.execute("PRAGMA freelist_count")
    ((size,),) = database.execute("PRAGMA page_size")
    ((roots,),) = database.execute("SELECT count(*) FROM sqlite_master WHERE rootpage > 0")
    return max(0, int(pages) - int(free) - int(roots) - 1) * int(size)


def _make_private(path: Path) -> None:
    """Let nobody else read it, whatever the umask: SQLite's other files take its mode.

    A file that is there is not opened for it: closing it would let go of the locks that this process's connections
    have on it (fcntl(2)), and another process would take the write-ahead log for left behind.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        # Somebody else's file, which this process may only use.
        with contextlib.suppress(PermissionError):
            path.chmod(0o600)


def _migrate(database: sqlite3.Connection) -> None:
    ((version,),) = database.execute("PRAGMA user_version")
    if version != _VERSION:
        ((tables,),) = database.execute("SELECT count(*) FROM sqlite_master")
        if version not in _MIGRATIONS or (version == 0 and tables):
            raise OtherVersion(f"its version is {version}, where {_VERSION} is known")
        # SQLite keeps the statements as they are written, and all of them are to fit into the file's first page.
        script = " ".join(_MIGRATIONS[version].split())
        database.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {_VERSION}; COMMIT;")
    _check(database)


def _check(database: sqlite3.Connection) -> None:
    for check in _CHECKS:
        database.execute(check)
    if len(database.execute("SELECT bytes, contents FROM total").fetchall()) != 1:
        raise OtherVersion("its total is missing")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
