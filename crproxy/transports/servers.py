"""Connections that were accepted: whatever listens, an endpoint's ports are told here to make them."""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.interfaces import IListeningPort, INegotiated, ISSLTransport
from zope.interface import implementer

from .stream import Stream
from .tls import TLSStream

__all__ = ["serve"]


class _Plain(Stream):
    """In the clear, or in a TLS that is put around it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.begin()


@implementer(ISSLTransport, INegotiated)
class _Secured(TLSStream):
    """One that is to turn to TLS."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.begin()
        self.peek()


class Server(_Plain, tcp.Server):
    """A client's connection."""


class TLSServer(_Secured, tcp.Server):
    """A client's connection, for TLS."""


class UnixServer(_Plain, unix.Server):
    """A connection of this machine's."""


class UnixTLSServer(_Secured, unix.Server):
    """A connection of this machine's, for TLS."""


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
