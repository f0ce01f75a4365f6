"""Bytes passed through between a client and a host, as they are, at the pace of whoever is slower."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["Tunnel", "TunnelEnd"]


class Tunnel:
    """Two ends, each of which is told what the other receives.

    ``sent`` and ``received`` are bytes, as the client sees them. ``over`` fires when both ends are closed.

    Arguments:
        idle: seconds in which nothing is sent either way, after which it ends.
        clock: the time.
    """

    def __init__(self, idle: float, clock: IReactorTime) -> None:
        self.sent = self.received = 0
        self.over: Deferred[None] = Deferred()
        self._idle = idle
        self._clock = clock
        self.client, self.host = TunnelEnd(self), TunnelEnd(self)
        self.client.other, self.host.other = self.host, self.client
        self._timer: IDelayedCall | None = None

    def joined(self) -> None:
        """Both ends are connected: wait for them to say something."""
        self._timer = self._clock.callLater(self._idle, self._idled)

    def moved(self, end: TunnelEnd, size: int) -> None:
        """Some bytes have come at ``end``."""
        if end is self.client:
            self.sent += size
        else:
            self.received += size
        if self._timer is not None:
            self._timer.reset(self._idle)

    def close(self) -> None:
        """End it at once, whatever is under way; ends that are not connected yet will not be."""
        for end in (self.client, self.host):
            end.cut()
        self._be_over()

    def ended(self, end: TunnelEnd) -> None:
        """One end is closed.

        "The intermediary MUST attempt to send any outstanding data that came from the closed side to the other side,
        close both connections, and then discard any remaining undelivered data" (RFC 9110, 9.3.6).
        """
        assert end.other is not None  # noqa: S101 - both are set from the start
        end.other.finish()
        self._be_over()

    def _idled(self) -> None:
        self._timer = None
        self.close()

    def _be_over(self) -> None:
        if self.over.called or not (self.client.is_closed and self.host.is_closed):
            return
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        self.over.callback(None)


@implementer(IPushProducer)
class TunnelEnd(Protocol):
    """One end (IProtocol). What it receives it writes to the other, which has it wait where that is too much."""

    transport: Any
    other: TunnelEnd | None = None

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel
        self.is_closed = False
        self._is_made = self._has_producer = False

    def connectionMade(self) -> None:
        """Begin, once both are connected (Protocol)."""
        if self.is_closed:
            self.transport.abortConnection()
            return
        self._is_made = True
        other = self.other
        if other is None or not (other._is_made or other.is_closed):
            # What it says waits for somebody to hear it.
            self.transport.pauseProducing()
            return
        if other.is_closed:
            self.finish()
            return
        self._tunnel.joined()
        for end in (self, other):
            end._has_producer = True
            end.transport.registerProducer(end.other, True)
        other.resumeProducing()

    def dataReceived(self, data: bytes) -> None:
        """Pass it on (Protocol)."""
        self._tunnel.moved(self, len(data))
        if self.other is not None and not self.other.is_closed:
            self.other.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Close the other one as well (Protocol)."""
        self.is_closed = True
        self._tunnel.ended(self)

    def finish(self) -> None:
        """Close this one, once everything was sent."""
        if self._is_made and not self.is_closed:
            if self._has_producer:
                self._has_producer = False
                self.transport.unregisterProducer()
            self.transport.loseConnection()

    def cut(self) -> None:
        """Close this one at once."""
        if not self._is_made:
            self.is_closed = True
        elif not self.is_closed:
            self.transport.abortConnection()

    def pauseProducing(self) -> None:
        """The other end takes no more for now (IPushProducer)."""
        if not self.is_closed:
            self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """It takes more again (IPushProducer)."""
        if not self.is_closed:
            self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """It takes nothing any more (IPushProducer)."""
        self.finish()
