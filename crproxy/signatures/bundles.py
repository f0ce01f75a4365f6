"""Signatures as cosign writes them from version 3 on: a sigstore bundle, in an artifact that refers to the image.

Sources: BUNDLE_SPEC.md of cosign; sigstore_bundle.proto and sigstore_common.proto of sigstore's protobuf-specs, whose
JSON this is. Here bundles of keys are verified; those of certificates by `keyless`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..oci.digests import Digest
from ..oci.errors import RegistryError
from ..oci.manifests import MANIFEST_LIMIT
from ..oci.sizes import is_size
from .documents import decoded, item, items, mapping, text
from .keys import PublicKey, has_signed, has_signed_digest, public_key
from .refusal import NotSigned
from .simple_signing import MOST_SIGNATURES, PAYLOAD_LIMIT
from .statements import SIGNED, check_statement, encoded
from .trust import Trust

__all__ = ["Keyless", "bundle_in", "bundles_listed", "check"]

# Verifies a bundle with a certificate: its text, the image, and who is trusted; raises NotSigned.
Keyless = Callable[[bytes, Digest, Trust], None]

_BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle"
# What a list says of an artifact whose writer did not say what it is.
_UNSAID = ("", "application/vnd.oci.empty.v1+json")
_PREDICATE_TYPE = "dev.sigstore.bundle.predicateType"
# Signatures of one envelope. DSSE allows several; bundles have one.
_MOST_OF_ENVELOPE = 8


def bundles_listed(index: bytes) -> list[Digest]:
    """Return the manifests that may have a signature's bundle, of all that refer to an image, MOST_SIGNATURES at most.

    Raises:
        NotSigned: it is no list.
    """
    document = mapping(index, MANIFEST_LIMIT, "the list of what refers to it")
    found = list(filter(None, map(_listed, items(document, "manifests"))))
    return found[:MOST_SIGNATURES]


def _listed(descriptor: Any) -> Digest | None:
    kind, states = text(descriptor, "artifactType"), text(descriptor, "annotations", _PREDICATE_TYPE)
    if not (kind.startswith(_BUNDLE_TYPE) or kind in _UNSAID) or states not in ("", SIGNED):
        return None
    try:
        return Digest.parse(text(descriptor, "digest"))
    except RegistryError:
        return None


def bundle_in(manifest: bytes) -> Digest:
    """Return the blob that is the bundle, of an artifact's manifest.

    Raises:
        NotSigned: it is another artifact, or the bundle is too large.
    """
    document = mapping(manifest, MANIFEST_LIMIT, "what refers to it")
    for layer in items(document, "layers"):
        if text(layer, "mediaType").startswith(_BUNDLE_TYPE):
            size = item(layer, "size")
            if not is_size(size) or size > PAYLOAD_LIMIT:
                raise NotSigned(f"a bundle that refers to it has more than {PAYLOAD_LIMIT} bytes")
            try:
                return Digest.parse(text(layer, "digest"))
            except RegistryError as error:
                raise NotSigned("a bundle that refers to it has no digest") from error
    raise NotSigned("what refers to it is no signature")


def check(content: bytes, image: Digest, trust: Trust, keyless: Keyless) -> None:
    """Return where the bundle shows that somebody who is trusted has signed ``image``.

    Raises:
        NotSigned: it does not.
    """
    document = mapping(content, PAYLOAD_LIMIT, "a bundle that refers to it")
    if not text(document, "mediaType").startswith(_BUNDLE_TYPE):
        raise NotSigned("a bundle that refers to it is of another type than sigstore's")
    material = item(document, "verificationMaterial")
    if item(material, "certificate") is not None or item(material, "x509CertificateChain") is not None:
        if not trust.identities:
            raise NotSigned("it is signed with a certificate, and a key is wanted")
        keyless(content, image, trust)
        return
    if item(material, "publicKey") is None:
        raise NotSigned("a bundle that refers to it does not say what it is to be verified with")
    if not trust.keys:
        raise NotSigned("it is signed by a key, and an identity is wanted")
    _check_keys(document, image, [public_key(key) for key in trust.keys])


def _check_keys(document: dict[str, Any], image: Digest, keys: list[PublicKey]) -> None:
    envelope, message = item(document, "dsseEnvelope"), item(document, "messageSignature")
    if (envelope is None) == (message is None):
        raise NotSigned("a bundle that refers to it has not one signature")
    if envelope is None:
        _check_message(message, image, keys)
        return
    kind, payload = text(envelope, "payloadType"), decoded(text(envelope, "payload"), "a statement about it")
    signed = encoded(kind, payload)
    signatures = [decoded(text(one, "sig"), "a signature of it") for one in items(envelope, "signatures")]
    if len(signatures) > _MOST_OF_ENVELOPE:
        raise NotSigned(f"a statement about it has more than {_MOST_OF_ENVELOPE} signatures")
    if not any(has_signed(key, signature, signed) for signature in signatures for key in keys):
        raise NotSigned("a signature of it is by another key")
    check_statement(payload, kind, image)


def _check_message(message: Any, image: Digest, keys: list[PublicKey]) -> None:
    """Check a signature of the image's manifest itself, of which the digest is all that is needed."""
    signature = decoded(text(message, "signature"), "a signature of it")
    if image.algorithm != "sha256":
        raise NotSigned("a signature of its manifest is by SHA-256, and its digest is not")
    sha256 = bytes.fromhex(image.hex)
    said = text(message, "messageDigest", "digest")
    if said and decoded(said, "the digest of what is signed") != sha256:
        raise NotSigned("a signature that refers to it is one of another image")
    if not any(has_signed_digest(key, signature, sha256) for key in keys):
        raise NotSigned("a signature of it is by another key")
