"""Two workers fill one cache: what either adds counts for both at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.store.blobs import PartialKey
from crproxy.store.entries import Entry
from crproxy.store.store import Store
from tests.memory import ended, not_yet
from tests.sharing.crew import Crew
from tests.stores import filled, make_store, threads

QUAY = Registry("quay.io")
FIRST, SECOND, THIRD = (PartialKey(Entry(Digest.of(name)), QUAY) for name in (b"first", b"second", b"third"))


class Disk:
    """Does what blocks when it is let go."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Deferred[Any], Callable[[], Any]]] | None = None

    def __call__(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        if self.waiting is None:
            return threads(work, *args)
        done: Deferred[Any] = Deferred()
        self.waiting.append((done, lambda: work(*args)))
        return done

    def hold(self) -> None:
        self.waiting = []

    def let_go(self) -> None:
        waiting, self.waiting = self.waiting or [], None
        for done, work in waiting:
            done.callback(work())


class Workers:
    """Two that share a cache of 100 bytes; the first one's index is written when ``disk`` lets it."""

    def __init__(self, directory: Path) -> None:
        self.clock = Clock()
        self.disk = Disk()
        self.crew = Crew()
        self._directory = directory
        self.one = self.begin(0, self.disk)
        self.other = self.begin(1)

    def begin(self, slot: int, indexing: Callable[..., Deferred[Any]] = threads) -> Store:
        return make_store(self._directory, self.clock, 100, self.crew.member(slot), indexing)


@pytest.fixture
def workers(tmp_path: Path) -> Workers:
    return Workers(tmp_path)


def test_what_one_fills_is_not_the_others_to_fill(workers: Workers) -> None:
    assert workers.one.reserve(FIRST, 60)
    assert not workers.other.reserve(SECOND, 41)
    assert workers.other.reserve(SECOND, 40)
    assert not workers.one.reserve(FIRST, 61)
    assert (workers.one.taken, workers.other.taken) == (100, 100)


def test_what_could_not_be_had_is_the_others(workers: Workers) -> None:
    assert workers.one.reserve(FIRST, 60)
    assert not workers.other.reserve(SECOND, 50)
    workers.other.release(SECOND)
    assert workers.one.reserve(FIRST, 100)


def test_what_one_has_stored_counts_for_the_other_without_a_gap(workers: Workers) -> None:
    """From the reservation to the row in the index's file, however long that takes to be written."""
    workers.other.stored(Entry(Digest.of(b"old")), 30)
    assert workers.one.reserve(FIRST, 60)
    workers.disk.hold()
    workers.one.stored(FIRST.entry, 60)
    workers.one.release(FIRST)
    assert (workers.one.taken, workers.other.taken) == (90, 90)
    workers.disk.let_go()
    assert workers.one.taken == 90
    assert workers.other.reserve(SECOND, 10)
    assert workers.other.taken == 100


def test_what_one_has_stored_goes_for_what_the_other_brings(workers: Workers) -> None:
    entry, content = FIRST.entry, b"first"
    ended(workers.one.keep(entry, content))
    assert workers.other.reserve(SECOND, 96)
    assert workers.other.index.size(entry) is None
    assert not workers.one.reserve(THIRD, 5)


def test_what_one_has_left_half_done_counts_for_the_other(workers: Workers) -> None:
    assert workers.one.reserve(FIRST, 50)
    filled(workers.one.blobs, FIRST.entry, b"." * 50, QUAY)
    workers.one.release(FIRST, 50)
    assert workers.other.reserve(SECOND, 50)
    assert (workers.other.taken, list(workers.other.blobs.partials())) == (100, list(workers.one.blobs.partials()))
    assert workers.other.reserve(SECOND, 51)
    assert (workers.other.taken, list(workers.other.blobs.partials())) == (51, [])


def test_what_the_dead_have_left_half_done_counts(workers: Workers) -> None:
    partial = workers.one.blobs.begin(FIRST.entry, QUAY)
    assert partial is not None
    assert workers.one.reserve(FIRST, 50)
    partial.append([b"." * 50])
    assert workers.other.reserve(SECOND, 20)
    assert workers.other.taken == 70
    partial.close()
    workers.crew.lose(0)
    assert workers.other.reserve(SECOND, 30)
    assert workers.other.taken == 80
    again = workers.begin(0)
    assert again.reserve(THIRD, 20)
    assert again.taken == 100


def test_what_is_being_written_counts_while_nobody_can_tell_whether_it_is(workers: Workers) -> None:
    ended(workers.one.keep(FIRST.entry, b"first"))
    workers.disk.hold()
    workers.one.stored(SECOND.entry, 10)
    flushed = workers.one.index.flush()
    workers.one.index.refresh()
    assert workers.one.taken == 15
    not_yet(flushed)
    workers.disk.let_go()
    assert workers.one.taken == 15
    workers.disk.hold()
    workers.one.drop(SECOND.entry)
    workers.one.index.refresh()
    assert workers.one.taken == 15
    workers.disk.let_go()
    assert workers.one.taken == 5


def test_what_another_has_dropped_is_not_made_up_for(workers: Workers) -> None:
    entries = []
    for content in (b"a" * 30, b"b" * 30, b"c" * 30):
        entries.append(Entry(Digest.of(content)))
        ended(workers.other.keep(entries[-1], content))
        workers.clock.advance(1)
    workers.disk.hold()
    workers.one.drop(entries[0])
    assert workers.other.reserve(SECOND, 35)
    assert [workers.other.blobs.size(entry) is not None for entry in entries] == [False, True, True]
    workers.disk.let_go()
    assert workers.other.reserve(SECOND, 40)
    assert [workers.other.blobs.size(entry) is not None for entry in entries] == [False, True, True]
    assert workers.other.taken == 100


def test_what_is_let_go_of_between_two_looks_is_not_missed(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    assert workers.one.reserve(FIRST, 60)
    refresh = workers.other.index.refresh

    def late() -> None:
        refresh()
        if workers.one.filling:
            workers.one.stored(FIRST.entry, 60)
            workers.one.release(FIRST)

    monkeypatch.setattr(workers.other.index, "refresh", late)
    assert not workers.other.reserve(SECOND, 41)


def test_a_look_that_fails_says_nothing(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    assert workers.one.reserve(FIRST, 60)
    workers.other.stored(FIRST.entry, 60)
    workers.one.release(FIRST)
    monkeypatch.setattr(workers.other.index, "read", lambda *_: [])
    workers.other.index.refresh()
    assert workers.other.taken == 60
