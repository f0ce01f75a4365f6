"""Signatures as cosign writes them, made by a test: in a manifest of their own, or in a bundle that refers to an image.

That they are as cosign writes them is shown by tests/integration/test_signatures.py, by cosign itself.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from nacl import bindings

from crproxy.oci.digests import Digest

__all__ = [
    "BUNDLE",
    "INDEX",
    "MANIFEST",
    "PROVENANCE",
    "SIGN",
    "Signer",
    "bundle_manifest",
    "pae",
    "payload",
    "public_pem",
    "referrers_list",
    "signature_manifest",
    "statement",
]

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIGN = "https://sigstore.dev/cosign/sign/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def public_pem(key: Any) -> str:
    """The public half of any private key, in PEM."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem: bytes = key.public_key().public_bytes(serialization.Encoding.PEM, form)
    return pem.decode()


def payload(image: Digest, /, **other: Any) -> bytes:
    """What is signed in the former format."""
    critical = {
        "identity": {"docker-reference": "quay.io/org/name"},
        "image": {"docker-manifest-digest": str(image)},
        "type": "cosign container image signature",
    }
    return json.dumps({"critical": critical | other, "optional": None}).encode()


def statement(image: Digest, predicate: str = SIGN, /, **other: Any) -> bytes:
    """What is signed in a bundle."""
    said = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {image.algorithm: image.hex}, "annotations": {}}],
        "predicateType": predicate,
        "predicate": {},
    }
    return json.dumps(said | other).encode()


def pae(kind: str, content: bytes) -> bytes:
    """The bytes that DSSE signs."""
    return b" ".join([b"DSSEv1", str(len(kind)).encode(), kind.encode(), str(len(content)).encode(), content])


def signature_manifest(*signed: tuple[bytes, str], **annotations: str) -> bytes:
    """The manifest of payloads and their signatures, in base64."""
    layers = [
        {
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
            "size": len(content),
            "digest": str(Digest.of(content)),
            "annotations": {"dev.cosignproject.cosign/signature": signature, **annotations},
        }
        for content, signature in signed
    ]
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2, "digest": str(Digest.of(b"{}"))}
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}).encode()


def bundle_manifest(bundle: bytes, **other: Any) -> bytes:
    """The artifact that has a bundle."""
    layer = {"mediaType": BUNDLE, "size": len(bundle), "digest": str(Digest.of(bundle))}
    said = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": BUNDLE, "layers": [layer]}
    return json.dumps(said | other).encode()


def referrers_list(*manifests: bytes, **other: Any) -> bytes:
    """The list of what refers to an image."""
    listed = [
        {"mediaType": MANIFEST, "size": len(one), "digest": str(Digest.of(one)), "artifactType": BUNDLE} | other
        for one in manifests
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}).encode()


class Signer:
    """Somebody with a key.

    Arguments:
        key: P-256 by default.
        algorithm: by which it hashes, where the key does not say it.
        pure: of an Ed25519 key: without a hash before, as others than cosign do it.
    """

    def __init__(
        self, key: Key | None = None, algorithm: hashes.HashAlgorithm | None = None, *, pure: bool = False
    ) -> None:
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self._algorithm = algorithm or hashes.SHA256()
        self._pure = pure

    @property
    def public(self) -> str:
        return public_pem(self.key)

    def sign(self, message: bytes) -> bytes:
        match self.key:
            case ec.EllipticCurvePrivateKey():
                return self.key.sign(message, ec.ECDSA(self._algorithm))
            case rsa.RSAPrivateKey():
                return self.key.sign(message, PKCS1v15(), self._algorithm)
            case ed25519.Ed25519PrivateKey() if self._pure:
                return self.key.sign(message)
        state = bindings.crypto_sign_ed25519ph_state()
        bindings.crypto_sign_ed25519ph_update(state, message)
        _, secret = bindings.crypto_sign_seed_keypair(self.key.private_bytes_raw())
        signature: bytes = bindings.crypto_sign_ed25519ph_final_create(state, secret)
        return signature

    def signature(self, message: bytes) -> str:
        """A signature as it is written."""
        return base64.b64encode(self.sign(message)).decode()

    def manifest(self, image: Digest) -> tuple[bytes, bytes]:
        """The manifest of a signature in the former format, and its payload."""
        content = payload(image)
        return signature_manifest((content, self.signature(content))), content

    def envelope(self, content: bytes, kind: str = "application/vnd.in-toto+json") -> dict[str, Any]:
        """A signed envelope."""
        signatures = [{"sig": self.signature(pae(kind, content))}]
        return {"payload": base64.b64encode(content).decode(), "payloadType": kind, "signatures": signatures}

    def bundle(self, image: Digest, predicate: str = SIGN, **other: Any) -> bytes:
        """A bundle in the format of today."""
        said = {
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": "of no interest"}},
            "dsseEnvelope": self.envelope(statement(image, predicate)),
        }
        return json.dumps(said | other).encode()
