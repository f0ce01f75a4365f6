from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.store.blobs import PartialKey
from crproxy.store.entries import Entry, View
from crproxy.store.memory import Memory
from crproxy.store.opening import open_store
from crproxy.store.store import Store
from tests.logs import Log
from tests.memory import ended
from tests.stores import MIB, filled, make_store
from tests.upstream.conftest import Consumer

QUAY = Registry("quay.io")
VIEW = View(QUAY.repository("org/name"))
COMING = PartialKey(Entry(Digest.of(b"coming")), QUAY)


def kept(store: Store, clock: Clock, *contents: bytes) -> list[Entry]:
    """Keep these, one after the other."""
    entries = [Entry(Digest.of(content)) for content in contents]
    for entry, content in zip(entries, contents, strict=True):
        ended(store.keep(entry, content))
        clock.advance(1)
    return entries


def there(store: Store, entries: list[Entry]) -> list[bool]:
    files = [store.blobs.size(entry) is not None for entry in entries]
    assert files == [store.index.size(entry) is not None for entry in entries], "files and rows agree"
    return files


def test_what_is_kept_can_be_read_and_opened(store: Store, clock: Clock) -> None:
    (entry,) = kept(store, clock, b"content")
    assert (store.read(entry), store.size(entry), store.index.bytes_stored()) == (b"content", 7, 7)
    opened = store.open(entry)
    assert opened is not None
    consumer = Consumer()
    ended(opened.flow(2, 5).join(consumer))
    assert (opened.size, consumer.content) == (7, b"nte")


def test_what_is_opened_can_be_closed_unread(store: Store, clock: Clock) -> None:
    (entry,) = kept(store, clock, b"content")
    opened = store.open(entry)
    assert opened is not None
    opened.close()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(opened.fd)


def test_what_is_not_kept_is_none(store: Store) -> None:
    entry = Entry(Digest.of(b"x"))
    assert (store.read(entry), store.open(entry), store.size(entry)) == (None, None, None)


def test_private_content_is_another(store: Store, clock: Clock) -> None:
    (entry,) = kept(store, clock, b"content")
    assert store.read(Entry(entry.digest, Registry("quay.io"))) is None


def test_what_is_asked_for_often_comes_from_memory(store: Store, tmp_path: Path, clock: Clock) -> None:
    (entry,) = kept(store, clock, b"content")
    other = make_store(tmp_path, clock, budget=100)
    assert other.read(entry) == b"content"
    other.blobs.remove(entry)
    assert other.read(entry) == b"content"


def test_memory_has_a_bound(store: Store, clock: Clock) -> None:
    store._memory = Memory(10)
    a, b, c = kept(store, clock, b"aaaa", b"bbbb", b"large" * 3)
    for entry in (a, b, c):
        store.blobs.remove(entry)
    assert (store.read(a), store.read(b), store.read(c)) == (None, None, None)
    a, b = kept(store, clock, b"aaaa", b"bbbb")
    store.read(a)
    (c,) = kept(store, clock, b"cccc")
    assert store._memory.bytes == 8
    for entry in (a, b, c):
        store.blobs.remove(entry)
    assert [store.read(entry) is None for entry in (a, b, c)] == [False, True, False]


def test_a_row_without_a_file_is_forgotten_when_somebody_asks(store: Store, clock: Clock) -> None:
    (entry,) = kept(store, clock, b"content")
    store.blobs.remove(entry)
    assert store.open(entry) is None
    assert store.index.bytes_stored() == 0


def test_the_least_recently_used_goes_first(store: Store, clock: Clock) -> None:
    entries = kept(store, clock, b"a" * 40, b"b" * 40)
    store.read(entries[0])
    entries += kept(store, clock, b"c" * 40)
    assert there(store, entries) == [True, False, True]
    assert store.index.bytes_stored() == 80


def test_what_partial_files_take_counts(store: Store, clock: Clock) -> None:
    assert store.reserve(COMING, 50)
    entries = kept(store, clock, b"a" * 40, b"b" * 40)
    assert there(store, entries) == [False, True]
    assert (store.taken, store.partial_bytes, store.filling) == (90, 50, frozenset({COMING}))
    store.release(COMING)
    assert (store.taken, store.partial_bytes, store.filling) == (40, 0, frozenset())


def test_what_was_promised_and_did_not_come_takes_no_room(store: Store, clock: Clock) -> None:
    entries = kept(store, clock, b"a" * 40, b"b" * 40)
    assert store.could_hold(99)
    assert store.reserve(COMING, 1)
    assert there(store, entries) == [True, True]
    assert store.reserve(COMING, 20)
    assert there(store, entries) == [True, True]
    assert store.reserve(COMING, 21)
    assert there(store, entries) == [False, True]
    assert store.taken == 61


def test_what_there_is_no_room_for_keeps_none(store: Store) -> None:
    ended(store.keep(Entry(Digest.of(b"x" * 1000)), b"x" * 1000))
    assert (store.taken, store.filling) == (0, frozenset())


