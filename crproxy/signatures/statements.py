"""What is said in a bundle: an in-toto statement, which names the images that it is about.

Sources: in-toto's attestation framework, "Statement" v1; DSSE's protocol.md.
"""

from __future__ import annotations

from ..oci.digests import Digest
from .documents import items, mapping, text
from .refusal import NotSigned

__all__ = ["PAYLOAD_TYPE", "SIGNED", "check_statement", "encoded"]

PAYLOAD_TYPE = "application/vnd.in-toto+json"
# What cosign states by ``cosign sign``. Provenance, test results and bills of materials are statements by the same
# people about the same image, and nobody's word that it is to be used.
SIGNED = "https://sigstore.dev/cosign/sign/v1"

_TYPES = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")
_LIMIT = 1024 * 1024
_LONGEST_SHOWN = 80


def check_statement(payload: bytes, payload_type: str, image: Digest) -> None:
    """Return where ``payload`` states that ``image`` is signed. That it is theirs who are trusted is shown elsewhere.

    Raises:
        NotSigned: it states something else.
    """
    if payload_type != PAYLOAD_TYPE:
        raise NotSigned(f"a bundle that refers to it has no in-toto statement, but {_shown(payload_type)}")
    document = mapping(payload, _LIMIT, "a statement about it")
    if text(document, "_type") not in _TYPES:
        raise NotSigned("a statement about it is of a version that is not known here")
    predicate = text(document, "predicateType")
    if predicate != SIGNED:
        raise NotSigned(f"what is stated about it is {_shown(predicate)}, which is no signature")
    subjects = items(document, "subject")
    if not any(text(subject, "digest", image.algorithm) == image.hex for subject in subjects):
        raise NotSigned("a signature that refers to it is one of another image")


def encoded(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed of an envelope: DSSE's PAE (protocol.md, "Signature Definition")."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _shown(said: str) -> str:
    return ascii(said[:_LONGEST_SHOWN])
