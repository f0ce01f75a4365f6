from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.objects import pushing as module
from crproxy.objects.naming import blob_key
from crproxy.objects.outbox import Draft, Outbox
from crproxy.objects.pushing import Pushing
from crproxy.oci.digests import Digest
from crproxy.oci.names import DOCKER_HUB
from crproxy.store.entries import Entry, View
from crproxy.store.store import Store
from tests.memory import ended, not_yet
from tests.store.shelving import Shelving
from tests.stores import make_store, threads

VIEW = View(DOCKER_HUB.repository("library/nginx"))


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(tmp_path / "outbox")
    yield outbox
    outbox.close()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Store:
    return make_store(tmp_path, clock)


class Push:
    """One that is under way; ``told`` is what it reported."""

    def __init__(self, outbox: Outbox, path: Path, clock: Clock) -> None:
        self.told: list[tuple[int, int, int, int]] = []
        self._outbox = outbox
        self.over = Deferred.fromCoroutine(
            Pushing(outbox, path / "index.sqlite", threads, clock).run(lambda *said: self.told.append(said))
        )

    def upload(self, number: int) -> None:
        for item in self._outbox.take(number):
            self._outbox.done(item)


def test_all_that_is_kept_is_put_there_and_waited_for(
    outbox: Outbox, store: Store, tmp_path: Path, clock: Clock
) -> None:
    digest = Shelving(store).image(VIEW, b"layer", tag="v1")
    ended(store.index.flush())
    push = Push(outbox, tmp_path, clock)
    not_yet(push.over)
    keys = [item.key for item in outbox.take(100)]
    assert keys[0].startswith("v1/blobs/")
    assert blob_key(VIEW.entry(digest)) in keys
    assert len([key for key in keys if key.startswith("v1/links/")]) == 3
    assert keys[-1].startswith("v1/tags/")
    found, _, waiting, waiting_bytes = push.told[-1]
    assert (found, waiting) == (7, 7)
    assert waiting_bytes == outbox.waiting()[1]
    push.upload(5)
    clock.advance(1)
    assert push.told[-1][2] == 2
    not_yet(push.over)
    push.upload(2)
    clock.advance(1)
    ended(push.over)
    assert push.told[-1][2:] == (0, 0)


def test_what_waits_already_is_waited_for_too(outbox: Outbox, store: Store, tmp_path: Path, clock: Clock) -> None:
    outbox.put([Draft("v1/blobs/other", 5, Entry(Digest.of(b"other")))])
    push = Push(outbox, tmp_path, clock)
    not_yet(push.over)
    push.upload(1)
    clock.advance(1)
    ended(push.over)


def test_of_an_empty_cache_there_is_nothing(outbox: Outbox, tmp_path: Path, clock: Clock) -> None:
    push = Push(outbox, tmp_path, clock)
    ended(push.over)
    assert push.told == [(0, 0, 0, 0)]


def test_the_outbox_is_not_filled_faster_than_it_is_emptied(
    outbox: Outbox, store: Store, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING", 600)
    for number in range(2000):
        entry = Entry(Digest.of(number.to_bytes(2, "big")))
        store.index.stored(entry, 1)
    ended(store.index.flush())
    push = Push(outbox, tmp_path, clock)
    assert outbox.waiting() == (1000, 1000), "two batches of 500 are more than may wait"
    clock.advance(10)
    assert outbox.waiting()[0] == 1000
    most = 0
    while not push.over.called:
        push.upload(500)
        clock.advance(1)
        most = max(most, outbox.waiting()[0])
    ended(push.over)
    assert most <= 1100
    assert push.told[-1] == (2000, 2000, 0, 0)


def test_who_leaves_stops_it(outbox: Outbox, store: Store, tmp_path: Path, clock: Clock) -> None:
    """What is in the outbox by then goes on all the same."""
    store.index.stored(Entry(Digest.of(b"a")), 1)
    ended(store.index.flush())
    push = Push(outbox, tmp_path, clock)
    push.over.addErrback(lambda _: None)
    push.over.cancel()
    assert clock.getDelayedCalls() == []
    assert outbox.waiting() == (1, 1)
