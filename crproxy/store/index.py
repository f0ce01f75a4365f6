"""What is known of what is kept: sizes and last use, which repository may have it, and where tags point.

SQLite in WAL mode: processes share one file, and a question takes microseconds. Nothing is written by who notes it:
notes count at once, and go to the file in batches, by a thread. The file can be lost: what is whole on disk is taken up
again, and links and tags come back with the next pulls.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from ..oci.digests import Digest
from ..oci.names import Registry, Repository
from ..sharing import Alone, Sharing
from .entries import Entry, View
from .filling import Threads, at_once
from .keys import blob_key, entry_of, tag_key, view_key
from .notes import NEVER, BlobKey, Link, Notes, Stored, TagEntry, unless_revoked
from .schema import NOT_PINNED, POOL, connect, is_damage, open_file, open_read_only, set_aside
from .write_behind import WriteBehind
from .writing import Totals, Writer

__all__ = ["Index", "Link", "TagEntry"]

Result = TypeVar("Result")

# Repositories that are looked at for one that may lend its permission.
_LENDERS = 64
# Seconds that a question waits: in WAL mode no writer holds up a reader.
_READ_SECONDS = 0.01

# Asks for stored contents, and what is known of each.
_BLOB = "SELECT digest, pool, size, used, checked FROM blob "

# Rows that are passed over at the most: whoever asks does so over and over.
_MOST_PASSED = 1000

# What writes are counted as.
_WRITES = "writes"


class Index:
    """The index of one cache. ``pending`` are its notes on their way to the file.

    Arguments:
        path: the SQLite file; made where it is not there.
        now: seconds since the epoch.
        threads: runs what writes; one thing after the other.
        limit: returns the bytes that its rows may take; the oldest are forgotten beyond.
        sharing: tells whether other workers look into the file, and is told of what is written there.
    """

    _log = Logger()

    def __init__(
        self,
        path: Path,
        now: Callable[[], float],
        threads: Threads = at_once,
        limit: Callable[[], int] = lambda: sys.maxsize,
        sharing: Sharing | None = None,
    ) -> None:
        sharing = sharing or Alone()
        self._is_alone = sharing.is_alone
        # How often each worker has written.
        self._writes = sharing.count("index")
        # As often as that was when it was last looked into.
        self._writes_seen: int | None = None
        # Begun anew in the place of a damaged file: what is on disk is to be taken up again.
        self.rebuilt = False
        # What is noted is in memory alone, where the file cannot be opened for writing.
        self.lasts = True
        self._path = path
        self._now = now
        # The connection that is also written to, where there is no file.
        self._memory: sqlite3.Connection | None = None
        self._reader = self._open()
        self._writer = Writer(path, self._memory, limit)
        # Are told of each batch, by the thread that writes it.
        self.observers = self._writer.observers
        self.pending = WriteBehind(self._writer, threads, self._is_mended, self._note_write)
        self.pending.totals = self._totals_in_file()

    def close(self) -> None:
        """Let go of the file; what was not written is lost."""
        self._writer.close()
        self._reader.close()

    def flush(self) -> Deferred[None]:
        """Write what waits for it; fires when nothing does any more, or when it cannot be written now."""
        return self.pending.flush()

    def settled(self) -> Deferred[None]:
        """Fire when what is noted so far is known to every worker, or cannot be written now."""
        return succeed(None) if self._is_alone or not self.pending.is_waiting else self.pending.flush()

    def version(self) -> Hashable:
        """Return what is something else after whatever this worker notes, or another one writes."""
        return self.pending.version if self._is_alone else (self.pending.version, self._writes.of(_WRITES))

    # What is stored

    def stored(self, entry: Entry, size: int) -> None:
        """Note that ``entry``, of ``size`` bytes, is whole on disk, and its bytes are the right ones."""
        now = self._now()
        self._note_blob(entry, Stored(size, now, checked=now))

    def found(self, entry: Entry, size: int) -> bool:
        """Note that a file is on disk, which nobody has read; tell whether that is new: of others more is known."""
        # What was dropped just now, and is there all the same, is the next look's: it would not be gone from the file.
        if any(blob_key(entry) in notes.blobs for notes in self.pending.waiting()) or self.size(entry) is not None:
            return False
        self._note_blob(entry, Stored(size, self._now()))
        return True

    def checked(self, entry: Entry) -> None:
        """Note that stored content was read just now, and is what it should be."""
        self.pending.notes.checked[blob_key(entry)] = self._now()
        self.pending.begin()

    def dropped(self, entry: Entry) -> None:
        """Forget content that is not on disk any more."""
        self._note_blob(entry, None)

    def size(self, entry: Entry) -> int | None:
        """Return the bytes of stored content; None where it is not stored."""
        kept = self.kept(entry)
        return None if kept is None else kept.size

    def kept(self, entry: Entry) -> Stored | None:
        """Return what is known of stored content; None where it is not stored. Its use is as it was last written."""
        key, checked = blob_key(entry), NEVER
        for notes in self.pending.waiting():
            checked = max(checked, notes.checked.get(key, NEVER))
            if key in notes.blobs:
                kept = notes.blobs[key]
                break
        else:
            rows = self.read("SELECT size, used, checked FROM blob WHERE digest = ? AND pool = ?", *key)
            kept = Stored(*rows[0]) if rows else None
        return kept if kept is None or checked <= kept.checked else replace(kept, checked=checked)

    def longest_unchecked(self, besides: Collection[Entry] = ()) -> tuple[Entry, Stored] | None:
        """Return the content that was not read for longest, but for ``besides``; None where there is none.

        What is said to be read later than now comes before all else. What is not written yet is passed over; where that
        is much, as it is of a file that cannot be written, there is none.
        """
        passed = self.pending.blobs_waiting() | {blob_key(entry) for entry in besides}
        if len(passed) > _MOST_PASSED:
            return None
        rows = self.read(_BLOB + "WHERE checked > ? LIMIT ?", self._now(), len(passed) + 1)
        rows += self.read(_BLOB + "ORDER BY checked LIMIT ?", len(passed) + 1)
        found = ((entry_of(*row[:2]), Stored(*row[2:])) for row in rows if row[:2] not in passed)
        return next(found, None)

    def used(self, entries: Iterable[Entry]) -> None:
        """Note that these were asked for now."""
        self.pending.notes.used.update(dict.fromkeys(map(blob_key, entries), self._now()))
        self.pending.begin()

    def bytes_stored(self) -> int:
        """Return the bytes of everything stored; what other processes stored counts from the next `refresh` on."""
        return self.pending.totals.bytes + sum(notes.bytes for notes in self.pending.waiting())

    def row_bytes(self) -> int:
        """Return the bytes that the index itself takes on disk, as it was last written."""
        return self.pending.totals.rows

    def contents(self) -> int:
        """Return how many contents are stored."""
        return self.pending.totals.contents + sum(notes.files for notes in self.pending.waiting())

    def check(self) -> None:
        """Raise sqlite3.Error where it cannot be read."""
        self._reader.execute("SELECT bytes FROM total").fetchall()

    def refresh(self) -> None:
        """Take in what other processes have stored or dropped."""
        writes = None if self._is_alone else self._writes.of(_WRITES)
        if writes is None or writes != self._writes_seen:
            self._writes_seen = writes
            self.pending.found(self._totals_in_file())

    def oldest(self, limit: int) -> list[tuple[Entry, int]]:
        """Return entry and size of some contents, ``limit`` or more where there are, the least recently used first.

        What is pinned is not among them.
        """
        gone = {key for notes in self.pending.waiting() for key, kept in notes.blobs.items() if kept is None}
        rows = self.read(f"SELECT digest, pool, size FROM blob {NOT_PINNED} ORDER BY used LIMIT ?", limit + len(gone))  # noqa: S608
        found = {(digest, pool): size for digest, pool, size in rows if (digest, pool) not in gone}
        written = frozenset(found)
        for notes in self.pending.waiting():
            found.update((key, kept.size) for key, kept in notes.blobs.items() if kept is not None and key not in gone)
        return [(entry_of(*key), size) for key, size in found.items() if key in written or not self._is_pinned(key)]

    def _is_pinned(self, key: BlobKey) -> bool:
        return bool(self.read("SELECT 1 FROM pinned WHERE digest = ? AND pool = ?", *key))

    def after(self, entry: Entry | None, limit: int) -> list[tuple[Entry, int]]:
        """Return entry and size of up to ``limit`` contents in a fixed order, from the one after ``entry`` on.

        What is not written yet is not among them.
        """
        last = ("", "") if entry is None else blob_key(entry)
        rows = self.read(
            "SELECT digest, pool, size FROM blob WHERE (digest, pool) > (?, ?) ORDER BY digest, pool LIMIT ?",
            *last,
            limit,
        )
        return [(entry_of(digest, pool), size) for digest, pool, size in rows]

    def link(self, view: View, digest: Digest, media_type: str | None = None, size: int | None = None) -> None:
        """Note that upstream gave ``view`` some content just now. What an older link knew stays known."""
        known = self.linked(view, digest) or Link()
        size = known.size if size is None else size
        self.take_up(view, digest, Link(media_type or known.media_type, size, self._now()))

    def take_up(self, view: View, digest: Digest, link: Link) -> None:
        """Note a permission that another node has noted."""
        if self.pending.has_room:
            self.pending.notes.links[str(digest), *view_key(view)] = link
        self.pending.begin()

    def linked(self, view: View, digest: Digest) -> Link | None:
        """Return the permission of ``view`` to have ``digest``; None where it has none."""
        whose = view_key(view)
        for notes in self.pending.waiting():
            if (str(digest), *whose) in notes.links:
                link = notes.links[str(digest), *whose]
                break
        else:
            rows = self.read(
                "SELECT media_type, size, confirmed FROM link "
                "WHERE digest = ? AND registry = ? AND repository = ? AND credential = ?",
                str(digest),
                *whose,
            )
            link = Link(*rows[0]) if rows else None
        return None if link is None else unless_revoked(self.pending.waiting(), whose, link)

    def revoke(self, view: View) -> None:
        """Note that upstream refuses ``view``: no permission of its counts before it is confirmed anew."""
        self.pending.notes.revoke(view_key(view), self._now())
        self.pending.begin()

    def has_delivered(self, registry: Registry, digest: Digest) -> bool:
        """Tell whether ``registry`` has given these bytes, for any of its repositories."""
        if any(key[:2] == (str(digest), registry.name) for notes in self.pending.waiting() for key in notes.links):
            return True
        rows = self.read("SELECT 1 FROM link WHERE digest = ? AND registry = ? LIMIT 1", str(digest), registry.name)
        return bool(rows)

    def anonymous(self, digest: Digest) -> list[Repository]:
        """Return repositories, some if there are many, that upstream gave the content for without credentials."""
        noted = [
            key[1:3]
            for notes in self.pending.waiting()
            for key, link in notes.links.items()
            if link is not None and key[0] == str(digest) and key[3] == ""
        ]
        rows = self.read(
            "SELECT registry, repository FROM link WHERE digest = ? AND credential = '' LIMIT ?", str(digest), _LENDERS
        )
        return [Repository(Registry(registry), path) for registry, path in [*noted[:_LENDERS], *rows]]

    def is_linked(self, entry: Entry) -> bool:
        """Tell whether any repository has a permission to have ``entry``, as far as it is written."""
        rows = self.read(f"SELECT 1 FROM link WHERE digest = ? AND {POOL} = ? LIMIT 1", *blob_key(entry))  # noqa: S608
        return bool(rows)

    def unlink(self, view: View, digests: Iterable[Digest]) -> None:
        """Take the permission to have some contents from ``view``."""
        self.pending.notes.links.update(((str(digest), *view_key(view)), None) for digest in digests)
        self.pending.begin()

    def ask(self, work: Callable[[sqlite3.Connection], Result]) -> Deferred[Result]:
        """Return the result of what takes longer than a request may, once all notes are written."""
        return self.pending.ask(work)

    # Tags

    def tag(self, view: View, name: str, digest: Digest, checked: float | None = None) -> None:
        """Note that upstream said at ``checked``, just now by default, that the tag points to ``digest``."""
        if self.pending.has_room:
            self.pending.notes.tags[tag_key(view, name)] = TagEntry(digest, checked or self._now())
        self.pending.begin()

    def tagged(self, view: View, name: str) -> TagEntry | None:
        """Return where the tag pointed when it was last checked."""
        key = tag_key(view, name)
        for notes in self.pending.waiting():
            if key in notes.tags:
                return notes.tags[key]
        rows = self.read(
            "SELECT digest, checked FROM tag WHERE registry = ? AND repository = ? AND name = ? AND credential = ?",
            *key,
        )
        return TagEntry(Digest.parse(rows[0][0]), rows[0][1]) if rows else None

    def untag(self, view: View, *names: str) -> None:
        """Forget tags, such as one that upstream does not have any more."""
        self.pending.notes.tags.update((tag_key(view, name), None) for name in names)
        self.pending.begin()

    def noted(self) -> Iterable[Notes]:
        """Return what is not in the file yet, the latest first."""
        return self.pending.waiting()

    def _note_blob(self, entry: Entry, kept: Stored | None) -> None:
        before, key = self.size(entry), blob_key(entry)
        if kept is None and before is None:
            return
        self.pending.notes.note(key, kept)
        size = (0 if kept is None else kept.size) - (before or 0)
        self.pending.notes.change(key, size, int(kept is not None) - int(before is not None))
        self.pending.begin()

    def _note_write(self) -> None:
        if not self._is_alone:
            self._writes.add(_WRITES)

    def read(self, statement: str, *values: object) -> list[Any]:
        """Return the rows of a question to the file; none where it cannot be read."""
        try:
            return self._reader.execute(statement, values).fetchall()
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.Error as error:
            if not is_damage(error) or not self._mend(error):
                self._log.warn("the index cannot be read: {error}", error=error)
                return []
            return self._reader.execute(statement, values).fetchall()

    def _totals_in_file(self) -> Totals:
        rows = self.read("SELECT bytes, contents FROM total")
        if not rows:
            # It cannot be read now: that says nothing of what is kept.
            return self.pending.totals
        ((size, contents),) = rows
        return Totals(size, contents, self.pending.totals.rows)

    def _is_mended(self, error: BaseException) -> bool:
        """Tell whether what could not be written can be now: to another file, in the place of a damaged one."""
        if not isinstance(error, sqlite3.Error) or not is_damage(error):
            return False
        return self._writer.is_stale or self._mend(error)

    def _mend(self, error: sqlite3.Error) -> bool:
        """Begin a new file in the place of a damaged one; tell whether that could be done."""
        try:
            aside = set_aside(self._path, self._now())
            mended = connect(self._path, _READ_SECONDS)
        except (OSError, sqlite3.Error) as trouble:
            self._log.error("the damaged index cannot be set aside: {error}", error=trouble)
            return False
        self._tell_damage(error, aside)
        before, self._reader = self._reader, mended
        before.close()
        self._writer.leave()
        self.pending.totals = Totals()
        self.rebuilt = True
        return True

    def _open(self) -> sqlite3.Connection:
        try:
            opened, aside = open_file(self._path, self._now())
            opened.execute(f"PRAGMA busy_timeout = {int(_READ_SECONDS * 1000)}")
        except (OSError, sqlite3.Error) as error:
            self._log.error(
                "the index {path} cannot be opened ({error}): nothing is remembered beyond this run",
                path=str(self._path),
                error=error,
            )
            self.lasts = False
            readable = open_read_only(self._path)
            if readable is None:
                readable = self._memory = connect(None)
            return readable
        if aside is not None:
            self._tell_damage("it is no index of this version", aside)
        return opened

    def _tell_damage(self, why: object, aside: Path) -> None:
        self._log.error(
            "the index {path} is damaged ({error}): it was set aside as {aside}, "
            "and is built anew from what is on disk",
            path=str(self._path),
            error=why,
            aside=aside.name,
        )
