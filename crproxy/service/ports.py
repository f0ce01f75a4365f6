"""Endpoints to listen on: opened by this process, or handed to it by the one that started it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any, Protocol

from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred, execute
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from ..policy.endpoints import PROXIED

__all__ = ["InheritedPorts", "OwnPorts", "Ports"]

_log = Logger("crproxy.service.ports")
# Connections that may wait in a Unix socket.
_MOST_WAITING = 4096
# How the description of an endpoint begins that speaks TLS by itself.
_TLS = "ssl:"


class Ports(Protocol):
    """Where endpoints come from."""

    def endpoint(self, number: int, description: str) -> IStreamServerEndpoint | None:
        """Return what listens there; None where nothing does, which was borne. What a PROXY header is for is not.

        Arguments:
            number: which of the places to listen this is: two may be described alike, such as any free port.
        """


class OwnPorts:
    """Endpoints of this process (Ports)."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def endpoint(self, number: int, description: str) -> IStreamServerEndpoint:
        """Return what listens there (Ports)."""
        endpoint: IStreamServerEndpoint = serverFromString(self._reactor, description.removeprefix(PROXIED))
        return endpoint


class InheritedPorts:
    """Endpoints that are listened on already, by sockets that several processes have (Ports).

    Arguments:
        descriptors: of the sockets, by the numbers of their places.
        reactor: accepts connections.
    """

    def __init__(self, descriptors: Mapping[int, int], reactor: Any) -> None:
        self._descriptors = descriptors
        self._reactor = reactor

    def endpoint(self, number: int, description: str) -> IStreamServerEndpoint | None:
        """Return what listens there (Ports)."""
        descriptor = self._descriptors.get(number)
        if descriptor is None:
            return None
        inherited = _Inherited(descriptor, self._reactor)
        plain = description.removeprefix(PROXIED)
        if not plain.startswith(_TLS):
            return inherited
        # Its key and certificate are read from the description, by the endpoint that it would be otherwise.
        return _Secured(inherited, serverFromString(self._reactor, plain)._sslContextFactory)


@implementer(IStreamServerEndpoint)
class _Inherited:
    def __init__(self, descriptor: int, reactor: Any) -> None:
        self._descriptor = descriptor
        self._reactor = reactor

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        return execute(self._listen, protocolFactory)

    def _listen(self, factory: IProtocolFactory) -> IListeningPort:
        with socket.socket(fileno=os.dup(self._descriptor)) as found:
            family = found.family
        if family == socket.AF_UNIX:
            port = _UnixPort.of(self._reactor, self._descriptor, factory)
        else:
            port = _Port._fromListeningDescriptor(self._reactor, self._descriptor, family, factory)
        port.startListening()
        return port


class _Fair:
    """A port whose connections others accept, too: one at a time, so that each process has its share of a burst."""

    def doRead(self: Any) -> None:
        """Accept a connection, if no other process was faster: all are woken for each (IReadDescriptor)."""
        try:
            accepted, address = self.socket.accept()
        except BlockingIOError:
            return
        except OSError:
            # Twisted's own knows what becomes of it where there are too many open files.
            super().doRead()  # type: ignore[misc]
            return
        try:
            self._serve(accepted, address)
        except Exception:
            # What the reactor is told of would close the port.
            accepted.close()
            _log.failure("a connection cannot be served")

    def _serve(self: Any, accepted: socket.socket, address: Any) -> None:
        accepted.setblocking(False)
        protocol = self.factory.buildProtocol(self._buildAddr(address))
        if protocol is None:
            accepted.close()
            return
        self.sessionno += 1
        protocol.makeConnection(self.transport(accepted, protocol, address, self, self.sessionno, self.reactor))

    def _logConnectionLostMsg(self) -> None:
        """Say nothing of its end, which the process that made the socket tells."""


class _Port(_Fair, tcp.Port):
    pass


class _UnixPort(_Fair, unix.Port):
    """Its file is whose who made the socket: it is neither opened to everybody nor removed at the end."""

    # The socket is the others' as well.
    _shouldShutdown = False

    @classmethod
    def of(cls, reactor: Any, descriptor: int, factory: IProtocolFactory) -> _UnixPort:
        port: _UnixPort = cls._fromListeningDescriptor(reactor, descriptor, factory)
        # As if it had no place in the file system (unix(7)).
        port._bindPath = b"\0" + port._bindPath
        # It listens once more, and must not make room for fewer (listen(2): no more than net.core.somaxconn).
        port.backlog = _MOST_WAITING
        return port


@implementer(IStreamServerEndpoint)
class _Secured:
    def __init__(self, endpoint: IStreamServerEndpoint, context: Any) -> None:
        self._endpoint = endpoint
        self._context = context

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        return self._endpoint.listen(TLSMemoryBIOFactory(self._context, False, protocolFactory))
