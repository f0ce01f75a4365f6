from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure

from crproxy.store.files import FileFlow
from tests.memory import ended, failure_of, not_yet
from tests.upstream.conftest import Consumer

CONTENT = bytes(range(256)) * 1024
SIZE = len(CONTENT)


class Broke(Exception):
    """What the test breaks it with."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def fd(path: Path) -> Iterator[int]:
    """Of the file; closed by the end of each test."""
    fd = os.open(path, os.O_RDONLY)
    yield fd
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


@pytest.fixture
def consumer() -> Consumer:
    return Consumer()


def test_a_whole_file_is_written_in_pieces(fd: int, consumer: Consumer) -> None:
    flow = FileFlow(fd, 0, SIZE, SIZE)
    assert flow.length == SIZE
    ended(flow.join(consumer))
    assert consumer.content == CONTENT
    assert max(map(len, consumer.pieces)) == 64 * 1024
    assert (consumer.registered, consumer.unregistered, consumer.producer) == (1, 1, None)


def test_a_part_is_written_alone(fd: int, consumer: Consumer) -> None:
    flow = FileFlow(fd, 1000, 3000, SIZE)
    assert flow.length == 2000
    ended(flow.join(consumer))
    assert consumer.content == CONTENT[1000:3000]


def test_nothing_is_written_at_once(fd: int, consumer: Consumer) -> None:
    ended(FileFlow(fd, 5, 5, SIZE).join(consumer))
    assert (consumer.pieces, consumer.unregistered) == ([], 1)


def test_a_consumer_that_is_full_gets_no_more(fd: int) -> None:
    class Full(Consumer):
        def write(self, data: bytes | memoryview) -> None:
            super().write(data)
            self.producer.pauseProducing()

    consumer = Full()
    done = FileFlow(fd, 0, SIZE, SIZE).join(consumer)
    for count in range(1, 4):
        assert (len(consumer.pieces), not_yet(done)) == (count, True)
        consumer.producer.resumeProducing()
    assert len(consumer.pieces) == 4
    ended(done)
    assert consumer.content == CONTENT


def test_a_consumer_that_resumes_in_the_midst_of_a_write_gets_each_byte_once(fd: int) -> None:
    class Eager(Consumer):
        def write(self, data: bytes | memoryview) -> None:
            super().write(data)
            self.producer.pauseProducing()
            self.producer.resumeProducing()

    consumer = Eager()
    ended(FileFlow(fd, 0, SIZE, SIZE).join(consumer))
    assert consumer.content == CONTENT


def test_a_growing_file_is_followed(fd: int, consumer: Consumer) -> None:
    flow = FileFlow(fd, 10, None, 20)
    done = flow.join(consumer)
    assert (flow.length, consumer.content) == (None, CONTENT[10:20])
    flow.grow(20)
    flow.grow(50)
    assert consumer.content == CONTENT[10:50]
    assert not_yet(done)
    flow.end(100)
    ended(done)
    assert (flow.length, consumer.content) == (90, CONTENT[10:100])


def test_one_that_starts_ahead_waits(fd: int, consumer: Consumer) -> None:
    flow = FileFlow(fd, 50, 60, 20)
    done = flow.join(consumer)
    flow.grow(50)
    assert consumer.pieces == []
    flow.grow(70)
    ended(done)
    assert consumer.content == CONTENT[50:60]


def test_growing_while_paused_writes_nothing(fd: int, consumer: Consumer) -> None:
    flow = FileFlow(fd, 0, None, 0)
    done = flow.join(consumer)
    flow.pauseProducing()
    flow.end(30)
    assert (consumer.pieces, not_yet(done)) == ([], True)
    flow.resumeProducing()
    ended(done)
    assert consumer.content == CONTENT[:30]


def test_what_ended_before_it_was_joined_is_written(fd: int, consumer: Consumer) -> None:
    flow = FileFlow(fd, 0, None, 0)
    flow.end(30)
    ended(flow.join(consumer))
    assert consumer.content == CONTENT[:30]


def test_a_failure_comes_after_what_may_be_read(fd: int, consumer: Consumer) -> None:
    flow = FileFlow(fd, 0, None, 20)
    done = flow.join(consumer)
    flow.pauseProducing()
    flow.grow(30)
    flow.fail(Failure(Broke()))
    assert not_yet(done)
    flow.resumeProducing()
    failure_of(done, Broke)
    assert (consumer.content, consumer.producer) == (CONTENT[:30], None)


def test_a_part_that_can_be_had_whole_does_not_fail(fd: int, consumer: Consumer) -> None:
    flow = FileFlow(fd, 0, 20, 30)
    flow.fail(Failure(Broke()))
    ended(flow.join(consumer))
    assert consumer.content == CONTENT[:20]


def test_a_file_that_is_shorter_than_was_said_fails(fd: int, consumer: Consumer) -> None:
    done = FileFlow(fd, 0, SIZE + 1, SIZE + 1).join(consumer)
    assert str(failure_of(done, EOFError)) == f"the file ends at byte {SIZE}"
    assert consumer.content == CONTENT


def test_a_file_that_cannot_be_read_fails(tmp_path: Path, consumer: Consumer) -> None:
    flow = FileFlow(os.open(tmp_path, os.O_RDONLY), 0, 1, 1)
    failure_of(flow.join(consumer), OSError)
    assert consumer.producer is None


def test_a_consumer_that_is_gone_is_not_written_to(fd: int, consumer: Consumer) -> None:
    flow = FileFlow(fd, 0, None, 20)
    flow.join(consumer)
    consumer.producer.stopProducing()
    flow.end(30)
    flow.fail(Failure(Broke()))
    flow.resumeProducing()
    assert consumer.content == CONTENT[:20]


def test_a_consumer_that_goes_in_the_midst_of_a_write_is_not_written_to(fd: int) -> None:
    class Leaving(Consumer):
        def write(self, data: bytes | memoryview) -> None:
            super().write(data)
            self.producer.stopProducing()

    consumer = Leaving()
    FileFlow(fd, 0, SIZE, SIZE).join(consumer)
    assert len(consumer.pieces) == 1


def test_cancelling_ends_it(fd: int, consumer: Consumer) -> None:
    done = FileFlow(fd, 0, None, 20).join(consumer)
    done.cancel()
    failure_of(done, CancelledError)


def test_what_is_abandoned_is_closed(fd: int) -> None:
    flow = FileFlow(fd, 0, SIZE, SIZE)
    flow.abandon()
    flow.abandon()


@given(st.lists(st.integers(0, 300)), st.integers(0, 300), st.integers(0, 300))
def test_however_it_grows_the_same_bytes_come(grown: list[int], start: int, length: int) -> None:
    fd = os.memfd_create("growing")
    os.write(fd, CONTENT[:1000])
    consumer = Consumer()
    flow = FileFlow(fd, start, start + length, 0)
    done = flow.join(consumer)
    for readable in sorted(grown):
        flow.grow(readable)
        assert consumer.content == CONTENT[start : min(readable, start + length)]
    flow.end(1000)
    ended(done)
    assert consumer.content == CONTENT[start : start + length]
