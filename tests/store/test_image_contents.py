from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.names import Reference, Registry, Tag
from crproxy.store.entries import Entry, View
from crproxy.store.image_contents import contents_of
from crproxy.store.inventory import Inventory
from tests.memory import ended
from tests.store.shelving import Shelving
from tests.stores import make_store

REPOSITORY = Registry("quay.io").repository("org/app")
VIEW, PRIVATE = View(REPOSITORY), View(REPOSITORY, "account")


@pytest.fixture
def shelving(tmp_path: Path) -> Shelving:
    return Shelving(make_store(tmp_path, Clock()))


def found(shelving: Shelving, tmp_path: Path, reference: Reference | None) -> dict[Entry, int] | None:
    ended(shelving.store.index.flush())
    views = Inventory(tmp_path / "index.sqlite", shelving.store.blobs).by_credential(REPOSITORY)
    contents = contents_of(views, reference)
    assert contents is None or len(dict(contents)) == len(contents)
    return None if contents is None else dict(contents)


def test_an_image_is_its_manifest_and_what_that_refers_to(shelving: Shelving, tmp_path: Path) -> None:
    digest = shelving.image(VIEW, b"layer", tag="v1")
    shelving.image(VIEW, b"other", tag="v2")
    by_tag = found(shelving, tmp_path, Tag("v1"))
    assert by_tag == found(shelving, tmp_path, digest)
    assert by_tag is not None
    assert by_tag[Entry(Digest.of(b"layer"))] == 5
    assert Entry(digest) in by_tag
    assert Entry(Digest.of(b"other")) not in by_tag


def test_a_repository_is_all_that_it_has_with_any_credential(shelving: Shelving, tmp_path: Path) -> None:
    shelving.image(VIEW, b"layer", tag="v1")
    shelving.image(PRIVATE, b"other", tag="v2")
    contents = found(shelving, tmp_path, None)
    assert contents is not None
    assert {Entry(Digest.of(b"layer")), PRIVATE.entry(Digest.of(b"other"))} <= contents.keys()


def test_a_part_is_known_by_its_digest(shelving: Shelving, tmp_path: Path) -> None:
    shelving.image(VIEW, b"layer", tag="v1")
    layer = Digest.of(b"layer")
    assert found(shelving, tmp_path, layer) == {Entry(layer): 5}


@pytest.mark.parametrize("reference", [Tag("v9"), Digest.of(b"nothing")])
def test_what_was_never_here_is_not_known(shelving: Shelving, tmp_path: Path, reference: Reference) -> None:
    shelving.image(VIEW, b"layer", tag="v1")
    assert found(shelving, tmp_path, reference) is None


def test_of_what_is_gone_there_is_nothing(shelving: Shelving, tmp_path: Path) -> None:
    digest = shelving.image(VIEW, b"layer", tag="v1")
    for entry in (Entry(digest), Entry(Digest.of(b"layer"))):
        shelving.store.drop(entry)
    assert found(shelving, tmp_path, Tag("v1")) == {}


def test_nothing_is_known_of_another_repository(shelving: Shelving, tmp_path: Path) -> None:
    assert found(shelving, tmp_path, None) is None
