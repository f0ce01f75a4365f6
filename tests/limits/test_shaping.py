from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer
from twisted.internet.task import Clock
from zope.interface import implementer

from crproxy.limits.buckets import Bucket
from crproxy.limits.shaping import Limited
from crproxy.sharing.levels import OwnLevel
from crproxy.store.files import FileFlow
from crproxy.upstream.relay import BodyBroke
from tests.memory import ended, failure_of, not_yet
from tests.sources import HandBody

PIECE = 64 * 1024
RATE = 10 * PIECE
# In which a tenth of a second's worth passes at once.
BURST = RATE // 10


@implementer(IConsumer)
class Consumer:
    """Takes everything."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.producer: Any = None

    @property
    def received(self) -> int:
        return sum(map(len, self.pieces))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self.producer is None
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.pieces.append(data)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def consumer() -> Consumer:
    return Consumer()


@pytest.fixture
def bucket(clock: Clock) -> Bucket:
    return Bucket(OwnLevel(), clock, lambda: RATE)


def file_flow(path: Path, size: int) -> FileFlow:
    path.write_bytes(os.urandom(PIECE) * (size // PIECE))
    return FileFlow(os.open(path, os.O_RDONLY), 0, size, size)


def test_a_file_flows_at_the_rate_in_pieces_as_they_are(
    clock: Clock, consumer: Consumer, bucket: Bucket, tmp_path: Path
) -> None:
    size = 100 * PIECE
    done = Limited(file_flow(tmp_path / "file", size), bucket, clock).join(consumer)
    seconds = 0.0
    while not done.called:
        assert consumer.received <= RATE * clock.seconds() + BURST + PIECE
        assert consumer.received >= RATE * clock.seconds() - PIECE
        clock.advance(0.01)
        seconds += 0.01
    ended(done)
    assert consumer.received == size
    assert set(map(len, consumer.pieces)) == {PIECE}
    assert seconds == pytest.approx(size / RATE, rel=0.03)
    assert clock.getDelayedCalls() == []


def test_nothing_happens_while_it_waits(clock: Clock, consumer: Consumer, bucket: Bucket, tmp_path: Path) -> None:
    """It does not ask again and again whether it may go on: there is one call waiting, for when it does."""
    Limited(file_flow(tmp_path / "file", 100 * PIECE), bucket, clock).join(consumer)
    (call,) = clock.getDelayedCalls()
    assert call.getTime() == pytest.approx((consumer.received - BURST) / RATE)


def test_several_that_share_a_bucket_have_equal_shares(clock: Clock, bucket: Bucket, tmp_path: Path) -> None:
    consumers = [Consumer() for _ in range(7)]
    for number, consumer in enumerate(consumers):
        transfer = Bucket(OwnLevel(), clock, lambda: None, bucket)
        Limited(file_flow(tmp_path / str(number), 1000 * PIECE), transfer, clock).join(consumer)
    while clock.seconds() < 30:
        clock.advance(0.003)
    shares = [consumer.received for consumer in consumers]
    # The first had the burst; that is all it has before the others, however long they go on.
    assert max(shares) - min(shares) <= 4 * PIECE
    assert sum(shares) == pytest.approx(30 * RATE, rel=0.04)


def test_many_short_ones_are_as_fast_as_a_long_one(clock: Clock, bucket: Bucket, tmp_path: Path) -> None:
    """Each would be through with its only piece before it had to wait."""
    consumer, number = Consumer(), 0
    while clock.seconds() < 30:
        done = Limited(file_flow(tmp_path / str(number), PIECE), bucket, clock).join(consumer)
        number += 1
        while not done.called:
            clock.advance(0.003)
    assert consumer.received == pytest.approx(30 * RATE, rel=0.02)


def test_the_producer_goes_on_when_neither_the_consumer_is_full_nor_the_bucket(
    clock: Clock, consumer: Consumer, bucket: Bucket
) -> None:
    body = HandBody(None, clock)
    Limited(body, bucket, clock).join(consumer)
    body.send(bytes(RATE))
    assert body.paused
    consumer.producer.pauseProducing()
    clock.advance(10)
    assert body.paused, "the consumer is still full"
    consumer.producer.resumeProducing()
    assert body.is_flowing
    body.send(bytes(RATE))
    consumer.producer.pauseProducing()
    consumer.producer.resumeProducing()
    assert body.paused, "the bucket is still full"
    clock.advance(0.91)
    assert body.is_flowing


def test_a_producer_that_something_else_resumed_is_paused_again(
    clock: Clock, consumer: Consumer, bucket: Bucket
) -> None:
    """Twisted's HTTP client resumes its transport when it begins to give out a body, whatever was said meanwhile."""
    body = HandBody(None, clock)
    Limited(body, bucket, clock).join(consumer)
    body.send(bytes(RATE))
    body.paused = False
    body.send(bytes(RATE))
    assert body.paused
    clock.advance(1.89)
    assert body.paused
    clock.advance(0.02)
    assert body.is_flowing


