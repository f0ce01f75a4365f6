"""Certificates by an authority of a test's own, as files: what servers show, and what clients trust.

ECDSA P-256, as certificate authorities issue it today.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Authority", "Certificate", "signed_by_itself"]


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files: a certificate and its private key."""

    chain: Path
    key: Path


class Authority:
    """A certificate authority that nobody trusts yet.

    Arguments:
        directory: for its own certificate, ``file``, and for what it issues.
    """

    def __init__(self, directory: Path) -> None:
        self.file = directory / "authority.pem"
        self._directory = directory
        self._authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        self._authority.cert_pem.write_to_path(self.file)

    def issue(
        self,
        *names: str,
        rsa: bool = False,
        not_before: datetime.datetime | None = None,
        not_after: datetime.datetime | None = None,
    ) -> Certificate:
        """Issue a certificate for host names, which may begin with ``*.``, and addresses.

        Arguments:
            rsa: with a key of the older kind, which many still have.
            not_before: when it begins, if not long ago.
            not_after: when it ends, if not in the far future.
        """
        key_type = trustme.KeyType.RSA if rsa else trustme.KeyType.ECDSA
        issued = self._authority.issue_cert(*names, key_type=key_type, not_before=not_before, not_after=not_after)
        stem = names[0].replace("*", "any")
        written = Certificate(self._directory / f"{stem}.pem", self._directory / f"{stem}.key")
        (leaf,) = issued.cert_chain_pems
        leaf.write_to_path(written.chain)
        issued.private_key_pem.write_to_path(written.key)
        return written


def signed_by_itself(*names: str, not_after: datetime.datetime) -> bytes:
    """Return a key and a certificate for these names that nobody vouches for, in PEM; it counted for a year."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(not_after - datetime.timedelta(days=365))
        .not_valid_after(not_after)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
