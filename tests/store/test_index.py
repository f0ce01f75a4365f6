from __future__ import annotations

import errno
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.store import schema, write_behind
from crproxy.store.entries import Entry, View
from crproxy.store.index import Index, Link, TagEntry
from crproxy.store.notes import Notes
from crproxy.store.schema import connect
from crproxy.store.tidying import forget_empty
from tests.logs import Log
from tests.memory import ended, not_yet
from tests.stores import make_index

QUAY = Registry("quay.io")
A, B, C = (Digest.of(content) for content in (b"a", b"b", b"c"))
VIEW = View(QUAY.repository("org/name"))
PRIVATE = View(VIEW.repository, "proxys")
OTHER = View(QUAY.repository("org/other"))
ALICES = View(VIEW.repository, caller="Bearer of alice")
BOBS = View(VIEW.repository, caller="Bearer of bob")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite"


@pytest.fixture
def index(path: Path, clock: Clock) -> Iterator[Index]:
    index = make_index(path, clock.seconds)
    yield index
    index.close()


# What is stored


def test_what_is_stored_has_a_size_until_it_is_dropped(index: Index) -> None:
    assert index.size(Entry(A)) is None
    index.stored(Entry(A), 10)
    assert (index.size(Entry(A)), index.size(Entry(A, QUAY))) == (10, None)
    index.dropped(Entry(A))
    assert index.size(Entry(A)) is None


def test_the_total_follows(index: Index) -> None:
    assert index.bytes_stored() == 0
    index.stored(Entry(A), 10)
    index.stored(Entry(A, QUAY), 10)
    index.stored(Entry(B), 5)
    index.stored(Entry(B), 5)
    assert index.bytes_stored() == 25
    index.dropped(Entry(A))
    index.dropped(Entry(A))
    index.dropped(Entry(C))
    assert index.bytes_stored() == 15


def test_the_least_recently_used_is_the_oldest(index: Index, clock: Clock) -> None:
    for digest in (A, B, C):
        index.stored(Entry(digest), 1)
        clock.advance(1)
    index.used([Entry(A)])
    clock.advance(1)
    assert index.oldest(9) == [(Entry(B), 1), (Entry(C), 1), (Entry(A), 1)]
    assert index.oldest(1) == [(Entry(B), 1)]
    index.stored(Entry(B), 1)
    assert index.oldest(1) == [(Entry(C), 1)]


def test_using_what_is_not_stored_stores_nothing(index: Index) -> None:
    index.used([Entry(A)])
    assert (index.oldest(9), index.bytes_stored()) == ([], 0)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_all_can_be_gone_through_in_steps(index: Index, limit: int) -> None:
    entries = {Entry(digest, pool) for digest in (A, B, C) for pool in (None, QUAY, DOCKER_HUB)}
    for entry in entries:
        index.stored(entry, 1)
    seen: list[Entry] = []
    while step := index.after(seen[-1] if seen else None, limit):
        assert len(step) <= limit
        seen += [entry for entry, _ in step]
    assert len(seen) == len(entries)
    assert set(seen) == entries


# Links


@pytest.mark.security("S10", "S11")
def test_a_link_is_one_views_alone(index: Index) -> None:
    index.link(VIEW, A, "type/x", 10)
    index.link(VIEW, B)
    assert index.linked(VIEW, A) == Link("type/x", 10)
    assert index.linked(VIEW, B) == Link()
    assert index.linked(VIEW, C) is None
    assert index.linked(PRIVATE, A) is None
    assert index.linked(OTHER, A) is None


@pytest.mark.parametrize("view", [VIEW, PRIVATE, ALICES])
def test_s10_anybodys_the_proxys_and_clients_sides_are_apart(index: Index, view: View) -> None:
    index.link(view, A, "type/x", 10)
    index.tag(view, "v1", A)
    for other in {VIEW, PRIVATE, ALICES} - {view}:
        assert (index.linked(other, A), index.tagged(other, "v1")) == (None, None)
        index.link(other, A, "type/y", 11)
        index.tag(other, "v1", B)
        index.untag(other, "v1")
    assert (index.linked(view, A), index.tagged(view, "v1")) == (Link("type/x", 10), TagEntry(A, 0.0))


