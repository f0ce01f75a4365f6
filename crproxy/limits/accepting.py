"""New connections: counted for their clients before anything else is done for them.

Where a PROXY header opens a connection, only those that it is believed from may open one, and who the client is is
known when the header is read, which Twisted does (twisted.protocols.haproxy).
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IProtocolNegotiationFactory,
    IReactorTime,
    IStreamServerEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..policy.clients import Network, is_in
from .accounts import Accounts, Admission

__all__ = ["Accepting", "FromProxies", "address_of"]

# Seconds from a connection to the first byte behind its PROXY header.
_HEADER_SECONDS = 10.0
# Seconds between two lines in the log about connections that are not from a trusted proxy.
_LOG_SECONDS = 60.0


def address_of(address: object) -> str | None:
    """Return the IP address; None where it is a socket of this machine."""
    return str(address.host) if isinstance(address, IPv4Address | IPv6Address) else None


@implementer(IProtocolFactory, IProtocolNegotiationFactory)
class Accepting:
    """Lets connections in to another factory, as long as their client has not too many.

    Arguments:
        inside: makes what serves a connection.
        refusing: makes what tells a client that it has too many.
        accounts: count them.
        clock: ends connections that say nothing, where the client is known only when it speaks.
        proxied: a PROXY header says who the client is.
    """

    def __init__(
        self,
        inside: IProtocolFactory,
        refusing: IProtocolFactory,
        accounts: Accounts,
        clock: IReactorTime,
        *,
        proxied: bool = False,
    ) -> None:
        self.accounts = accounts
        self.clock = clock
        self.proxied = proxied
        self._inside = inside
        self._refusing = refusing

    def doStart(self) -> None:
        """Start what is inside as well (IProtocolFactory)."""
        self._inside.doStart()
        self._refusing.doStart()

    def doStop(self) -> None:
        """Stop what is inside as well (IProtocolFactory)."""
        self._inside.doStop()
        self._refusing.doStop()

    def buildProtocol(self, addr: IAddress | None) -> IProtocol:
        """Return the protocol of a new connection (IProtocolFactory)."""
        return _Accepted(self, addr)

    def acceptableProtocols(self) -> list[bytes]:
        """Return what may be negotiated by ALPN where an endpoint speaks TLS itself (IProtocolNegotiationFactory)."""
        inside = self._inside
        return inside.acceptableProtocols() if IProtocolNegotiationFactory.providedBy(inside) else []

    def build(self, admission: Admission, address: IAddress | None) -> IProtocol | None:
        """Return what serves a connection that was let in."""
        factory = self._refusing if admission is Admission.REFUSED else self._inside
        return factory.buildProtocol(address)  # type: ignore[arg-type]  # None, for one in memory


class _Accepted(Protocol):
    """A connection: hands on what comes to what serves it, which writes to the transport itself."""

    transport: ITCPTransport

    def __init__(self, factory: Accepting, address: IAddress | None) -> None:
        self._factory = factory
        self._address = address
        self._inside: IProtocol | None = None
        self._client: str | None = None
        self._admitted = False
        self._patience: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Decide, if it is known who this is (Protocol)."""
        if self._factory.proxied:
            self._patience = self._factory.clock.callLater(_HEADER_SECONDS, self._give_up)
        else:
            self._decide()

    def dataReceived(self, data: bytes) -> None:
        """Hand it on (Protocol)."""
        if self._patience is not None:
            self._stop_waiting()
            self._decide()
        if self._inside is not None:
            self._inside.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hand on that the connection ended, and count it no more (Protocol)."""
        self._stop_waiting()
        if self._admitted:
            self._admitted = False
            self._factory.accounts.dismiss(self._client)
        inside, self._inside = self._inside, None
        if inside is not None:
            inside.connectionLost(reason)

    def _decide(self) -> None:
        admission, self._client = self._factory.accounts.admit(address_of(self.transport.getPeer()))
        if admission is Admission.CLOSED:
            self.transport.abortConnection()
            return
        self._admitted = True
        inside = self._factory.build(admission, self._address)
        if inside is None:
            self.transport.abortConnection()
            return
        self._inside = inside
        inside.makeConnection(self.transport)

    def _give_up(self) -> None:
        self._patience = None
        self.transport.abortConnection()

    def _stop_waiting(self) -> None:
        patience, self._patience = self._patience, None
        if patience is not None:
            patience.cancel()


@implementer(IStreamServerEndpoint)
class FromProxies:
    """An endpoint on which only trusted proxies may connect; others are hung up on.

    Arguments:
        endpoint: listens.
        trusted: the networks of proxies.
        clock: the time.
    """

    def __init__(self, endpoint: IStreamServerEndpoint, trusted: Sequence[Network], clock: IReactorTime) -> None:
        self._endpoint = endpoint
        self._trusted = trusted
        self._clock = clock

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen (IStreamServerEndpoint)."""
        # What reads PROXY headers is Twisted's own, and says of itself that it starts and stops (Factory.noisy).
        vars(protocolFactory)["noisy"] = False
        return self._endpoint.listen(_Trusting(protocolFactory, self._trusted, self._clock))


@implementer(IProtocolFactory)
class _Trusting:
    """Has connections from trusted proxies served by another factory."""

    _log = Logger()

    def __init__(self, inside: IProtocolFactory, trusted: Sequence[Network], clock: IReactorTime) -> None:
        self._inside = inside
        self._trusted = trusted
        self._clock = clock
        self._silent_until = 0.0
        self._refused = 0

    def doStart(self) -> None:
        """Start what is inside as well (IProtocolFactory)."""
        self._inside.doStart()

    def doStop(self) -> None:
        """Stop what is inside as well (IProtocolFactory)."""
        self._inside.doStop()

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        """Return the protocol of a new connection; None hangs up (IProtocolFactory)."""
        peer = address_of(addr)
        if peer is None or is_in(peer, self._trusted):
            return self._inside.buildProtocol(addr)
        self._tell(peer)
        return None

    def _tell(self, peer: str) -> None:
        """Write a line now and then: whoever can connect must not fill the log."""
        self._refused += 1
        if self._clock.seconds() >= self._silent_until:
            self._log.warn(
                "{peer} is none of the trusted_proxies, and its connection was closed ({count} such so far)",
                peer=peer,
                count=self._refused,
            )
            self._silent_until = self._clock.seconds() + _LOG_SECONDS
