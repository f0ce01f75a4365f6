"""Signatures in a manifest of their own."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.digests import Digest
from crproxy.signatures import Identity, NotSigned, Trust
from crproxy.signatures.simple_signing import MOST_SIGNATURES, Signature, check, signature_tag, signatures_in
from tests.signatures.test_documents import VALUES
from tests.signing import Signer, payload, signature_manifest

IMAGE, OTHER = Digest.of(b"image"), Digest.of(b"other")
ALICE, MALLORY = Signer(), Signer()
TRUST = Trust.parse([ALICE.public, Signer().public])
IDENTITY = Trust.parse([], [Identity("releases@example.org", "https://accounts.example.org")])


def checked(manifest: bytes, content: bytes, image: Digest = IMAGE, trust: Trust = TRUST) -> None:
    for signature in signatures_in(manifest):
        check(signature, content, image, trust)


def signed(content: bytes, signer: Signer = ALICE) -> tuple[bytes, bytes]:
    return signature_manifest((content, signer.signature(content))), content


def test_the_tag_is_made_of_the_digest() -> None:
    assert signature_tag(IMAGE).name == f"sha256-{IMAGE.hex}.sig"


def test_an_image_that_is_signed() -> None:
    checked(*ALICE.manifest(IMAGE))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (payload(OTHER), "one of another image"),
        (payload(IMAGE, type="atomic container signature"), "of another type"),
        (payload(IMAGE, image={"docker-manifest-digest": None}), "one of another image"),
        (payload(IMAGE, image=[str(IMAGE)]), "one of another image"),
        (b"[]", "is no object"),
        (b"{}", "of another type"),
        (payload(IMAGE)[:-1] + b', "critical": {}}', "a key is twice"),
    ],
)
def test_what_is_signed_is_something_else(content: bytes, words: str) -> None:
    with pytest.raises(NotSigned, match=words):
        checked(*signed(content))


def test_somebody_else_has_signed_it() -> None:
    with pytest.raises(NotSigned, match="a signature of it is by another key"):
        checked(*MALLORY.manifest(IMAGE))


def test_a_signature_of_another_payload() -> None:
    content = payload(IMAGE)
    with pytest.raises(NotSigned, match="by another key"):
        checked(signature_manifest((content, ALICE.signature(payload(OTHER)))), content)


def test_other_bytes_than_the_manifest_says() -> None:
    manifest, _ = MALLORY.manifest(IMAGE)
    with pytest.raises(NotSigned, match="other bytes than its digest"):
        checked(manifest, payload(IMAGE, more=1))


@pytest.mark.parametrize("signature", ["!", "AA", "\N{SNOWMAN}"])
def test_a_signature_that_is_no_base64(signature: str) -> None:
    content = payload(IMAGE)
    with pytest.raises(NotSigned, match="is no base64"):
        checked(signature_manifest((content, signature)), content)


def test_a_key_where_an_identity_is_wanted() -> None:
    with pytest.raises(NotSigned, match="signed by a key, and an identity is wanted"):
        checked(*ALICE.manifest(IMAGE), trust=IDENTITY)


@pytest.mark.parametrize(
    ("trust", "words"),
    [(TRUST, "with a certificate, and a key is wanted"), (IDENTITY, "sign it with cosign sign --new-bundle-format")],
)
def test_a_certificate(trust: Trust, words: str) -> None:
    content = payload(IMAGE)
    annotations = {"dev.sigstore.cosign/certificate": "-----BEGIN CERTIFICATE-----"}
    manifest = signature_manifest((content, MALLORY.signature(content)), **annotations)
    with pytest.raises(NotSigned, match=words):
        checked(manifest, content, trust=trust)


def test_a_key_that_has_a_certificate_as_well() -> None:
    content = payload(IMAGE)
    annotations = {"dev.sigstore.cosign/certificate": "-----BEGIN CERTIFICATE-----"}
    checked(signature_manifest((content, ALICE.signature(content)), **annotations), content)


def test_of_many_signatures_the_last_are_looked_at() -> None:
    content = payload(IMAGE)
    many = [(content, f"{number:04}") for number in range(1000)]
    found = signatures_in(signature_manifest(*many))
    assert [one.signature for one in found] == [f"{number:04}" for number in range(999, 999 - MOST_SIGNATURES, -1)]


def changed(**layer: Any) -> bytes:
    manifest = json.loads(ALICE.manifest(IMAGE)[0])
    manifest["layers"][0] |= layer
    return json.dumps(manifest).encode()


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"{}",
        b'{"layers": {}}',
        b'{"layers": [1, null, "x", []]}',
        changed(mediaType="text/plain"),
        changed(mediaType=1),
        changed(size=-1),
        changed(size="9"),
        changed(size=True),
        changed(size=2 * 1024 * 1024),
        changed(digest="sha256:x"),
        changed(annotations=None),
        changed(annotations={"dev.cosignproject.cosign/signature": 1}),
        b" " * (5 * 1024 * 1024),
    ],
)
def test_a_manifest_without_a_signature(manifest: bytes) -> None:
    with pytest.raises(NotSigned, match="the manifest of its signatures"):
        signatures_in(manifest)


@given(VALUES | st.fixed_dictionaries({"layers": st.lists(VALUES)}))
def test_any_manifest_is_refused(document: Any) -> None:
    with pytest.raises(NotSigned):
        signatures_in(json.dumps(document).encode())


@given(st.binary(max_size=50) | VALUES.map(lambda value: json.dumps({"critical": value}).encode()), st.text())
def test_any_payload_is_refused(content: bytes, signature: str) -> None:
    with pytest.raises(NotSigned):
        check(Signature(Digest.of(content), len(content), signature, False), content, IMAGE, TRUST)


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=255))
def test_no_other_byte_will_do(place: int, byte: int) -> None:
    """One byte of the payload is another: it is refused, or it is the same byte."""
    manifest, content = ALICE.manifest(IMAGE)
    place %= len(content)
    other = content[:place] + bytes([byte]) + content[place + 1 :]
    (found,) = signatures_in(manifest)
    with pytest.raises(NotSigned) if other != content else contextlib.nullcontext():
        check(Signature(Digest.of(other), len(other), found.signature, False), other, IMAGE, TRUST)
