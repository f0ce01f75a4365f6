"""Images that stay: pinned, over a janitor's rounds, and let go again."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry, Tag
from crproxy.store.entries import Entry, View
from crproxy.store.inventory import Inventory
from crproxy.store.janitor import Janitor
from crproxy.store.pinning import Pin, Pins
from crproxy.store.store import Store
from tests.memory import ended
from tests.store.shelving import Shelving
from tests.stores import make_store, threads

REPOSITORY = Registry("quay.io").repository("org/app")
VIEW = View(REPOSITORY)
OTHER = View(Registry("quay.io").repository("org/other"))
V1 = Pin(REPOSITORY, Tag("v1"))
OLD, NEW = b"o" * 400, b"n" * 400


class Kept:
    """A cache with two images in it, the older of which is pinned or not."""

    def __init__(self, path: Path, clock: Clock) -> None:
        clock.advance(1_000_000)
        self.clock = clock
        self.store: Store = make_store(path, clock)
        self.shelving = Shelving(self.store)
        self.digest = self.shelving.image(VIEW, OLD, tag="v1")
        clock.advance(100)
        self.shelving.image(OTHER, NEW, tag="v1")
        self.inventory = Inventory(path / "index.sqlite", self.store.blobs)
        self.pins = Pins(self.store.index, self.inventory, threads)
        ended(self.store.index.flush())

    def pin(self, pin: Pin = V1) -> bool:
        return ended(Deferred.fromCoroutine(self.pins.pin(pin, self.clock.seconds())))

    def has(self, content: bytes) -> bool:
        return self.store.size(Entry(Digest.of(content))) is not None


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path, Clock())


def test_what_is_pinned_outlasts_what_was_used_later(kept: Kept) -> None:
    assert kept.pin()
    kept.store.evict(0)
    assert (kept.has(OLD), kept.has(NEW)) == (True, False)


def test_without_a_pin_it_is_the_other_way_round(kept: Kept) -> None:
    kept.store.evict(kept.store.taken - 450)
    assert (kept.has(OLD), kept.has(NEW)) == (False, True)


def test_a_digest_can_be_pinned(kept: Kept) -> None:
    assert kept.pin(Pin(REPOSITORY, kept.digest))
    kept.store.evict(0)
    assert kept.has(OLD)


@pytest.mark.parametrize("pin", [Pin(REPOSITORY, Tag("v2")), Pin(Registry("ghcr.io").repository("org/app"), Tag("v1"))])
def test_what_is_not_here_is_not_pinned(kept: Kept, pin: Pin) -> None:
    assert not kept.pin(pin)
    assert kept.pins.all() == frozenset()


def test_what_is_unpinned_goes_again(kept: Kept) -> None:
    kept.pin()
    assert kept.pins.all() == {V1}
    assert ended(Deferred.fromCoroutine(kept.pins.unpin(V1)))
    assert not ended(Deferred.fromCoroutine(kept.pins.unpin(V1)))
    kept.store.evict(0)
    assert not kept.has(OLD)


def test_pins_outlast_a_restart(kept: Kept, tmp_path: Path) -> None:
    kept.pin()
    kept.store.index.close()
    again = make_store(tmp_path, kept.clock)
    assert Pins(again.index, kept.inventory, threads).all() == {V1}
    again.evict(0)
    assert again.size(Entry(Digest.of(OLD))) is not None


def test_where_a_tag_moves_what_it_points_to_then_stays(kept: Kept) -> None:
    kept.pin()
    kept.clock.advance(10)
    moved = b"m" * 400
    kept.shelving.image(VIEW, moved, tag="v1")
    ended(Deferred.fromCoroutine(kept.pins.look()))
    kept.store.evict(0)
    assert (kept.has(moved), kept.has(OLD)) == (True, False)


def test_a_layer_that_comes_later_stays_as_well(kept: Kept) -> None:
    kept.store.drop(Entry(Digest.of(OLD)))
    ended(kept.store.index.flush())
    kept.pin()
    ended(kept.store.keep(Entry(Digest.of(OLD)), OLD))
    kept.store.evict(0)
    assert kept.has(OLD)


def test_what_is_not_written_yet_stays_as_well(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.pin()
    entry, index = Entry(Digest.of(OLD)), kept.store.index
    index.dropped(entry)
    ended(index.flush())
    # Nothing is written from here on.
    monkeypatch.setattr(index.pending, "_threads", lambda *work: Deferred())
    index.stored(entry, len(OLD))
    index.stored(Entry(Digest.of(b"other")), 5)
    oldest = dict(index.oldest(99))
    assert entry not in oldest
    assert Entry(Digest.of(b"other")) in oldest


def test_the_janitor_looks_again_each_round(kept: Kept) -> None:
    kept.pin()
    moved = b"m" * 400
    kept.shelving.image(VIEW, moved, tag="v1")
    ended(kept.store.index.flush())
    janitor = Janitor(kept.store, threads, kept.clock, pin_again=kept.pins.look)
    kept.store.budget = 0
    janitor.start()
    kept.clock.pump([1.0] * 70)
    janitor.stop()
    assert kept.has(moved)
    assert not kept.has(NEW)


def test_nothing_is_written_where_nothing_has_changed(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.pin()
    monkeypatch.setattr(kept.store.index, "ask", lambda work: pytest.fail("written"))
    ended(Deferred.fromCoroutine(kept.pins.look()))


def test_it_is_listed(kept: Kept) -> None:
    kept.pin()
    assert {image.name: image.pinned for image in kept.inventory.images()} == {
        "quay.io/org/app:v1": True,
        "quay.io/org/other:v1": False,
    }


def test_what_tags_are_answered_by_stays_with_all_that_it_refers_to(kept: Kept) -> None:
    pins = Pins(kept.store.index, kept.inventory, threads, lambda: [(REPOSITORY, kept.digest)])
    ended(Deferred.fromCoroutine(pins.look()))
    kept.store.evict(0)
    assert (kept.has(OLD), kept.has(NEW)) == (True, False)
    assert pins.all() == frozenset()
