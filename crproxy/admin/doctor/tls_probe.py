"""A TLS client that looks and does not judge: what certificate is shown, and what OpenSSL has to say of it."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import X509
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from ...policy.addresses import is_address
from ...tls.certificates import names_in

__all__ = ["CertificateRecorder", "ShownCertificate"]

# openssl-verify(1), "Diagnostics": what is about time is told from the certificate itself.
_SELF_SIGNED, _OF_TIME = 18, frozenset({9, 10})


@dataclass(frozen=True, slots=True)
class ShownCertificate:
    """A certificate as a client sees it.

    Arguments:
        name: that was asked for.
        certificate: what was shown.
        complaints: OpenSSL's, by number.
    """

    name: str
    certificate: x509.Certificate
    complaints: frozenset[int] = frozenset()

    @property
    def is_self_signed(self) -> bool:
        """Tell whether nobody vouches for it but itself."""
        return _SELF_SIGNED in self.complaints

    @property
    def is_trusted(self) -> bool:
        """Tell whether an authority that this machine trusts vouches for it, whatever the time."""
        return not self.complaints - _OF_TIME

    @property
    def is_for_the_name(self) -> bool:
        """Tell whether it is for the name that was asked for (RFC 9525)."""
        verify = verify_certificate_ip_address if is_address(self.name) else verify_certificate_hostname
        try:
            verify(self.certificate, self.name)
        except (VerificationError, CertificateError):
            return False
        return True

    @property
    def names(self) -> str:
        """The names that it is for, for people."""
        return ", ".join(sorted(names_in(self.certificate))) or "no name at all"

    @property
    def issuer(self) -> str:
        """Who vouches for it, for people."""
        return self.certificate.issuer.rfc4514_string() or "an issuer without a name"

    @property
    def begins(self) -> float:
        """When it begins to count, in seconds since the epoch."""
        return self.certificate.not_valid_before_utc.timestamp()

    @property
    def ends(self) -> float:
        """When it ends, in seconds since the epoch."""
        return self.certificate.not_valid_after_utc.timestamp()


@implementer(IOpenSSLClientConnectionCreator)
class CertificateRecorder:
    """Connects, whatever is shown. Nothing secret may be sent over such a connection.

    Arguments:
        name: is asked for by SNI.
        authorities: in PEM, in place of the system's.
    """

    def __init__(self, name: str, authorities: str | None = None) -> None:
        self._name = name
        self._authorities = authorities
        self._complaints: set[int] = set()
        self._connection: SSL.Connection | None = None

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Return a new connection (IOpenSSLClientConnectionCreator)."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if self._authorities is None:
            context.set_default_verify_paths()
        else:
            self._trust_own(context, self._authorities)
        context.set_verify(SSL.VERIFY_PEER, self._look)
        connection = self._connection = SSL.Connection(context, None)
        if not is_address(self._name):
            connection.set_tlsext_host_name(self._name.encode("ascii"))
        return connection

    @property
    def shown(self) -> ShownCertificate | None:
        """What was shown; None where it did not come to that."""
        certificate = None if self._connection is None else self._connection.get_peer_certificate(as_cryptography=True)
        return None if certificate is None else ShownCertificate(self._name, certificate, frozenset(self._complaints))

    def _trust_own(self, context: SSL.Context, authorities: str) -> None:
        store = context.get_cert_store()
        if store is not None:
            for one in x509.load_pem_x509_certificates(authorities.encode()):
                store.add_cert(X509.from_cryptography(one))

    def _look(self, connection: SSL.Connection, certificate: X509, error: int, depth: int, ok: int) -> bool:
        if not ok:
            self._complaints.add(error)
        return True
