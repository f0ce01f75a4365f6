from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.store.entries import Entry
from crproxy.store.last_used import last_used
from tests.memory import ended
from tests.stores import make_store

A, B, C = (Entry(Digest.of(content)) for content in (b"a", b"b", b"c"))
PRIVATE = Entry(A.digest, Registry("quay.io"))
MANY = [Entry(Digest("sha256", f"{number:064x}")) for number in range(1001)]


def asked(store: object, entries: list[Entry], clock: Clock) -> object:
    looking = Deferred.fromCoroutine(last_used(store.index, entries, clock))  # type: ignore[attr-defined]
    while not looking.called:
        clock.advance(0)
    return ended(looking)


def test_what_is_written_and_what_waits_count(tmp_path: Path, clock: Clock) -> None:
    clock.advance(100)
    store = make_store(tmp_path, clock)
    for entry in (A, PRIVATE, B):
        store.stored(entry, 1)
    clock.advance(10)
    store.index.used([A, C])
    assert asked(store, [A, PRIVATE, B, C], clock) == {A: 110.0, PRIVATE: 100.0, B: 100.0}
    ended(store.index.flush())
    assert asked(store, [A, PRIVATE, B, C], clock) == {A: 110.0, PRIVATE: 100.0, B: 100.0}
    assert asked(store, [PRIVATE], clock) == {PRIVATE: 100.0}
    assert asked(store, [], clock) == {}


def test_what_is_not_in_the_file_yet_counts(tmp_path: Path, clock: Clock) -> None:
    clock.advance(100)
    store = make_store(tmp_path, clock)
    store.stored(A, 1)
    ended(store.index.flush())
    store.index.pending.notes.note((str(B.digest), ""), None)
    store.index.pending.notes.used[str(A.digest), ""] = 500.0
    assert asked(store, [A, B], clock) == {A: 500.0}


def test_many_are_looked_up(tmp_path: Path, clock: Clock) -> None:
    clock.advance(100)
    store = make_store(tmp_path, clock)
    for entry in MANY:
        store.stored(entry, 1)
    ended(store.index.flush())
    assert asked(store, MANY, clock) == dict.fromkeys(MANY, 100.0)
