"""An instance of sigstore's services in a test's own hands: what they sign, without the services.

A CA that knows everybody, a log of its certificates (RFC 6962), and a log of signatures with one entry at a time. The
library that verifies is sigstore's own, and cosign, in tests/integration/test_signatures.py, believes it as well.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import struct
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from crproxy.oci.digests import Digest
from tests.signing import BUNDLE, SIGN, Signer, statement

__all__ = ["ISSUER", "NOON", "SUBJECT", "Instance"]

SUBJECT = "releases@example.org"
ISSUER = "https://accounts.example.org"
# When it all happens.
NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)

_SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_FULCIO_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_FULCIO_ISSUER_V2 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_ORIGIN = "rekor.example.org - 1"


def _der(public: ec.EllipticCurvePublicKey) -> bytes:
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _canonical(said: Any) -> bytes:
    return rfc8785.dumps(said)


class _Log:
    """One that signs what it has."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = hashlib.sha256(_der(self.key.public_key())).digest()

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message, ec.ECDSA(hashes.SHA256()))

    def trusted(self, url: str) -> dict[str, Any]:
        """What a trusted root says of it."""
        public = {
            "rawBytes": _base64(_der(self.key.public_key())),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": {"start": "2020-01-01T00:00:00Z"},
        }
        return {
            "baseUrl": url,
            "hashAlgorithm": "SHA2_256",
            "publicKey": public,
            "logId": {"keyId": _base64(self.id)},
        }


class Instance:
    """A CA and its logs."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fulcio.example.org")])
        self._root = self._make_root()
        self._certificates, self._signatures = _Log(), _Log()

    @property
    def trusted_root(self) -> str:
        """The text of trusted_root.json."""
        authority = {
            "subject": {"organization": "example.org", "commonName": "fulcio.example.org"},
            "uri": "https://fulcio.example.org",
            "certChain": {"certificates": [{"rawBytes": _base64(self._root.public_bytes(serialization.Encoding.DER))}]},
            "validFor": {"start": "2020-01-01T00:00:00Z"},
        }
        said = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [self._signatures.trusted("https://rekor.example.org")],
            "certificateAuthorities": [authority],
            "ctlogs": [self._certificates.trusted("https://ctfe.example.org")],
            "timestampAuthorities": [],
        }
        return json.dumps(said)

    def bundle(
        self,
        image: Digest,
        *,
        subject: str = SUBJECT,
        issuer: str = ISSUER,
        predicate: str = SIGN,
        signed: datetime.datetime = NOON,
    ) -> bytes:
        """A signature of ``image`` by ``subject``, made at ``signed``, with a certificate of NOON."""
        signer = Signer()
        assert isinstance(signer.key, ec.EllipticCurvePrivateKey)
        certificate = self.certificate(signer.key.public_key(), subject, issuer)
        content = statement(image, predicate)
        envelope = signer.envelope(content)
        entry = self._entry(certificate, content, envelope, int(signed.timestamp()))
        der = certificate.public_bytes(serialization.Encoding.DER)
        material = {"certificate": {"rawBytes": _base64(der)}, "tlogEntries": [entry]}
        said = {"mediaType": BUNDLE, "verificationMaterial": material, "dsseEnvelope": envelope}
        return json.dumps(said).encode()

    def certificate(self, public: ec.EllipticCurvePublicKey, subject: str, issuer: str) -> x509.Certificate:
        """A certificate of ten minutes, that is in the log."""
        builder = self._builder(public, subject, issuer)
        # The log signs what the certificate is without the log's word (RFC 6962, 3.2).
        tbs = builder.sign(self._key, hashes.SHA256()).tbs_certificate_bytes
        moment = int(NOON.timestamp() * 1000)
        issuer_key = hashlib.sha256(_der(self._key.public_key())).digest()
        entry = issuer_key + struct.pack("!I", len(tbs))[1:] + tbs
        signature = self._certificates.sign(struct.pack("!BBQH", 0, 0, moment, 1) + entry + struct.pack("!H", 0))
        sct = struct.pack("!B32sQHBBH", 0, self._certificates.id, moment, 0, 4, 3, len(signature)) + signature
        listed = struct.pack("!HH", len(sct) + 2, len(sct)) + sct
        # An OCTET STRING in DER, of fewer than 256 bytes.
        value = b"\x04" + (bytes([len(listed)]) if len(listed) < 128 else b"\x81" + bytes([len(listed)])) + listed
        extension = x509.UnrecognizedExtension(_SCT_LIST, value)
        return builder.add_extension(extension, critical=False).sign(self._key, hashes.SHA256())

    def _builder(self, public: ec.EllipticCurvePublicKey, subject: str, issuer: str) -> x509.CertificateBuilder:
        name = x509.UniformResourceIdentifier(subject) if "://" in subject else x509.RFC822Name(subject)
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        text = issuer.encode()
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(7)
            .not_valid_before(NOON - datetime.timedelta(minutes=5))
            .not_valid_after(NOON + datetime.timedelta(minutes=5))
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.UnrecognizedExtension(_FULCIO_ISSUER, text), critical=False)
            .add_extension(
                x509.UnrecognizedExtension(_FULCIO_ISSUER_V2, b"\x0c" + bytes([len(text)]) + text), critical=False
            )
        )

    def _make_root(self) -> x509.Certificate:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        return (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(1)
            .not_valid_before(NOON - datetime.timedelta(days=1000))
            .not_valid_after(NOON + datetime.timedelta(days=10_000))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _entry(
        self, certificate: x509.Certificate, content: bytes, envelope: dict[str, Any], moment: int
    ) -> dict[str, Any]:
        """The signature in the log, as the first and only one of a tree."""
        body = _canonical(_recorded(certificate, content, envelope))
        root = hashlib.sha256(b"\0" + body).digest()
        note = f"{_ORIGIN}\n1\n{_base64(root)}\n"
        signature = _base64(self._signatures.id[:4] + self._signatures.sign(note.encode()))
        promised = {
            "body": _base64(body),
            "integratedTime": moment,
            "logID": self._signatures.id.hex(),
            "logIndex": 0,
        }
        proof = {
            "logIndex": "0",
            "rootHash": _base64(root),
            "treeSize": "1",
            "hashes": [],
            "checkpoint": {"envelope": f"{note}\n\N{EM DASH} rekor.example.org {signature}\n"},
        }
        return {
            "logIndex": "0",
            "logId": {"keyId": _base64(self._signatures.id)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(moment),
            "inclusionPromise": {"signedEntryTimestamp": _base64(self._signatures.sign(_canonical(promised)))},
            "inclusionProof": proof,
            "canonicalizedBody": _base64(body),
        }


def _recorded(certificate: x509.Certificate, content: bytes, envelope: dict[str, Any]) -> dict[str, Any]:
    """What the log says of an envelope: Rekor's ``dsse`` 0.0.1."""
    verifier = _base64(certificate.public_bytes(serialization.Encoding.PEM))
    spec = {
        "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(_canonical(envelope)).hexdigest()},
        "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(content).hexdigest()},
        "signatures": [{"signature": one["sig"], "verifier": verifier} for one in envelope["signatures"]],
    }
    return {"apiVersion": "0.0.1", "kind": "dsse", "spec": spec}