def test_what_clients_brought_is_known_of_all_of_them(index: Index) -> None:
    """It is no right: each is asked for, each time."""
    index.link(ALICES, A, "type/x", 10)
    assert index.linked(BOBS, A) == Link("type/x", 10)


def test_no_credentials_are_written_down(index: Index, path: Path) -> None:
    """S26."""
    index.link(ALICES, A, "type/x", 10)
    index.tag(ALICES, "v1", A)
    index.close()
    assert not any(b"alice" in file.read_bytes() for file in path.parent.iterdir())


def test_clients_links_to_what_is_not_stored_are_forgotten_too(index: Index, clock: Clock) -> None:
    index.stored(Entry(B, QUAY), 1)
    index.link(ALICES, A)
    index.link(ALICES, B)
    clock.advance(10)
    assert forgotten(index, 5, 9) == 1
    assert (index.linked(ALICES, A), index.linked(ALICES, B)) == (None, Link())


def test_a_link_keeps_what_the_next_does_not_know(index: Index) -> None:
    index.link(VIEW, A, "type/x", 10)
    index.link(VIEW, A)
    assert index.linked(VIEW, A) == Link("type/x", 10)
    index.link(VIEW, A, "type/y", 11)
    assert index.linked(VIEW, A) == Link("type/y", 11)


def test_links_to_what_was_never_stored_are_forgotten_with_time(index: Index, clock: Clock) -> None:
    index.stored(Entry(A), 1)
    index.link(VIEW, A)
    index.link(VIEW, B)
    index.link(OTHER, B)
    clock.advance(10)
    index.link(VIEW, C)
    assert forgotten(index, 5, 1) == 1
    assert forgotten(index, 5, 9) == 1
    assert forgotten(index, 5, 9) == 0
    assert index.linked(VIEW, A) is not None
    assert index.linked(VIEW, C) is not None
    assert index.linked(VIEW, B) is index.linked(OTHER, B) is None


# Tags


def test_a_tag_points_where_it_last_did(index: Index, clock: Clock) -> None:
    assert index.tagged(VIEW, "v1") is None
    index.tag(VIEW, "v1", A)
    clock.advance(5)
    assert index.tagged(VIEW, "v1") == TagEntry(A, 0)
    index.tag(VIEW, "v1", B)
    assert index.tagged(VIEW, "v1") == TagEntry(B, 5)
    assert index.tagged(VIEW, "v2") is index.tagged(PRIVATE, "v1") is index.tagged(OTHER, "v1") is None


def test_a_tag_can_be_forgotten(index: Index) -> None:
    index.tag(VIEW, "v1", A)
    index.tag(VIEW, "v2", A)
    index.tag(PRIVATE, "v1", A)
    index.untag(VIEW, "v1")
    assert index.tagged(VIEW, "v1") is None
    assert index.tagged(VIEW, "v2") == index.tagged(PRIVATE, "v1") == TagEntry(A, 0)


# The file


def test_it_is_remembered(index: Index, path: Path, clock: Clock) -> None:
    index.stored(Entry(A, QUAY), 10)
    index.link(VIEW, A, "type/x", 10)
    index.tag(VIEW, "v1", A)
    index.close()
    again = make_index(path, clock.seconds)
    assert (again.size(Entry(A, QUAY)), again.bytes_stored()) == (10, 10)
    assert (again.linked(VIEW, A), again.tagged(VIEW, "v1")) == (Link("type/x", 10), TagEntry(A, 0))
    again.close()


