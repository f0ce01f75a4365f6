from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer
from twisted.internet.task import Clock
from zope.interface import implementer

from crproxy.limits.buckets import Bucket
from crproxy.limits.shaping import Limited
from crproxy.policy.parts import runs_of
from crproxy.policy.ranges import Slice
from crproxy.pullthrough.blob_replies import span_of
from crproxy.pullthrough.multipart import Multipart
from crproxy.sharing.levels import OwnLevel
from crproxy.store.files import FileFlow
from crproxy.upstream.relay import BodyBroke
from tests.descriptors import descriptors
from tests.memory import ended, failure_of, not_yet
from tests.multiparts import Part, parts_to_the_letter
from tests.sources import HandBody
from tests.upstream.conftest import Consumer

SIZE = 3000
CONTENT = random.Random(2).randbytes(SIZE)
TYPE = "application/octet-stream"
FEW = [Slice(10, 20, SIZE), Slice(20, 40, SIZE), Slice(100, 2000, SIZE)]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("multipart") / "content"
    path.write_bytes(CONTENT)
    return path


def stored(path: Path, parts: list[Slice]) -> Multipart:
    """Parts of a file, as those of a stored blob are."""
    runs = runs_of(parts)
    spans = [span_of(run) for run in runs]
    flows = [FileFlow(os.open(path, os.O_RDONLY), span.start, span.stop, SIZE) for span in spans]
    return Multipart(runs, flows, TYPE)


def meant(parts: list[Slice]) -> list[Part]:
    return [Part(part.start, part.stop - 1, part.size, CONTENT[part.start : part.stop]) for part in parts]


@implementer(IConsumer)
@dataclass
class Picky(Consumer):
    """Takes of a file, and of memory, as few bytes as it likes, and is full whenever it likes."""

    takes: Iterator[int] = field(default_factory=lambda: iter(()))
    read: int = 0

    def _take(self) -> int:
        return next(self.takes, SIZE)

    def write(self, data: bytes | memoryview) -> None:
        super().write(data)
        if self._take() % 3 == 0 and self.producer is not None:
            self.producer.pauseProducing()

    def send_file(self, fd: int, offset: int, count: int) -> int:
        data = os.pread(fd, min(count, self._take()), offset)
        self.read += len(data)
        if data:
            self.write(data)
        elif self.producer is not None:
            self.producer.pauseProducing()
        return len(data)

    def send_view(self, view: memoryview) -> int:
        taken = view[: self._take()]
        self.write(taken)
        return len(taken)


def drain(done: Deferred[None], consumer: Consumer) -> None:
    """Have the consumer take more until it has all."""
    for _ in range(20_000):
        if done.called or consumer.producer is None:
            break
        consumer.producer.resumeProducing()
    ended(done)


slices = st.builds(
    lambda start, length: Slice(start, min(start + length, SIZE), SIZE), st.integers(0, SIZE - 1), st.integers(1, 500)
)
some = st.lists(slices, min_size=2, max_size=8)


@pytest.mark.security("S19")
@given(some, st.lists(st.integers(0, 700), max_size=60))
def test_whatever_the_parts_and_the_consumer_they_come_as_they_are(
    path: Path, parts: list[Slice], takes: list[int]
) -> None:
    body = stored(path, parts)
    consumer = Picky(takes=iter(takes))
    drain(body.join(consumer), consumer)
    assert body.length == len(consumer.content)
    assert parts_to_the_letter(body.content_type, consumer.content) == meant(parts)
    # What is between them is not even read.
    assert consumer.read == sum(part.length for part in parts)
    assert (consumer.registered, consumer.unregistered) == (1, 1)


@given(some, st.lists(st.integers(1, 700), max_size=60))
def test_so_they_do_from_a_connection_and_from_memory(parts: list[Slice], sizes: list[int]) -> None:
    runs = runs_of(parts)
    for by_views in (False, True):
        bodies = [HandBody(None, Clock()) for _ in runs]
        body = Multipart(runs, bodies, TYPE)
        consumer = Picky()
        done = body.join(consumer)
        for run, hand in zip(runs, bodies, strict=True):
            drain_waiting(consumer)
            position, left = run[0].start, iter(sizes)
            while position < run[-1].stop:
                piece = memoryview(CONTENT)[position : min(position + next(left, SIZE), run[-1].stop)]
                position += give(hand, piece, by_views=by_views)
            hand.end()
        ended(done)
        assert parts_to_the_letter(body.content_type, consumer.content) == meant(parts)


def give(hand: HandBody, piece: memoryview, *, by_views: bool) -> int:
    consumer: Any = hand._consumer
    if by_views:
        taken: int = consumer.send_view(piece)
        return taken
    consumer.write(bytes(piece) if len(piece) % 2 else piece)
    return len(piece)


def drain_waiting(consumer: Consumer) -> None:
    if consumer.producer is not None:
        consumer.producer.resumeProducing()


def test_no_two_bodies_have_one_boundary(path: Path) -> None:
    bodies = [stored(path, FEW) for _ in range(50)]
    assert len({body.content_type for body in bodies}) == 50
    for body in bodies:
        body.abandon()


# Backpressure


