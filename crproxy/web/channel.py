"""One client's connection."""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

__all__ = ["Channel"]

# The first byte of a TLS record that opens a handshake (RFC 8446, 5.1); no HTTP request begins with it.
_TLS_HANDSHAKE = b"\x16"

# Seconds from the first byte of a request to the end of its header.
_HEADER_SECONDS = 10.0
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

# In the clear: Go's clients know it for what it is, "server gave HTTP response to HTTPS client".
_NOT_TLS = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Channel(HTTPChannel):
    """HTTP/1.1.

    A header takes ten seconds at the most from its first byte, however it trickles in. Between requests Twisted waits a
    minute.

    Somebody who speaks TLS to a plain port is told so and hung up on at once. skopeo and podman try https first, and
    waited ten seconds for an answer before they turned to http.
    """

    _fresh = True
    _deadline: IDelayedCall | None = None

    def dataReceived(self, data: bytes) -> None:
        """Look at the first byte before anything else (IProtocol)."""
        if getattr(self.transport, "disconnecting", False):
            # Inside of TLS it still arrives after we have hung up, and Twisted has no decoder for what it refused.
            return
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

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Wait for nothing more (IProtocol)."""
        self._forget_deadline()
        super().connectionLost(reason)

    def _too_slow(self) -> None:
        self._deadline = None
        self.write(_TOO_SLOW)
        self.loseConnection()

    def _forget_deadline(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            deadline.cancel()
