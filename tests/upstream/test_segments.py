from __future__ import annotations

import sys

from twisted.internet.task import Clock

from crproxy.upstream.segments import Memory, Segment
from tests.sources import HandBody
from tests.upstream.conftest import Consumer


def kept(segment: Segment) -> Consumer:
    """What it keeps, written."""
    consumer = Consumer()
    segment.drain(consumer.write, lambda: True)
    return consumer


def test_what_comes_is_kept_until_it_is_drained() -> None:
    segment = Segment(10, 20, Memory())
    segment.write(b"abc")
    segment.write(memoryview(b"def"))
    assert kept(segment).content == b"abcdef"
    assert segment.is_empty


def test_many_small_pieces_take_no_more_memory_than_their_bytes() -> None:
    segment = Segment(0, 400_000, Memory())
    for _ in range(200_000):
        segment.write(b"ab")
    pieces = kept(segment).pieces
    assert sum(map(len, pieces)) == 400_000
    assert sum(map(sys.getsizeof, pieces)) < 410_000


def test_a_piece_is_copied() -> None:
    segment, piece = Segment(0, 3, Memory()), bytearray(b"abc")
    segment.write(memoryview(piece))
    piece[:] = b"xyz"
    assert kept(segment).content == b"abc"


def test_draining_ends_where_no_more_may_be_written() -> None:
    segment = Segment(0, 200_000, Memory())
    segment.write(bytes(200_000))
    consumer = Consumer()
    segment.drain(consumer.write, lambda: len(consumer.pieces) < 2)
    assert (len(consumer.content), segment.is_empty) == (2 * 64 * 1024, False)


def test_memory_is_taken_and_given_back_once() -> None:
    memory = Memory(100)
    segment = Segment(0, 60, memory, reserved=60)
    assert memory.free == 40
    segment.pass_through(lambda _: None)
    assert (memory.free, segment.reserved) == (100, 0)
    segment.forget()
    assert memory.free == 100


def test_what_goes_straight_on_is_not_kept() -> None:
    segment, consumer = Segment(0, 60, Memory()), Consumer()
    write = consumer.write
    segment.pass_through(write)
    assert segment.write is write, "no call more for each piece"
    segment.write(b"abc")
    assert (consumer.content, segment.is_empty) == (b"abc", True)


def test_what_is_asked_for_by_nobody_is_missing_until_it_is_complete() -> None:
    segment = Segment(10, 20, Memory())
    assert (segment.is_missing, segment.is_untouched, segment.is_complete) == (True, True, False)
    segment.end_at(10)
    assert (segment.is_missing, segment.is_complete) == (False, True)
    segment.end_at(None)
    assert (segment.is_missing, segment.is_complete) == (True, False), "nobody knows its end"


def test_a_paused_one_holds_back_what_comes_and_what_begins() -> None:
    clock, consumer = Clock(), Consumer()
    segment, body = Segment(0, 60, Memory()), HandBody(60, clock)
    segment.pass_through(consumer.write)
    segment.pause()
    body.join(segment)
    assert (body.paused, segment.is_through) == (True, False)
    body.resumeProducing()
    body.send(b"abc")
    assert (body.paused, consumer.content) == (True, b"")
    segment.resume()
    assert not body.paused
    assert kept(segment).content == b"abc"


def test_one_that_was_not_paused_is_not_resumed() -> None:
    segment, body = Segment(0, 60, Memory()), HandBody(60, Clock())
    body.join(segment)
    body.pauseProducing()
    segment.resume()
    assert body.paused, "somebody else holds it back: a limit"
