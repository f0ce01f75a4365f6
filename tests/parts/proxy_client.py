"""A client of the HTTP proxy: CONNECT in whatever words a test has for it, and TLS behind it.

Of what it is answered it reads no byte too many: what comes behind an answer to CONNECT is somebody else's.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from email.parser import BytesParser
from typing import TYPE_CHECKING, TypeVar

from .request_ids import without_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import Message
    from pathlib import Path

__all__ = ["CA_DIRECTORY", "Answered", "ProxyClient", "connect", "read_answer", "rest"]

CA_DIRECTORY = "proxy-ca"
_PATIENCE = 30.0

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer that was read to its end, and not beyond; a refusal without the id of its request."""

    status: int
    phrase: str
    headers: Message = field(repr=False)
    body: bytes = b""


def connect(target: str, *fields: str, version: str = "1.1") -> bytes:
    """Return a request for ``target``, with these lines in its header besides Host."""
    lines = [f"CONNECT {target} HTTP/{version}", f"Host: {target}", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def read_answer(connection: socket.socket, *, is_head: bool = False) -> Answered:
    """Read one answer, perhaps to HEAD; raise EOFError where the connection ends before."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += _some(connection, 1)
    line, _, lines = head.partition(b"\r\n")
    headers = BytesParser().parsebytes(lines, headersonly=True)
    _, status, phrase = line.decode("latin-1").split(" ", 2)
    body = b""
    length = 0 if is_head else int(headers.get("Content-Length", 0))
    while len(body) < length:
        body += _some(connection, length - len(body))
    shown = headers["X-Request-Id"]
    if phrase.endswith(f"(request {shown})"):
        phrase = without_id(phrase, shown)
        body = without_id(body.decode("latin-1"), shown).encode("latin-1") if body else body
    return Answered(int(status), phrase, headers, body)


def rest(connection: socket.socket) -> bytes:
    """Read until the other side ends the connection, however it does."""
    received = b""
    try:
        while piece := connection.recv(1 << 16):
            received += piece
    except (ConnectionResetError, ssl.SSLError):
        pass
    return received


@dataclass(frozen=True, slots=True)
class ProxyClient:
    """Connects to the proxy, from wherever that is.

    Arguments:
        address: the proxy's.
        data_dir: the daemon's, in which its CA is.
        entered: has this thread be where connections are to be made.
        outer: how the proxy itself is spoken to in TLS, and by which name; None is in the clear.
    """

    address: tuple[str, int]
    data_dir: Path
    entered: Callable[[], AbstractContextManager[None]] = nullcontext
    outer: tuple[ssl.SSLContext, str] | None = None

    def open(self, source: str | None = None, *, receive_buffer: int | None = None) -> socket.socket:
        """Return a connection on which nothing was said.

        Arguments:
            source: the address that it is made from.
            receive_buffer: SO_RCVBUF; with a small one the proxy notices at once that nobody reads.
        """
        with self.entered():
            connection = socket.socket()
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(_PATIENCE)
        try:
            if source is not None:
                connection.bind((source, 0))
            connection.connect(self.address)
            if self.outer is None:
                return connection
            context, name = self.outer
            return context.wrap_socket(connection, server_hostname=name)
        except BaseException:
            connection.close()
            raise

    def say(self, words: bytes, source: str | None = None) -> Answered:
        """Say so on a connection of its own; return what is answered first."""
        with self.open(source) as connection:
            connection.sendall(words)
            return read_answer(connection, is_head=words.startswith(b"HEAD "))

    def ask(self, target: str, *fields: str) -> Answered:
        """Ask to be connected; return the answer."""
        return self.say(connect(target, *fields))

    def reach(
        self, target: str, *fields: str, source: str | None = None, receive_buffer: int | None = None
    ) -> socket.socket:
        """Return a connection to ``target``; fails where that was refused."""
        connection = self.open(source, receive_buffer=receive_buffer)
        try:
            connection.sendall(connect(target, *fields))
            answered = read_answer(connection)
            assert answered.status == 200, answered
        except BaseException:
            connection.close()
            raise
        return connection

    def trust(self) -> ssl.SSLContext:
        """Return how a client verifies that was given the proxy's CA, and trusts nobody else."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        for file in (self.data_dir / CA_DIRECTORY).glob("*.pem"):
            context.load_verify_locations(file)
        return context

    def inside(self, host: str, *fields: str, source: str | None = None) -> Inside:
        """Return a connection to what answers in the place of ``host``, in TLS, verified."""
        return Inside(self.reach(f"{host}:443", *fields, source=source), self.trust(), host)


class Inside:
    """TLS on a connection that has some of its own already, or none; leaving the ``with`` block closes both.

    Python's own cannot wrap a socket that speaks TLS, so this goes by memory (ssl.MemoryBIO).
    """

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, name: str | None) -> None:
        self._connection = connection
        self._received, self._sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._received, self._sent, server_hostname=name)
        try:
            self._until_done(self.tls.do_handshake)
        except BaseException:
            connection.close()
            raise

    def __enter__(self) -> Inside:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def sendall(self, data: bytes) -> None:
        """Send it (socket.socket)."""
        self._until_done(lambda: self.tls.write(data))

    def recv(self, size: int) -> bytes:
        """Receive some of it; nothing at the end (socket.socket)."""
        try:
            return self._until_done(lambda: self.tls.read(size))
        except ssl.SSLZeroReturnError:
            return b""

    def say(self, words: bytes) -> Answered:
        """Say so, and return the next answer."""
        self.sendall(words)
        return read_answer(self)  # type: ignore[arg-type]  # it has what is needed

    def rest(self) -> bytes:
        """Read until the other side ends the connection, however it does."""
        return rest(self)  # type: ignore[arg-type]  # it has what is needed

    def _until_done(self, work: Callable[[], Result]) -> Result:
        while True:
            try:
                return work()
            except ssl.SSLWantReadError:
                self._flush()
                piece = self._connection.recv(1 << 16)
                if not piece:
                    self._received.write_eof()
                self._received.write(piece)
            finally:
                self._flush()

    def _flush(self) -> None:
        pending = self._sent.read()
        if pending:
            self._connection.sendall(pending)


def _some(connection: socket.socket, most: int) -> bytes:
    piece = connection.recv(most)
    if not piece:
        raise EOFError("the proxy ended the connection before its answer")
    return piece
