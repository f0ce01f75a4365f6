"""Certificates with their keys: read from PEM, made where there is none yet, looked at for names and times.

Knows nothing of where they lie or of who shows them.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ..policy.shared_certificates import Version

__all__ = ["BadCertificate", "Certified", "Key", "names_in", "new_key", "self_signed", "with_extension"]

_SELF_SIGNED_DAYS = 90
# Clocks differ.
_LEEWAY = datetime.timedelta(hours=1)


Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class BadCertificate(Exception):
    """This cannot be shown to clients; the text says why."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Certified:
    """A certificate, with its key and the chain to an authority. Each is its own: none is compared with another.

    Arguments:
        key: its private key.
        chain: the certificate itself first.
    """

    key: Key = field(repr=False)
    chain: tuple[x509.Certificate, ...]

    @classmethod
    def from_pem(cls, pem: bytes) -> Certified:
        """Return what a file holds: a key and one or more certificates, in any order; the key's own comes first.

        Raises:
            BadCertificate: one of them is missing, cannot be read, or they do not belong together.
        """
        key, certificates = _read_key(pem), _read_certificates(pem)
        own = [one for one in certificates if _same_key(one, key)]
        if not own:
            raise BadCertificate("the key belongs to none of the certificates")
        return cls(key, (own[0], *(one for one in certificates if one != own[0])))

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate itself."""
        return self.chain[0]

    @property
    def names(self) -> frozenset[str]:
        """The names that it is for, in lower case; ``*.example.com`` among them (RFC 9525, 6.3)."""
        return names_in(self.leaf)

    @property
    def not_before(self) -> float:
        """When it begins to count, in seconds since the epoch."""
        return self.leaf.not_valid_before_utc.timestamp()

    @property
    def not_after(self) -> float:
        """When it ends, in seconds since the epoch."""
        return self.leaf.not_valid_after_utc.timestamp()

    @property
    def version(self) -> Version:
        """Which one it is of those for its names."""
        return Version(self.not_before, self.leaf.fingerprint(hashes.SHA256()))

    def to_pem(self) -> bytes:
        """Return a file's content: the key and the chain."""
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return key + b"".join(one.public_bytes(serialization.Encoding.PEM) for one in self.chain)


def names_in(certificate: x509.Certificate) -> frozenset[str]:
    """Return the host names that ``certificate`` is for, in lower case."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new private key: P-256, whose handshakes cost half of RSA's."""
    return ec.generate_private_key(ec.SECP256R1())


def self_signed(name: str, now: float) -> Certified:
    """Return a certificate that nobody vouches for.

    Arguments:
        now: seconds since the epoch.
    """
    return with_extension(name, now, None)


def with_extension(name: str, now: float, extension: x509.ExtensionType | None) -> Certified:
    """Return a self-signed certificate for ``name`` with one critical extension more, if any."""
    key = new_key()
    began = datetime.datetime.fromtimestamp(now, datetime.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name if len(name) <= 64 else "crproxy")])
    builder = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(began - _LEEWAY)
        .not_valid_after(began + datetime.timedelta(days=_SELF_SIGNED_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    if extension is not None:
        builder = builder.add_extension(extension, critical=True)
    return Certified(key, (builder.sign(key, hashes.SHA256()),))


def _read_key(pem: bytes) -> Key:
    begin = pem.find(b"-----BEGIN", 0)
    while begin >= 0 and b"PRIVATE KEY-----" not in pem[begin:].split(b"\n", 1)[0]:
        begin = pem.find(b"-----BEGIN", begin + 1)
    if begin < 0:
        raise BadCertificate("there is no private key in it")
    try:
        key = serialization.load_pem_private_key(pem[begin:], None)
    except TypeError:
        raise BadCertificate("its private key is encrypted: store it without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadCertificate(f"its private key cannot be read: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise BadCertificate("its private key is neither an EC nor an RSA one, and no other is known to every client")
    return key


def _read_certificates(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise BadCertificate(f"there is no certificate in it that can be read: {error}") from error


def _same_key(certificate: x509.Certificate, key: Key) -> bool:
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return certificate.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)
