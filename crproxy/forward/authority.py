"""A CA for the names of registries alone, and the certificates that it signs. Knows nothing of where it lies.

Whoever trusts it trusts it for these names and no others: they are its name constraints, which are critical (RFC 5280,
4.2.1.10). It signs nothing but servers.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Collection
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..policy.key_usage import key_usage

__all__ = ["AUTHORITY_SECONDS", "Authority", "BadAuthority", "read_all"]

AUTHORITY_SECONDS = 5 * 365 * 86400.0
# Clocks differ.
_LEEWAY_SECONDS = 3600.0
# What cryptography says of files that were damaged, besides ValueError.
_DAMAGED = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension)
_BEGIN_KEY = b"-----BEGIN PRIVATE KEY-----"
# What a certificate could be for besides the names: nothing at all. An excluded subtree of an address is a network;
# the empty name has every name of its kind below it.
_EVERY_ADDRESS = tuple(x509.IPAddress(ipaddress.ip_network(network)) for network in ("0.0.0.0/0", "::/0"))


class BadAuthority(ValueError):
    """This is no CA of ours; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Authority:
    """A CA.

    Arguments:
        key: signs.
        certificate: what clients trust.
    """

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate

    @classmethod
    def new(
        cls,
        names: Collection[str],
        now: float,
        key: ec.EllipticCurvePrivateKey | None = None,
        *,
        after: float | None = None,
        until: float | None = None,
    ) -> Authority:
        """Return a new one.

        Arguments:
            names: that it may sign for; one at least.
            now: seconds since the epoch.
            key: its own; a new one where none is given.
            after: when the one before it begins, of which this one is the successor.
            until: when it ends at the latest.
        """
        if not names:
            raise BadAuthority("a CA for no name at all signs nothing")
        key = key or ec.generate_private_key(ec.SECP256R1())
        public = key.public_key()
        identifier = x509.SubjectKeyIdentifier.from_public_key(public)
        subject = x509.Name(
            [x509.NameAttribute(NameOID.COMMON_NAME, f"crproxy, registries only {identifier.digest.hex()[:8]}")]
        )
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(public)
        builder = builder.serial_number(x509.random_serial_number())
        since = now - _LEEWAY_SECONDS if after is None else max(now - _LEEWAY_SECONDS, after + 1)
        builder = builder.not_valid_before(_date(since))
        last = now + AUTHORITY_SECONDS
        builder = builder.not_valid_after(_date(last if until is None else min(last, until)))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(key_usage("key_cert_sign"), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        builder = builder.add_extension(_only(names), critical=True)
        builder = builder.add_extension(identifier, critical=False)
        return cls(key, builder.sign(key, hashes.SHA256()))

    @classmethod
    def from_pem(cls, pem: bytes) -> Authority:
        """Return what a file holds.

        Raises:
            BadAuthority: it has no key and certificate of a CA that belong together, or one without constraints.
        """
        try:
            key = serialization.load_pem_private_key(pem, None)
            certificate = x509.load_pem_x509_certificate(pem)
            if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
                raise BadAuthority("its key belongs to another certificate")
            certificate.verify_directly_issued_by(certificate)
            found = cls(key, certificate)
            if not found.names:
                raise BadAuthority("its certificate is not limited to names")
        except BadAuthority:
            raise
        except InvalidSignature as error:
            raise BadAuthority("its certificate is not as it was signed") from error
        except _DAMAGED as error:
            raise BadAuthority(f"it cannot be read: {error}") from error
        return found

    def to_pem(self) -> bytes:
        """Return a file's content: the key and the certificate."""
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return key + self.shown()

    def shown(self) -> bytes:
        """Return what clients are given: the certificate, in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def names(self) -> frozenset[str]:
        """The names that it may sign for, and all below them."""
        try:
            constraints = self.certificate.extensions.get_extension_for_class(x509.NameConstraints)
        except x509.ExtensionNotFound:
            return frozenset()
        permitted = constraints.value.permitted_subtrees or ()
        return frozenset(name.value for name in permitted if isinstance(name, x509.DNSName))

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of its certificate, as browsers and openssl write it."""
        return self.certificate.fingerprint(hashes.SHA256()).hex(":").upper()

    @property
    def not_before(self) -> float:
        """When it begins to count, in seconds since the epoch."""
        return self.certificate.not_valid_before_utc.timestamp()

    @property
    def not_after(self) -> float:
        """When it ends, in seconds since the epoch."""
        return self.certificate.not_valid_after_utc.timestamp()

    def sign(self, name: str, key: ec.EllipticCurvePublicKey, now: float, seconds: float) -> x509.Certificate:
        """Return a certificate of a server that is called ``name``.

        Arguments:
            key: the server's.
            now: seconds since the epoch.
            seconds: that it is to last from then on; it never outlives this CA.
        """
        if name not in self.names:
            raise BadAuthority(f"{name} is none of the names that this CA may sign for")
        issuer = self.certificate.subject
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(_date(max(now - _LEEWAY_SECONDS, self.not_before)))
        builder = builder.not_valid_after(_date(min(now + seconds, self.not_after)))
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(key_usage("digital_signature"), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return builder.add_extension(authority, critical=False).sign(self.key, hashes.SHA256())


def read_all(pem: bytes) -> list[Authority]:
    """Return the CAs of which ``pem`` has the contents of the files, one after the other. Raises BadAuthority."""
    return [Authority.from_pem(_BEGIN_KEY + part) for part in pem.split(_BEGIN_KEY)[1:]]


def _only(names: Collection[str]) -> x509.NameConstraints:
    permitted = [x509.DNSName(name) for name in sorted(names)]
    return x509.NameConstraints(permitted, list(_EVERY_ADDRESS))


def _date(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC)
