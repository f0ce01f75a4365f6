from __future__ import annotations

import json
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.manifests import references
from crproxy.oci.names import Registry
from crproxy.store.entries import Entry, View
from crproxy.store.inventory import Inventory
from crproxy.store.store import Store
from tests.memory import ended
from tests.store.shelving import INDEX, Shelving
from tests.stores import filled, make_store

QUAY = Registry("quay.io")
APP, OTHER = QUAY.repository("org/app"), QUAY.repository("org/other")


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(1_000_000)
    return clock


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Store:
    return make_store(tmp_path, clock)


@pytest.fixture
def shelving(store: Store) -> Shelving:
    return Shelving(store)


@pytest.fixture
def inventory(store: Store, tmp_path: Path) -> Inventory:
    return Inventory(tmp_path / "index.sqlite", store.blobs)


def test_an_empty_cache_has_nothing(inventory: Inventory) -> None:
    usage = inventory.usage()
    assert (usage.bytes, usage.contents, usage.by_registry, usage.oldest_use) == (0, 0, {}, None)
    assert list(inventory.images()) == []


def test_what_is_kept_is_counted_for_each_registry(
    inventory: Inventory, shelving: Shelving, store: Store, clock: Clock
) -> None:
    shelving.image(View(APP), b"layer", tag="v1")
    clock.advance(10)
    shelving.image(View(Registry("ghcr.io").repository("a/b")), b"layer", b"more", tag="v1")
    store.index.stored(Entry(Digest.of(b"nobody's")), 5)
    filled(store.blobs, Entry(Digest.of(b"begun")), b"beg")
    usage = inventory.usage()
    assert usage.bytes == store.index.bytes_stored()
    assert (usage.unlinked, usage.partial_files, usage.partial_bytes) == (5, 1, 3)
    assert usage.by_registry["quay.io"] + usage.by_registry["ghcr.io"] == usage.bytes - 5 + len(b"layer") + len(b"{}")
    assert usage.oldest_use == 1_000_000


def test_images_are_listed_by_tag_and_those_without_by_digest(
    inventory: Inventory, shelving: Shelving, clock: Clock
) -> None:
    tagged = shelving.image(View(APP), b"one", tag="v1")
    bare = shelving.image(View(APP), b"two")
    clock.advance(5)
    private = shelving.image(View(OTHER, "account"), b"three", tag="v1")
    images = list(inventory.images())
    assert [(image.name, image.digest, image.private) for image in images] == [
        ("quay.io/org/app:v1", tagged, False),
        (f"quay.io/org/app@{bare}", bare, False),
        ("quay.io/org/other:v1", private, True),
    ]
    assert [image.used for image in images] == [1_000_000, 1_000_000, 1_000_005]
    assert all(image.complete for image in images)


def test_an_index_is_one_image_and_says_which_platforms_are_here(
    inventory: Inventory, shelving: Shelving, store: Store
) -> None:
    view = View(APP)
    index = shelving.index(view, "v1", amd64=b"a", arm64=b"b")
    (image,) = inventory.images()
    assert (image.complete, image.platforms) == (True, ("linux/amd64", "linux/arm64"))
    assert image.bytes == store.index.bytes_stored()
    store.drop(Entry(Digest.of(b"b")))
    (image,) = inventory.images()
    assert (image.digest, image.complete, image.platforms) == (index, False, ("linux/amd64",))
    store.drop(Entry(index))
    gone = next(image for image in inventory.images() if image.name.endswith(":v1"))
    assert (gone.bytes, gone.used, gone.complete) == (0, None, False)


def test_a_layer_that_registries_need_not_hold_is_not_missed(inventory: Inventory, shelving: Shelving) -> None:
    foreign = {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "size": 9}
    content = json.dumps({"layers": [{**foreign, "digest": str(Digest.of(b"elsewhere"))}]}).encode()
    assert [one.is_foreign for one in references(content)] == [True]
    shelving.manifest(View(APP), content, "v1")
    (image,) = inventory.images()
    assert image.complete


def test_indexes_in_one_another_end(inventory: Inventory, shelving: Shelving) -> None:
    """Content cannot name its own digest, but nobody else's nesting is trusted either."""
    inner = b"{}"
    for _ in range(50):
        digest = shelving.manifest(View(APP), inner)
        one = {"mediaType": INDEX, "digest": str(digest), "size": len(inner)}
        inner = json.dumps({"manifests": [one]}).encode()
    shelving.manifest(View(APP), inner, "v1")
    (image,) = inventory.images()
    assert not image.complete


def test_rights_of_clients_with_their_own_credentials_count_as_private(inventory: Inventory, store: Store) -> None:
    view = View(APP, caller="Basic x")
    ended(store.keep(view.entry(Digest.of(b"{}")), b"{}"))
    store.index.link(view, Digest.of(b"{}"), "application/json", 2)
    assert [(image.private, image.bytes) for image in inventory.images()] == [(True, 2)]
