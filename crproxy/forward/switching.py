"""A connection that begins in HTTP and goes on as something else, once CONNECT was granted (RFC 9110, 9.3.6)."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ..web.channel import Channel
from ..web.site import PlainSite

__all__ = ["ConnectChannel", "Switch", "Switching"]


class ConnectChannel(Channel):
    """HTTP/1.1, until it is something else. ``switch`` has the connection."""

    switch: Switch

    def detach(self) -> bytes:
        """Have no more to do with the connection; return what has come and was not read."""
        transport: Any = self.transport
        unread: bytes = b"".join([*self._dataBuffer, self._buffer])
        self.setTimeout(None)
        self._deaf = self._lost = True
        self._forget_deadline()
        self._forget_watch()
        transport.unregisterProducer()
        self._connections.ended(self)
        return unread


@implementer(IProtocolFactory)
class Switching:
    """Makes connections that may be switched.

    Arguments:
        site: answers before they are; its channels are `ConnectChannel`.
    """

    def __init__(self, site: PlainSite) -> None:
        self._site = site

    def doStart(self) -> None:
        """Start the site (IProtocolFactory)."""
        self._site.doStart()

    def doStop(self) -> None:
        """Stop it (IProtocolFactory)."""
        self._site.doStop()

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:
        """Return the protocol of a new connection (IProtocolFactory)."""
        channel = self._site.buildProtocol(addr)
        return None if channel is None else Switch(channel, addr)


class Switch(Protocol):
    """Hands on what comes to what speaks on the connection now, which writes to the transport itself.

    Arguments:
        channel: speaks first.
        address: whose connection it is.
    """

    transport: Any

    def __init__(self, channel: ConnectChannel, address: IAddress | None) -> None:
        self.address = address
        self._inside: IProtocol | None = channel
        self._channel: ConnectChannel | None = channel
        channel.switch = self

    def connectionMade(self) -> None:
        """Begin (Protocol)."""
        if self._inside is not None:
            self._inside.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Hand it on (Protocol)."""
        if self._inside is not None:
            self._inside.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hand on that it ended (Protocol)."""
        inside, self._inside = self._inside, None
        if inside is not None:
            inside.connectionLost(reason)

    @property
    def is_connected(self) -> bool:
        """Whether the connection is still there."""
        return self._inside is not None

    def detach(self) -> bytes:
        """Let HTTP be over; return what has come and was not read. What comes from now on waits for `give`."""
        channel, self._channel = self._channel, None
        self.transport.pauseProducing()
        return b"" if channel is None else channel.detach()

    def give(self, inside: IProtocol) -> None:
        """Have ``inside`` speak from here on."""
        if self._inside is None:
            return
        self._inside = inside
        inside.makeConnection(self.transport)
        self.transport.resumeProducing()
