from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.manifests import (
    ACCEPT,
    MANIFEST_LIMIT,
    REFERENCES_LIMIT,
    Descriptor,
    all_references,
    references,
)

A, B, C = (Digest.of(content) for content in (b"a", b"b", b"c"))


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ],
)
def test_every_kind_that_clients_pull_is_asked_for_without_a_handicap(media_type: str) -> None:
    assert media_type in ACCEPT


def test_what_is_not_invented_yet_is_accepted_last() -> None:
    assert ACCEPT[-1] == "*/*;q=0.5"


def test_no_kind_is_asked_for_twice() -> None:
    assert len({kind.partition(";")[0] for kind in ACCEPT}) == len(ACCEPT)


def test_a_manifest_has_four_mebibytes_at_the_most() -> None:
    assert MANIFEST_LIMIT == 4194304


def described(digest: Digest, size: Any = 1, **others: Any) -> dict[str, Any]:
    return {"mediaType": "type/x", "digest": str(digest), "size": size, **others}


def referred(**document: Any) -> list[Descriptor]:
    return references(json.dumps(document).encode())


def test_an_image_refers_to_its_configuration_and_its_layers() -> None:
    assert referred(config=described(A, 2), layers=[described(B, 0), described(C, annotations={})]) == [
        Descriptor("type/x", A, 2, is_manifest=False),
        Descriptor("type/x", B, 0, is_manifest=False),
        Descriptor("type/x", C, 1, is_manifest=False),
    ]


def test_an_index_refers_to_manifests() -> None:
    assert referred(manifests=[described(A), described(B)]) == [
        Descriptor("type/x", A, 1, is_manifest=True),
        Descriptor("type/x", B, 1, is_manifest=True),
    ]


def test_an_artifact_refers_to_blobs() -> None:
    assert referred(blobs=[described(A)]) == [Descriptor("type/x", A, 1, is_manifest=False)]


def test_a_subject_is_not_given_by_what_refers_to_it() -> None:
    assert referred(subject=described(A)) == []


@pytest.mark.parametrize(
    "item",
    [
        None,
        5,
        "x",
        [],
        {},
        {"digest": str(A), "size": 1},
        {"mediaType": "type/x", "size": 1},
        {"mediaType": "type/x", "digest": str(A)},
        described(A, "1"),
        described(A, -1),
        described(A, None),
        described(A, 2**63),
        described(A, True),
        described(A) | {"mediaType": "\ud800"},
        described(A) | {"mediaType": 5},
        described(A) | {"digest": 5},
        described(A) | {"digest": "sha256:abc"},
    ],
)
def test_what_is_no_descriptor_is_left_out(item: Any) -> None:
    assert [found.digest for found in referred(layers=[item, described(B)])] == [B]


@pytest.mark.security("S17")
@pytest.mark.parametrize("content", [b"", b"x", b"[]", b"5", b"null", b"\xff", b"[" * 100_000, b'{"layers": 5}'])
def test_what_cannot_be_read_refers_to_nothing(content: bytes) -> None:
    assert references(content) == []


@pytest.mark.security("S17")
@pytest.mark.parametrize("key", ["layers", "manifests", "blobs"])
def test_s17_what_refers_to_too_much_is_refused_and_never_cut(key: str) -> None:
    most = json.dumps({"config": described(A), key: [described(A)] * (REFERENCES_LIMIT - 1)}).encode()
    assert len(all_references(most)) == len(references(most)) == REFERENCES_LIMIT
    for count in (REFERENCES_LIMIT, 10_000, 100_000):
        more = json.dumps({"config": described(A), key: [described(A)] * count}).encode()
        with pytest.raises(RegistryError) as caught:
            all_references(more)
        assert (caught.value.code, caught.value.status) == (ErrorCode.MANIFEST_INVALID, 502)
        assert references(more) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(str(A)),
    lambda values: st.lists(values) | st.dictionaries(st.sampled_from(["digest", "size", "mediaType", "x"]), values),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["config", "layers", "manifests", "blobs"]), json_values))
def test_any_document_can_be_looked_through(document: dict[str, Any]) -> None:
    assert isinstance(referred(**document), list)
