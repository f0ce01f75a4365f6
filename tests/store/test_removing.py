from __future__ import annotations

import os
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.names import Reference, Registry, Tag
from crproxy.store.blobs import PartialKey
from crproxy.store.entries import Entry, View
from crproxy.store.inventory import Inventory
from crproxy.store.removing import Freed, Sweepings, plan_removal, remove, sweep, sweepings
from tests.memory import ended
from tests.store.shelving import Shelving
from tests.stores import filled, make_store, threads

DAY = 24 * 3600.0
QUAY = Registry("quay.io")
APP, OTHER = QUAY.repository("org/app"), QUAY.repository("org/other")


class Cache:
    """A store that is filled, and swept."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.clock.advance(100 * DAY)
        self.store = make_store(path, self.clock, budget=10_000)
        self.shelving = Shelving(self.store)
        self.inventory = Inventory(path / "index.sqlite", self.store.blobs)

    def remove(self, reference: Reference | None, repository: object = APP) -> Freed | None:
        removals = plan_removal(self.inventory.by_credential(repository), reference)  # type: ignore[arg-type]
        return self._done(remove(self.store, removals, self.clock)) if removals else None

    def sweepings(self) -> Sweepings:
        return ended(Deferred.fromCoroutine(sweepings(self.store, threads, self.clock.seconds())))

    def sweep(self) -> Freed:
        return self._done(sweep(self.store, self.sweepings(), threads, self.clock))

    def names(self) -> list[str]:
        return [image.name for image in self.inventory.images()]

    def has(self, content: bytes, pool: Registry | None = None) -> bool:
        entry = Entry(Digest.of(content), pool)
        assert (self.store.size(entry) is None) == (self.store.index.size(entry) is None)
        return self.store.size(entry) is not None

    def _done(self, work: object) -> Freed:
        done: Deferred[Freed] = Deferred.fromCoroutine(work)  # type: ignore[arg-type]
        while not done.called:
            self.clock.advance(0)
        return ended(done)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


def test_a_tag_goes_with_what_it_alone_needs(cache: Cache) -> None:
    cache.shelving.image(View(APP), b"shared", b"first", tag="v1")
    cache.shelving.image(View(APP), b"shared", b"second", tag="v2")
    before = cache.store.index.bytes_stored()
    freed = cache.remove(Tag("v1"))
    assert freed is not None
    assert freed.contents == 2  # the manifest and a layer
    assert freed.bytes == before - cache.store.index.bytes_stored()
    assert [cache.has(one) for one in (b"shared", b"first", b"second", b"{}")] == [True, False, True, True]
    assert cache.names() == ["quay.io/org/app:v2"]
    assert cache.store.index.linked(View(APP), Digest.of(b"first")) is None
    assert cache.store.index.linked(View(APP), Digest.of(b"shared")) is not None


def test_another_tag_of_the_same_image_keeps_it(cache: Cache) -> None:
    digest = cache.shelving.image(View(APP), b"layer", tag="v1")
    cache.store.index.tag(View(APP), "v2", digest)
    assert cache.remove(Tag("v1")) == Freed(0, 0)
    assert cache.names() == ["quay.io/org/app:v2"]
    assert cache.remove(digest) is not None
    assert cache.names() == []
    assert cache.store.index.bytes_stored() == 0


def test_lists_go_with_the_repository(cache: Cache) -> None:
    cache.shelving.image(View(APP), b"layer", tag="v1")
    cache.shelving.listed(View(APP), "tags/list?", b"the tags")
    assert cache.names() == ["quay.io/org/app:v1"]
    assert cache.remove(None) is not None
    assert cache.store.index.tagged(View(APP), "tags/list?") is None
    assert cache.store.index.bytes_stored() == 0


def test_a_list_of_referrers_goes_with_what_is_referred_to(cache: Cache) -> None:
    digest = cache.shelving.image(View(APP), b"layer", tag="v1")
    cache.shelving.listed(View(APP), f"referrers/{digest}?", b"the referrers")
    cache.shelving.listed(View(APP), "tags/list?", b"the tags")
    assert cache.remove(Tag("v1")) is not None
    assert cache.store.index.tagged(View(APP), f"referrers/{digest}?") is None
    assert cache.store.index.tagged(View(APP), "tags/list?") is not None
    assert [cache.has(one) for one in (b"the referrers", b"the tags")] == [False, True]


def test_another_repository_keeps_its_bytes(cache: Cache) -> None:
    cache.shelving.image(View(APP), b"layer", tag="v1")
    cache.shelving.image(View(OTHER), b"layer", tag="v1")
    assert cache.remove(None) == Freed(0, 0)
    assert cache.names() == ["quay.io/org/other:v1"]
    assert cache.remove(None, OTHER) is not None
    assert cache.store.index.bytes_stored() == 0


def test_what_credentials_brought_is_apart(cache: Cache) -> None:
    cache.shelving.image(View(APP, "account"), b"layer", tag="v1")
    cache.shelving.image(View(APP, caller="Basic x"), b"own", tag="v1")
    cache.shelving.image(View(OTHER), b"layer", tag="v1")
    freed = cache.remove(Tag("v1"))
    assert freed is not None
    assert [cache.has(b"layer", QUAY), cache.has(b"own", QUAY), cache.has(b"layer")] == [False, False, True]


def test_of_an_index_one_platform_goes_or_all(cache: Cache) -> None:
    index = cache.shelving.index(View(APP), "v1", amd64=b"a", arm64=b"b")
    contents, *_ = cache.inventory.by_credential(APP)
    first, second = (one.digest for one in contents.references(index) or ())
    assert cache.remove(first) is not None
    assert [cache.has(one) for one in (b"a", b"b")] == [False, True]
    assert cache.names() == ["quay.io/org/app:v1"]
    cache.store.index.tag(View(APP), "v1-arm64", second)
    assert cache.remove(Tag("v1")) is not None
    assert cache.has(b"b")
    assert cache.names() == ["quay.io/org/app:v1-arm64"]


@pytest.mark.parametrize("reference", [Tag("v2"), Digest.of(b"nothing"), None])
def test_what_is_not_here_cannot_go(cache: Cache, reference: Reference | None) -> None:
    cache.shelving.image(View(OTHER), b"layer", tag="v1")
    assert cache.remove(reference) is None


def test_what_is_being_fetched_is_left_alone(cache: Cache) -> None:
    cache.shelving.image(View(APP), b"layer", tag="v1")
    entry = Entry(Digest.of(b"layer"))
    assert cache.store.reserve(PartialKey(entry, APP.registry), 5)
    cache.remove(None)
    assert cache.has(b"layer")
    assert cache.store.index.linked(View(APP), entry.digest) is not None


def test_who_is_reading_reads_on(cache: Cache) -> None:
    cache.shelving.image(View(APP), b"layer", tag="v1")
    opened = cache.store.open(Entry(Digest.of(b"layer")))
    assert opened is not None
    cache.remove(None)
    assert not cache.has(b"layer")
    assert os.pread(opened.fd, 100, 0) == b"layer"
    opened.close()


def test_many_go_in_small_steps(cache: Cache) -> None:
    cache.store.budget = 100_000
    layers = [str(number).encode() for number in range(120)]
    cache.shelving.image(View(APP), *layers, tag="v1")
    removing = Deferred.fromCoroutine(
        remove(cache.store, plan_removal(cache.inventory.by_credential(APP), None), cache.clock)
    )
    assert not removing.called
    cache.clock.pump([0] * 5)
    assert ended(removing).contents == 122


# What nothing needs


def test_a_cache_that_is_in_order_has_nothing_to_sweep(cache: Cache) -> None:
    cache.shelving.image(View(APP), b"layer", tag="v1")
    cache.clock.advance(30 * DAY)
    assert cache.sweepings() == Sweepings([], [], [])


def test_orphans_go_when_nobody_asked_for_them_in_a_week(cache: Cache) -> None:
    entry = Entry(Digest.of(b"orphan"))
    ended(cache.store.keep(entry, b"orphan"))
    cache.clock.advance(7 * DAY)
    assert cache.sweepings().orphans == []
    cache.clock.advance(1)
    found = cache.sweepings()
    assert (found.orphans, found.bytes) == ([(entry, 6)], 6)
    assert cache.sweep() == Freed(1, 6)
    assert not cache.has(b"orphan")


def test_one_that_has_found_somebody_meanwhile_stays(cache: Cache) -> None:
    ended(cache.store.keep(Entry(Digest.of(b"layer")), b"layer"))
    cache.clock.advance(8 * DAY)
    found = cache.sweepings()
    cache.shelving.image(View(APP), b"layer", tag="v1")
    assert cache._done(sweep(cache.store, found, threads, cache.clock)) == Freed(0, 0)
    assert cache.has(b"layer")


def test_partial_files_go_after_a_day_but_not_one_that_is_filled(cache: Cache) -> None:
    old, young, held = (PartialKey(Entry(Digest.of(one)), APP.registry) for one in (b"old", b"young", b"held"))
    for key in (old, young):
        filled(cache.store.blobs, key.entry, b"begun", key.origin)
    filling = cache.store.blobs.begin(held.entry, held.origin)
    assert filling is not None
    now = cache.clock.seconds()
    for key, age in ((old, 2 * DAY), (young, DAY / 2), (held, 2 * DAY)):
        os.utime(cache.store.blobs.partial_path(key), (now - age, now - age))
    assert {key for key, _ in cache.sweepings().partials} == {old, held}
    assert cache.sweep() == Freed(1, 5)
    assert {key for key, _, _ in cache.store.blobs.partials()} == {young, held}
    filling.close()


def test_what_is_over_the_size_goes_the_oldest_first(cache: Cache) -> None:
    contents = [bytes([number]) * 1000 for number in range(4)]
    for content in contents:
        cache.shelving.image(View(APP), content, tag=f"v{content[0]}")
        cache.clock.advance(1)
    cache.store.budget = cache.store.index.bytes_stored() - 1500
    found = cache.sweepings()
    evicted = [entry.digest for entry, _ in found.evicted]
    assert Digest.of(contents[0]) in evicted
    assert {Digest.of(contents[2]), Digest.of(contents[3])}.isdisjoint(evicted)
    assert cache.sweep().bytes == found.bytes
    assert cache.store.index.bytes_stored() <= cache.store.budget