def test_two_processes_see_what_the_other_notes(index: Index, path: Path, clock: Clock) -> None:
    other = make_index(path, clock.seconds)
    index.stored(Entry(A), 10)
    other.refresh()
    assert (other.size(Entry(A)), other.bytes_stored()) == (10, 10)
    other.stored(Entry(A), 10)
    other.stored(Entry(B), 5)
    other.tag(VIEW, "v1", B)
    index.refresh()
    assert index.bytes_stored() == 15
    assert index.tagged(VIEW, "v1") == TagEntry(B, 0)
    other.close()


# The file as version 2 had it, without what does not matter here.
VERSION_2 = """
    CREATE TABLE blob (digest TEXT NOT NULL, pool TEXT NOT NULL, size INTEGER NOT NULL, used REAL NOT NULL,
        PRIMARY KEY (digest, pool)) WITHOUT ROWID;
    CREATE TABLE total (bytes INTEGER NOT NULL);
    INSERT INTO total VALUES (10);
    CREATE TRIGGER blob_added AFTER INSERT ON blob BEGIN UPDATE total SET bytes = bytes + new.size; END;
    CREATE TRIGGER blob_dropped AFTER DELETE ON blob BEGIN UPDATE total SET bytes = bytes - old.size; END;
    CREATE TABLE link (digest TEXT, registry TEXT, repository TEXT, private INTEGER, media_type TEXT, size INTEGER,
        made REAL, PRIMARY KEY (digest, registry, repository, private)) WITHOUT ROWID;
    CREATE TABLE tag (registry TEXT, repository TEXT, name TEXT, private INTEGER, digest TEXT, checked REAL,
        PRIMARY KEY (registry, repository, name, private)) WITHOUT ROWID;
"""


@pytest.mark.parametrize("version", [1, 2])
def test_s11_of_an_earlier_version_only_what_is_stored_stays(path: Path, clock: Clock, log: Log, version: int) -> None:
    """Its links were made by what manifests said, too."""
    database = sqlite3.connect(path)
    database.executescript(VERSION_2)
    database.execute("INSERT INTO blob VALUES (?, '', 10, 0)", [str(A)])
    database.execute("INSERT INTO link VALUES (?, 'quay.io', 'org/name', 0, NULL, 10, 0)", [str(A)])
    database.execute(f"PRAGMA user_version = {version}")
    database.commit()
    database.close()
    for _ in range(2):
        index = make_index(path, clock.seconds)
        assert (index.size(Entry(A)), index.contents(), index.linked(VIEW, A)) == (10, 1, None)
        index.close()
    assert not any("index" in complaint for complaint in log.complaints)


SPOILT = {
    "another version": "PRAGMA user_version = 99",
    "no version": "PRAGMA user_version = 0",
    "no table": "DROP TABLE tag",
    "no column": "ALTER TABLE link DROP COLUMN media_type",
    "no total": "DELETE FROM total",
}


@pytest.mark.parametrize("statement", SPOILT.values(), ids=SPOILT.keys())
def test_what_is_no_index_of_ours_is_set_aside(
    index: Index, path: Path, clock: Clock, log: Log, statement: str
) -> None:
    index.stored(Entry(A), 10)
    index.close()
    database = sqlite3.connect(path)
    database.execute(statement)
    database.commit()
    database.close()
    clock.advance(77)
    again = make_index(path, clock.seconds)
    assert again.size(Entry(A)) is None
    again.stored(Entry(B), 10)
    assert again.bytes_stored() == 10
    assert (path.parent / "index.damaged-77").exists()
    assert len(log.complaints) == 1
    again.close()


def test_a_table_that_goes_while_it_runs_is_damage_too(index: Index, path: Path, log: Log) -> None:
    index.stored(Entry(A), 10)
    database = sqlite3.connect(path)
    database.execute("DROP TABLE link")
    database.commit()
    database.close()
    assert index.linked(VIEW, A) is None
    index.link(VIEW, A)
    assert index.linked(VIEW, A) == Link()
    assert index.rebuilt
    assert len(log.complaints) == 1


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_may_read_it(path: Path, clock: Clock, umask: int) -> None:
    before = os.umask(umask)
    try:
        index = make_index(path, clock.seconds)
        index.stored(Entry(A), 10)
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {f"index.{ending}": 0o600 for ending in ("sqlite", "sqlite-wal", "sqlite-shm", "lock")}
    index.close()


