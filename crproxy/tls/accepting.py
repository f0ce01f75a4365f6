"""TLS connections: the client's first words are read, a certificate is chosen, and OpenSSL does the rest.

The choice is made before OpenSSL sees a byte. So a name that nobody has here gets the alert that RFC 6066, 3 has for
it, which pyOpenSSL's own server_name callback cannot send; and so does a validation by TLS-ALPN-01 (RFC 8737) get its
certificate, which depends on the protocols that a client offers.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL import SSL
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..transports.contexts import show
from ..web.bare_errors import BAD_REQUEST, bare_error
from ..web.request import new_id
from .certificates import Certified
from .client_hello import Hello, NotAHello, read_hello

__all__ = ["ACME_TLS", "Choose", "Contexts", "TLSFactory"]

_log = Logger()

# What a CA offers, and nothing else, when it validates by TLS-ALPN-01 (RFC 8737, 6.2).
ACME_TLS = b"acme-tls/1"
_HTTP = b"http/1.1"

# Seconds from a connection to the end of its handshake: whoever needs longer only holds a place.
_HANDSHAKE_SECONDS = 10.0

# "unrecognized_name(112)", fatal (RFC 6066, 3; RFC 8446, 6.2). Before the ServerHello an alert is in the clear.
_UNRECOGNIZED_NAME = bytes.fromhex("15 0303 0002 02 70")

# "no_application_protocol(120)", fatal: what a server SHALL send to a client that offers only what it does not speak
# (RFC 7301, 3.2). The TLS library would go on without one.
_NO_APPLICATION_PROTOCOL = bytes.fromhex("15 0303 0002 02 78")

_NOT_TLS = "This port speaks HTTPS: ask for https://..."
_HTTP_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"PATCH ", b"DELETE ", b"OPTIONS ", b"CONNECT ")

# TLS 1.2's that are forward secret and AEAD, as TLS 1.3's all are: what RFC 9325, 4.2 recommends.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"

# Finds the certificate for a client by what it said; None refuses it.
Choose = Callable[[Hello], "Certified | None"]


class Contexts:
    """Contexts: built once, at their first use (0.5 ms), never changed, and forgotten with what they show."""

    def __init__(self) -> None:
        self._made: WeakKeyDictionary[Certified, dict[bytes, ssl.SSLContext]] = WeakKeyDictionary()

    def showing(self, certified: Certified, protocol: bytes) -> ssl.SSLContext:
        """Return the one that shows ``certified``, with which ``protocol`` is spoken."""
        made = self._made.setdefault(certified, {})
        context = made.get(protocol)
        if context is None:
            context = made[protocol] = make_context(certified, protocol)
        return context


@implementer(IProtocolFactory)
class TLSFactory:
    """Wraps the connections of another factory in TLS.

    Arguments:
        inside: makes what speaks inside.
        choose: finds the certificate.
        clock: ends connections that say nothing.
        contexts: to be had in common with others; its own otherwise.
        on_refused: is told why somebody's handshake came to nothing.
    """

    def __init__(
        self,
        inside: IProtocolFactory,
        choose: Choose,
        clock: IReactorTime,
        contexts: Contexts | None = None,
        on_refused: Callable[[str], object] | None = None,
    ) -> None:
        self._inside = inside
        self._choose = choose
        self.clock = clock
        self._contexts = contexts or Contexts()
        self._on_refused = on_refused

    def doStart(self) -> None:
        """Start what is inside as well (IProtocolFactory)."""
        self._inside.doStart()

    def doStop(self) -> None:
        """Stop what is inside as well (IProtocolFactory)."""
        self._inside.doStop()

    def buildProtocol(self, addr: IAddress | None) -> IProtocol:
        """Return the protocol of a new connection (IProtocolFactory)."""
        return _FirstWords(self, addr)

    def chosen(self, hello: Hello) -> ssl.SSLContext | None:
        """Return what answers a client that said ``hello``; None refuses it."""
        certified = self._choose(hello)
        if certified is None:
            return None
        return self._contexts.showing(certified, ACME_TLS if ACME_TLS in hello.protocols else _HTTP)

    def refused(self, why: str) -> None:
        """Somebody's handshake came to nothing."""
        if self._on_refused is not None:
            self._on_refused(why)

    def build(self, address: IAddress | None) -> IProtocol | None:
        """Return what speaks inside."""
        return self._inside.buildProtocol(address)  # type: ignore[arg-type]  # None, for one in memory


