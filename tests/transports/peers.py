"""Both ends of a connection: ours by hand, the peer's by the system's sockets and by OpenSSL's own TLS."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from collections.abc import Iterator
from functools import cache, partial
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from crproxy.tls.accepting import make_context
from crproxy.tls.certificates import Certified, Key, self_signed
from crproxy.transports.servers import Server, TLSServer, UnixServer, UnixTLSServer
from tests.tls.wires import NOW, trusting
from tests.transports.hands import Hands, sockets

__all__ = ["Pair", "Pieces", "Recorder", "certified", "content", "joined", "server_context"]

# Bytes that a peer reads at once where nothing else is said.
_READ = 64 * 1024


class Recorder(Protocol):
    """Keeps what it hears, and how it ended."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.lost: list[Failure] = []

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.append(reason)


@implementer(IPushProducer)
class Pieces:
    """Writes pieces as long as it is not told to wait, and then takes itself off."""

    def __init__(self, transport: Any, pieces: list[bytes]) -> None:
        self.told: list[str] = []
        self._transport = transport
        self._pieces = pieces[::-1]
        self._paused = False

    def begin(self) -> None:
        self._transport.registerProducer(self, True)
        self._write()

    def pauseProducing(self) -> None:
        self.told.append("pause")
        self._paused = True

    def resumeProducing(self) -> None:
        self.told.append("resume")
        self._paused = False
        self._write()

    def stopProducing(self) -> None:
        self.told.append("stop")
        self._pieces = []

    def _write(self) -> None:
        while self._pieces and not self._paused:
            self._transport.write(self._pieces.pop())
        if not self._pieces:
            self._transport.unregisterProducer()


@cache
def certified(kind: str) -> Certified:
    """A certificate for cr.test, with a key of that kind."""
    made = self_signed("cr.test", NOW)
    return made if kind == "ecdsa" else _with_rsa(made)


def _with_rsa(like: Certified) -> Certified:
    key: Key = rsa.generate_private_key(65537, 2048)
    builder = (
        x509.CertificateBuilder()
        .subject_name(like.leaf.subject)
        .issuer_name(like.leaf.issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(like.leaf.not_valid_before_utc)
        .not_valid_after(like.leaf.not_valid_after_utc)
    )
    assert not isinstance(key, ec.EllipticCurvePrivateKey)
    return Certified(key, (builder.sign(key, hashes.SHA256()),))


@cache
def server_context(kind: str) -> ssl.SSLContext:
    return make_context(certified(kind), b"http/1.1")


class Pair:
    """A connection of ours, and the peer's end of it.

    Arguments:
        secured: both speak TLS; the handshake is over.
        buffers: bytes of the sockets' buffers; the system's own by default.
    """

    def __init__(
        self,
        *,
        secured: bool = False,
        unix: bool = False,
        buffers: int | None = None,
        context: ssl.SSLContext | None = None,
        client: ssl.SSLContext | None = None,
    ) -> None:
        self.hands = Hands()
        self.protocol = Recorder()
        ours, self.raw = sockets(unix=unix)
        if buffers is not None:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
            self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
        kinds: Any = (UnixTLSServer, UnixServer) if unix else (TLSServer, Server)
        made = kinds[0] if secured else kinds[1]
        self.transport: Any = made(ours, self.protocol, "" if unix else ours.getpeername(), None, 0, self.hands)
        self.protocol.makeConnection(self.transport)
        self.raw.setblocking(False)
        self.peer: Any = self.raw
        if secured:
            self.begin_tls(context or server_context("ecdsa"), client or trusting())

    def begin_tls(self, context: ssl.SSLContext, client: ssl.SSLContext) -> None:
        """Shake hands."""
        self.peer = client.wrap_socket(self.raw, do_handshake_on_connect=False)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.peer.do_handshake()
        self.hands.settle()
        self.protocol.heard.clear()
        self.transport.start_tls(context, unread=self.transport._peeked)
        self.drive(self.peer.do_handshake)
        self.hands.settle()

    def drive(self, step: Any) -> Any:
        """Return the result of what the peer does, our side's turns being taken meanwhile."""
        for _ in range(100_000):
            try:
                return step()
            except ssl.SSLWantReadError:
                self.hands.settle()
            except (ssl.SSLWantWriteError, BlockingIOError):
                self.hands.settle()
        raise AssertionError("both wait for the other")

    def read(self, size: int = _READ) -> bytes | None:
        """Return what the peer can read now; None where there is nothing, nothing at the end."""
        try:
            return bytes(self.peer.recv(size))
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except ConnectionResetError:
            return b""

    def read_all(self, size: int = _READ, count: int | None = None) -> bytes:
        """Return all that comes, to the end, or to so many bytes, reading ``size`` at a time."""
        got = bytearray()
        while count is None or len(got) < count:
            piece = self.read(size)
            if piece is None:
                if not self.hands.turn():
                    self._wait()
            elif piece:
                got += piece
            else:
                break
        return bytes(got)

    def send(self, data: bytes) -> None:
        """Have the peer send it all."""
        view = memoryview(data)
        while view:
            view = view[self.drive(partial(self.peer.send, view)) :]
            self.hands.settle()

    def close(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(OSError):
            self.peer.close()
        self.raw.close()
        self.hands.settle()
        if not self.transport.disconnected:
            self.transport.abortConnection()
            self.hands.settle()

    def _wait(self) -> None:
        """Wait until one of the two can go on."""
        poll = select.poll()
        poll.register(self.peer, select.POLLIN)
        self.hands.register(poll)
        assert poll.poll(10_000), "both wait for the other"


@contextlib.contextmanager
def joined(**arguments: Any) -> Iterator[Pair]:
    """A `Pair`, of which nothing is left."""
    pair = Pair(**arguments)
    try:
        yield pair
    finally:
        pair.close()


def content(size: int, seed: int = 0) -> bytes:
    """Return bytes that are nowhere the same."""
    whole = bytearray()
    number = seed
    while len(whole) < size:
        number = (number * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        whole += number.to_bytes(8, "big")
    return bytes(whole[:size])
