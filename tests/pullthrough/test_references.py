from __future__ import annotations

import json
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.policy.freshness import Lifetimes
from crproxy.pullthrough.permissions import Permissions
from crproxy.pullthrough.references import KeptReferences
from crproxy.store.entries import View
from crproxy.store.store import Store
from tests.memory import ended
from tests.pullthrough.conftest import OTHER, REPOSITORY, TYPE
from tests.store.shelving import Shelving
from tests.stores import OPEN, make_store

VIEW = View(REPOSITORY)
LAYER = Digest.of(b"layer")


def image(size: int = 5, **more: object) -> bytes:
    layer = {"mediaType": "application/x.layer", "digest": str(LAYER), "size": size}
    return json.dumps({"schemaVersion": 2, "layers": [layer], **more}).encode()


def index(child: bytes) -> bytes:
    described = {"mediaType": TYPE, "digest": str(Digest.of(child)), "size": len(child)}
    return json.dumps({"schemaVersion": 2, "manifests": [described]}).encode()


@pytest.fixture
def shelving(store: Store) -> Shelving:
    return Shelving(store)


@pytest.fixture
def references(store: Store, clock: Clock) -> KeptReferences:
    return KeptReferences(store, Permissions(store, lambda: OPEN, Lifetimes(), clock.seconds))


@pytest.mark.parametrize("is_written", [False, True])
def test_a_manifest_says_how_large_a_blob_is_in_its_repository(
    shelving: Shelving, references: KeptReferences, is_written: bool
) -> None:
    shelving.manifest(VIEW, image())
    if is_written:
        ended(shelving.store.index.flush())
    assert references.size(REPOSITORY, LAYER) == 5
    assert references.size(OTHER, LAYER) is None
    assert references.size(REPOSITORY, Digest.of(b"another")) is None


def test_manifests_are_no_blobs(shelving: Shelving, references: KeptReferences) -> None:
    shelving.manifest(VIEW, index(image()))
    assert references.size(REPOSITORY, Digest.of(image())) is None


def test_where_manifests_do_not_agree_nothing_is_known(shelving: Shelving, references: KeptReferences) -> None:
    shelving.manifest(VIEW, image(5))
    shelving.manifest(VIEW, image(7))
    assert references.size(REPOSITORY, LAYER) is None


def test_what_is_no_manifest_says_nothing(shelving: Shelving, references: KeptReferences) -> None:
    for content in (b"<html>", b"[]", b'{"layers": 1}'):
        shelving.manifest(VIEW, content)
    assert references.size(REPOSITORY, LAYER) is None


def test_one_that_is_large_is_not_read_for_this(shelving: Shelving, references: KeptReferences) -> None:
    shelving.manifest(VIEW, image(annotation="x" * 70_000))
    assert references.size(REPOSITORY, LAYER) is None


@pytest.mark.parametrize("is_written", [False, True])
def test_tags_lead_to_what_they_refer_to(shelving: Shelving, references: KeptReferences, is_written: bool) -> None:
    shelving.manifest(VIEW, image())
    shelving.manifest(VIEW, index(image()), "v1")
    shelving.manifest(VIEW, image(), "v2")
    shelving.manifest(VIEW, b'{"schemaVersion": 2}', "v3")
    shelving.listed(VIEW, "tags/list?", str(LAYER).encode())
    if is_written:
        ended(shelving.store.index.flush())
    assert set(references.tags(VIEW, LAYER)) == {"v1", "v2"}
    assert set(references.tags(VIEW, Digest.of(image()))) == {"v1"}
    assert set(references.tags(View(OTHER), LAYER)) == set()


def test_what_is_on_its_way_to_the_disk_leads_there_too(tmp_path: Path, clock: Clock) -> None:
    store = make_store(tmp_path, clock, writing=lambda *_: Deferred())
    manifest = Digest.of(image())
    store.keep(VIEW.entry(manifest), image())
    store.index.link(VIEW, manifest, TYPE, len(image()))
    store.index.tag(VIEW, "v1", manifest)
    references = KeptReferences(store, Permissions(store, lambda: OPEN, Lifetimes(), clock.seconds))
    assert store.size(VIEW.entry(manifest)) is None
    assert set(references.tags(VIEW, LAYER)) == {"v1"}
    assert references.size(REPOSITORY, LAYER) == 5