def test_what_is_left_behind_counts_and_goes_first(store: Store, clock: Clock) -> None:
    entries = kept(store, clock, b"a" * 40)
    keys = [PartialKey(Entry(Digest.of(content)), QUAY) for content in (b"b" * 50, b"c" * 50)]
    for key in keys:
        assert store.reserve(key, 20)
        filled(store.blobs, key.entry, b"." * 20, QUAY)
        store.release(key, 20)
    assert (store.taken, store.partial_bytes) == (80, 40)
    assert store.reserve(COMING, 30)
    assert [key for key, _, _ in store.blobs.partials()] == [keys[1]]
    assert store.reserve(COMING, 60)
    assert (list(store.blobs.partials()), there(store, entries)) == ([], [True])
    assert store.taken == 100


def test_what_is_taken_up_again_counts_once(store: Store) -> None:
    store.note_leftovers({COMING: 70})
    assert (store.taken, store.partial_bytes) == (70, 70)
    assert store.reserve(COMING, 70)
    assert (store.taken, store.partial_bytes) == (70, 70)
    assert store.reserve(COMING, 100)
    store.note_leftovers({COMING: 70})
    assert (store.taken, store.partial_bytes) == (100, 100)
    store.release(COMING, 100)
    store.note_leftovers({})
    assert (store.taken, store.partial_bytes) == (0, 0)


def test_one_that_another_process_fills_is_left_to_it(store: Store) -> None:
    partial = store.blobs.begin(COMING.entry, COMING.origin)
    assert partial is not None
    partial.append([b"." * 70])
    store.note_leftovers({COMING: 70})
    assert store.reserve(PartialKey(COMING.entry), 40)
    assert [key for key, _, _ in store.blobs.partials()] == [COMING]
    partial.close()


def test_each_file_counts_by_what_it_takes_on_disk(tmp_path: Path, clock: Clock) -> None:
    """Blobs of a byte, each of which takes a block."""
    store = make_store(tmp_path, clock, 0)
    store.budget, store._block = 10 * 4096, 4096
    for number in range(20):
        entry = Entry(Digest.of(bytes([number])))
        ended(store.keep(entry, bytes([number])))
        clock.advance(1)
        assert store.taken <= store.budget
    assert store.index.contents() == 9
    assert store.taken == 9 * 4097 + store.index.row_bytes()
    assert store.reserve(COMING, 1)
    assert store.taken <= store.budget
    assert not store.could_hold(9 * 4096 + 1)
    assert not store.reserve(COMING, 9 * 4096 + 1)


def test_rows_of_the_index_count(store: Store, clock: Clock) -> None:
    entries = kept(store, clock, b"a" * 40, b"b" * 40)
    for number in range(200):
        store.index.link(VIEW, Digest.of(bytes([number])))
    assert store.index.row_bytes() > 100
    assert store.taken == 80 + store.index.row_bytes()
    store.evict(store.budget)
    assert there(store, entries) == [False, False]


