from __future__ import annotations

import json

from crproxy.oci.digests import Digest
from crproxy.oci.names import Tag
from crproxy.upstream.references import References
from tests.sharing.crew import Crew
from tests.upstream.conftest import QUAY

NAME, OTHER = QUAY.repository("org/name"), QUAY.repository("org/other")
LAYER, CHILD = Digest.of(b"layer"), Digest.of(b"child")


def described(digest: Digest, size: int, kind: str) -> dict[str, object]:
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": str(digest), "size": size}


MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "config": described(Digest.of(b"{}"), 2, "config.v1+json"),
        "layers": [described(LAYER, 5, "layer.v1.tar+gzip")],
    }
).encode()
INDEX = json.dumps({"schemaVersion": 2, "manifests": [described(CHILD, 7, "manifest.v1+json")]}).encode()


def test_a_manifest_says_how_large_blobs_are_in_its_repository() -> None:
    references = References()
    references.note(NAME, Tag("v1"), Digest.of(MANIFEST), MANIFEST)
    assert (references.size(NAME, LAYER), references.size(NAME, Digest.of(b"{}"))) == (5, 2)
    assert references.size(OTHER, LAYER) is None


def test_manifests_are_no_blobs() -> None:
    references = References()
    references.note(NAME, Tag("v1"), Digest.of(INDEX), INDEX)
    assert references.size(NAME, CHILD) is None


def test_what_is_no_manifest_says_nothing() -> None:
    references = References()
    for content in (b"", b"<html>", b"[]", b'{"layers": 1}'):
        references.note(NAME, Tag("v1"), Digest.of(content), content)
    assert references.size(NAME, LAYER) is None


def test_all_workers_know() -> None:
    crew = Crew()
    one, other = References(crew.member(0)), References(crew.member(1))
    one.note(NAME, Tag("v1"), Digest.of(MANIFEST), MANIFEST)
    assert other.size(NAME, LAYER) == 5


def test_what_a_tag_leads_to_is_found_by_it() -> None:
    child, references = Digest.of(MANIFEST), References()
    index = INDEX.replace(str(CHILD).encode(), str(child).encode())
    references.note(NAME, Tag("v1"), Digest.of(index), index)
    assert references.tag(NAME, child) == "v1"
    references.note(NAME, child, child, MANIFEST)
    assert references.tag(NAME, LAYER) == "v1"
    references.note(NAME, Tag("v2"), Digest.of(index), index)
    assert references.tag(NAME, child) == "v2"
    assert references.tag(OTHER, child) is None


def test_what_was_asked_for_by_its_digest_was_found_by_no_tag() -> None:
    references = References()
    references.note(NAME, Digest.of(MANIFEST), Digest.of(MANIFEST), MANIFEST)
    assert references.tag(NAME, LAYER) is None
    assert references.size(NAME, LAYER) == 5
