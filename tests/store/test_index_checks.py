"""What the index knows of when content was read, and of content that nobody has read."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry, Tag
from crproxy.policy.minimum_age import Dated, TagChange
from crproxy.store.entries import Entry, View
from crproxy.store.index import Index
from crproxy.store.notes import NEVER
from crproxy.store.tag_history import TagHistory
from tests.logs import Log
from tests.store.test_index import Thread
from tests.stores import make_index

A, B = (Digest.of(content) for content in (b"a", b"b"))
QUAY = Registry("quay.io")
VIEW = View(QUAY.repository("org/name"))
THIRD = Entry(A, QUAY)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite"


@pytest.fixture
def index(path: Path, clock: Clock) -> Index:
    return make_index(path, clock.seconds)


@pytest.fixture
def thread() -> Thread:
    return Thread()


@pytest.fixture
def slow(path: Path, clock: Clock, thread: Thread) -> Index:
    return make_index(path, clock.seconds, thread)


def checked(index: Index, entry: Entry) -> float:
    kept = index.kept(entry)
    assert kept is not None
    return kept.checked


def test_what_was_stored_was_read_then_and_what_was_found_was_not(index: Index, clock: Clock) -> None:
    clock.advance(5)
    index.stored(Entry(A), 10)
    index.found(Entry(B), 10)
    assert (checked(index, Entry(A)), checked(index, Entry(B))) == (5, NEVER)
    clock.advance(5)
    index.checked(Entry(A))
    index.checked(Entry(B))
    assert (checked(index, Entry(A)), checked(index, Entry(B))) == (10, 10)


def test_what_was_checked_does_not_come_back_by_it(index: Index, path: Path, clock: Clock) -> None:
    other = make_index(path, clock.seconds)
    index.stored(Entry(A), 10)
    other.dropped(Entry(A))
    index.checked(Entry(A))
    assert index.kept(Entry(A)) is None
    assert other.kept(Entry(A)) is None


def test_who_finds_a_file_does_not_unsay_that_another_has_verified_it(index: Index, path: Path, clock: Clock) -> None:
    """Both may note the same file at once, and either may be written first."""
    clock.advance(5)
    for first in ("found", "stored"):
        thread = Thread()
        slow = make_index(path, clock.seconds, thread)
        if first == "found":
            slow.stored(Entry(A), 10)
            index.found(Entry(A), 10)
        else:
            slow.found(Entry(A), 10)
            index.stored(Entry(A), 10)
        thread.run()
        assert checked(index, Entry(A)) == 5
        index.dropped(Entry(A))


def test_a_check_of_a_file_that_was_there_before_says_nothing_of_the_next(slow: Index, thread: Thread) -> None:
    slow.stored(Entry(A), 10)
    slow.checked(Entry(A))
    slow.dropped(Entry(A))
    assert not slow.found(Entry(A), 10)
    thread.run()
    assert slow.kept(Entry(A)) is None
    assert slow.found(Entry(A), 10)
    assert not slow.found(Entry(A), 10)
    thread.run()
    assert checked(slow, Entry(A)) == NEVER


def longest_unchecked(index: Index, *besides: Entry) -> Entry | None:
    found = index.longest_unchecked(besides)
    return None if found is None else found[0]


def test_the_longest_unchecked_is_found(index: Index, clock: Clock) -> None:
    assert longest_unchecked(index) is None
    clock.advance(10)
    index.stored(Entry(A), 10)
    clock.advance(10)
    index.stored(Entry(B), 10)
    assert longest_unchecked(index) == Entry(A)
    assert longest_unchecked(index, Entry(A)) == Entry(B)
    assert longest_unchecked(index, Entry(A), Entry(B)) is None
    index.checked(Entry(A))
    index.found(THIRD, 10)
    assert longest_unchecked(index) == THIRD
    index.dropped(THIRD)
    clock.advance(-15)
    # The clock was set back: nobody knows when that was.
    assert {longest_unchecked(index, Entry(A)), longest_unchecked(index, Entry(B))} == {Entry(A), Entry(B)}


def test_what_is_not_written_yet_is_passed_over(slow: Index, clock: Clock, thread: Thread) -> None:
    slow.stored(Entry(A), 10)
    assert longest_unchecked(slow) is None
    thread.run()
    assert longest_unchecked(slow) == Entry(A)
    slow.checked(Entry(A))
    assert longest_unchecked(slow) is None


def test_of_version_4_everything_stays(index: Index, path: Path, clock: Clock) -> None:
    index.stored(Entry(A), 10)
    index.link(VIEW, A, "type/x", 10)
    index.close()
    database = sqlite3.connect(path)
    database.executescript("DROP TABLE pin; DROP TABLE pinned")
    database.executescript("DROP TRIGGER tag_confirmed; DROP TABLE tag_change; DROP TABLE sighting; DROP TABLE tag_pin")
    database.executescript("DROP TABLE verdict; PRAGMA user_version = 4")
    database.close()
    again = make_index(path, clock.seconds)
    assert again.size(Entry(A)) == 10
    assert again.linked(VIEW, A) is not None
    assert again.read("SELECT * FROM pin") == again.read("SELECT * FROM pinned") == []
    assert not list(path.parent.glob("*.damaged-*"))


def test_of_version_3_everything_stays_and_counts_as_read_now(index: Index, path: Path, clock: Clock, log: Log) -> None:
    index.stored(Entry(A), 10)
    index.link(VIEW, A, "type/x", 10)
    index.tag(VIEW, "v1", A)
    index.close()
    database = sqlite3.connect(path)
    database.executescript("DROP INDEX blob_by_check; ALTER TABLE blob DROP COLUMN checked; PRAGMA user_version = 3")
    database.executescript("DROP TABLE pin; DROP TABLE pinned")
    database.executescript(
        "DROP TRIGGER tag_confirmed; DROP TABLE tag_change; DROP TABLE sighting; DROP TABLE tag_pin; DROP TABLE verdict"
    )
    database.close()
    began = time.time()
    again = make_index(path, clock.seconds)
    kept = again.kept(Entry(A))
    assert kept is not None
    assert (kept.size, kept.is_unread) == (10, False)
    assert began - 1 <= kept.checked <= time.time()
    assert again.linked(VIEW, A) is not None
    assert again.tagged(VIEW, "v1") is not None
    again.stored(Entry(B), 5)
    again.dropped(Entry(A))
    assert (again.bytes_stored(), again.contents()) == (5, 1)
    assert log.complaints == []


def test_where_much_is_not_written_nothing_is_looked_for(slow: Index, clock: Clock, thread: Thread) -> None:
    """It would be looked for over and over, and each time through all that."""
    slow.stored(Entry(A), 10)
    thread.run()
    clock.advance(1)
    for number in range(1100):
        slow.stored(Entry(Digest.of(str(number).encode())), 1)
    assert longest_unchecked(slow) is None
    thread.run()
    assert longest_unchecked(slow) == Entry(A)


def test_of_version_5_tags_have_a_history_from_now_on(index: Index, path: Path, clock: Clock) -> None:
    clock.advance(100)
    index.link(VIEW, A, "type/x", 10)
    index.tag(VIEW, "v1", A)
    index.tag(VIEW, "before/v1", B)
    seen = clock.seconds()
    index.close()
    database = sqlite3.connect(path)
    database.executescript(
        "DROP TRIGGER tag_confirmed; DROP TABLE tag_change; DROP TABLE sighting; DROP TABLE tag_pin; DROP TABLE verdict"
    )
    database.executescript("PRAGMA user_version = 5")
    database.close()
    clock.advance(100)
    history = TagHistory(make_index(path, clock.seconds), clock.seconds)
    assert history.changes(VIEW, Tag("v1")) == [TagChange(A, seen, seen)]
    assert history.changes(VIEW, Tag("before/v1")) == []
    assert history.dated(VIEW.repository, [A, B]) == {A: Dated(seen)}
