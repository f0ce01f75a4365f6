"""Connections that are made: a reactor's, of this package."""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp
from twisted.internet.interfaces import IConnector
from twisted.internet.posixbase import PosixReactorBase
from twisted.python.failure import Failure

from .tls import TLSStream

__all__ = ["connect_tcp"]


class _Client(TLSStream, tcp.Client):
    """A server that was connected to."""

    def _connectDone(self) -> None:
        self.begin()
        super()._connectDone()

    def connectionLost(self, reason: Failure) -> None:
        """Be at the end (IFileDescriptor): of what has not begun yet, too, where the reactor stops meanwhile."""
        if self.connected:
            super().connectionLost(reason)
        else:
            tcp.Client.connectionLost(self, reason)


class _Connector(tcp.Connector):
    """Makes one of them."""

    def _makeTransport(self) -> tcp.Client:
        return _Client(self.host, self.port, self.bindAddress, self, self.reactor)


def connect_tcp(
    reactor: Any, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None
) -> IConnector:
    """Connect to ``host`` (IReactorTCP.connectTCP), by the reactor's own means where it knows no sockets."""
    if not isinstance(reactor, PosixReactorBase):
        made: IConnector = reactor.connectTCP(host, port, factory, timeout, bindAddress)
        return made
    connector = _Connector(host, port, factory, timeout, bindAddress, reactor)
    connector.connect()
    return connector
