"""Who is a node: whoever knows the fleet's secret. Keys and certificates that come of it; no sockets.

Each node derives the same key of a CA from the secret, and has it sign a certificate of its own. So nobody has to hand
any out, and one that was stolen is worth nothing once the secret is another.
"""

from __future__ import annotations

import datetime
import os
import ssl
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..policy.key_usage import key_usage
from ..transports.contexts import show

__all__ = ["NODE_NAME", "Identity", "NotSealed", "Secret", "SecretTooShort", "is_a_node"]

# Whom each certificate is for: which of the nodes it is, nobody has to know.
NODE_NAME = "crproxy-fleet"

_LEAST_BYTES = 32
# "Uses of HKDF" in other places, with the same secret, come to other keys (RFC 5869, 3.1, 3.2).
_SALT = b"crproxy fleet 1"
_KEY_BYTES = 32
# Of AES-GCM, and random: good for 2**32 messages with one key (NIST SP 800-38D, 8.3).
_NONCE_BYTES = 12

_CA_PURPOSE = "certificate authority"
_CA_SUBJECT = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{NODE_NAME} CA")])
_SUBJECT = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NODE_NAME)])
# The CA is the same on each node, dates and all; "99991231235959Z" is for what has no end (RFC 5280, 4.1.2.5).
_SINCE = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_FOR_EVER = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)
# A node's own is made whenever it starts. It is good for nodes whose clocks are wrong by less than this, either way.
_BEFORE = datetime.timedelta(days=365)
_AFTER = datetime.timedelta(days=3650)


class SecretTooShort(ValueError):
    """A secret that could be guessed."""


class NotSealed(Exception):
    """What was to be opened was not sealed with this secret, or not for this purpose, or was changed since."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A node's own.

    Arguments:
        server: how it answers others.
        client: how it asks them; whom it asks is to have the name `NODE_NAME`.
    """

    server: ssl.SSLContext = field(repr=False)
    client: ssl.SSLContext = field(repr=False)


class Secret:
    """What all nodes of a fleet know, and nobody else.

    Arguments:
        secret: 32 bytes or more, that nobody can guess: which they are the length does not tell.

    Raises:
        SecretTooShort: it is less.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < _LEAST_BYTES:
            raise SecretTooShort(f"the fleet's secret has {len(secret)} bytes, and {_LEAST_BYTES} is the least")
        self._secret = secret

    def derive(self, purpose: str) -> bytes:
        """Return a key of 32 bytes: the same on each node, and another for each purpose (RFC 5869)."""
        return HKDF(SHA256(), _KEY_BYTES, _SALT, purpose.encode()).derive(self._secret)

    def seal(self, purpose: str, content: bytes) -> bytes:
        """Return ``content`` as only nodes can read it, and nobody else can make it (AES-256-GCM)."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self.derive(purpose)).encrypt(nonce, content, None)

    def open(self, purpose: str, sealed: bytes) -> bytes:
        """Return what was sealed for ``purpose``.

        Raises:
            NotSealed: it was not.
        """
        try:
            return AESGCM(self.derive(purpose)).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
        except (InvalidTag, ValueError):
            # ValueError: it is shorter than what is put around each content.
            raise NotSealed(f"this was not sealed with the fleet's secret for {purpose}") from None

    def authority(self) -> x509.Certificate:
        """Return the CA's certificate: byte for byte the same on each node."""
        key = self._authority_key()
        builder = _builder(_CA_SUBJECT, key.public_key(), key.public_key()).serial_number(1)
        builder = builder.not_valid_before(_SINCE).not_valid_after(_FOR_EVER)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return builder.add_extension(key_usage("key_cert_sign"), critical=True).sign(key, None)

    def identity(self, now: float) -> Identity:
        """Return a new identity.

        Arguments:
            now: seconds since the epoch.
        """
        authority, key = self.authority(), Ed25519PrivateKey.generate()
        certificate = self._sign(key.public_key(), datetime.datetime.fromtimestamp(now, datetime.UTC))
        trusted = authority.public_bytes(Encoding.PEM).decode("ascii")
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        shown = private + certificate.public_bytes(Encoding.PEM)
        server, client = _server_context(), _client_context()
        for context in (server, client):
            # A certificate on both sides, the client's sealed as well (RFC 8446, 4.3.2 and 4.4.2).
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.verify_flags |= ssl.VERIFY_X509_STRICT
            context.load_verify_locations(cadata=trusted)
            show(context, shown)
        return Identity(server, client)

    def _authority_key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.derive(_CA_PURPOSE))

    def _sign(self, key: Ed25519PublicKey, now: datetime.datetime) -> x509.Certificate:
        authority = self._authority_key()
        builder = _builder(_SUBJECT, key, authority.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(max(_SINCE, now - _BEFORE)).not_valid_after(max(_SINCE, now) + _AFTER)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(key_usage("digital_signature"), critical=True)
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        names = x509.SubjectAlternativeName([x509.DNSName(NODE_NAME)])
        return builder.add_extension(names, critical=False).sign(authority, None)


def is_a_node(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate of the CA's is for a node: a server is asked by its name, a client is not."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return NODE_NAME in names.get_values_for_type(x509.DNSName)


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    # Who comes again shows its certificate again.
    context.num_tickets = 0
    return context


def _client_context() -> ssl.SSLContext:
    # It demands a certificate, and checks its name.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = False
    return context


def _builder(subject: x509.Name, key: Ed25519PublicKey, authority: Ed25519PublicKey) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(_CA_SUBJECT).public_key(key)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority)
    return builder.add_extension(issuer, critical=False)
