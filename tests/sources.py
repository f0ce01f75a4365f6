"""An upstream's side of one blob (Source), played by hand: what is asked waits until the test answers it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.errors import RegistryError
from crproxy.upstream.client import Streamed
from crproxy.upstream.relay import BodyBroke
from crproxy.upstream.resuming import Parallel

__all__ = ["HandBody", "HandParallel", "HandSource", "ManySource", "Question"]


class HandBody:
    """A body (Relay) whose bytes come when the test sends them."""

    def __init__(self, length: int | None, clock: Clock) -> None:
        self.length = length
        self.paused = False
        self.stopped = False
        self.abandoned = False
        self.done: Deferred[None] = Deferred(lambda _: self._stop())
        self._clock = clock
        self._consumer: IConsumer | None = None

    @property
    def is_flowing(self) -> bool:
        return not self.paused

    def join(self, consumer: IConsumer) -> Deferred[None]:
        self._consumer = consumer
        consumer.registerProducer(self, True)  # type: ignore[arg-type]
        return self.done

    def abandon(self) -> None:
        self.abandoned = True

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def stopProducing(self) -> None:
        self._stop()
        # A connection tells that it is closed later than it is told to.
        self._clock.callLater(0, self._lost)

    def send(self, data: bytes) -> None:
        assert self._consumer is not None
        self._consumer.write(data)

    def end(self) -> None:
        assert self._consumer is not None
        self._consumer.unregisterProducer()
        self.done.callback(None)

    def cut(self) -> None:
        assert self._consumer is not None
        self._consumer.unregisterProducer()
        self.done.errback(BodyBroke("cut"))

    def _stop(self) -> None:
        self.stopped = True

    def _lost(self) -> None:
        if not self.done.called:
            self.done.errback(BodyBroke("stopped"))


@dataclass(eq=False)
class HandSource:
    """What is asked is in ``asked``; the last question is answered by `answer`, or `refuse`."""

    content: bytes
    clock: Clock
    asked: list[tuple[int, int | None]] = field(default_factory=list)
    sized: int = 0
    size_error: RegistryError | None = None
    parallel: Parallel | None = None
    cancelled: int = 0
    blamed: int = 0
    _waiting: list[Deferred[Streamed]] = field(default_factory=list)

    @property
    def digest(self) -> Digest:
        return Digest.of(self.content)

    async def open(self, start: int, stop: int | None) -> Streamed:
        self.asked.append((start, stop))
        waiter: Deferred[Streamed] = Deferred(self._forget)
        self._waiting.append(waiter)
        return await waiter

    async def size(self) -> int | None:
        self.sized += 1
        if self.size_error is not None:
            raise self.size_error
        return len(self.content)

    def blame(self) -> None:
        self.blamed += 1

    def answer(self, status: int | None = None, *, length: int | None = -1, **headers: str) -> HandBody:
        """Answer with the header: 200 or 206 as it was asked, unless told otherwise."""
        start, stop = self.asked[-1]
        whole = start == 0 and stop is None
        status = (200 if whole else 206) if status is None else status
        end = len(self.content) if stop is None else min(stop, len(self.content))
        if status == 206 and not headers:
            headers = {"content_range": f"bytes {start}-{end - 1}/{len(self.content)}"}
        if length == -1:
            length = len(self.content) if status == 200 else end - start
        body = HandBody(length, self.clock)
        streamed = Streamed(status, {name.replace("_", "-"): value for name, value in headers.items()}, cast(Any, body))
        self._waiting.pop().callback(streamed)
        return body

    @property
    def is_waited_for(self) -> bool:
        """Whether a question is not answered yet."""
        return bool(self._waiting)

    def send_all(self) -> None:
        """Answer, send all that was asked for, and end."""
        start, stop = self.asked[-1]
        body = self.answer()
        body.send(self.content[start:stop])
        body.end()

    def refuse(self, error: Exception) -> None:
        self._waiting.pop().errback(error)

    def _forget(self, waiter: Deferred[Streamed]) -> None:
        self.cancelled += 1
        self._waiting.remove(waiter)


@dataclass
class HandParallel:
    """How a source may be asked for several parts at once: as the test says."""

    connections: int = 4
    refusals: int = 0

    def refused(self, error: RegistryError) -> None:
        self.refusals += 1


@dataclass(eq=False)
class Question:
    """One of those that a `ManySource` was asked, to be answered whenever the test likes."""

    source: ManySource
    start: int
    stop: int | None
    waiter: Deferred[Streamed]
    body: HandBody | None = None
    # What goes out next, and where that ends.
    position: int = 0
    end: int = 0
    is_over: bool = False

    @property
    def is_flowing(self) -> bool:
        return self.body is not None and not self.is_over and not self.body.stopped and self.body.is_flowing

    @property
    def is_alive(self) -> bool:
        """Whether it is waited for, or its body is."""
        return not self.is_over and (self.body is None or not self.body.stopped)

    def answer(self, status: int | None = None, *, size: int | None = None, **headers: str) -> HandBody:
        size = len(self.source.content) if size is None else size
        status = (200 if self.start == 0 and self.stop is None else 206) if status is None else status
        self.position = 0 if status == 200 else self.start
        self.end = len(self.source.content) if status == 200 or self.stop is None else self.stop
        if status == 206:
            headers = {"content_range": f"bytes {self.start}-{self.end - 1}/{size}"} | headers
        self.body = HandBody(size if status == 200 else self.end - self.start, self.source.clock)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.waiter.callback(Streamed(status, named, cast(Any, self.body)))
        self.is_over = self.body.abandoned
        return self.body

    def refuse(self, error: Exception) -> None:
        self.is_over = True
        self.waiter.errback(error)

    def send(self, count: int) -> None:
        """Send so many bytes more, or all that there are; at the end of them the body ends."""
        assert self.body is not None
        piece = self.source.content[self.position : min(self.position + count, self.end)]
        self.position += len(piece)
        self.body.send(piece)
        if self.position == self.end and not self.body.stopped:
            self.is_over = True
            self.body.end()

    def send_all(self) -> None:
        while self.is_flowing:
            self.send(1000)

    def cut(self) -> None:
        assert self.body is not None
        self.is_over = True
        self.body.cut()


@dataclass(eq=False)
class ManySource:
    """A source (Source) that is asked for several parts at once, each question of which is in ``questions``."""

    content: bytes
    clock: Clock
    parallel: HandParallel = field(default_factory=HandParallel)
    questions: list[Question] = field(default_factory=list)

    async def open(self, start: int, stop: int | None) -> Streamed:
        question = Question(self, start, stop, Deferred(lambda _: setattr(question, "is_over", True)))
        self.questions.append(question)
        return await question.waiter

    async def size(self) -> int | None:
        return len(self.content)

    def blame(self) -> None:
        """Nobody gave it."""

    @property
    def alive(self) -> list[Question]:
        """Those that are not over."""
        return [question for question in self.questions if question.is_alive]

    @property
    def ranges(self) -> list[tuple[int, int | None]]:
        """What was asked for, in its order."""
        return [(question.start, question.stop) for question in self.questions]
