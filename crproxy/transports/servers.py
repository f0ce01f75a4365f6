"""Connections that were accepted: whatever listens, an endpoint's ports are told here to make them."""

from __future__ import annotations

import enum
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.interfaces import IListeningPort, INegotiated, ISSLTransport
from zope.interface import implementer

from .stream import Stream
from .tls import TLSStream

__all__ = ["Turns", "serve"]


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


@implementer(ISSLTransport, INegotiated)
class _Turning(TLSStream):
    """One that speaks in the clear, and may turn to TLS later."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.begin()


class Server(_Plain, tcp.Server):
    """A client's connection."""


class TLSServer(_Secured, tcp.Server):
    """A client's connection, for TLS."""


class UnixServer(_Plain, unix.Server):
    """A connection of this machine's."""


class UnixTLSServer(_Secured, unix.Server):
    """A connection of this machine's, for TLS."""


class TurningServer(_Turning, tcp.Server):
    """A client's connection, perhaps for TLS later."""


class UnixTurningServer(_Turning, unix.Server):
    """A connection of this machine's, perhaps for TLS later."""


class Turns(enum.Enum):
    """When connections turn to TLS, by ``transport.start_tls``."""

    NEVER = enum.auto()
    FIRST = enum.auto()
    LATER = enum.auto()


_TCP = {Turns.NEVER: Server, Turns.FIRST: TLSServer, Turns.LATER: TurningServer}
_UNIX = {Turns.NEVER: UnixServer, Turns.FIRST: UnixTLSServer, Turns.LATER: UnixTurningServer}


def serve(port: IListeningPort, turns: Turns) -> None:
    """Have ``port`` make connections of this package from now on; a port that is none of Twisted's own stays as it is.

    Arguments:
        turns: when they turn to TLS.
    """
    # "If you wish to change the sort of transport that will be used, the transport attribute will be called with the
    # signature expected for Server.__init__, so it can be replaced" (twisted.internet.tcp.Port).
    if isinstance(port, unix.Port):
        port.transport = _UNIX[turns]
    elif isinstance(port, tcp.Port):
        port.transport = _TCP[turns]  # type: ignore[assignment]  # in front of Twisted's own
