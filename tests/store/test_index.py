from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.store import index as module
from crproxy.store.entries import Entry, View
from crproxy.store.index import Index, Link, TagEntry
from tests.logs import Log

QUAY = Registry("quay.io")
A, B, C = (Digest.of(content) for content in (b"a", b"b", b"c"))
VIEW = View(QUAY.repository("org/name"))
PRIVATE = View(VIEW.repository, private=True)
OTHER = View(QUAY.repository("org/other"))
ALICES = View(VIEW.repository, private=True, caller="Bearer of alice")
BOBS = View(VIEW.repository, private=True, caller="Bearer of bob")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite"


@pytest.fixture
def index(path: Path, clock: Clock) -> Iterator[Index]:
    index = Index(path, clock.seconds)
    yield index
    index.close()


@pytest.fixture
def log() -> Iterator[Log]:
    with Log() as log:
        yield log


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
    index.link(VIEW, [(A, Link("type/x", 10)), (B, Link())])
    assert index.linked(VIEW, A) == Link("type/x", 10)
    assert index.linked(VIEW, B) == Link()
    assert index.linked(VIEW, C) is None
    assert index.linked(PRIVATE, A) is None
    assert index.linked(OTHER, A) is None


@pytest.mark.parametrize("view", [VIEW, PRIVATE, ALICES])
def test_s10_anybodys_the_proxys_and_clients_sides_are_apart(index: Index, view: View) -> None:
    index.link(view, [(A, Link("type/x", 10))])
    index.tag(view, "v1", A)
    for other in {VIEW, PRIVATE, ALICES} - {view}:
        assert (index.linked(other, A), index.tagged(other, "v1")) == (None, None)
        index.link(other, [(A, Link("type/y", 11))])
        index.tag(other, "v1", B)
        index.untag(other, "v1")
    assert (index.linked(view, A), index.tagged(view, "v1")) == (Link("type/x", 10), TagEntry(A, 0.0))


def test_what_clients_brought_is_known_of_all_of_them(index: Index) -> None:
    """It is no right: each is asked for, each time."""
    index.link(ALICES, [(A, Link("type/x", 10))])
    assert index.linked(BOBS, A) == Link("type/x", 10)


def test_no_credentials_are_written_down(index: Index, path: Path) -> None:
    """S26."""
    index.link(ALICES, [(A, Link("type/x", 10))])
    index.tag(ALICES, "v1", A)
    index.close()
    assert not any(b"alice" in file.read_bytes() for file in path.parent.iterdir())


def test_clients_links_to_what_is_not_stored_are_forgotten_too(index: Index, clock: Clock) -> None:
    index.stored(Entry(B, QUAY), 1)
    index.link(ALICES, [(A, Link()), (B, Link())])
    clock.advance(10)
    assert index.forget_empty_links(5, 9) == 1
    assert (index.linked(ALICES, A), index.linked(ALICES, B)) == (None, Link())


def test_a_link_keeps_what_the_next_does_not_know(index: Index) -> None:
    index.link(VIEW, [(A, Link("type/x", 10))])
    index.link(VIEW, [(A, Link())])
    assert index.linked(VIEW, A) == Link("type/x", 10)
    index.link(VIEW, [(A, Link("type/y", 11))])
    assert index.linked(VIEW, A) == Link("type/y", 11)


def test_no_links_are_no_trouble(index: Index) -> None:
    index.link(VIEW, [])


def test_links_to_what_was_never_stored_are_forgotten_with_time(index: Index, clock: Clock) -> None:
    index.stored(Entry(A), 1)
    index.link(VIEW, [(A, Link()), (B, Link())])
    index.link(OTHER, [(B, Link())])
    clock.advance(10)
    index.link(VIEW, [(C, Link())])
    assert index.forget_empty_links(5, 1) == 1
    assert index.forget_empty_links(5, 9) == 1
    assert index.forget_empty_links(5, 9) == 0
    assert index.linked(VIEW, A) == index.linked(VIEW, C) == Link()
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
    index.link(VIEW, [(A, Link("type/x", 10))])
    index.tag(VIEW, "v1", A)
    index.close()
    again = Index(path, clock.seconds)
    assert (again.size(Entry(A, QUAY)), again.bytes_stored()) == (10, 10)
    assert (again.linked(VIEW, A), again.tagged(VIEW, "v1")) == (Link("type/x", 10), TagEntry(A, 0))
    again.close()


