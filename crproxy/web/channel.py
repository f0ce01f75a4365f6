"""One client's connection: HTTP/1.1, read with care, and for a limited time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, cast

from twisted.internet.interfaces import IDelayedCall, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request

from ..limits.accepting import address_of
from ..policy.units import format_size
from ..transports.files import send_file
from ..transports.stream import Stream
from .bare_errors import BAD_REQUEST, TOO_LARGE, TOO_SLOW, bare_error
from .connections import Connections, close_below
from .prepared import PreparedAnswers
from .request import Whole, id_of, new_id
from .taking import Taking

__all__ = ["BODY_LIMIT", "Channel"]

# The first byte of a TLS record that opens a handshake (RFC 8446, 5.1); no HTTP request begins with it.
_TLS_HANDSHAKE = b"\x16"

# Seconds from the first byte of a request to the end of its header, and from there to the end of its body.
_HEADER_SECONDS = 10.0
_BODY_SECONDS = 10.0
# Nothing that is asked of us has a body. A client that pushes begins with small ones, and is told that it cannot.
BODY_LIMIT = 64 * 1024
# Bytes of further requests that are read while one is answered; what is more stays with the client.
_READ_AHEAD = 16 * 1024
# What a client that was refused still sends is read for so long: closed before, the kernel would reset the connection,
# and the client might never see why (RFC 9112, 9.6).
_LINGER_SECONDS = 1.0

# What is the matter, as the log tells of it.
_NOT_HTTP = "it is no proper HTTP request"
_SLOW_HEADER = f"its header is not whole after {_HEADER_SECONDS:g} s"
_SLOW_BODY = f"its body is not whole after {_BODY_SECONDS:g} s"
_LARGE_BODY = f"its body is larger than {format_size(BODY_LIMIT)}"


class _Site(Protocol):
    connections: Connections
    prepared: PreparedAnswers | None


class Channel(HTTPChannel):
    """HTTP/1.1.

    A header takes ten seconds at the most from its first byte, however it trickles in, and a body ten more. Between
    requests Twisted waits a minute. A response is waited for as long as the client takes something of it.

    Of pipelined requests (RFC 9112, 9.3.2) the next one begins when the transport has room for its answer: however many
    are sent and none is read, one answer is in memory. Before, 50 KiB of requests for a 4 MiB manifest took 4 GiB.

    Somebody who speaks TLS to a plain port is told so and hung up on at once. skopeo and podman try https first, and
    waited ten seconds for an answer before they turned to http.
    """

    # Set by the site that each channel is a part of.
    site: Any
    # Twisted's own, after which a connection is cut that does not close: what watches the client does that.
    abortTimeout = None  # type: ignore[assignment]
    _optimisticEagerReadSize = _READ_AHEAD

    # What has come for a request, if it is in one piece.
    whole: Whole | None = None

    # Who the client is, where that was asked for before anything else.
    user: str | None = None
    # The client's IP address, once it was asked for; empty where it has none.
    _client: str | None = None
    _lost = False
    _fresh = True
    _deaf = False
    _body = 0
    _deadline: IDelayedCall | None = None
    # Most clients take what they are sent: nobody looks at them.
    _taking: Taking | None = None

    @property
    def is_new(self) -> bool:
        """Whether nothing was asked on it yet (Connection)."""
        return self._fresh

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way, or its header is (Connection)."""
        return bool(self.requests) or self._deadline is not None

    def connectionMade(self) -> None:
        """Be counted (IProtocol)."""
        self._connections.opened(self)
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        """Look at the first byte before anything else (IProtocol)."""
        fresh, self._fresh = self._fresh, False
        if fresh and data.startswith(_TLS_HANDSHAKE):
            # In the clear: Go's clients know it for what it is, "server gave HTTP response to HTTPS client". It is so
            # usual that the log has it at debug alone.
            self._refuse(BAD_REQUEST, "it is TLS, on a plain port", self._log.debug)
            self.loseConnection()
        if self._deaf:
            return
        self.whole = None
        if self._deadline is None and not self.requests and not self.paused:
            if not self._buffer and self.line_mode and self._answer_at_once(data):
                return
            self._deadline = self.callLater(_HEADER_SECONDS, self._header_too_slow)
        super().dataReceived(data)

    def _answer_at_once(self, data: bytes) -> bool:
        """Answer a request that came in one piece, if its answer is prepared; tell whether it was."""
        site = cast(_Site, self.site)
        if site.prepared is None or site.connections.closing or self._waitingForTransport or self.user is not None:
            return False
        self.whole = site.prepared.whole(data)
        if self._client is None:
            self._client = address_of(self.getPeer()) or ""
        answer = site.prepared.answer(data, self._client or None)
        if answer is None:
            return False
        self.resetTimeout()
        cast(ITCPTransport, self.transport).write(answer)
        return True

    # The request

    def lineReceived(self, line: bytes) -> None:
        """Take a line of a header (LineReceiver)."""
        if self._deaf:
            return
        if line[:1] in (b" ", b"\t"):
            # "A server that receives an obs-fold ... MUST either reject the message" (RFC 9112, 5.2), or mend it.
            self._respondToBadRequestAndDisconnect()
        else:
            super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Say so; Twisted would hang up (LineReceiver)."""
        self._respondToBadRequestAndDisconnect()

    def headerReceived(self, line: bytes) -> bool:
        """Take a field, or refuse what others may read in another way (HTTPChannel)."""
        # Of each line of each request: what begins otherwise is neither of the two.
        if line[:1] not in b"HhTt":
            return bool(super().headerReceived(line))
        name, _, value = line.partition(b":")
        name = name.lower()
        if name == b"host" and self.requests[-1].requestHeaders.hasHeader(b"host"):
            # "A server MUST respond with a 400 (Bad Request) status code ... to any request message that contains more
            # than one Host header field line" (RFC 9112, 3.2).
            self._respondToBadRequestAndDisconnect()
            return False
        if name == b"transfer-encoding" and value.strip(b" \t").lower() != b"chunked":
            # Twisted takes "identity", which RFC 9112 (7) does not know any more, for nothing at all, and a
            # Content-Length beside it for the body's.
            self._respondToBadRequestAndDisconnect()
            return False
        return bool(super().headerReceived(line))

    def allHeadersReceived(self) -> None:
        """Take the time and the room that are needed from here on (HTTPChannel)."""
        self._forget_deadline()
        if self._version == b"HTTP/1.0" and self.requests[-1].requestHeaders.hasHeader(b"transfer-encoding"):
            # "A server or client that receives an HTTP/1.0 message containing a Transfer-Encoding header field MUST
            # treat the message as if the framing is faulty" (RFC 9112, 6.1).
            self._respondToBadRequestAndDisconnect()
            return
        length, self._body = self.length, 0
        if length is not None and length > BODY_LIMIT:
            self._refuse(TOO_LARGE, _LARGE_BODY)
            return
        # Twisted makes a file for a body whose length it does not know; these fit into memory.
        self.length = 0
        super().allHeadersReceived()
        self.length = length
        if length != 0:
            self._deadline = self.callLater(_BODY_SECONDS, self._body_too_slow)

    def rawDataReceived(self, data: bytes) -> None:
        """Take a piece of a body, or what comes after it (LineReceiver)."""
        if not self._handlingRequest:
            self._body += len(data)
            if self.length is None and self._body > BODY_LIMIT and not self._deaf:
                self._refuse(TOO_LARGE, _LARGE_BODY)
        if not self._deaf:
            super().rawDataReceived(data)
            # Twisted stops reading only where the transport has room: it takes for granted that it stopped otherwise.
            if self._waitingForTransport and sum(map(len, self._dataBuffer)) > _READ_AHEAD:
                self._networkProducer.pauseProducing()

    def allContentReceived(self) -> None:
        """Answer (HTTPChannel)."""
        self._forget_deadline()
        super().allContentReceived()

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        """Tell whether another request may follow (HTTPChannel)."""
        if not self._connections.closing:
            return bool(super().checkPersistence(request, version))
        request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        return False

    def _respondToBadRequestAndDisconnect(self) -> None:
        self._refuse(BAD_REQUEST, _NOT_HTTP)

    def _header_too_slow(self) -> None:
        self._deadline = None
        if self.paused:
            # It is we who do not read it.
            self._deadline = self.callLater(_HEADER_SECONDS, self._header_too_slow)
            return
        self._refuse(TOO_SLOW, _SLOW_HEADER)
        self.loseConnection()

    def _body_too_slow(self) -> None:
        self._deadline = None
        if self.paused:
            self._deadline = self.callLater(_BODY_SECONDS, self._body_too_slow)
            return
        self._refuse(TOO_SLOW, _SLOW_BODY)

    def _refuse(self, status: str, why: str, tell: Callable[..., None] | None = None) -> None:
        """Answer what is no proper request, tell the log ``why`` by the id that the client is told, hear no more."""
        if self._deaf:
            return
        request_id = id_of(self.requests[-1]) if self.requests else new_id()
        tell = tell or self._log.info
        tell(
            "{client} is answered {status}: {why}", client=self.getPeer(), status=status, why=why, request_id=request_id
        )
        self._deaf = True
        self._forget_deadline()
        self.write(bare_error(status, request_id))
        self._deadline = self.callLater(_LINGER_SECONDS, self._hang_up)

    def _hang_up(self) -> None:
        self._deadline = None
        self.loseConnection()

    def _forget_deadline(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            deadline.cancel()

    # The response

    def write(self, data: bytes | memoryview) -> None:
        """Send a piece of it (ITransport)."""
        if isinstance(data, memoryview) and not isinstance(self.transport, Stream):
            data = bytes(data)
        super().write(data)
        self._press()

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """Send a piece of a file; return how many bytes are on their way."""
        sent = send_file(self.transport, fd, offset, count)
        self._press()
        return sent

    def send_view(self, view: memoryview) -> int:
        """Send some of ``view``; return how many bytes are on their way."""
        sent, transport = len(view), cast(object, self.transport)
        if isinstance(transport, Stream):
            sent = transport.send_view(view)
            self._press()
        else:
            self.write(view)
        return sent

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send pieces of it (ITransport)."""
        super().writeSequence(iovec)
        self._press()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Let ``producer`` write it (IConsumer)."""
        super().registerProducer(producer, streaming)
        self._press()

    def _press(self) -> None:
        """Have who writes wait for a transport that is full already: TLS says so once, perhaps before it began."""
        if self._waitingForTransport and self._requestProducer is not None:
            self._requestProducer.pauseProducing()

    def requestDone(self, request: Request) -> None:
        """Go on with the next one, once there is room for its answer (HTTPChannel)."""
        if self._waitingForTransport and self.persistent:
            self._hold()
        super().requestDone(request)

    def pauseProducing(self) -> None:
        """The client does not take it as fast as it comes (IPushProducer)."""
        super().pauseProducing()
        if not self._handlingRequest:
            self._hold()
        self._watch()

    def resumeProducing(self) -> None:
        """The client has taken it (IPushProducer)."""
        if self._taking is not None:
            self._taking.taken()
        super().resumeProducing()
        self._go_on()

    def _hold(self) -> None:
        """Begin no request, and read no more of one."""
        self.paused = True
        self._networkProducer.pauseProducing()

    def _go_on(self) -> None:
        """Begin what was held."""
        held, self.paused = self.paused, False
        if not held or self._deaf:
            return
        if self._deadline is not None:
            # Nothing was read of it meanwhile.
            self._deadline.reset(_HEADER_SECONDS)
        if self._buffer:
            self.dataReceived(b"")

    def _watch(self) -> None:
        """Look now and then whether the client takes what it is sent."""
        if self._taking is None:
            self._taking = Taking(
                self.callLater,
                lambda: float(self.site.write_seconds),
                lambda: self.transport,
                lambda: self._deaf,
                self._cut_off,
            )
        self._taking.watch()

    def _forget_watch(self) -> None:
        taking, self._taking = self._taking, None
        if taking is not None:
            taking.forget()

    def _cut_off(self) -> None:
        """Wait no more for a client that takes nothing."""
        request_id = id_of(self.requests[0]) if self.requests else None
        self._log.info("{client} takes nothing: cut off", client=self.getPeer(), request_id=request_id)
        self.abort()

    # The end

    def timeoutConnection(self) -> None:
        """Close what nothing was asked on for a minute, but not while the last answer is still taken (TimeoutMixin)."""
        if self._taking is None or not self._taking.is_watched:
            super().timeoutConnection()
        else:
            self.setTimeout(self.timeOut)

    def finish(self) -> None:
        """Close it after the answer that is under way; at once where there is none (Connection)."""
        if self.requests:
            self.persistent = False
            if not self.requests[0].startedWriting:
                self.requests[0].responseHeaders.setRawHeaders(b"Connection", [b"close"])
        elif not self.is_busy and not self._deaf:
            self.loseConnection()

    def loseConnection(self) -> None:
        """Close, and hear no more: over TLS, what a client sends would go on arriving (ITransport).

        What was written goes out first, for which the client has as long as for any answer.
        """
        self._deaf = True
        # A refusal's time is over, and with it what would hang up a second time.
        self._forget_deadline()
        super().loseConnection()
        if not self._lost:
            self._watch()
        if self._connections.closing:
            close_below(self.transport)

    def abort(self) -> None:
        """Cut it off (Connection)."""
        cast(ITCPTransport, self.transport).abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Wait for nothing more (IProtocol)."""
        self._lost = True
        self._forget_deadline()
        self._forget_watch()
        super().connectionLost(reason)
        self._connections.ended(self)

    @property
    def _connections(self) -> Connections:
        return cast(_Site, self.site).connections
