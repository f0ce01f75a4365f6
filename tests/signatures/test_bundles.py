"""Bundles that refer to an image, signed by keys."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.digests import Digest
from crproxy.signatures import Identity, NotSigned, Trust
from crproxy.signatures.bundles import bundle_in, bundles_listed, check
from crproxy.signatures.simple_signing import MOST_SIGNATURES
from tests.signatures.test_documents import VALUES
from tests.signing import BUNDLE, PROVENANCE, SIGN, Signer, bundle_manifest, referrers_list, statement

CONTENT = b"image"
IMAGE, OTHER = Digest.of(CONTENT), Digest.of(b"other")
ALICE, MALLORY = Signer(), Signer()
TRUST = Trust.parse([ALICE.public, Signer().public])
IDENTITY = Trust.parse([], [Identity("releases@example.org", "https://accounts.example.org")])
WITH_CERTIFICATE = {"certificate": {"rawBytes": "AA=="}}


def checked(bundle: bytes, image: Digest = IMAGE, trust: Trust = TRUST) -> None:
    check(bundle, image, trust, lambda *_: pytest.fail("there is no certificate"))


def message(signer: Signer = ALICE, content: bytes = CONTENT, **other: Any) -> bytes:
    """A bundle with a signature of the manifest itself."""
    digest = {"algorithm": "SHA2_256", "digest": base64.b64encode(bytes.fromhex(Digest.of(content).hex)).decode()}
    signed = {"messageDigest": digest, "signature": signer.signature(content)}
    return ALICE.bundle(IMAGE, dsseEnvelope=None, messageSignature=signed | other)


def test_an_image_that_is_signed() -> None:
    checked(ALICE.bundle(IMAGE))


@pytest.mark.parametrize("other", [{}, {"messageDigest": None}])
def test_a_manifest_that_is_signed_itself(other: dict[str, Any]) -> None:
    checked(message(**other))


@pytest.mark.parametrize(
    ("bundle", "words"),
    [
        (MALLORY.bundle(IMAGE), "by another key"),
        (ALICE.bundle(OTHER), "one of another image"),
        (ALICE.bundle(IMAGE, PROVENANCE), "which is no signature"),
        (message(MALLORY), "by another key"),
        (message(content=b"other"), "one of another image"),
        (message(content=b"other", messageDigest=None), "by another key"),
        (message(Signer(ed25519.Ed25519PrivateKey.generate())), "by another key"),
        (message(signature="!"), "is no base64"),
        (message(signature=None), "is empty"),
        (ALICE.bundle(IMAGE, mediaType="text/plain"), "another type than sigstore's"),
        (ALICE.bundle(IMAGE, mediaType=None), "another type than sigstore's"),
        (ALICE.bundle(IMAGE, verificationMaterial=None), "does not say what it is to be verified with"),
        (ALICE.bundle(IMAGE, verificationMaterial=[]), "does not say what it is to be verified with"),
        (ALICE.bundle(IMAGE, verificationMaterial=WITH_CERTIFICATE), "with a certificate, and a key is wanted"),
        (ALICE.bundle(IMAGE, dsseEnvelope=None), "has not one signature"),
        (ALICE.bundle(IMAGE, messageSignature={}), "has not one signature"),
        (ALICE.bundle(IMAGE, dsseEnvelope=[]), "a statement about it is empty"),
        (ALICE.bundle(IMAGE, dsseEnvelope=ALICE.envelope(statement(IMAGE)) | {"payload": "!"}), "is no base64"),
        (ALICE.bundle(IMAGE, dsseEnvelope=ALICE.envelope(statement(IMAGE)) | {"signatures": []}), "by another key"),
        (
            ALICE.bundle(IMAGE, dsseEnvelope=ALICE.envelope(statement(IMAGE)) | {"signatures": [{"sig": "AA=="}] * 9}),
            "more than 8 signatures",
        ),
        (ALICE.bundle(IMAGE, dsseEnvelope=ALICE.envelope(statement(IMAGE), "text/plain")), "no in-toto statement"),
        (
            ALICE.bundle(
                IMAGE,
                dsseEnvelope=ALICE.envelope(statement(IMAGE), "text/plain")
                | {"payloadType": "application/vnd.in-toto+json"},
            ),
            "by another key",
        ),
        (ALICE.bundle(IMAGE)[:-1] + b', "mediaType": "x"}', "a key is twice"),
        (b"", "cannot be read"),
        (b" " * 2_000_000, "has more than"),
    ],
)
def test_it_is_not(bundle: bytes, words: str) -> None:
    with pytest.raises(NotSigned, match=words):
        checked(bundle)


def test_a_signature_of_the_manifest_is_of_its_sha256() -> None:
    with pytest.raises(NotSigned, match="its digest is not"):
        checked(message(), Digest.of(CONTENT, "sha512"))


def test_a_key_where_an_identity_is_wanted() -> None:
    with pytest.raises(NotSigned, match="by a key, and an identity is wanted"):
        checked(ALICE.bundle(IMAGE), trust=IDENTITY)


@pytest.mark.parametrize("material", [WITH_CERTIFICATE, {"x509CertificateChain": {"certificates": []}}])
def test_a_certificate_is_for_others_to_verify(material: dict[str, Any]) -> None:
    asked = []
    bundle = ALICE.bundle(IMAGE, verificationMaterial=material)
    check(bundle, IMAGE, IDENTITY, lambda *arguments: asked.append(arguments))
    assert asked == [(bundle, IMAGE, IDENTITY)]


# Where they are


def test_what_refers_to_the_image() -> None:
    manifests = [bundle_manifest(b"one"), bundle_manifest(b"two")]
    assert bundles_listed(referrers_list(*manifests)) == [Digest.of(manifest) for manifest in manifests]


@pytest.mark.parametrize(
    ("other", "is_listed"),
    [
        ({"annotations": {"dev.sigstore.bundle.predicateType": SIGN}}, True),
        ({"annotations": {"dev.sigstore.bundle.predicateType": PROVENANCE}}, False),
        ({"artifactType": "application/vnd.dev.sigstore.bundle+json;version=0.3"}, True),
        ({"artifactType": "application/vnd.oci.empty.v1+json"}, True),
        ({"artifactType": None}, True),
        ({"artifactType": "application/spdx+json"}, False),
        ({"digest": "sha256:x"}, False),
        ({"digest": 1}, False),
    ],
)
def test_which_of_it_may_be_a_signature(other: dict[str, Any], is_listed: bool) -> None:
    assert bool(bundles_listed(referrers_list(bundle_manifest(b"one"), **other))) is is_listed


def test_no_more_than_some() -> None:
    manifests = [bundle_manifest(str(number).encode()) for number in range(100)]
    assert len(bundles_listed(referrers_list(*manifests))) == MOST_SIGNATURES


def test_the_bundle_of_an_artifact() -> None:
    assert bundle_in(bundle_manifest(b"one")) == Digest.of(b"one")


def layer(**other: Any) -> bytes:
    said = {"mediaType": BUNDLE, "size": 3, "digest": str(Digest.of(b"one"))}
    return bundle_manifest(b"one", layers=[said | other])


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (layer(mediaType="text/plain"), "is no signature"),
        (layer(mediaType=1), "is no signature"),
        (layer(size=2_000_000), "more than 1048576 bytes"),
        (layer(size="1"), "more than 1048576 bytes"),
        (layer(digest="x"), "has no digest"),
        (bundle_manifest(b"one", layers=None), "is no signature"),
        (b"x", "cannot be read"),
    ],
)
def test_another_artifact(manifest: bytes, words: str) -> None:
    with pytest.raises(NotSigned, match=words):
        bundle_in(manifest)


@given(VALUES, st.sampled_from(["verificationMaterial", "dsseEnvelope", "messageSignature", "mediaType"]))
def test_any_bundle_is_refused(value: Any, key: str) -> None:
    with pytest.raises(NotSigned):
        checked(MALLORY.bundle(IMAGE, **{key: value}))
    with pytest.raises(NotSigned):
        checked(json.dumps(value).encode())
    with pytest.raises(NotSigned):
        bundle_in(json.dumps(value).encode())
    with contextlib.suppress(NotSigned):
        assert bundles_listed(json.dumps({"manifests": value}).encode()) == []


@given(st.integers(min_value=0), st.binary(min_size=1, max_size=3))
def test_no_other_statement_will_do(place: int, piece: bytes) -> None:
    """Some bytes of what is stated are others: it is refused, or they are the same bytes."""
    document = json.loads(ALICE.bundle(IMAGE))
    content = base64.b64decode(document["dsseEnvelope"]["payload"])
    place %= len(content)
    other = content[:place] + piece + content[place + len(piece) :]
    document["dsseEnvelope"]["payload"] = base64.b64encode(other).decode()
    with pytest.raises(NotSigned) if other != content else contextlib.nullcontext():
        checked(json.dumps(document).encode())