def test_two_processes_see_what_the_other_notes(index: Index, path: Path, clock: Clock) -> None:
    other = Index(path, clock.seconds)
    index.stored(Entry(A), 10)
    assert (other.size(Entry(A)), other.bytes_stored()) == (10, 10)
    other.stored(Entry(A), 10)
    other.stored(Entry(B), 5)
    other.tag(VIEW, "v1", B)
    assert index.bytes_stored() == 15
    assert index.tagged(VIEW, "v1") == TagEntry(B, 0)
    other.close()


def test_a_file_of_an_earlier_version_is_brought_to_this_one(
    index: Index, path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.stored(Entry(A), 10)
    index.close()
    before = len(module._MIGRATIONS)
    monkeypatch.setattr(module, "_MIGRATIONS", (*module._MIGRATIONS, "CREATE TABLE new (x);"))
    for _ in range(2):
        again = Index(path, clock.seconds)
        assert again.size(Entry(A)) == 10
        assert again._read("PRAGMA user_version") == [(before + 1,)]
        assert again._read("SELECT * FROM new") == []
        again.close()


def test_a_file_of_a_later_version_is_used_as_it_is(index: Index, path: Path, clock: Clock) -> None:
    index.stored(Entry(A), 10)
    index._database.execute("PRAGMA user_version = 99")
    index.close()
    again = Index(path, clock.seconds)
    assert again.size(Entry(A)) == 10
    again.close()


def test_a_damaged_file_is_set_aside(path: Path, clock: Clock, log: Log) -> None:
    clock.advance(77)
    path.write_bytes(b"this is no database, whatever else it may be" * 100)
    index = Index(path, clock.seconds)
    index.stored(Entry(A), 10)
    assert index.bytes_stored() == 10
    assert (path.parent / "index.damaged-77").read_bytes().startswith(b"this is no database")
    assert any("is damaged" in complaint for complaint in log.complaints)
    index.close()


class Broken:
    """A connection to a file that turns out to be damaged."""

    closed = False

    def execute(self, *_: object) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    executemany = execute

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """End."""

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("writes", [True, False])
def test_damage_that_is_found_later_is_set_aside_too(index: Index, path: Path, log: Log, writes: bool) -> None:
    index.stored(Entry(A), 10)
    index.close()
    index._database = broken = Broken()  # type: ignore[assignment]
    if writes:
        index.stored(Entry(B), 5)
    assert index.bytes_stored() == (5 if writes else 0)
    assert broken.closed
    assert (path.parent / "index.damaged-0").exists()
    assert index.rebuilt
    assert len(log.complaints) == 1


def test_a_file_that_cannot_be_made_is_done_without(tmp_path: Path, clock: Clock, log: Log) -> None:
    index = Index(tmp_path / "missing" / "index.sqlite", clock.seconds)
    index.stored(Entry(A), 10)
    assert index.bytes_stored() == 10
    assert any("cannot be opened" in complaint for complaint in log.complaints)
    assert not (tmp_path / "missing").exists()
    index.close()


def test_what_cannot_be_written_costs_the_note_alone(index: Index, log: Log) -> None:
    index.stored(Entry(A), 10)
    index._database.execute("PRAGMA query_only = 1")
    index.stored(Entry(B), 5)
    index.dropped(Entry(A))
    assert index.bytes_stored() == 10
    assert all("cannot be written" in complaint for complaint in log.complaints)
    assert len(log.complaints) == 2


def test_no_question_goes_through_all_rows(index: Index) -> None:
    """However many there are: each statement finds what it needs by an index."""
    statements: list[str] = []
    index._database.set_trace_callback(statements.append)
    index.stored(Entry(A), 10)
    index.link(VIEW, [(A, Link("type/x", 10))])
    index.tag(VIEW, "v1", A)
    index.used([Entry(A)])
    index.size(Entry(A))
    index.oldest(10)
    index.after(Entry(A), 10)
    index.linked(VIEW, A)
    index.tagged(VIEW, "v1")
    index.forget_empty_links(5, 10)
    index.untag(VIEW, "v1")
    index.dropped(Entry(A))
    index._database.set_trace_callback(None)
    asked = [statement for statement in statements if statement.strip().startswith(("SELECT", "UPDATE", "DELETE"))]
    assert len(asked) >= 9
    for statement in asked:
        plan = [row[3] for row in index._database.execute(f"EXPLAIN QUERY PLAN {statement}")]
        for step in plan:
            scans = step.startswith("SCAN") and step != "SCAN blob USING INDEX blob_by_use"
            assert not scans or step == "SCAN total", (statement, plan)
            assert "TEMP B-TREE" not in step, (statement, plan)
