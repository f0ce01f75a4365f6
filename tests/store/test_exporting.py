from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.store import exporting
from crproxy.store.entries import Entry, View
from crproxy.store.exporting import notes_in
from crproxy.store.keys import entry_of
from crproxy.store.notes import Notes
from crproxy.store.store import Store
from tests.memory import ended
from tests.store.shelving import MANIFEST, Shelving
from tests.stores import make_store

QUAY = Registry("quay.io")
OPEN, PRIVATE = View(DOCKER_HUB.repository("library/nginx")), View(QUAY.repository("org/app"), "credential")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    clock = Clock()
    clock.advance(1_000_000)
    return make_store(tmp_path, clock)


def all_of(path: Path) -> Notes:
    whole = Notes()
    for notes in notes_in(path):
        whole.blobs |= notes.blobs
        whole.links |= notes.links
        whole.tags |= notes.tags
    return whole


def test_all_that_is_kept_is_given_once_more(store: Store, path: Path) -> None:
    shelving = Shelving(store)
    digests = [shelving.image(view, b"layer", tag="v1") for view in (OPEN, PRIVATE)]
    ended(store.index.flush())
    found = all_of(path)
    assert {entry_of(*key) for key in found.blobs} == {
        view.entry(digest)
        for view, manifest in zip((OPEN, PRIVATE), digests, strict=True)
        for digest in (Digest.of(b"{}"), Digest.of(b"layer"), manifest)
    }
    sizes = {entry_of(*key).digest: kept.size for key, kept in found.blobs.items() if kept is not None}
    assert sizes[Digest.of(b"layer")] == 5
    assert len(found.links) == 6
    of_manifest = found.links[str(digests[0]), "docker.io", "library/nginx", ""]
    assert of_manifest is not None
    assert (of_manifest.media_type, of_manifest.confirmed) == (MANIFEST, 1_000_000)
    tags = {key: None if tag is None else tag.digest for key, tag in found.tags.items()}
    assert tags == {
        ("docker.io", "library/nginx", "v1", ""): digests[0],
        ("quay.io", "org/app", "v1", "credential"): digests[1],
    }


def test_contents_come_first_and_tags_last(store: Store, path: Path) -> None:
    """So that who reads a tag of another node finds what it leads to."""
    Shelving(store).image(OPEN, b"layer", tag="v1")
    ended(store.index.flush())
    kinds = [(bool(notes.blobs), bool(notes.links), bool(notes.tags)) for notes in notes_in(path)]
    assert kinds == [(True, False, False), (False, True, False), (False, False, True)]


@given(st.integers(0, 30), st.integers(1, 12))
def test_none_is_left_out_or_given_twice(tmp_path_factory: pytest.TempPathFactory, number: int, batch: int) -> None:
    directory = tmp_path_factory.mktemp("store")
    store = make_store(directory, Clock())
    entries = [Entry(Digest.of(bytes([each])), QUAY if each % 2 else None) for each in range(number)]
    for size, entry in enumerate(entries):
        store.index.stored(entry, size)
    ended(store.index.flush())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "_BATCH", batch)
        batches = [list(notes.blobs) for notes in notes_in(directory / "index.sqlite")]
    assert sorted(key for keys in batches for key in keys) == sorted(
        (str(entry.digest), "" if entry.pool is None else entry.pool.name) for entry in entries
    )
    assert all(0 < len(keys) <= batch for keys in batches)
    store.index.close()


@pytest.mark.parametrize("content", [None, b"", b"no database at all" * 1000])
def test_what_cannot_be_read_gives_nothing(path: Path, content: bytes | None) -> None:
    if content is not None:
        path.write_bytes(content)
    assert list(notes_in(path)) == []
    assert content is None or path.read_bytes() == content


def test_it_changes_nothing_and_lets_the_daemon_go_on(store: Store, path: Path) -> None:
    store.index.stored(Entry(Digest.of(b"a")), 1)
    ended(store.index.flush())
    reading = notes_in(path)
    assert len(next(reading).blobs) == 1
    store.index.stored(Entry(Digest.of(b"b")), 1)
    ended(store.index.flush())
    assert store.index.contents() == 2
    reading.close()  # type: ignore[attr-defined]  # a generator
    assert len(all_of(path).blobs) == 2