@pytest.mark.parametrize("size", [100, 9 * MIB])
def test_what_is_large_is_removed_in_a_thread(tmp_path: Path, clock: Clock, size: int) -> None:
    """And is out of its place at once, so that what comes anew stays."""
    left: list[Callable[[], object]] = []

    def later(work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        left.append(lambda: work(*args))
        return Deferred()

    store = make_store(tmp_path, clock, 100 * MIB)
    content = b"x" * size
    entry = Entry(Digest.of(content))
    ended(store.keep(entry, content))
    store._threads = later
    store.drop(entry)
    assert (store.size(entry), len(left)) == (None, int(size > MIB))
    store.blobs.keep(entry).write_bytes(content)
    store.stored(entry, size)
    for each in left:
        each()
    assert (store.size(entry), list(store.blobs.removed())) == (size, [])


def test_a_file_of_another_size_is_not_served(store: Store, clock: Clock, log: Log) -> None:
    for method in (store.open, store.size):
        (entry,) = kept(store, clock, b"content")
        store.blobs.keep(entry).write_bytes(b"conten")
        assert method(entry) is None
        assert there(store, [entry]) == [False]
    why = "it has 6 bytes, where 7 were stored"
    told = f"{entry} was damaged on disk ({why}): it was dropped, and is fetched anew when it is asked for"
    assert log.complaints == [told] * 2
    assert store.checks.damaged == 2


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EACCES])
def test_what_cannot_be_opened_now_is_not_missing(
    store: Store, clock: Clock, log: Log, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Its row stays, since its file does."""
    (entry,) = kept(store, clock, b"content")
    store._memory.forget(entry)

    def fail(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        broken.setattr(os, "open", fail)
        broken.setattr(Path, "stat", fail)
        assert (store.open(entry), store.size(entry), store.read(entry)) == (None, None, None)
    assert there(store, [entry]) == [True]
    assert store.read(entry) == b"content"
    assert len(log.complaints) == 3


def test_evicting_to_a_size_drops_no_more_than_it_must(store: Store, clock: Clock) -> None:
    entries = kept(store, clock, b"a" * 10, b"b" * 10, b"c" * 10)
    assert store.evict(30) == 0
    assert store.evict(15) == 2
    assert there(store, entries) == [False, False, True]
    assert store.evict(-5) == 1
    assert store.evict(-5) == 0


def test_many_go_in_steps(store: Store, clock: Clock) -> None:
    store.budget = MIB
    entries = kept(store, clock, *(bytes([number]) * 1000 for number in range(200)))
    dropped = store.evict(store.taken - 150_000)
    assert 100 <= dropped <= 150
    assert there(store, entries) == [False] * dropped + [True] * (200 - dropped)


def test_who_is_reading_what_goes_reads_on(store: Store, clock: Clock) -> None:
    (entry,) = kept(store, clock, b"content")
    opened = store.open(entry)
    assert opened is not None
    store.evict(0)
    assert store.read(entry) is None
    consumer = Consumer()
    ended(opened.flow(0, 7).join(consumer))
    assert consumer.content == b"content"


def test_room_is_made_by_dropping(store: Store, clock: Clock) -> None:
    entries = kept(store, clock, b"a" * 40, b"b" * 40)
    assert store.reserve(COMING, 20)
    assert there(store, entries) == [True, True]
    assert store.reserve(COMING, 21)
    assert there(store, entries) == [False, True]


@pytest.mark.security("S18")
def test_what_is_larger_than_the_cache_gets_no_room_and_costs_nothing(store: Store, clock: Clock) -> None:
    entries = kept(store, clock, b"a" * 40)
    assert not store.could_hold(101)
    assert not store.reserve(COMING, 101)
    assert there(store, entries) == [True]
    assert store.reserve(COMING, 50)
    assert not store.reserve(PartialKey(Entry(Digest.of(b"other"))), 51)
    assert there(store, entries) == [True]


@pytest.mark.security("S18")
def test_a_full_disk_is_emptied_as_far_as_needed(store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = kept(store, clock, b"a" * 30, b"b" * 30, b"c" * 30)
    monkeypatch.setattr(store.blobs, "room_for", lambda _: store.index.bytes_stored() <= 30)
    assert store.reserve(COMING, 10)
    assert there(store, entries) == [False, False, True]
    monkeypatch.setattr(store.blobs, "room_for", lambda _: False)
    assert not store.reserve(COMING, 20)
    assert there(store, entries) == [False, False, False]


def test_an_index_that_cannot_be_written_holds_up_nobody(store: Store, clock: Clock) -> None:
    """What went is not promised by it, and what came counts."""
    entries = kept(store, clock, b"a" * 40, b"b" * 40)
    store.index._writer._connection().execute("PRAGMA query_only = 1")
    entries += kept(store, clock, b"c" * 40)
    assert there(store, entries) == [False, True, True]
    assert store.evict(10) == 2
    assert there(store, entries) == [False, False, False]


def test_what_cannot_be_written_is_passed_on_and_told(store: Store, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    from crproxy.store.blobs import Partial

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Partial, "commit", fail)
    entry = Entry(Digest.of(b"content"))
    ended(store.keep(entry, b"content"))
    assert there(store, [entry]) == [False]
    assert store.read(entry) == b"content", "memory has it"
    assert [complaint.startswith(f"{entry} is not kept: ") for complaint in log.complaints] == [True]
    assert list(store.blobs.partials()) == []


def test_what_another_process_is_writing_is_left_to_it(store: Store) -> None:
    entry = Entry(Digest.of(b"content"))
    partial = store.blobs.begin(entry)
    assert partial is not None
    assert partial.key == PartialKey(entry)
    ended(store.keep(entry, b"content"))
    assert there(store, [entry]) == [False]
    partial.close()


def test_what_an_interrupted_write_left_is_written_over(store: Store, clock: Clock) -> None:
    partial = store.blobs.begin(Entry(Digest.of(b"content")))
    assert partial is not None
    partial.append([b"content and more"])
    partial.close()
    (entry,) = kept(store, clock, b"content")
    assert store.blobs.keep(entry).read_bytes() == b"content"


def test_use_is_noted_in_one_go(store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = kept(store, clock, b"a", b"b")
    noted: list[set[Entry]] = []
    monkeypatch.setattr(store.index, "used", noted.append)
    store.note_use()
    for entry in (a, b, a):
        store.read(entry)
    store.note_use()
    store.note_use()
    assert noted == [{a, b}]


def test_writing_is_done_by_threads(tmp_path: Path, clock: Clock) -> None:
    store = make_store(tmp_path, clock)
    waiting: list[Callable[..., Any]] = []

    def later(work: Callable[..., Any], *_: Any) -> Deferred[Any]:
        waiting.append(work)
        return Deferred()

    store._threads = later
    entry = Entry(Digest.of(b"content"))
    store.keep(entry, b"content")
    assert (len(waiting), store.size(entry)) == (1, None)


def test_a_cache_can_be_opened_without_a_daemon(store: Store, clock: Clock, tmp_path: Path) -> None:
    (entry,) = kept(store, clock, b"content")
    opened = open_store(tmp_path)
    assert opened.read(entry) == b"content"
    opened.index.close()
