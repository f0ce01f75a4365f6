"""TLS to an upstream: whom it is believed to be, and a connection that turns to TLS before anything is said on it.

Knows nothing of where a connection may lead.
"""

from __future__ import annotations

import ssl
from typing import Any

import idna
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ..policy.addresses import is_address
from .errors import RefusedAddress

__all__ = ["SecureEndpoint", "SecuredEndpoint", "make_context"]


def make_context(authorities: str | None = None) -> ssl.SSLContext:
    """Return how upstreams are verified: by the system's authorities, or by these alone, in PEM.

    A certificate's common name says nothing of whom it is for (RFC 9110, 4.3.4; RFC 9525, 2).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.hostname_checks_common_name = False
    if authorities is None:
        context.set_default_verify_paths()
    else:
        context.load_verify_locations(cadata=authorities)
    return context


@implementer(IStreamClientEndpoint)
class SecureEndpoint:
    """Connects, and speaks TLS.

    Arguments:
        endpoint: connects, directly or through a tunnel.
        context: verifies who answers.
        host: whom it has to be.

    Raises:
        RefusedAddress: no certificate can be for ``host``.
    """

    def __init__(self, endpoint: IStreamClientEndpoint, context: ssl.SSLContext, host: str) -> None:
        self._endpoint = endpoint
        self._context = context
        self._host = _checked(host)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect; the handshake goes on by itself, and its failure ends the connection (IStreamClientEndpoint)."""
        securing = _SecuringFactory(protocolFactory, self._context, self._host)
        connected: Deferred[Any] = self._endpoint.connect(securing)
        return connected.addCallback(self._connected)

    def _connected(self, securing: _Securing) -> IProtocol | Deferred[IProtocol]:
        return securing.inside


class SecuredEndpoint(SecureEndpoint):
    """Has connected only once the handshake is over: it fails as that does, and whoever hangs in it is given up."""

    def _connected(self, securing: _Securing) -> IProtocol | Deferred[IProtocol]:
        return securing.secured()


class _SecuringFactory(Factory):
    noisy = False  # otherwise each connection writes two lines of its own to the log

    def __init__(self, inside: IProtocolFactory, context: ssl.SSLContext, host: str) -> None:
        self._inside = inside
        self._context = context
        self._host = host

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Return the protocol of a new connection (IProtocolFactory)."""
        inside = self._inside.buildProtocol(addr)  # type: ignore[arg-type]  # None, for one in memory
        return None if inside is None else _Securing(inside, self._context, self._host)


class _Securing(Protocol):
    """Begins TLS, and steps aside."""

    transport: Any

    def __init__(self, inside: IProtocol, context: ssl.SSLContext, host: str) -> None:
        self.inside = inside
        self._context = context
        self._host = host
        self._is_secured = False
        self._waiter: Deferred[IProtocol] | None = None

    def secured(self) -> Deferred[IProtocol]:
        """Return what speaks inside, once the handshake is over; fails where the connection ends before that."""
        if self._is_secured:
            return succeed(self.inside)
        self._waiter = Deferred(self._forget)
        return self._waiter

    def connectionMade(self) -> None:
        """Begin (Protocol)."""
        self.transport.start_tls(self._context, server_hostname=self._host, on_secured=self._secured)
        self.inside.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Hand on what came in TLS, and nothing else (Protocol)."""
        if self._is_secured:
            self.inside.dataReceived(data)
        else:
            # From a proxy, behind its answer to CONNECT.
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hand on that the connection ended (Protocol)."""
        self.inside.connectionLost(reason)
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.errback(reason)

    def _secured(self) -> None:
        self._is_secured = True
        if self.transport.protocol is self:
            self.transport.protocol = self.inside
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.callback(self.inside)

    def _forget(self, _: Deferred[IProtocol]) -> None:
        self._waiter = None
        self.transport.abortConnection()


def _checked(host: str) -> str:
    """Return ``host`` if a certificate can be for it, by IDNA 2008 (RFC 5891)."""
    if is_address(host):
        return host
    try:
        idna.encode(host)
    except UnicodeError:
        # An underscore, hyphens in third and fourth place, a malformed xn-- label.
        raise RefusedAddress(f"it leads to {host}, a name that no certificate can be for") from None
    return host
