"""Bytes in memory on their way to a consumer, which takes them at its own pace."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

__all__ = ["PIECE", "Pieces"]

# What Twisted's transports hold before they ask to wait (FileDescriptor.bufferSize).
PIECE = 64 * 1024


@implementer(IPushProducer)
class Pieces:
    """Writes ``content`` in pieces of 64 KiB."""

    def __init__(self, content: bytes) -> None:
        self._left = memoryview(content)
        self._consumer: IConsumer | None = None
        self._paused = False
        self._flowing = False
        self._ended: Deferred[None] = Deferred(lambda _: self.stopProducing())

    def join(self, consumer: IConsumer) -> Deferred[None]:
        """Let them flow to ``consumer``; fires when all were written. Cancelling ends it."""
        ended, self._consumer = self._ended, consumer
        consumer.registerProducer(self, True)
        self._flow()
        return ended

    def pauseProducing(self) -> None:
        """Wait for the consumer (IPushProducer)."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Go on (IPushProducer)."""
        self._paused = False
        self._flow()

    def stopProducing(self) -> None:
        """The consumer is gone (IProducer)."""
        self._consumer = None

    def _flow(self) -> None:
        if self._flowing:
            return
        self._flowing = True
        while self._consumer is not None and not self._paused and self._left:
            piece, self._left = self._left[:PIECE], self._left[PIECE:]
            self._consumer.write(bytes(piece))
        self._flowing = False
        if not self._left:
            self._finish()

    def _finish(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.unregisterProducer()
            self._ended.callback(None)
