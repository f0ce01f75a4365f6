"""The bytes of an object on their way to one consumer, at the consumer's pace: a range after the other.

Not one long answer: ranges of 4 MiB cost half as much of the processor (0.5 s/GiB to 0.9, measured with obstore 0.12),
since no piece is copied to be put behind another. And nothing is open while the consumer takes its time, that a server
would close. One range is fetched ahead, so two are in memory at the most.

Knows nothing of what the bytes are: nobody has checked them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from ..upstream.relay import BodyBroke, BodyUnwanted

__all__ = ["RANGE", "RangedBody"]

# Bytes of a range; memory is bounded by two of them.
RANGE = 4 * 1024 * 1024
# What is written at once: a consumer that has enough says so in between.
_PIECE = 256 * 1024

# Gives the bytes from one position up to another.
Fetch = Callable[[int, int], "Deferred[Any]"]


@implementer(IPushProducer)
class RangedBody:
    """Bytes of an object, from ``start`` up to ``stop`` (see limits.Body).

    Arguments:
        fetch: gives the bytes from one position up to another, or fails; anything that has the buffer protocol.
        first: those that came with the answer, from ``start`` on.
    """

    # Every consumer sends, copies or drops a piece before it returns (see Stream).
    takes_views = True

    def __init__(self, fetch: Fetch, start: int, stop: int, first: Any) -> None:
        self.length = stop - start
        self._fetch = fetch
        self._stop = stop
        self._consumer: Any = None
        self._ended: Deferred[None] | None = None
        self._paused = self._flowing = False
        self._current = memoryview(first)
        # What is behind it, where that is here already; what is on its way; and up to where all that is asked for.
        self._ahead: memoryview | None = None
        self._fetching: Deferred[Any] | None = None
        self._asked_up_to = start + self._current.nbytes
        self._failure: Failure | None = None

    def join(self, consumer: IConsumer) -> Deferred[None]:
        """Let the bytes flow to ``consumer``; fires when all were written, fails with BodyBroke. Cancelling ends it."""
        ended: Deferred[None] = Deferred(lambda _: self.stopProducing())
        self._consumer, self._ended = consumer, ended
        consumer.registerProducer(self, True)
        self._flow()
        return ended

    def abandon(self) -> None:
        """Read nothing, or no more."""
        self._let_go()

    def pauseProducing(self) -> None:
        """Wait for the consumer (IPushProducer)."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Go on (IPushProducer)."""
        self._paused = False
        self._flow()

    def stopProducing(self) -> None:
        """Nobody wants the rest, and the consumer may be gone (IPushProducer)."""
        self._let_go()
        self._end(Failure(BodyUnwanted("the rest is not wanted")))

    def _flow(self) -> None:
        if self._flowing:
            # A consumer resumes in the midst of a write: what called it goes on.
            return
        self._flowing = True
        try:
            while self._consumer is not None and not self._paused and self._go_on():
                pass
        except Exception:
            # The consumer's own error; whoever joined the two has it.
            consumer = self._consumer
            self._let_go()
            if consumer is not None:
                consumer.unregisterProducer()
            self._end(Failure())
        finally:
            self._flowing = False

    def _go_on(self) -> bool:
        """Write a piece, or see to it that there is one; tell whether to go on at once."""
        self._fetch_ahead()
        if not self._current.nbytes and self._ahead is not None:
            self._current, self._ahead = self._ahead, None
            return True
        if self._current.nbytes:
            piece, self._current = self._current[:_PIECE], self._current[_PIECE:]
            self._consumer.write(piece)
            return True
        if self._failure is not None or (self._asked_up_to >= self._stop and self._fetching is None):
            consumer, self._consumer = self._consumer, None
            consumer.unregisterProducer()
            self._end(self._failure)
        return False

    def _fetch_ahead(self) -> None:
        if self._fetching is None and self._ahead is None and self._failure is None and self._asked_up_to < self._stop:
            start, self._asked_up_to = self._asked_up_to, min(self._asked_up_to + RANGE, self._stop)
            self._fetching = self._fetch(start, self._asked_up_to)
            self._fetching.addCallbacks(self._came, self._did_not_come, callbackArgs=(self._asked_up_to - start,))

    def _came(self, content: Any, expected: int) -> None:
        self._fetching, self._ahead = None, memoryview(content)
        if self._ahead.nbytes != expected:
            # It is another object than it was, or no such store as it should be.
            self._failure = Failure(BodyBroke(f"the object store sent {self._ahead.nbytes} of {expected} bytes"))
            self._ahead = None
        self._flow()

    def _did_not_come(self, failure: Failure) -> None:
        self._fetching = None
        self._failure = Failure(BodyBroke(f"the object store failed in mid-body: {failure.getErrorMessage()}"))
        self._flow()

    def _let_go(self) -> None:
        self._consumer = None
        self._current, self._ahead = memoryview(b""), None
        self._asked_up_to = self._stop
        fetching, self._fetching = self._fetching, None
        if fetching is not None:
            fetching.cancel()

    def _end(self, failure: Failure | None) -> None:
        ended, self._ended = self._ended, None
        if ended is not None and not ended.called:
            if failure is None:
                ended.callback(None)
            else:
                ended.errback(failure)