def test_a_file_that_others_could_read_is_theirs_no_more(index: Index, path: Path, clock: Clock) -> None:
    index.close()
    path.chmod(0o644)
    make_index(path, clock.seconds).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_damaged_file_is_set_aside(path: Path, clock: Clock, log: Log) -> None:
    clock.advance(77)
    path.write_bytes(b"this is no database, whatever else it may be" * 100)
    index = make_index(path, clock.seconds)
    index.stored(Entry(A), 10)
    assert index.bytes_stored() == 10
    assert (path.parent / "index.damaged-77").read_bytes().startswith(b"this is no database")
    assert any("is damaged" in complaint for complaint in log.complaints)
    index.close()


def spoil(path: Path) -> None:
    """Let all but the file's first page be bad_gateway, for who has it open, too."""
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))


def test_damage_that_is_found_later_is_set_aside_too(index: Index, path: Path, clock: Clock, log: Log) -> None:
    for number in range(100):
        index.stored(Entry(Digest.of(bytes([number]))), 10)
    index.close()
    index = make_index(path, clock.seconds)
    database = sqlite3.connect(path)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    spoil(path)
    index.stored(Entry(B), 5)
    assert index.bytes_stored() == 5
    assert (path.parent / "index.damaged-0").exists()
    assert index.rebuilt
    assert any("is damaged" in complaint for complaint in log.complaints)
    index.close()


def test_a_file_that_cannot_be_made_is_done_without(tmp_path: Path, clock: Clock, log: Log) -> None:
    index = make_index(tmp_path / "missing" / "index.sqlite", clock.seconds)
    index.stored(Entry(A), 10)
    index.link(VIEW, A)
    assert (index.bytes_stored(), index.linked(VIEW, A), index.lasts) == (10, Link(), False)
    assert any("cannot be opened" in complaint for complaint in log.complaints)
    assert not (tmp_path / "missing").exists()
    index.close()


# Notes


