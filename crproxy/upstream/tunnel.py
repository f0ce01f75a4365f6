"""A connection through an HTTP proxy: CONNECT (RFC 9110, 9.3.6), and from then on whatever is spoken inside.

Knows nothing of what that is; TLS is wrapped around this endpoint as around any other.
"""

from __future__ import annotations

import re

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    ITCPTransport,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ..policy.proxies import Proxy
from .errors import RefusedByProxy, describe

__all__ = ["ProxyEndpoint", "TunnelEndpoint"]

# A proxy's answer has a header of a few lines.
_HEADER_LIMIT = 16 * 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: ([^\r\n]*))?\r?\n")
_UNPRINTABLE = re.compile(r"[^ -~]")


@implementer(IStreamClientEndpoint)
class ProxyEndpoint:
    """Connects to a proxy, and says of a failure that it is the proxy's and not upstream's."""

    def __init__(self, endpoint: IStreamClientEndpoint, proxy: Proxy) -> None:
        self._endpoint = endpoint
        self._proxy = proxy

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect; fails with RefusedByProxy (IStreamClientEndpoint)."""
        connected: Deferred[IProtocol] = self._endpoint.connect(protocolFactory)
        return connected.addErrback(self._blame)

    def _blame(self, failure: Failure) -> Failure:
        if failure.check(CancelledError) or failure.value is None:
            return failure
        return Failure(RefusedByProxy(f"the proxy {self._proxy} cannot be reached: {describe(failure.value)}"))


class _HandshakeFactory(Factory):
    noisy = False  # otherwise each tunnel writes two lines of its own to the log


@implementer(IStreamClientEndpoint)
class TunnelEndpoint:
    """Connects to a host through a proxy.

    Arguments:
        endpoint: connects to the proxy.
        proxy: for its credentials, and its name in errors.
        host, port: what it is asked to connect to.
    """

    def __init__(self, endpoint: IStreamClientEndpoint, proxy: Proxy, host: str, port: int) -> None:
        self._endpoint = endpoint
        self._proxy = proxy
        self._authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect; fails with RefusedByProxy (IStreamClientEndpoint)."""
        handshake = _Handshake(protocolFactory, self._proxy, self._authority)
        connected = self._endpoint.connect(_HandshakeFactory.forProtocol(lambda: handshake))
        return connected.addCallback(lambda _: handshake.established)


class _Handshake(Protocol):
    """Asks the proxy for the tunnel, and then hands on what comes."""

    transport: ITCPTransport

    def __init__(self, factory: IProtocolFactory, proxy: Proxy, authority: str) -> None:
        self.established: Deferred[IProtocol] = Deferred(lambda _: self.transport.abortConnection())
        self._factory = factory
        self._proxy = proxy
        self._authority = authority
        self._received = b""
        self._inside: IProtocol | None = None

    def connectionMade(self) -> None:
        """Ask (Protocol)."""
        lines = [f"CONNECT {self._authority} HTTP/1.1", f"Host: {self._authority}"]
        if self._proxy.authorization is not None:
            lines.append(f"Proxy-Authorization: {self._proxy.authorization}")
        self.transport.write("\r\n".join([*lines, "", ""]).encode("ascii"))

    def dataReceived(self, data: bytes) -> None:
        """Read the proxy's answer, and hand on what comes after it (Protocol)."""
        if self._inside is not None:
            self._inside.dataReceived(data)
            return
        self._received += data
        header, end, rest = self._received.partition(b"\r\n\r\n")
        if end:
            self._answered(header + end, rest)
        elif len(self._received) > _HEADER_LIMIT:
            self._refuse("sent a header without end")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hand on that the connection ended (Protocol)."""
        if self._inside is not None:
            self._inside.connectionLost(reason)
        elif not self.established.called:
            reason.trap(ConnectionDone, ConnectionLost)
            self.established.errback(RefusedByProxy(f"the proxy {self._proxy} hung up"))

    def _answered(self, header: bytes, rest: bytes) -> None:
        status = _STATUS_LINE.match(header)
        if status is None:
            self._refuse("does not speak HTTP")
        elif not status[1].startswith(b"2"):
            self._refuse(f"answered {status[1].decode()} {_printable(status[2])}".rstrip())
        else:
            self._open(rest)

    def _open(self, rest: bytes) -> None:
        address: IAddress = self.transport.getPeer()
        inside = self._factory.buildProtocol(address)
        if inside is None:
            self.transport.abortConnection()
            return
        self._inside, self._received = inside, b""
        transport: ITransport = self.transport
        inside.makeConnection(transport)
        self.established.callback(inside)
        if rest:
            inside.dataReceived(rest)

    def _refuse(self, what: str) -> None:
        self.transport.abortConnection()
        if not self.established.called:
            self.established.errback(RefusedByProxy(f"the proxy {self._proxy} {what}"))


def _printable(text: bytes | None) -> str:
    return _UNPRINTABLE.sub("?", (text or b"").decode("latin-1")[:100])
