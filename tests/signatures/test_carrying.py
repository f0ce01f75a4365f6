"""Manifests that carry a signature, and nothing besides."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from crproxy.oci.digests import Digest
from crproxy.signatures.carrying import carries_only
from tests.signatures.test_documents import VALUES
from tests.signing import Signer, bundle_manifest, signature_manifest

IMAGE, BUNDLE = Digest.of(b"image"), Digest.of(b"bundle")
LAYER = {"mediaType": "x/y", "size": 1, "digest": str(BUNDLE)}


def test_a_bundle() -> None:
    assert carries_only(bundle_manifest(b"bundle"), BUNDLE)


def test_several_signatures_of_one_payload() -> None:
    _, payload = Signer().manifest(IMAGE)
    assert carries_only(signature_manifest((payload, "AA=="), (payload, "BB==")), Digest.of(payload))


@pytest.mark.parametrize(
    "manifest",
    [
        bundle_manifest(b"other"),
        bundle_manifest(b"bundle", layers=[]),
        bundle_manifest(b"bundle", layers=[LAYER, LAYER | {"digest": str(IMAGE)}]),
        bundle_manifest(b"bundle", layers=[LAYER, None]),
        bundle_manifest(b"bundle", manifests=[]),
        bundle_manifest(b"bundle", blobs=[LAYER]),
        bundle_manifest(b"bundle", Layers=[LAYER]),
        bundle_manifest(b"bundle")[:-1] + ', "layer\N{LATIN SMALL LETTER LONG S}": []}'.encode(),
        bundle_manifest(b"bundle", layers=[LAYER | {"Digest": str(IMAGE)}]),
        bundle_manifest(b"bundle", layers=[LAYER | {"urls": ["https://example.org/x"]}]),
        bundle_manifest(b"bundle", fsLayers=[{"blobSum": str(BUNDLE)}]),
        bundle_manifest(b"bundle")[:-1] + b', "layers": []}',
        b"x",
    ],
)
def test_something_else(manifest: bytes) -> None:
    assert not carries_only(manifest, BUNDLE)


@given(VALUES)
def test_any_other_manifest(document: Any) -> None:
    assert not carries_only(json.dumps(document).encode(), BUNDLE)
