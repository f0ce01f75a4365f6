"""HTTP/1.1 with an upstream that may mean ill: Twisted's client, with an end to what it would wait or listen for.

Knows nothing of what is asked.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, ITCPTransport
from twisted.logger import Logger, LogPublisher
from twisted.python.failure import Failure
from twisted.web._newclient import BODY, DONE, HTTP11ClientProtocol, Request
from twisted.web.client import HTTPConnectionPool, _HTTP11ClientFactory
from twisted.web.iweb import IResponse

from .errors import BrokenHeader

__all__ = ["make_pool"]

# Of status lines and header fields together, those of answers 1xx among them. Twisted bounds a line, not their number.
_HEADER_LIMIT = 64 * 1024
# Of its lines: as many as that holds of five bytes each, 13,000, kept the reactor for 50 ms.
_LINE_LIMIT = 4096

# The parser writes a line for each answer 1xx that it passes over: one header of that limit wrote 2,600, 300 KB.
_UNHEARD = Logger(observer=LogPublisher())

# Idle connections kept to one host, and for how many seconds: below the 60 s that many balancers allow.
_POOLED_PER_HOST = 64
_POOLED_SECONDS = 50


def make_pool(reactor: Any, *, persistent: bool) -> HTTPConnectionPool:
    """Return where connections to upstreams are made, and kept if ``persistent``."""
    pool = HTTPConnectionPool(reactor, persistent=persistent)
    pool._factory = _Factory
    pool.maxPersistentPerHost = _POOLED_PER_HOST
    pool.cachedConnectionTimeout = _POOLED_SECONDS
    return pool


class _Factory(_HTTP11ClientFactory):
    noisy = False  # otherwise each connection writes two lines of its own to the log

    def buildProtocol(self, addr: IAddress | None) -> HTTP11ClientProtocol:
        return _Conversation(self._quiescentCallback)


class _Conversation(HTTP11ClientProtocol):
    """One connection."""

    _header = _lines = 0

    def request(self, request: Request) -> Deferred[IResponse]:
        """Ask (HTTP11ClientProtocol)."""
        self._header = self._lines = 0
        answered: Deferred[IResponse] = super().request(request)
        if self._parser is not None:
            self._parser._log = _UNHEARD
        if self._transportProxy is not None:
            self._transportProxy._producer = _Abrupt(self.transport)
        return answered

    def dataReceived(self, data: bytes) -> None:
        """Read on, if this is what was asked for, and not for ever (IProtocol)."""
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
