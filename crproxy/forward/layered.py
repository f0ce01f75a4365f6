"""TLS inside of TLS: the outer one has the socket, so the inner one is made in memory.

It does what a `TLSStream` does for whoever reads a client's first words (tls/accepting.py): it lets them be looked at,
and turns to TLS with them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from OpenSSL.crypto import X509, PKey
from OpenSSL.SSL import Connection, Context
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IReactorTime,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer, providedBy

from ..tls.accepting import Contexts
from ..tls.certificates import Certified

__all__ = ["Layered", "LayeredContexts"]


class LayeredContexts(Contexts):
    """Contexts for TLS in memory: pyOpenSSL's, which alone Twisted's takes."""

    def __init__(self) -> None:
        super().__init__()
        self._of: WeakKeyDictionary[Certified, dict[bytes, Context]] = WeakKeyDictionary()

    def showing(self, certified: Certified, protocol: bytes) -> Any:
        """Return the one that shows ``certified``, with which ``protocol`` is spoken (Contexts)."""
        made = self._of.setdefault(certified, {})
        context = made.get(protocol)
        if context is None:
            options = CertificateOptions(
                privateKey=PKey.from_cryptography_key(certified.key),
                certificate=X509.from_cryptography(certified.leaf),
                extraCertChain=[X509.from_cryptography(one) for one in certified.chain[1:]],
                acceptableProtocols=[protocol],
            )
            context = made[protocol] = options.getContext()
        return context


class Layered(Protocol):
    """Speaks on a connection that has TLS already (Protocol), and is the transport of who reads the first words.

    Arguments:
        first: reads them, and whatever comes in TLS then.
        clock: the time.
    """

    transport: Any

    def __init__(self, first: IProtocol, clock: IReactorTime) -> None:
        self._first = first
        self._clock = clock
        self._seen = b""
        self._inner: IProtocol | None = None
        self._outer: Any = None

    def __getattr__(self, name: str) -> Any:
        """Do as the transport does: the outer one until there is an inner one."""
        return getattr(self.__dict__["transport"], name)

    def connectionMade(self) -> None:
        """Begin (Protocol)."""
        directlyProvides(self, providedBy(self.transport))
        self._first.makeConnection(self)  # type: ignore[arg-type]  # it is one by what it hands on

    def dataReceived(self, data: bytes) -> None:
        """Hand it on (Protocol)."""
        if self._inner is not None:
            self._decrypt(data)
            return
        self._seen += data
        self._first.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hand on that it ended (Protocol)."""
        (self._inner or self._first).connectionLost(reason)

    def start_tls(self, context: Context, *, unread: int, on_secured: Callable[[], object]) -> None:
        """Turn to TLS, as a server (TLSStream).

        Arguments:
            unread: of the bytes that were looked at, how many of the last are TLS's.
            on_secured: called once the handshake is over.
        """
        seen, self._seen = self._seen[len(self._seen) - unread :], b""
        decrypted = _Decrypted(self._first, on_secured)
        factory = TLSMemoryBIOFactory(_Shown(context), False, Factory.forProtocol(lambda: decrypted), self._clock)
        inner = factory.buildProtocol(None)
        self._inner, self._outer, self.transport = inner, self.transport, inner
        inner.makeConnection(self._outer)
        directlyProvides(self, providedBy(inner))
        self._decrypt(seen)

    def _decrypt(self, data: bytes) -> None:
        assert self._inner is not None  # noqa: S101 - see the callers
        self._inner.dataReceived(data)
        if self._outer.disconnecting:
            # A handshake that failed, or the client's end: "if there is a registered producer on a transport it will
            # not be closed until the producer has been unregistered" (ITransport), which Twisted's TLS does not do.
            self._outer.unregisterProducer()


@implementer(IHandshakeListener)
class _Decrypted(Protocol):
    """Hands on what came in TLS (IProtocol)."""

    def __init__(self, first: IProtocol, on_secured: Callable[[], object]) -> None:
        self._first = first
        self._on_secured = on_secured

    def dataReceived(self, data: bytes) -> None:
        """Hand it on (Protocol)."""
        self._first.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hand on that it ended (Protocol)."""
        self._first.connectionLost(reason)

    def handshakeCompleted(self) -> None:
        """Tell that it is over (IHandshakeListener)."""
        self._on_secured()


@implementer(IOpenSSLServerConnectionCreator)
class _Shown:
    """Makes TLS connections without a socket."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def serverConnectionForTLS(self, protocol: Any) -> Connection:
        return Connection(self._context, None)
