"""Connections that were accepted: whatever listens, an endpoint's ports are told here to make them."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.interfaces import IListeningPort, INegotiated, ISSLTransport
from zope.interface import implementer

from .stream import Stream
from .tls import TLSStream

__all__ = ["serve"]


class Server(Stream, tcp.Server):
    """A client, in the clear, or in a TLS that is put around it."""

    def __init__(self, sock: socket.socket, *args: Any) -> None:
        super().__init__(sock, *args)
        self.begin()


@implementer(ISSLTransport, INegotiated)
class TLSServer(TLSStream, tcp.Server):
    """A client that is to speak TLS."""

    def __init__(self, sock: socket.socket, *args: Any) -> None:
        super().__init__(sock, *args)
        self.begin()
        self.peek()


class UnixServer(Stream, unix.Server):
    """A client of this machine."""

    def __init__(self, sock: socket.socket, *args: Any) -> None:
        super().__init__(sock, *args)
        self.begin()


@implementer(ISSLTransport, INegotiated)
class UnixTLSServer(TLSStream, unix.Server):
    """A client of this machine that is to speak TLS."""

    def __init__(self, sock: socket.socket, *args: Any) -> None:
        super().__init__(sock, *args)
        self.begin()
        self.peek()


def serve(port: IListeningPort, *, secured: bool) -> None:
    """Have ``port`` make connections of this package from now on; a port that is none of Twisted's own stays as it is.

    Arguments:
        secured: they are to turn to TLS, by ``transport.start_tls``.
    """
    # "If you wish to change the sort of transport that will be used, the transport attribute will be called with the
    # signature expected for Server.__init__, so it can be replaced" (twisted.internet.tcp.Port).
    if isinstance(port, unix.Port):
        port.transport = UnixTLSServer if secured else UnixServer
    elif isinstance(port, tcp.Port):
        port.transport = TLSServer if secured else Server  # type: ignore[assignment]  # in front of Twisted's own
