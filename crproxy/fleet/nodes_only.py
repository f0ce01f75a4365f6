"""Connections that are let in from nodes of the fleet, and from nobody else. Knows nothing of what is said on them."""

from __future__ import annotations

import ssl
from typing import Any

from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..limits.accepting import address_of
from ..upstream.errors import describe
from .identity import is_a_node

__all__ = ["NodesOnly"]

# Connections of nodes: one for each blob that is under way to one, and a few that idle.
_MOST = 1024
# Those that have not shown a certificate yet. Beyond, the oldest is cut: whoever has the right one takes a moment.
_MOST_STRANGERS = 64
_HANDSHAKE_SECONDS = 10.0
# Between two lines in the log of those that were refused: anybody may connect as often as he likes.
_TOLD_SECONDS = 60.0


@implementer(IProtocolFactory)
class NodesOnly:
    """Speaks TLS with those who have a certificate of the fleet's, and hands on what they say.

    ``refused`` counts the others; ``number`` those who are in.

    Arguments:
        inside: makes what speaks inside. It is asked for nothing before the certificate was seen.
        context: demands the certificate (see `Identity.server`).
        clock: ends connections that say nothing.
        most: how many may be in at a time; who is one more is closed.
    """

    _log = Logger()

    def __init__(
        self, inside: IProtocolFactory, context: ssl.SSLContext, clock: IReactorTime, most: int = _MOST
    ) -> None:
        self.refused = 0
        self.number = 0
        self.clock = clock
        self.context = context
        self._inside = inside
        self._most = most
        # Oldest first.
        self._strangers: dict[_Door, None] = {}
        self._told: float | None = None
        self._untold = 0

    def doStart(self) -> None:
        """Start what is inside as well (IProtocolFactory)."""
        self._inside.doStart()

    def doStop(self) -> None:
        """Stop what is inside as well (IProtocolFactory)."""
        self._inside.doStop()

    def buildProtocol(self, addr: IAddress | None) -> IProtocol:
        """Return the protocol of a new connection (IProtocolFactory)."""
        return _Door(self, addr)

    def close(self) -> None:
        """Wait no more for those who have not said who they are."""
        for door in list(self._strangers):
            door.leave()

    def knocks(self, door: _Door) -> None:
        """Somebody has connected."""
        self._strangers[door] = None
        if len(self._strangers) > _MOST_STRANGERS:
            next(iter(self._strangers)).refuse("others wait to be let in")

    def is_known(self, door: _Door) -> bool:
        """Somebody is a node; tell whether there is room for one more."""
        self._strangers.pop(door, None)
        return self.number < self._most

    def build(self, address: IAddress | None) -> IProtocol | None:
        """Return what speaks inside."""
        return self._inside.buildProtocol(address)  # type: ignore[arg-type]  # None, for one in memory

    def turned_away(self, door: _Door, address: IAddress | None, why: str | None) -> None:
        """Somebody was not let in; None is that he has left by himself."""
        self._strangers.pop(door, None)
        if why is None:
            return
        self.refused += 1
        self._untold += 1
        now = self.clock.seconds()
        if self._told is None or now - self._told >= _TOLD_SECONDS:
            self._log.warn(
                "{who} is not let in among the nodes: {why} ({number} since the last such line)",
                who=address_of(address) or "somebody",
                why=why,
                number=self._untold,
            )
            self._told, self._untold = now, 0


class _Door(Protocol):
    """Demands a certificate, and then hands on what comes in TLS."""

    transport: Any

    def __init__(self, factory: NodesOnly, address: IAddress | None) -> None:
        self._factory = factory
        self._address = address
        self._inside: IProtocol | None = None
        self._patience: IDelayedCall | None = None
        self._is_over = False

    def connectionMade(self) -> None:
        """Demand it (Protocol)."""
        self._patience = self._factory.clock.callLater(_HANDSHAKE_SECONDS, self.refuse, "it has not said who it is")
        self._factory.knocks(self)
        self.transport.start_tls(self._factory.context, on_secured=self._secured)

    def dataReceived(self, data: bytes) -> None:
        """Hand it on, if it comes from a node (Protocol)."""
        if self._inside is not None:
            self._inside.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hand on that the connection ended (Protocol)."""
        self._stop_waiting()
        if self._inside is not None:
            self._factory.number -= 1
            self._inside.connectionLost(reason)
        elif not self._is_over:
            self._is_over = True
            # Whoever looks whether the port is open says nothing at all.
            error = reason.value
            self._factory.turned_away(self, self._address, describe(error) if isinstance(error, ssl.SSLError) else None)

    def refuse(self, why: str) -> None:
        """Cut it off, and tell of it."""
        self._factory.turned_away(self, self._address, why)
        self.leave()

    def leave(self) -> None:
        """Cut it off."""
        self._stop_waiting()
        self._is_over = True
        self.transport.abortConnection()

    def _secured(self) -> None:
        """The certificate is one of the fleet's CA."""
        if self._is_over:
            return
        self._stop_waiting()
        certificate = self.transport.getPeerCertificate()
        if certificate is None or not is_a_node(certificate.to_cryptography()):
            self.refuse("its certificate is not a node's")
        elif not self._factory.is_known(self):
            self.refuse("too many connections of nodes are open")
        else:
            self._let_in()

    def _let_in(self) -> None:
        inside = self._factory.build(self._address)
        if inside is None:
            self.refuse("nobody is there to speak with it")
            return
        self._inside = inside
        self._factory.number += 1
        inside.makeConnection(self.transport)

    def _stop_waiting(self) -> None:
        patience, self._patience = self._patience, None
        if patience is not None and patience.active():
            patience.cancel()