def test_a_consumer_that_is_full_gets_no_more_parts(path: Path) -> None:
    class Full(Consumer):
        def write(self, data: bytes | memoryview) -> None:
            super().write(data)
            if self.producer is not None:
                self.producer.pauseProducing()

    consumer = Full()
    parts = [Slice(100 * number, 100 * number + 10, SIZE) for number in (9, 7, 5, 3)]
    done = stored(path, parts).join(consumer)
    for number in range(1, 4):
        assert not_yet(done)
        # Each time a head, and its part in one piece.
        assert len(consumer.pieces) == 2 * number
        consumer.producer.resumeProducing()
    ended(done)
    assert len(consumer.pieces) == 2 * 4 + 1


def test_many_short_bodies_pass_no_faster_than_a_limit_says() -> None:
    """A bucket is asked after each piece; with a producer for each body, one piece of each would pass unasked."""
    clock = Clock()
    runs = [(Slice(100 * number, 100 * number + 10, SIZE),) for number in range(20)]
    bodies = [HandBody(None, clock) for _ in runs]
    consumer = Consumer()
    bucket = Bucket(OwnLevel(), clock, lambda: 100.0)
    done = Limited(Multipart(runs, bodies, TYPE), bucket, clock).join(consumer)
    for number, body in enumerate(bodies):
        while body._consumer is None:
            clock.advance(0.1)
        body.send(CONTENT[100 * number : 100 * number + 10])
        body.end()
    clock.pump([0.1] * 100)
    ended(done)
    # Of each part's 10 bytes and the head's 120 the last ones need not be waited for.
    assert clock.seconds() > (len(consumer.content) - 200) / 100


def test_what_is_between_parts_costs_next_to_nothing_however_much_it_is(tmp_path: Path) -> None:
    class Counted(FileFlow):
        sends = 0

        def _send(self, consumer: Any, wanted: int) -> int:
            self.sends += 1
            return super()._send(consumer, wanted)

    size = 100 * 1024**3
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(size)
    flow = Counted(os.open(path, os.O_RDONLY), 0, size, size)
    body = Multipart([(Slice(0, 1, size), Slice(size - 1, size, size))], [flow], TYPE)
    consumer = Consumer()
    ended(body.join(consumer))
    assert len(consumer.content) == body.length
    assert flow.sends < 500


# Ends


def test_a_body_that_has_too_little_breaks_it(path: Path) -> None:
    clock = Clock()
    hand, later = HandBody(None, clock), HandBody(None, clock)
    body = Multipart([(FEW[0],), (FEW[1],)], [hand, later], TYPE)
    consumer = Consumer()
    done = body.join(consumer)
    hand.send(CONTENT[10:15])
    hand.end()
    error = failure_of(done, BodyBroke)
    assert str(error) == "the bytes ended at 15, and a part at 20"
    assert later.abandoned
    assert (consumer.producer, consumer.unregistered) == (None, 1)


def test_it_breaks_as_a_body_does() -> None:
    hand, later = HandBody(None, Clock()), HandBody(None, Clock())
    done = Multipart([(FEW[0],), (FEW[1],)], [hand, later], TYPE).join(Consumer())
    hand.cut()
    failure_of(done, BodyBroke)
    assert later.abandoned


def test_what_is_more_than_a_run_is_dropped() -> None:
    hand = HandBody(None, Clock())
    body = Multipart([(FEW[0], FEW[1])], [hand], TYPE)
    consumer = Consumer()
    done = body.join(consumer)
    hand.send(CONTENT[10:90])
    hand.end()
    ended(done)
    assert len(consumer.content) == body.length


def test_a_client_that_leaves_ends_all_bodies() -> None:
    hand, later = HandBody(None, Clock()), HandBody(None, Clock())
    consumer = Consumer()
    done = Multipart([(FEW[0],), (FEW[1],)], [hand, later], TYPE).join(consumer)
    consumer.producer.stopProducing()
    assert hand.stopped
    done.cancel()
    failure_of(done, CancelledError)
    assert later.abandoned
    # Nobody is told who is gone.
    assert consumer.unregistered == 0


def test_so_does_one_that_leaves_while_it_is_full() -> None:
    hand, later = HandBody(None, Clock()), HandBody(None, Clock())
    consumer = Consumer()
    done = Multipart([(FEW[0],), (FEW[1],)], [hand, later], TYPE).join(consumer)
    hand.send(CONTENT[10:20])
    consumer.producer.pauseProducing()
    hand.end()
    assert (not_yet(done), later._consumer) == (True, None)
    done.cancel()
    failure_of(done, CancelledError)
    assert later.abandoned


def test_a_body_that_begins_while_the_consumer_is_full_waits() -> None:
    hand = HandBody(None, Clock())
    consumer = Consumer()
    Multipart([(FEW[0],)], [hand], TYPE).join(consumer)
    consumer.producer.pauseProducing()
    assert hand.paused
    # One that was cut, and is asked for again.
    cut: Any = hand._consumer
    cut.unregisterProducer()
    again = HandBody(None, Clock())
    again.join(cut)
    assert again.paused
    consumer.producer.resumeProducing()
    assert again.is_flowing


def test_it_can_be_let_go_of(path: Path) -> None:
    before = descriptors()
    body = stored(path, [FEW[2], FEW[0]])
    assert descriptors() == before + 2
    body.abandon()
    assert descriptors() == before
