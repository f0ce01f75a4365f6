from __future__ import annotations

import json

from crproxy.oci.digests import Digest
from crproxy.upstream.sizes import Sizes
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
    sizes = Sizes()
    sizes.note(NAME, Digest.of(MANIFEST), MANIFEST)
    assert (sizes.of(NAME, LAYER), sizes.of(NAME, Digest.of(b"{}"))) == (5, 2)
    assert sizes.of(OTHER, LAYER) is None


def test_manifests_are_no_blobs() -> None:
    sizes = Sizes()
    sizes.note(NAME, Digest.of(INDEX), INDEX)
    assert sizes.of(NAME, CHILD) is None


def test_what_is_no_manifest_says_nothing() -> None:
    sizes = Sizes()
    for content in (b"", b"<html>", b"[]", b'{"layers": 1}'):
        sizes.note(NAME, Digest.of(content), content)
    assert sizes.of(NAME, LAYER) is None


def test_all_workers_know() -> None:
    crew = Crew()
    one, other = Sizes(crew.member(0)), Sizes(crew.member(1))
    one.note(NAME, Digest.of(MANIFEST), MANIFEST)
    assert other.of(NAME, LAYER) == 5
