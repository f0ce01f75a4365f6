from __future__ import annotations

import os
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.store.blobs import PartialKey
from crproxy.store.entries import Entry, View
from crproxy.store.janitor import Janitor
from crproxy.store.store import Store
from tests.logs import Log
from tests.memory import ended
from tests.stores import filled, make_store, threads

DAY = 24 * 3600.0
VIEW = View(Registry("quay.io").repository("org/name"))


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(100 * DAY)
    return clock


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Store:
    return make_store(tmp_path, clock, budget=1000)


@pytest.fixture
def janitor(store: Store, clock: Clock) -> Janitor:
    return Janitor(store, threads, clock)


def tidied(janitor: Janitor, clock: Clock) -> None:
    done = Deferred.fromCoroutine(janitor.tidy())
    for _ in range(10):
        clock.advance(0)
    ended(done)


def on_disk(store: Store, *contents: bytes) -> list[Entry]:
    """Whole files that the index knows nothing of."""
    entries = [Entry(Digest.of(content)) for content in contents]
    for entry, content in zip(entries, contents, strict=True):
        store.blobs.keep(entry).write_bytes(content)
    return entries


def left(store: Store, clock: Clock, content: bytes, age: float) -> PartialKey:
    key = PartialKey(Entry(Digest.of(content)), VIEW.repository.registry)
    filled(store.blobs, key.entry, content, key.origin)
    os.utime(store.blobs.partial_path(key), (clock.seconds() - age,) * 2)
    return key


def test_what_is_on_disk_alone_is_taken_up(store: Store, janitor: Janitor, clock: Clock, log: Log) -> None:
    private = Entry(Digest.of(b"c"), Registry("quay.io"))
    entries = [*on_disk(store, b"a", b"bb"), private]
    store.blobs.keep(private).write_bytes(b"c")
    tidied(janitor, clock)
    assert [store.index.size(entry) for entry in entries] == [1, 2, 1]
    assert store.index.bytes_stored() == 4
    # Nobody knows what is in it.
    assert all(store.is_unread(entry) for entry in entries)
    assert "3 blobs were found on disk and taken up" in log.lines


def test_who_reads_what_was_found_is_told_of_it(store: Store, clock: Clock) -> None:
    told: list[Entry | None] = []

    def look() -> None:
        found = store.index.longest_unchecked()
        told.append(None if found is None else found[0])

    janitor = Janitor(store, threads, clock, on_found=look)
    tidied(janitor, clock)
    assert told == []
    (entry,) = on_disk(store, b"a")
    tidied(janitor, clock)
    tidied(janitor, clock)
    assert told == [entry]


def test_what_is_known_already_keeps_the_time_of_its_use(store: Store, janitor: Janitor, clock: Clock) -> None:
    entries = on_disk(store, b"a", b"b")
    for entry in entries:
        store.index.stored(entry, 1)
        clock.advance(1)
    tidied(janitor, clock)
    assert store.index.oldest(1) == [(entries[0], 1)]


def test_what_is_in_the_index_alone_is_forgotten(store: Store, janitor: Janitor, clock: Clock) -> None:
    entries = [Entry(Digest.of(bytes([number]))) for number in range(100)]
    for entry in entries:
        store.index.stored(entry, 5)
    on_disk(store, b"\x07")
    tidied(janitor, clock)
    assert store.index.after(None, 9) == [(entries[7], 5)]


def test_a_cache_that_was_made_smaller_is_made_to_fit(store: Store, janitor: Janitor, clock: Clock) -> None:
    entries = on_disk(store, b"a" * 600, b"b" * 600)
    for entry in entries:
        store.index.stored(entry, 600)
        clock.advance(1)
    tidied(janitor, clock)
    assert [store.blobs.size(entry) for entry in entries] == [None, 600]


