from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from crproxy.oci.digests import Digest
from crproxy.store.blobs import Blobs, Partial
from crproxy.store.entries import Entry
from crproxy.store.filling import Filling
from tests.memory import ended, not_yet

MIB = 1024 * 1024


class Later:
    """Threads whose work is done when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], object]] = []

    def __call__(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self.waiting.append(lambda: maybeDeferred(work, *args).chainDeferred(done))
        return done

    def work(self) -> None:
        self.waiting.pop(0)()


class Producer:
    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


@pytest.fixture
def threads() -> Later:
    return Later()


@pytest.fixture
def partial(tmp_path: Path) -> Partial:
    partial = Blobs(tmp_path).begin(Entry(Digest.of(b"")))
    assert partial is not None
    return partial


@pytest.fixture
def grown() -> list[int]:
    return []


def noting(grown: list[int], partial: Partial) -> Callable[[], None]:
    """Note what is in the file whenever that has changed."""

    def note() -> None:
        if partial.filled != (grown[-1] if grown else 0):
            grown.append(partial.filled)

    return note


@pytest.fixture(name="filling")
def make_filling(partial: Partial, threads: Later, grown: list[int]) -> Filling:
    return Filling(partial, threads, noting(grown, partial))


@pytest.fixture
def producer(filling: Filling) -> Producer:
    producer = Producer()
    filling.registerProducer(producer, True)
    return producer


def test_what_comes_is_written_in_order_and_told(
    filling: Filling, threads: Later, grown: list[int], tmp_path: Path
) -> None:
    filling.write(b"abc")
    filling.write(b"def")
    filling.write(b"g")
    assert (len(threads.waiting), grown) == (1, [])
    threads.work()
    assert (len(threads.waiting), grown) == (1, [3])
    threads.work()
    assert (threads.waiting, grown) == ([], [3, 7])
    (path,) = (tmp_path / "partial" / "-").iterdir()
    assert path.read_bytes() == b"abcdefg"


def test_what_is_not_in_the_file_yet_is_in_memory(partial: Partial, threads: Later) -> None:
    told: list[tuple[int, int]] = []
    filling = Filling(
        partial,
        threads,
        lambda: told.append((filling.in_memory, filling.received)),
        on_arrival=lambda: told.append((filling.in_memory, filling.received)),
    )
    filling.write(b"abc")
    filling.write(b"de")
    filling.write(b"f")
    assert told == [(0, 3), (0, 5), (0, 6)]
    assert [read(filling, position) for position in range(7)] == [b"abc", b"bc", b"c", b"def", b"ef", b"f", None]
    assert read(filling, 0, 2) == b"ab"
    threads.work()
    assert told[3:] == [(3, 6)]
    assert [read(filling, position) for position in (2, 3, 5)] == [None, b"def", b"f"]
    threads.work()
    assert told[4:] == [(6, 6)]
    assert [read(filling, position) for position in (3, 6)] == [None, None]


def test_what_was_turned_away_is_not_in_memory(partial: Partial, threads: Later) -> None:
    filling = Filling(partial, threads, lambda: None)
    filling.write(b"abc")
    filling.give_up(Failure(OSError()))
    threads.work()
    assert [read(filling, position) for position in range(4)] == [None] * 4


def read(filling: Filling, position: int, wanted: int = 100) -> bytes | None:
    piece = filling.read(position, wanted)
    return None if piece is None else bytes(piece)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def batching(partial: Partial, threads: Later, grown: list[int], clock: Clock) -> Filling:
    """One that waits for more, and has written its first bytes."""
    filling = Filling(partial, threads, noting(grown, partial), clock=clock)
    filling.write(b"x" * (MIB // 4))
    threads.work()
    assert grown == [MIB // 4]
    return filling


def test_a_mebibyte_is_written_at_once(batching: Filling, threads: Later, clock: Clock) -> None:
    for _ in range(3):
        batching.write(b"x" * (MIB // 4))
    assert threads.waiting == []
    batching.write(b"x" * (MIB // 4))
    assert len(threads.waiting) == 1
    assert clock.getDelayedCalls() == []


def test_less_waits_ten_milliseconds_for_more(
    batching: Filling, threads: Later, grown: list[int], clock: Clock
) -> None:
    batching.write(b"abc")
    clock.advance(0.009)
    assert threads.waiting == []
    batching.write(b"def")
    clock.advance(0.002)
    threads.work()
    assert grown == [MIB // 4, MIB // 4 + 6]
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize("end", ["unregisterProducer", "settled"])
def test_the_end_waits_for_nothing(batching: Filling, threads: Later, grown: list[int], clock: Clock, end: str) -> None:
    batching.write(b"abc")
    getattr(batching, end)()
    threads.work()
    assert grown == [MIB // 4, MIB // 4 + 3]
    assert clock.getDelayedCalls() == []


def test_what_is_given_up_waits_for_nothing(batching: Filling, threads: Later, clock: Clock) -> None:
    batching.write(b"abc")
    batching.give_up(Failure(OSError("full")))
    assert clock.getDelayedCalls() == []
    batching.write(b"def")
    assert (threads.waiting, clock.getDelayedCalls()) == ([], [])


def test_an_upstream_that_is_faster_than_the_disk_is_held_back(
    filling: Filling, threads: Later, producer: Producer
) -> None:
    filling.write(b"x" * MIB)
    filling.write(b"x" * MIB)
    assert producer.told == [], "one being written and one waiting are not too many"
    filling.write(b"x")
    filling.write(b"x")
    assert producer.told == ["pause"]
    threads.work()
    assert producer.told == ["pause", "resume"]
    threads.work()
    assert producer.told == ["pause", "resume"]


def test_an_upstream_that_is_slower_is_not(filling: Filling, threads: Later, producer: Producer) -> None:
    for _ in range(10):
        filling.write(b"x" * MIB)
        threads.work()
    assert producer.told == []


def test_the_next_producer_is_held_back_in_its_turn(filling: Filling, threads: Later, producer: Producer) -> None:
    filling.write(b"x")
    filling.write(b"x" * (MIB + 1))
    filling.unregisterProducer()
    threads.work()
    assert producer.told == ["pause"], "it is gone"
    other = Producer()
    filling.registerProducer(other, True)
    filling.write(b"x" * (MIB + 1))
    assert other.told == ["pause"]
    threads.work()
    assert other.told == ["pause", "resume"]


def test_a_disk_that_fails_stops_upstream_and_drops_the_rest(
    filling: Filling, threads: Later, producer: Producer, partial: Partial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(partial, "append", fail)
    filling.write(b"abc")
    filling.write(b"x" * (MIB + 1))
    threads.work()
    assert producer.told == ["pause", "stop"]
    assert filling.failure is not None
    assert filling.failure.check(OSError)
    filling.write(b"more")
    assert threads.waiting == []
    ended(filling.settled())


def test_it_is_settled_when_nothing_is_being_written(filling: Filling, threads: Later) -> None:
    ended(filling.settled())
    filling.write(b"a")
    filling.write(b"b")
    both = [filling.settled(), filling.settled()]
    threads.work()
    assert all(map(not_yet, both))
    threads.work()
    for settled in both:
        ended(settled)
