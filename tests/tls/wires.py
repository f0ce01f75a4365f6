"""A TLS factory on real sockets: its clients are OpenSSL's, and its bytes and its time are in the test's hands."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from crproxy.tls.accepting import TLSFactory
from crproxy.tls.certificates import Certified, self_signed
from crproxy.tls.client_hello import Hello
from crproxy.transports.servers import TLSServer
from tests.transports.hands import Hands, sockets

__all__ = ["ALIAS", "DOMAIN", "NOW", "VALIDATION", "Client", "Server", "Wire", "der", "in_records", "trusting"]

NOW = time.time()
DOMAIN, ALIAS = self_signed("cr.test", NOW), self_signed("quay.cr.test", NOW)
VALIDATION = self_signed("validation", NOW)


class Echo(Protocol):
    """Says back what it hears, and keeps it."""

    def __init__(self) -> None:
        self.heard = b""
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.heard += data
        self.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


class Echoes(Factory):
    """Makes them, and keeps them."""

    protocol = Echo
    noisy = False

    def __init__(self) -> None:
        self.made: list[Echo] = []

    def buildProtocol(self, addr: Any) -> Echo:
        self.made.append(Echo())
        return self.made[-1]


class Server:
    """A factory with a table that a test may change, and nothing around it."""

    def __init__(self) -> None:
        self.clock = Hands()
        self.connections: list[Wire] = []
        self.inside = Echoes()
        self.shown: dict[str | None, Certified] = {None: DOMAIN, "cr.test": DOMAIN, "quay.cr.test": ALIAS}
        self.asked: list[Hello] = []
        self.factory = TLSFactory(self.inside, self._choose, self.clock)

    def close(self) -> None:
        """Leave no connection behind."""
        for wire in self.connections:
            wire.close()

    def _choose(self, hello: Hello) -> Certified | None:
        self.asked.append(hello)
        if b"acme-tls/1" in hello.protocols:
            return VALIDATION
        return self.shown.get(hello.server_name)


class Wire:
    """A connection to it: bytes go in by hand, and what comes back is read by hand."""

    def __init__(self, server: Server) -> None:
        ours, self._theirs = sockets()
        self._connections = server.connections
        self._connections.append(self)
        self._clock = server.clock
        protocol = server.factory.buildProtocol(None)
        self.transport = TLSServer(ours, protocol, ours.getpeername(), None, 0, server.clock)
        protocol.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        self._theirs.sendall(data)
        self._clock.settle()

    def receive(self) -> bytes:
        self._clock.settle()
        try:
            return self._theirs.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return b""

    def end(self, reason: type[Exception] = ConnectionDone) -> None:
        if reason is not ConnectionDone:
            # The kernel resets it.
            self._theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._theirs.close()
        self._clock.settle()
        self._connections.remove(self)

    def close(self) -> None:
        """Leave no socket behind."""
        if not self.transport.disconnected:
            self.transport.connectionLost(Failure(ConnectionDone()))
        self._theirs.close()


class Client:
    """OpenSSL's client on a wire."""

    def __init__(
        self,
        server: Server,
        name: str | None = "cr.test",
        *,
        context: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.wire = Wire(server)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = context or trusting()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name, session=session)

    def hello(self) -> bytes:
        """The first words, which are not sent."""
        with pytest.raises(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._outgoing.read()

    def connect(self) -> None:
        """Shake hands to the end; raises ssl.SSLError."""
        self._drive(self._tls.do_handshake)

    def connect_with(self, hello: bytes) -> None:
        """Shake hands to the end, its first words having been sent by hand."""
        self.wire.send(hello)
        self._incoming.write(self.wire.receive())
        self.connect()

    def say(self, data: bytes) -> bytes:
        """Say something; return the answer."""
        self._drive(lambda: self._tls.write(data))
        answer: bytes = self._drive(lambda: self._tls.read(65536))
        return answer

    @property
    def shown(self) -> bytes | None:
        """The certificate it got."""
        return self._tls.getpeercert(binary_form=True)

    @property
    def protocol(self) -> str | None:
        return self._tls.selected_alpn_protocol()

    @property
    def version(self) -> str | None:
        return self._tls.version()

    @property
    def session(self) -> ssl.SSLSession | None:
        return self._tls.session

    @property
    def resumed(self) -> bool | None:
        return self._tls.session_reused

    def _drive(self, step: Callable[[], Any]) -> Any:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                received = self.wire.receive()
                assert received, "both wait for the other"
                self._incoming.write(received)
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if said := self._outgoing.read():
            self.wire.send(said)


def trusting(*protocols: str, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A client's context: it looks at no certificate, because the tests do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def der(certified: Certified) -> bytes:
    return certified.leaf.public_bytes(Encoding.DER)


def in_records(message: bytes, size: int) -> bytes:
    """The one record of a hello as many small ones (RFC 8446, 5.1)."""
    head, body = message[:3], message[5:]
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(head + len(piece).to_bytes(2, "big") + piece for piece in pieces)