def make_context(certified: Certified, protocol: bytes) -> ssl.SSLContext:
    """Return how clients are answered that ``certified`` is shown to, and with whom ``protocol`` is spoken (ALPN)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    # One ticket is as good as two for clients that keep one, and costs each handshake 20 microseconds less.
    context.num_tickets = 1
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols([protocol.decode("ascii")])
    chain = b"".join(one.public_bytes(Encoding.PEM) for one in certified.chain)
    key = certified.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    show(context, key + chain)
    return context


class _FirstWords(Protocol):
    """Reads the ClientHello, and then hands on what comes in TLS."""

    transport: Any

    def __init__(self, factory: TLSFactory, address: IAddress | None) -> None:
        self._factory = factory
        self._address = address
        self._received = b""
        self._inside: IProtocol | None = None
        self._patience: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Wait for the first words (Protocol)."""
        self._patience = self._factory.clock.callLater(_HANDSHAKE_SECONDS, self._give_up)

    def dataReceived(self, data: bytes) -> None:
        """Read them, or hand on what comes after them (Protocol)."""
        if self._inside is not None:
            self._inside.dataReceived(data)
            return
        self._received += data
        try:
            hello = read_hello(self._received)
        except NotAHello:
            self._refuse(self._in_the_clear(), "this is something else than TLS")
            return
        if hello is not None:
            self._answer(hello)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hand on that the connection ended (Protocol)."""
        if self._patience is not None and reason.check(ssl.SSLError, SSL.Error):
            self._factory.refused(f"the TLS handshake failed: {_reason(reason.value)}")
        self._stop_waiting()
        if self._inside is not None:
            self._inside.connectionLost(reason)

    def _answer(self, hello: Hello) -> None:
        context = self._factory.chosen(hello)
        if context is None:
            self._refuse(_UNRECOGNIZED_NAME, f"another name is asked for in TLS: {hello.server_name}")
            return
        if hello.protocols and not {_HTTP, ACME_TLS}.intersection(hello.protocols):
            self._refuse(_NO_APPLICATION_PROTOCOL, "HTTP/1.1 is not offered in TLS")
            return
        inside = self._factory.build(self._address)
        if inside is None:
            self.transport.abortConnection()
            return
        self._inside = inside
        unread, self._received = len(self._received), b""
        self.transport.start_tls(context, unread=unread, on_secured=self._stop_waiting)
        inside.makeConnection(self.transport)

    def _in_the_clear(self) -> bytes:
        """Return what tells somebody who speaks HTTP so; nothing to others."""
        if not self._received.startswith(_HTTP_METHODS):
            return b""
        request_id = new_id()
        client = self.transport.getPeer()
        _log.info("{client} is answered 400: it speaks HTTP, not HTTPS", client=client, request_id=request_id)
        return bare_error(BAD_REQUEST, request_id, _NOT_TLS)

    def _refuse(self, words: bytes, why: str) -> None:
        self._stop_waiting()
        self._factory.refused(why)
        self.transport.write(words)
        self.transport.loseConnection()

    def _give_up(self) -> None:
        self._patience = None
        self._factory.refused(f"no TLS handshake within {_HANDSHAKE_SECONDS:g} s")
        self.transport.abortConnection()

    def _stop_waiting(self) -> None:
        patience, self._patience = self._patience, None
        if patience is not None:
            patience.cancel()


def _reason(error: BaseException | None) -> str:
    """Return why a handshake failed, in OpenSSL's words."""
    if isinstance(error, ssl.SSLError):
        return str(error.reason)
    return ", ".join(str(why) for *_, why in error.args[0]) if isinstance(error, SSL.Error) and error.args else ""