def test_the_end_needs_no_waiting_for(clock: Clock, consumer: Consumer, bucket: Bucket) -> None:
    body = HandBody(None, clock)
    done = Limited(body, bucket, clock).join(consumer)
    body.send(bytes(RATE))
    body.end()
    assert ended(done) is None
    assert consumer.producer is None
    assert clock.getDelayedCalls() == []
    # But it is not forgotten.
    assert bucket.wait() == pytest.approx(0.9)


@pytest.mark.parametrize("waits", [True, False])
def test_a_consumer_that_is_gone_stops_the_producer(
    clock: Clock, consumer: Consumer, bucket: Bucket, waits: bool
) -> None:
    body = HandBody(None, clock)
    Limited(body, bucket, clock).join(consumer).addErrback(lambda _: None)
    body.send(bytes(RATE if waits else 1))
    consumer.producer.stopProducing()
    assert body.stopped
    clock.advance(10)
    assert not clock.getDelayedCalls()


def test_cancelling_ends_the_body_and_nobody_is_resumed_later(clock: Clock, consumer: Consumer, bucket: Bucket) -> None:
    body = HandBody(None, clock)
    done = Limited(body, bucket, clock).join(consumer)
    body.send(bytes(RATE))
    done.cancel()
    failure_of(done, CancelledError)
    assert body.stopped
    assert clock.getDelayedCalls() == []


def test_cancelling_before_it_may_begin_lets_go_of_the_body(clock: Clock, consumer: Consumer, bucket: Bucket) -> None:
    bucket.add(RATE)
    body = HandBody(None, clock)
    done = Limited(body, bucket, clock).join(consumer)
    assert not_yet(done)
    done.cancel()
    failure_of(done, CancelledError)
    assert body.abandoned
    assert clock.getDelayedCalls() == []


def test_a_body_that_breaks_breaks(clock: Clock, consumer: Consumer, bucket: Bucket) -> None:
    body = HandBody(None, clock)
    done = Limited(body, bucket, clock).join(consumer)
    body.send(bytes(RATE))
    body.cut()
    failure_of(done, BodyBroke)
    assert clock.getDelayedCalls() == []


def test_who_uses_an_account_holds_it_until_the_end(clock: Clock, consumer: Consumer) -> None:
    client = Bucket(OwnLevel(), clock, lambda: RATE)
    body = HandBody(None, clock)
    limited = Limited(body, Bucket(OwnLevel(), clock, lambda: None, client), clock)
    assert client.users == 0
    done = limited.join(consumer)
    assert client.users == 1
    body.end()
    ended(done)
    assert client.users == 0


def test_a_body_in_memory_is_written_when_its_turn_comes(clock: Clock, consumer: Consumer, bucket: Bucket) -> None:
    class Memory:
        length = 5

        def join(self, consumer: IConsumer) -> Deferred[None]:
            consumer.write(b"bytes")
            done: Deferred[None] = Deferred()
            done.callback(None)
            return done

        def abandon(self) -> None:
            raise AssertionError

    bucket.add(2 * RATE)
    limited = Limited(Memory(), bucket, clock)
    done = limited.join(consumer)
    assert (limited.length, consumer.pieces) == (5, [])
    clock.advance(2)
    ended(done)
    assert consumer.pieces == [b"bytes"]
