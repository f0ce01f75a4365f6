"""The connections that are open, and how they come to an end when the daemon does.

What is said on them is not known here.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.protocols.tls import TLSMemoryBIOProtocol

from ..transports.tls import TLSStream

__all__ = ["Connection", "Connections", "close_below"]

# Whoever has connected and said nothing yet may have a handshake under way: seconds it is given for its request.
_FIRST_WORDS_SECONDS = 1.0


class Connection(Protocol):
    """One of them."""

    @property
    def is_new(self) -> bool:
        """Whether nothing was asked on it yet."""

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way, or its header is."""

    def finish(self) -> None:
        """Close it after the answer that is under way; at once where there is none."""

    def abort(self) -> None:
        """Cut it off."""


class Connections:
    """The open connections of one site. ``closing``: each is closed with its next answer.

    Arguments:
        clock: for waiting.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self.closing = False
        self._clock = clock
        self._open: set[Connection] = set()
        self._closed: Deferred[None] | None = None
        self._due: list[IDelayedCall] = []

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, connection: Connection) -> None:
        """Somebody has connected."""
        self._open.add(connection)

    def ended(self, connection: Connection) -> None:
        """Somebody is gone."""
        self._open.discard(connection)
        if not self._open:
            self._be_closed()

    def close(self) -> Deferred[None]:
        """Close what idles now and the rest with its answer; fires when none is left."""
        self.closing = True
        if not self._open:
            return succeed(None)
        self._closed = Deferred()
        for connection in list(self._open):
            if connection.is_busy:
                connection.finish()
        # A turn later: requests that have arrived but were not read yet are answered.
        self._due = [
            self._clock.callLater(0, self._finish, False),
            self._clock.callLater(_FIRST_WORDS_SECONDS, self._finish, True),
        ]
        return self._closed

    def abort(self) -> None:
        """Cut off what is left."""
        for connection in list(self._open):
            connection.abort()

    def _finish(self, new: bool) -> None:
        for connection in list(self._open):
            if new or not connection.is_new:
                connection.finish()

    def _be_closed(self) -> None:
        due, self._due = self._due, []
        for call in due:
            if call.active():
                call.cancel()
        closed, self._closed = self._closed, None
        if closed is not None:
            closed.callback(None)


def close_below(transport: object) -> None:
    """Close below TLS, too: without waiting for the client's close_notify, which nobody need wait for (RFC 8446, 6.1).

    Clients that look at an idle connection only when they want it again send none.
    """
    # What reads PROXY headers may be around it.
    while not isinstance(transport, TLSStream | TLSMemoryBIOProtocol) and hasattr(transport, "transport"):
        transport = transport.transport
    if isinstance(transport, TLSStream):
        transport.hurry()
    elif isinstance(transport, TLSMemoryBIOProtocol) and transport.transport is not None:
        # An endpoint that speaks TLS itself, ssl:.
        # Or, in TLS of ours, the HTTP proxy for clients.
        transport.transport.loseConnection()
        close_below(transport.transport)
