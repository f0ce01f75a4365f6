"""One client's connection."""

from __future__ import annotations

from twisted.web.http import HTTPChannel

__all__ = ["Channel"]

# The first byte of a TLS record that opens a handshake (RFC 8446, 5.1); no HTTP request begins with it.
_TLS_HANDSHAKE = b"\x16"


# In the clear: Go's clients know it for what it is, "server gave HTTP response to HTTPS client".
_NOT_TLS = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Channel(HTTPChannel):
    """HTTP/1.1.

    Somebody who speaks TLS to a plain port is told so and hung up on at once. skopeo and podman try https first, and
    waited ten seconds for an answer before they turned to http.
    """

    _fresh = True

    def dataReceived(self, data: bytes) -> None:
        """Look at the first byte before anything else (IProtocol)."""
        fresh, self._fresh = self._fresh, False
        if fresh and data.startswith(_TLS_HANDSHAKE):
            self.write(_NOT_TLS)
            self.loseConnection()
        else:
            super().dataReceived(data)