def test_old_partial_files_are_removed_and_the_others_counted(store: Store, janitor: Janitor, clock: Clock) -> None:
    left(store, clock, b"old" * 10, 2 * DAY)
    new = left(store, clock, b"new" * 10, DAY / 2)
    tidied(janitor, clock)
    assert [key for key, _, _ in store.blobs.partials()] == [new]
    assert store.partial_bytes == 30


def test_an_old_partial_file_that_is_being_filled_stays(store: Store, janitor: Janitor, clock: Clock) -> None:
    key = left(store, clock, b"old", 2 * DAY)
    partial = store.blobs.begin(key.entry, key.origin)
    assert partial is not None
    tidied(janitor, clock)
    assert [found for found, _, _ in store.blobs.partials()] == [key]
    # Who fills it counts it.
    assert store.partial_bytes == 0
    partial.close()
    tidied(janitor, clock)
    assert list(store.blobs.partials()) == []


def test_links_to_what_was_never_pulled_are_forgotten_after_a_week(
    store: Store, janitor: Janitor, clock: Clock
) -> None:
    store.budget = 1_000_000
    digests = [Digest.of(bytes([number, 0])) for number in range(100)]
    for digest in digests:
        store.index.link(VIEW, digest)
    ended(store.keep(Entry(Digest.of(b"kept")), b"kept"))
    store.index.link(VIEW, Digest.of(b"kept"))
    clock.advance(6 * DAY)
    tidied(janitor, clock)
    assert store.index.linked(VIEW, digests[0]) is not None
    clock.advance(2 * DAY)
    tidied(janitor, clock)
    assert [store.index.linked(VIEW, digest) for digest in digests] == [None] * 100
    assert store.index.linked(VIEW, Digest.of(b"kept")) is not None


def test_it_tidies_at_the_start_and_looks_again_every_minute(store: Store, janitor: Janitor, clock: Clock) -> None:
    (entry,) = on_disk(store, b"a")
    janitor.start()
    assert store.index.size(entry) == 1
    left(store, clock, b"partial", 0)
    clock.advance(59)
    assert store.partial_bytes == 0
    clock.advance(1)
    assert store.partial_bytes == 7
    janitor.stop()
    assert clock.getDelayedCalls() == []


def test_what_was_used_is_written_down_each_round_and_at_the_end(store: Store, janitor: Janitor, clock: Clock) -> None:
    a, b = on_disk(store, b"a", b"b")
    janitor.start()
    store.read(a)
    clock.advance(60)
    assert store.index.oldest(1) == [(b, 1)]
    store.read(b)
    clock.advance(1)
    janitor.stop()
    assert store.index.oldest(1) == [(a, 1)]


def test_a_round_that_fails_is_told_and_the_next_is_made(
    store: Store, janitor: Janitor, clock: Clock, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    janitor.start()
    left(store, clock, b"old", 2 * DAY)
    with monkeypatch.context() as patch:
        patch.setattr(store.blobs, "begin", fail)
        clock.advance(60)
    assert log.failures == [OSError]
    clock.advance(60)
    assert list(store.blobs.partials()) == []
    janitor.stop()


def test_a_start_that_fails_is_told_and_stopping_is_none(
    store: Store, clock: Clock, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    janitor = Janitor(store, lambda *_: Deferred(), clock)
    janitor.start()
    janitor.stop()
    assert log.complaints == []

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(store.blobs, "whole", fail)
    janitor = Janitor(store, threads, clock)
    janitor.start()
    janitor.stop()
    assert log.failures == [OSError]


def test_stopping_what_never_started_is_fine(janitor: Janitor) -> None:
    janitor.stop()


def test_what_is_on_disk_is_taken_up_when_the_index_was_begun_anew(
    store: Store, janitor: Janitor, clock: Clock
) -> None:
    janitor.start()
    clock.pump([0.1] * 10)
    (entry,) = on_disk(store, b"a")
    store.index.rebuilt = True
    clock.pump([60, 0, 0, 0])
    assert store.index.size(entry) == 1
    assert not store.index.rebuilt
    janitor.stop()