class Thread:
    """A thread that works when it is told to."""

    def __init__(self) -> None:
        self.work: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    def __call__(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self.work.append((lambda: work(*args), done))
        return done

    def step(self) -> None:
        work, done = self.work.pop(0)
        maybeDeferred(work).chainDeferred(done)

    def run(self) -> None:
        while self.work:
            self.step()


@pytest.fixture
def thread() -> Thread:
    return Thread()


@pytest.fixture
def slow(path: Path, clock: Clock, thread: Thread) -> Iterator[Index]:
    index = make_index(path, clock.seconds, thread)
    yield index
    index.close()


def test_what_is_noted_counts_before_it_is_written(slow: Index, path: Path, clock: Clock, thread: Thread) -> None:
    slow.stored(Entry(A), 10)
    slow.stored(Entry(B), 5)
    slow.link(VIEW, A, "type/x", 10)
    slow.tag(VIEW, "v1", A)
    slow.dropped(Entry(B))
    seen = (slow.size(Entry(A)), slow.size(Entry(B)), slow.bytes_stored(), slow.contents(), slow.oldest(9))
    assert seen == (10, None, 10, 1, [(Entry(A), 10)])
    assert (slow.linked(VIEW, A), slow.tagged(VIEW, "v1")) == (Link("type/x", 10), TagEntry(A, 0.0))
    assert slow.has_delivered(QUAY, A)
    assert slow.anonymous(A) == [VIEW.repository]
    other = make_index(path, clock.seconds)
    assert (other.size(Entry(A)), other.linked(VIEW, A)) == (None, None)
    thread.run()
    other.refresh()
    seen = (other.size(Entry(A)), other.size(Entry(B)), other.bytes_stored(), other.contents(), other.oldest(9))
    assert seen == (10, None, 10, 1, [(Entry(A), 10)])
    assert (other.linked(VIEW, A), other.tagged(VIEW, "v1")) == (Link("type/x", 10), TagEntry(A, 0.0))
    other.close()


def test_while_a_batch_is_written_the_next_comes_together(slow: Index, thread: Thread) -> None:
    for number in range(100):
        slow.stored(Entry(Digest.of(bytes([number]))), 1)
    assert len(thread.work) == 1
    thread.step()
    assert len(thread.work) == 1
    thread.step()
    assert thread.work == []
    assert (slow.bytes_stored(), slow.contents()) == (100, 100)


def test_a_batch_has_a_bound(slow: Index, thread: Thread) -> None:
    for number in range(1200):
        slow.stored(Entry(Digest.of(number.to_bytes(2, "big"))), 1)
    batches = 0
    while thread.work:
        thread.step()
        batches += 1
        assert slow.bytes_stored() == 1200
    assert batches == 4


def test_flushed_is_when_nothing_waits(slow: Index, thread: Thread) -> None:
    assert ended(slow.flush()) is None
    slow.stored(Entry(A), 10)
    slow.stored(Entry(B), 10)
    flushed = slow.flush()
    thread.step()
    assert not_yet(flushed)
    thread.step()
    ended(flushed)


def test_what_is_noted_later_holds_up_nobody_who_waits_for_what_was_before(slow: Index, thread: Thread) -> None:
    waiting = []
    for content in (A, B, C):
        slow.stored(Entry(content), 1)
        waiting.append(slow.flush())
    thread.step()
    assert [each.called for each in waiting] == [True, False, False]
    slow.stored(Entry(A), 2)
    thread.step()
    assert slow.contents() == 3
    assert [each.called for each in waiting] == [True, True, True]
    assert not_yet(slow.flush())
    thread.run()


@pytest.mark.parametrize("step", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_a_file_that_another_process_holds_makes_nobody_wait(
    slow: Index, path: Path, thread: Thread, log: Log, step: str
) -> None:
    slow.stored(Entry(A), 10)
    thread.run()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute(step)
    slow._writer._connection().execute("PRAGMA busy_timeout = 1")
    slow.stored(Entry(B), 5)
    slow.link(VIEW, B)
    flushed = slow.flush()
    thread.run()
    ended(flushed)
    assert (slow.size(Entry(A)), slow.size(Entry(B)), slow.bytes_stored()) == (10, 5, 15)
    assert slow.linked(VIEW, B) == Link()
    slow.stored(Entry(C), 1)
    thread.run()
    assert len(log.complaints) == 1
    holder.execute("ROLLBACK")
    holder.close()
    ended_after(slow.flush(), thread)
    assert (slow._totals_in_file().bytes, slow.bytes_stored(), slow.contents()) == (16, 16, 3)
    assert "the index can be written again" in log.lines


def test_observers_are_told_of_each_batch_before_it_is_written(slow: Index, path: Path, thread: Thread) -> None:
    told: list[Notes] = []
    sizes: list[int | None] = []
    other = make_index(path, lambda: 0.0)

    def observe(notes: Notes) -> None:
        sizes.append(other.size(Entry(A)))
        told.append(notes)

    slow.observers.append(observe)
    slow.stored(Entry(A), 10)
    slow.tag(VIEW, "v1", A)
    slow.revoke(PRIVATE)
    assert told == []
    thread.run()
    assert sizes == [None, 10]
    assert [(set(notes.blobs), set(notes.tags), set(notes.revoked)) for notes in told] == [
        ({(str(A), "")}, set(), set()),
        (set(), {("quay.io", "org/name", "v1", "")}, {("quay.io", "org/name", "proxys")}),
    ]


def test_an_observer_that_fails_keeps_nothing_from_being_written(slow: Index, thread: Thread, log: Log) -> None:
    def fail(notes: Notes) -> None:
        raise RuntimeError("full")

    slow.observers.append(fail)
    slow.stored(Entry(A), 10)
    ended_after(slow.flush(), thread)
    assert slow._totals_in_file().bytes == 10
    assert log.failures == [RuntimeError]


def test_observers_are_told_again_of_what_could_not_be_written(slow: Index, path: Path, thread: Thread) -> None:
    told: list[Notes] = []
    slow.observers.append(told.append)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    slow._writer._connection().execute("PRAGMA busy_timeout = 1")
    slow.stored(Entry(A), 10)
    thread.run()
    holder.execute("ROLLBACK")
    holder.close()
    ended_after(slow.flush(), thread)
    assert [set(notes.blobs) for notes in told] == [{(str(A), "")}] * 2


def ended_after(flushed: Deferred[None], thread: Thread) -> None:
    thread.run()
    ended(flushed)


def test_notes_that_cannot_be_written_have_a_bound(
    slow: Index, thread: Thread, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    monkeypatch.setattr(write_behind, "_MOST_WAITING", 10)
    slow._writer._connection().execute("PRAGMA query_only = 1")
    for number in range(100):
        slow.link(VIEW, Digest.of(bytes([number])))
        slow.tag(VIEW, f"v{number}", A)
        slow.stored(Entry(Digest.of(bytes([number]))), 1)
        thread.run()
    assert len(slow.pending.notes.links) + len(slow.pending.notes.tags) <= 10
    assert slow.bytes_stored() == 100
    assert len(log.complaints) == 1


# Permissions that end


def test_s12_what_was_refused_counts_no_more(slow: Index, clock: Clock, thread: Thread) -> None:
    """Whatever of it is written by then, and in which order."""
    clock.advance(5)
    slow.link(PRIVATE, A)
    thread.run()
    slow.link(PRIVATE, B)
    slow.revoke(PRIVATE)
    slow.link(OTHER, A)
    for _ in range(2):
        confirmed = [link and link.confirmed for link in map(slow.linked, [PRIVATE] * 3 + [OTHER], [A, B, C, A])]
        assert confirmed == [0.0, 0.0, None, 5.0]
        thread.run()
    clock.advance(1)
    slow.link(PRIVATE, A)
    for _ in range(2):
        assert slow.linked(PRIVATE, A) == Link(None, None, 6.0)
        assert slow.linked(PRIVATE, B) == Link(None, None, 0.0)
        thread.run()


def test_s12_nor_does_what_was_noted_before_and_is_written_after(slow: Index, clock: Clock, thread: Thread) -> None:
    clock.advance(5)
    slow._writer._connection().execute("PRAGMA query_only = 1")
    slow.link(PRIVATE, A)
    slow.revoke(PRIVATE)
    thread.run()
    assert slow.linked(PRIVATE, A) == Link(None, None, 0.0)
    slow._writer._connection().execute("PRAGMA query_only = 0")
    ended_after(slow.flush(), thread)
    assert slow.linked(PRIVATE, A) == Link(None, None, 0.0)


# Rows


def test_rows_have_a_bound_and_the_oldest_go_first(path: Path, clock: Clock) -> None:
    limit = 200_000
    index = make_index(path, clock.seconds, limit=lambda: limit)
    kept = Digest.of(b"kept")
    index.stored(Entry(kept), 4)
    index.link(VIEW, kept)
    index.tag(VIEW, "kept", kept)
    for number in range(4000):
        clock.advance(1)
        index.link(VIEW, Digest.of(number.to_bytes(2, "big")), "type/x", 10)
        index.tag(VIEW, f"v{number}", Digest.of(number.to_bytes(2, "big")))
        assert index.row_bytes() <= limit
    # What leads to something stored stays longest.
    assert index.linked(VIEW, kept) is not None
    assert index.tagged(VIEW, "kept") is not None
    assert index.linked(VIEW, Digest.of((0).to_bytes(2, "big"))) is None
    assert index.linked(VIEW, Digest.of((3999).to_bytes(2, "big"))) is not None
    index.close()
    assert path.stat().st_size < 2 * limit


def test_an_empty_index_has_no_rows(index: Index) -> None:
    index.stored(Entry(A), 10)
    assert index.row_bytes() == 0


def forgotten(index: Index, before: float, limit: int) -> int:
    return ended(index.ask(lambda database: forget_empty(database, before, limit)))


def test_no_question_goes_through_all_rows(path: Path, clock: Clock) -> None:
    """However many there are: each statement finds what it needs by an index."""
    database = connect(path)
    statements: list[str] = []
    database.set_trace_callback(statements.append)
    index = make_index(path, clock.seconds)
    index._reader.close()
    index._writer.close()
    index._reader = index._writer._own = database
    index.stored(Entry(A), 10)
    index.link(VIEW, A, "type/x", 10)
    index.tag(VIEW, "v1", A)
    index.used([Entry(A)])
    index.size(Entry(A))
    index.checked(Entry(A))
    index.longest_unchecked()
    index.oldest(10)
    index.after(Entry(A), 10)
    index.linked(VIEW, A)
    index.has_delivered(QUAY, A)
    index.anonymous(A)
    index.is_linked(Entry(A))
    index.tagged(VIEW, "v1")
    index.revoke(VIEW)
    forgotten(index, 5, 10)
    index.untag(VIEW, "v1")
    index.unlink(VIEW, [A])
    index.dropped(Entry(A))
    database.set_trace_callback(None)
    asked = {statement for statement in statements if statement.strip().startswith(("SELECT", "UPDATE", "DELETE"))}
    assert len(asked) >= 15
    for statement in asked:
        if "sqlite_master" in statement:
            continue
        plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {statement}")]
        for step in plan:
            scans = step.startswith("SCAN") and "USING INDEX" not in step and "USING COVERING INDEX" not in step
            assert not scans or step == "SCAN total", (statement, plan)
            assert "TEMP B-TREE" not in step, (statement, plan)
    database.close()


def test_a_file_that_may_only_be_read_is_read(index: Index, path: Path, clock: Clock, log: Log) -> None:
    index.stored(Entry(A), 10)
    index.link(VIEW, A)
    index.close()
    path.chmod(0o400)
    path.parent.chmod(0o500)
    refuse_writing = pytest.MonkeyPatch()
    refuse_writing.setattr(schema, "_make_private", refuse)
    again = make_index(path, clock.seconds)
    assert (again.lasts, again.size(Entry(A)), again.linked(VIEW, A)) == (False, 10, Link())
    again.link(VIEW, B)
    again.dropped(Entry(A))
    assert (again.linked(VIEW, B), again.size(Entry(A)), again.bytes_stored()) == (Link(), None, 0)
    refuse_writing.undo()
    path.parent.chmod(0o700)
    again.close()
    assert any("nothing is remembered" in complaint for complaint in log.complaints)


def refuse(path: Path) -> None:
    """Tests may run as root, whom no mode refuses anything."""
    raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))


def test_what_another_process_closes_takes_no_note_away(index: Index, path: Path) -> None:
    """SQLite's locks are the process's: the file must not be opened and closed beside a connection (fcntl(2))."""
    index.stored(Entry(A), 10)
    run_sqlite(path, "database.execute('SELECT * FROM blob'); database.close()")
    index.stored(Entry(B), 5)
    assert run_sqlite(path, "print(*database.execute('SELECT count(*) FROM blob').fetchone())") == "2\n"


def run_sqlite(path: Path, statement: str) -> str:
    """What another process prints that does this with the file."""
    script = f"import sqlite3, sys; database = sqlite3.connect(sys.argv[1]); {statement}"
    command = [sys.executable, "-c", script, str(path)]
    return subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout
