"""HTTP/1.1 with an upstream that may mean ill: Twisted's client, with an end to what it would wait or listen for.

Knows nothing of what is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, cast

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger, LogPublisher
from twisted.python.failure import Failure
from twisted.web._newclient import BODY, DONE, HTTP11ClientProtocol, Request
from twisted.web.client import HTTPConnectionPool, _HTTP11ClientFactory
from twisted.web.http import _ChunkedTransferDecoder
from twisted.web.iweb import IResponse

from ..transports.stream import READ
from .errors import BrokenHeader, TooManySockets
from .sockets import End, Sockets

__all__ = ["make_pool"]

# Of status lines and header fields together, those of answers 1xx among them. Twisted bounds a line, not their number.
_HEADER_LIMIT = 64 * 1024
# Of its lines: as many as that holds of five bytes each, 13,000, kept the reactor for 50 ms.
_LINE_LIMIT = 4096

# The parser writes a line for each answer 1xx that it passes over: one header of that limit wrote 2,600, 300 KiB.
_UNHEARD = Logger(observer=LogPublisher())

# Bytes that are read at once: of a header; of a body; and of one in chunks, whose lengths take 0.4 us a byte to be read
# where each chunk has one.
_READ = 64 * 1024
_BODY_READ = READ
_CHUNKED_READ = 16 * 1024

# Idle connections kept to one host, and for how many seconds: below the 60 s that many balancers allow.
_POOLED_PER_HOST = 64
_POOLED_SECONDS = 50


def make_pool(reactor: Any, *, persistent: bool, sockets: Sockets | None = None) -> HTTPConnectionPool:
    """Return where connections to upstreams are made, and kept if ``persistent``.

    Arguments:
        sockets: counts them; pools may share it.
    """
    pool = _Pool(reactor, persistent, sockets or Sockets())
    pool.maxPersistentPerHost = _POOLED_PER_HOST
    pool.cachedConnectionTimeout = _POOLED_SECONDS
    return pool


class _Pool(HTTPConnectionPool):
    """Twisted's, which bounds idle connections by host alone, and others not at all."""

    def __init__(self, reactor: Any, persistent: bool, sockets: Sockets) -> None:
        super().__init__(reactor, persistent)
        self._sockets = sockets

    def _newConnection(self, key: Hashable, endpoint: IStreamClientEndpoint) -> Deferred[HTTP11ClientProtocol]:
        """Connect (HTTPConnectionPool)."""
        try:
            end = self._sockets.begin()
        except TooManySockets as error:
            return fail(error)
        factory = _Factory(lambda protocol: self._putConnection(key, protocol), repr(endpoint))
        connected = cast("Deferred[_Conversation]", endpoint.connect(factory))
        connected.addCallback(_begin, self._sockets, end).addErrback(_end, end)
        return cast("Deferred[HTTP11ClientProtocol]", connected)

    def _putConnection(self, key: Hashable, connection: _Conversation) -> None:
        """Keep a connection for later (HTTPConnectionPool)."""
        connection.end()
        super()._putConnection(key, connection)
        if connection in self._timeouts:
            self._sockets.keep(connection, lambda: self._drop(key, connection, close=True))
            connection.when_lost = lambda: self._drop(key, connection, close=False)

    def getConnection(self, key: Any, endpoint: IStreamClientEndpoint) -> Deferred[HTTP11ClientProtocol]:
        """Return a connection, kept or new (HTTPConnectionPool)."""
        before = list(self._connections.get(key, ()))
        found = super().getConnection(key, endpoint)
        left = self._connections.get(key, ())
        for connection in before:
            if connection not in left:
                self._sockets.take(connection)
        if before and not left:
            # Hosts are clients' choice: none is remembered for nothing.
            del self._connections[key]
        return found

    def _removeConnection(self, key: Hashable, connection: _Conversation) -> None:
        """Close one that has idled long enough (HTTPConnectionPool)."""
        self._drop(key, connection, close=True)

    def _drop(self, key: Hashable, connection: _Conversation, *, close: bool) -> None:
        self._sockets.take(connection)
        timeout = self._timeouts.pop(connection, None)
        if timeout is None:
            return
        if timeout.active():
            timeout.cancel()
        self._connections[key].remove(connection)
        if not self._connections[key]:
            del self._connections[key]
        if close:
            cast(ITCPTransport, connection.transport).abortConnection()


def _begin(connection: _Conversation, sockets: Sockets, end: End) -> _Conversation:
    connection.sockets, connection.counted = sockets, end
    return connection


def _end(failure: Failure, end: End) -> Failure:
    end()
    return failure


class _Factory(_HTTP11ClientFactory):
    noisy = False  # otherwise each connection writes two lines of its own to the log

    def buildProtocol(self, addr: IAddress | None) -> HTTP11ClientProtocol:
        return _Conversation(self._quiescentCallback)


class _Conversation(HTTP11ClientProtocol):
    """One connection."""

    sockets: Sockets | None = None
    counted: End | None = None
    when_lost: End | None = None
    _header = _lines = 0

    def request(self, request: Request) -> Deferred[IResponse]:
        """Ask (HTTP11ClientProtocol)."""
        self._header = self._lines = 0
        transport: Any = self.transport
        transport.bufferSize, transport.takes_views = _READ, False
        self.when_lost = None
        if self.counted is None and self.sockets is not None:
            try:
                self.counted = self.sockets.begin()
            except TooManySockets as error:
                cast(ITCPTransport, self.transport).abortConnection()
                return fail(error)
        answered: Deferred[IResponse] = super().request(request)
        if self._transportProxy is not None:
            self._transportProxy._producer = _Abrupt(self.transport)
        if self._parser is not None:
            decoders: Any = {b"chunked": _Chunks}
            self._parser._transferDecoders, self._parser._log = decoders, _UNHEARD
        return answered

    def dataReceived(self, data: bytes | memoryview) -> None:
        """Read on, if this is what was asked for, and not for ever (IProtocol)."""
        if isinstance(data, memoryview):
            self._take_body(data)
            return
        if self._parser is None or self._is_in_body():
            super().dataReceived(data)
            return
        self._header += len(data)
        self._lines += _lines_of_header(data)
        if self._lines > _LINE_LIMIT:
            self._giveUp(_too_long())
            return
        try:
            self._parser.dataReceived(data)
        except Exception as error:
            self._giveUp(Failure(BrokenHeader(f"it does not answer in HTTP ({type(error).__name__}: {error})"[:200])))
        if self._parser is not None and not self._is_in_body() and self._header > _HEADER_LIMIT:
            self._giveUp(_too_long())
        if self._is_in_body() and self._parser is not None:
            self._read_body(in_chunks=self._parser.connHeaders.hasHeader(b"transfer-encoding"))

    def _read_body(self, *, in_chunks: bool) -> None:
        """Read a body by pieces of the size that suits it; from our own transports as views, where it is as it is."""
        transport: Any = self.transport
        transport.bufferSize = _CHUNKED_READ if in_chunks else _BODY_READ
        transport.takes_views = not in_chunks

    def _take_body(self, view: memoryview) -> None:
        """Take a piece of a body straight to who takes views of it."""
        response: Any = self._parser.response if self._parser is not None else None
        taker = getattr(response, "_bodyProtocol", None)
        if self._parser is None or self._parser.state != BODY or not getattr(taker, "takes_views", False):
            self.dataReceived(bytes(view))
            return
        decoder: Any = self._parser.bodyDecoder
        try:
            decoder.dataReceived(view)
        except Exception:
            self._giveUp(Failure())

    def end(self) -> None:
        """It is under way no more."""
        counted, self.counted = self.counted, None
        if counted is not None:
            counted()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is gone (IProtocol)."""
        self.end()
        lost, self.when_lost = self.when_lost, None
        if lost is not None:
            lost()
        super().connectionLost(reason)

    def _is_in_body(self) -> bool:
        return self._parser is not None and self._parser.state in (BODY, DONE)

    def _finishResponse(self, rest: bytes) -> None:
        # What nobody asked for would be taken for the next answer: not one byte may follow.
        if rest and self._parser is not None:
            self._parser.connHeaders.setRawHeaders(b"Connection", [b"close"])
        super()._finishResponse(rest)

    def _giveUp(self, reason: Failure) -> None:
        cast(ITCPTransport, self.transport).abortConnection()
        super()._giveUp(reason)


class _Chunks(_ChunkedTransferDecoder):
    """Chunks (RFC 9112, 7.1), those of one read joined.

    Each is a call all the way to the client, and may hold one byte: 64 KiB of these held the reactor for 250 ms.
    """

    def __init__(self, deliver: Callable[[bytes], None], finish: Callable[[bytes], None]) -> None:
        self._pieces: list[bytes] = []
        self._deliver = deliver
        self._finish = finish
        super().__init__(self._pieces.append, self._end)

    def dataReceived(self, data: bytes) -> None:
        """Take what was read, and hand on what it holds."""
        try:
            super().dataReceived(data)
        finally:
            self._hand_on()

    def _end(self, rest: bytes) -> None:
        self._hand_on()
        self._finish(rest)

    def _hand_on(self) -> None:
        whole = b"".join(self._pieces)
        self._pieces.clear()
        if whole:
            self._deliver(whole)


def _lines_of_header(data: bytes) -> int:
    """Return how many lines there are up to an empty one."""
    ends = [at for mark in (b"\n\r\n", b"\n\n") if (at := data.find(mark)) >= 0]
    return data.count(b"\n", 0, min(ends, default=len(data)))


def _too_long() -> Failure:
    return Failure(BrokenHeader(f"it sent a header of more than {_HEADER_LIMIT} bytes or {_LINE_LIMIT} lines"))


class _Abrupt:
    """A transport that is cut where it would be closed.

    Closed, TLS waits for the other side to say farewell, and reads on: for ever, from an upstream that never does.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def pauseProducing(self) -> None:
        """Stop reading (IPushProducer)."""
        self._transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Read on (IPushProducer)."""
        self._transport.resumeProducing()

    def stopProducing(self) -> None:
        """Nobody wants the rest (IPushProducer)."""
        self._transport.abortConnection()

    def loseConnection(self) -> None:
        """It is not needed any more (ITransport)."""
        self._transport.abortConnection()
