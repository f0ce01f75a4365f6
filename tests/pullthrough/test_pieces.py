from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

from crproxy.pullthrough.pieces import PIECE, Pieces
from tests.memory import ended, failure_of, not_yet

CONTENT = bytes(range(256)) * 1024


@implementer(IConsumer)
class Consumer:
    """Takes a few pieces, and then asks to wait."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.pieces: list[bytes] = []
        self.producer: IPushProducer | None = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.pieces.append(data)
        if len(self.pieces) % self.room == 0 and self.producer is not None:
            self.producer.pauseProducing()

    def read_on(self) -> None:
        assert self.producer is not None
        self.producer.resumeProducing()


def joined(consumer: Consumer) -> Deferred[None]:
    return Pieces(CONTENT).join(consumer)


def test_they_flow_as_they_are_taken() -> None:
    consumer = Consumer(room=1)
    flowing = joined(consumer)
    for number in range(1, 4):
        assert b"".join(consumer.pieces) == CONTENT[: number * PIECE]
        assert not_yet(flowing)
        consumer.read_on()
    ended(flowing)
    assert (b"".join(consumer.pieces), consumer.producer) == (CONTENT, None)


def test_at_once_where_there_is_room() -> None:
    consumer = Consumer(room=100)
    ended(joined(consumer))
    assert b"".join(consumer.pieces) == CONTENT


def test_a_consumer_that_goes_on_while_it_is_written_to_has_each_piece_once() -> None:
    class Eager(Consumer):
        def write(self, data: bytes) -> None:
            super().write(data)
            if self.producer is not None:
                self.read_on()

    consumer = Eager(room=1)
    ended(joined(consumer))
    assert b"".join(consumer.pieces) == CONTENT


def test_nothing_flows_to_a_consumer_that_is_gone() -> None:
    consumer = Consumer(room=1)
    flowing = joined(consumer)
    producer = consumer.producer
    assert producer is not None
    producer.stopProducing()
    producer.resumeProducing()
    assert len(consumer.pieces) == 1
    flowing.cancel()
    failure_of(flowing, CancelledError)
