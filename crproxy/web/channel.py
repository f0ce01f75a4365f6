"""One client's connection."""

from __future__ import annotations

from typing import Protocol, cast

from twisted.internet.interfaces import IDelayedCall, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request

from .connections import Connections

__all__ = ["Channel"]

# The first byte of a TLS record that opens a handshake (RFC 8446, 5.1); no HTTP request begins with it.
_TLS_HANDSHAKE = b"\x16"

# Seconds from the first byte of a request to the end of its header.
_HEADER_SECONDS = 10.0
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

# In the clear: Go's clients know it for what it is, "server gave HTTP response to HTTPS client".
_NOT_TLS = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class _Site(Protocol):
    connections: Connections


class Channel(HTTPChannel):
    """HTTP/1.1.

    A header takes ten seconds at the most from its first byte, however it trickles in. Between requests Twisted waits a
    minute.

    Somebody who speaks TLS to a plain port is told so and hung up on at once. skopeo and podman try https first, and
    waited ten seconds for an answer before they turned to http.
    """

    _fresh = True
    _leaving = False
    _deadline: IDelayedCall | None = None

    @property
    def is_new(self) -> bool:
        """Whether nothing was asked on it yet (Connection)."""
        return self._fresh

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way, or its header is (Connection)."""
        return bool(self.requests) or self._deadline is not None

    def connectionMade(self) -> None:
        """Be counted (IProtocol)."""
        self._connections.opened(self)
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        """Look at the first byte before anything else (IProtocol)."""
        fresh, self._fresh = self._fresh, False
        if fresh and data.startswith(_TLS_HANDSHAKE):
            self.write(_NOT_TLS)
            self.loseConnection()
            return
        if self._deadline is None and not self.requests:
            self._deadline = self.callLater(_HEADER_SECONDS, self._too_slow)
        super().dataReceived(data)

    def allHeadersReceived(self) -> None:
        """Take the time that is needed from here on (HTTPChannel)."""
        self._forget_deadline()
        super().allHeadersReceived()

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        """Tell whether another request may follow (HTTPChannel)."""
        if not self._connections.closing:
            return bool(super().checkPersistence(request, version))
        request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        return False

    def finish(self) -> None:
        """Close it after the answer that is under way; at once where there is none (Connection)."""
        if self.requests:
            self.persistent = False
            if not self.requests[0].startedWriting:
                self.requests[0].responseHeaders.setRawHeaders(b"Connection", [b"close"])
        elif not self.is_busy and not self._leaving:
            self.loseConnection()

    def loseConnection(self) -> None:
        """Close it when all is written (HTTPChannel)."""
        self._leaving = True
        super().loseConnection()
        if self._connections.closing:
            _hang_up(self.transport)

    def abort(self) -> None:
        """Cut it off (Connection)."""
        cast(ITCPTransport, self.transport).abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Wait for nothing more (IProtocol)."""
        self._forget_deadline()
        super().connectionLost(reason)
        self._connections.ended(self)

    @property
    def _connections(self) -> Connections:
        return cast(_Site, self.factory).connections

    def _too_slow(self) -> None:
        self._deadline = None
        self.write(_TOO_SLOW)
        self.loseConnection()

    def _forget_deadline(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            deadline.cancel()


def _hang_up(transport: object) -> None:
    """Close below TLS, too: without waiting for the client's close_notify, which nobody need wait for (RFC 8446, 6.1).

    Clients that look at an idle connection only when they want it again send none.
    """
    if isinstance(transport, TLSMemoryBIOProtocol) and transport.transport is not None:
        transport.transport.loseConnection()
