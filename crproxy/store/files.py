"""A file, or a file that is still growing, on its way to one consumer at the consumer's pace.

Costs no memory but the piece in hand: a consumer that is slow finds its bytes in the file when it is ready for them.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from ..transports.files import send_file

__all__ = ["FileFlow"]

# Bytes that a consumer is offered at once, of which it takes what it has room for. Those that it leaves out it takes
# without a look: between two parts of 100 GiB that took 0.16 s of the reactor's time by 1 MiB, and less than 1 ms so.
_PIECE = 256 * 1024 * 1024


@implementer(IPushProducer)
class FileFlow:
    """Bytes of a file, from ``start`` up to ``stop``.

    Arguments:
        fd: of the file; closed here, at the end whatever it is.
        start: the first byte.
        stop: the byte after the last one; None while nobody knows it.
        readable: how far the file may be read now.
    """

    def __init__(self, fd: int, start: int, stop: int | None, readable: int) -> None:
        self.position = start
        self._start = start
        self._fd = fd
        self._stop = stop
        self._readable = readable
        self._consumer: IConsumer | None = None
        self._ended: Deferred[None] | None = None
        self._paused = False
        self._flowing = False
        self._failure: Failure | None = None

    def join(self, consumer: IConsumer) -> Deferred[None]:
        """Let the bytes flow to ``consumer``; fires when all are written, fails as `fail` says. Cancelling ends it."""
        self._consumer = consumer
        self._ended = Deferred(lambda _: self.stopProducing())
        ended = self._ended
        consumer.registerProducer(self, True)
        self._flow()
        return ended

    def grow(self, readable: int) -> None:
        """The file may be read up to ``readable`` now. After `fail` there is nothing more in it."""
        if self._failure is None:
            self._readable = readable
            self._flow()

    def end(self, stop: int) -> None:
        """It is known now where the file ends, and all of it may be read."""
        if self._failure is None:
            self._stop = stop if self._stop is None else self._stop
            self.grow(stop)

    def fail(self, failure: Failure) -> None:
        """Nothing more will come: fails as soon as all that may be read was written."""
        self._failure = failure
        self._flow()

    @property
    def length(self) -> int | None:
        """Bytes, where that is known."""
        return None if self._stop is None else self._stop - self._start

    def abandon(self) -> None:
        """Read nothing, or no more."""
        self.stopProducing()

    def pauseProducing(self) -> None:
        """Wait for the consumer (IPushProducer)."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Go on (IPushProducer)."""
        self._paused = False
        self._flow()

    def stopProducing(self) -> None:
        """The consumer is gone (IPushProducer)."""
        self._consumer = None
        self._close()

    def _flow(self) -> None:
        if self._flowing:
            # A consumer resumes in the midst of a write: what called it goes on.
            return
        self._flowing = True
        try:
            self._flow_on()
        finally:
            self._flowing = False

    def _flow_on(self) -> None:
        while self._consumer is not None and not self._paused and (wanted := self._wanted()) > 0:
            try:
                self.position += self._send(self._consumer, wanted)
            except Exception:
                self._finish(Failure())
                return
        if self._consumer is not None and self._wanted() <= 0:
            self._settle()

    def _send(self, consumer: Any, wanted: int) -> int:
        """Send up to ``wanted`` bytes at the position, and return how many. What it raises ends the flow."""
        return send_file(consumer, self._fd, self.position, wanted)

    def _wanted(self) -> int:
        until = self._readable if self._stop is None else min(self._readable, self._stop)
        return min(_PIECE, until - self.position)

    def _settle(self) -> None:
        if self._stop is not None and self.position >= self._stop:
            self._finish(None)
        elif self._failure is not None:
            self._finish(self._failure)

    def _finish(self, failure: Failure | None) -> None:
        self._close()
        consumer, self._consumer = self._consumer, None
        ended, self._ended = self._ended, None
        if consumer is not None:
            consumer.unregisterProducer()
        if ended is not None and not ended.called:
            _fire(ended, failure)

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _fire(ended: Deferred[Any], failure: Failure | None) -> None:
    if failure is None:
        ended.callback(None)
    else:
        ended.errback(failure)
