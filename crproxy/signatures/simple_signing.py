"""Signatures as cosign wrote them up to version 2: in a manifest of their own, with the tag ``sha256-HEX.sig``.

Each layer of it is a payload; the signature of that is in the layer's annotations. Source: SIGNATURE_SPEC.md of cosign.
The tag and the manifest are nobody's word: what counts is that the payload is signed, and names the image.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..oci.digests import Digest
from ..oci.errors import RegistryError
from ..oci.manifests import MANIFEST_LIMIT
from ..oci.names import Tag, referrers_tag
from ..oci.sizes import is_size
from .documents import decoded, item, items, mapping, text
from .keys import has_signed, public_key
from .refusal import NotSigned
from .trust import Trust

__all__ = ["MOST_SIGNATURES", "PAYLOAD_LIMIT", "Signature", "check", "signature_tag", "signatures_in"]

# Bytes of a payload, and of a bundle: they have some hundreds, and some thousands.
PAYLOAD_LIMIT = 1024 * 1024
# Of an image that are looked at. Each release adds one to a tag that is signed again and again.
MOST_SIGNATURES = 32

_PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
_SIGNATURE = "dev.cosignproject.cosign/signature"
_CERTIFICATE = "dev.sigstore.cosign/certificate"
# "Payloads": "The critical.type value used to identify cosign signatures".
_CRITICAL_TYPE = "cosign container image signature"


@dataclass(frozen=True, slots=True)
class Signature:
    """What a manifest says of one signature.

    Arguments:
        payload: what is signed, a blob.
        size: of that in bytes, PAYLOAD_LIMIT at the most.
        signature: in base64.
        has_certificate: it was made with a certificate, not with a key.
    """

    payload: Digest
    size: int
    signature: str
    has_certificate: bool


def signature_tag(digest: Digest) -> Tag:
    """Return the tag of an image's signatures ("Tag-based Discovery")."""
    return referrers_tag(digest, ".sig")


def signatures_in(manifest: bytes) -> list[Signature]:
    """Return the signatures in a manifest, MOST_SIGNATURES at the most, the last ones: cosign adds at the end.

    Raises:
        NotSigned: there is none.
    """
    document = mapping(manifest, MANIFEST_LIMIT, "the manifest of its signatures")
    found = [one for layer in items(document, "layers") if (one := _signature(layer)) is not None]
    if not found:
        raise NotSigned("the manifest of its signatures has none that can be read")
    return found[-MOST_SIGNATURES:][::-1]


def _signature(layer: object) -> Signature | None:
    size, signature = item(layer, "size"), text(layer, "annotations", _SIGNATURE)
    if text(layer, "mediaType") != _PAYLOAD_TYPE or not signature or not is_size(size) or size > PAYLOAD_LIMIT:
        return None
    try:
        payload = Digest.parse(text(layer, "digest"))
    except RegistryError:
        return None
    return Signature(payload, size, signature, bool(text(layer, "annotations", _CERTIFICATE)))


def check(signature: Signature, payload: bytes, image: Digest, trust: Trust) -> None:
    """Return where ``payload`` says that it is for ``image``, and one of the trusted keys has signed it.

    Raises:
        NotSigned: it is not so.
    """
    if not signature.payload.names(payload):
        raise NotSigned("a payload of its signatures has other bytes than its digest says")
    document = mapping(payload, PAYLOAD_LIMIT, "a payload of its signatures")
    critical = item(document, "critical")
    if text(critical, "type") != _CRITICAL_TYPE:
        raise NotSigned(f"a payload of its signatures is of another type than {_CRITICAL_TYPE!r}")
    if text(critical, "image", "docker-manifest-digest") != str(image):
        raise NotSigned("a signature that is kept beside it is one of another image")
    signed = decoded(signature.signature, "a signature of it")
    if any(has_signed(public_key(key), signed, payload) for key in trust.keys):
        return
    raise NotSigned(_why(signature.has_certificate, trust))


def _why(has_certificate: bool, trust: Trust) -> str:
    if not has_certificate and not trust.keys:
        return "it is signed by a key, and an identity is wanted"
    if not has_certificate:
        return "a signature of it is by another key"
    if not trust.identities:
        return "it is signed with a certificate, and a key is wanted"
    # The proof that it is in the log, which the library wants to see, is not in this format.
    return (
        "it is signed with a certificate in cosign's former format, which cannot be verified without asking its log: "
        "sign it with cosign sign --new-bundle-format, the default of cosign 3"
    )
