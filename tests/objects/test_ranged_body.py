from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from crproxy.objects.errors import TierFailed
from crproxy.objects.ranged_body import RANGE, RangedBody
from crproxy.upstream.relay import BodyBroke, BodyUnwanted
from tests.memory import ended, failure_of, not_yet
from tests.upstream.conftest import Consumer

MIB = 1024 * 1024
CONTENT = bytes(range(256)) * (11 * MIB // 256) + b"and the rest"
SIZE = len(CONTENT)


class Store:
    """Has one object, and gives a range of it when the test says so."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content
        self.asked: list[tuple[int, int]] = []
        self.waiting: list[tuple[tuple[int, int], Deferred[Any]]] = []
        self.cancelled = 0

    def fetch(self, start: int, stop: int) -> Deferred[Any]:
        def cancelled(_: object) -> None:
            self.cancelled += 1

        deferred: Deferred[Any] = Deferred(cancelled)
        self.asked.append((start, stop))
        self.waiting.append(((start, stop), deferred))
        return deferred

    def give(self, spoil: int = 0) -> None:
        (start, stop), deferred = self.waiting.pop(0)
        deferred.callback(self.content[start : stop - spoil])

    def give_all(self) -> None:
        while self.waiting:
            self.give()

    def body(self, start: int = 0, stop: int | None = None, first: int = MIB) -> RangedBody:
        stop = len(self.content) if stop is None else stop
        return RangedBody(self.fetch, start, stop, self.content[start : min(start + first, stop)])


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def consumer() -> Consumer:
    return Consumer()


def test_an_object_comes_in_ranges(store: Store, consumer: Consumer) -> None:
    body = store.body()
    assert body.length == SIZE
    joined = body.join(consumer)
    assert consumer.streaming is True
    assert consumer.content == CONTENT[:MIB]
    store.give_all()
    ended(joined)
    assert consumer.content == CONTENT
    assert store.asked == [(MIB, MIB + RANGE), (MIB + RANGE, MIB + 2 * RANGE), (MIB + 2 * RANGE, SIZE)]
    assert (consumer.registered, consumer.unregistered) == (1, 1)


def test_what_came_with_the_answer_is_all_of_a_small_one(store: Store, consumer: Consumer) -> None:
    ended(store.body(5, 1000).join(consumer))
    assert consumer.content == CONTENT[5:1000]
    assert store.asked == []


def test_nothing_has_an_end_at_once(store: Store, consumer: Consumer) -> None:
    ended(RangedBody(store.fetch, 0, 0, b"").join(consumer))
    assert (consumer.pieces, consumer.unregistered) == ([], 1)


def test_a_consumer_that_has_enough_is_given_no_more_and_one_range_is_fetched_ahead(store: Store) -> None:
    class Full(Consumer):
        def write(self, data: bytes | memoryview) -> None:
            super().write(data)
            self.producer.pauseProducing()

    consumer = Full()
    joined = store.body().join(consumer)
    assert list(map(len, consumer.pieces)) == [256 * 1024]
    store.give()
    assert len(store.asked) == 1, "nothing more is asked for while what has come is not taken"
    assert len(consumer.pieces) == 1
    while not_yet(joined):
        consumer.producer.resumeProducing()
        if store.waiting:
            store.give()
    assert consumer.content == CONTENT


def test_a_consumer_may_pause_and_resume_in_a_write(store: Store) -> None:
    class Eager(Consumer):
        def write(self, data: bytes | memoryview) -> None:
            super().write(data)
            self.producer.pauseProducing()
            self.producer.resumeProducing()

    consumer = Eager()
    joined = store.body().join(consumer)
    store.give_all()
    ended(joined)
    assert consumer.content == CONTENT


def test_a_store_that_fails_breaks_the_body_after_what_has_come(store: Store, consumer: Consumer) -> None:
    joined = store.body().join(consumer)
    store.give()
    store.waiting.pop()[1].errback(Failure(TierFailed("it is gone")))
    error = failure_of(joined, BodyBroke)
    assert str(error) == "the object store failed in mid-body: it is gone"
    assert not isinstance(error, BodyUnwanted)
    assert consumer.content == CONTENT[: MIB + RANGE]
    assert consumer.unregistered == 1


@pytest.mark.parametrize("spoil", [1, RANGE, -1])
def test_a_range_of_another_length_breaks_it(store: Store, consumer: Consumer, spoil: int) -> None:
    joined = store.body().join(consumer)
    store.give(spoil)
    assert str(failure_of(joined, BodyBroke)) == f"the object store sent {RANGE - spoil} of {RANGE} bytes"
    assert consumer.content == CONTENT[:MIB]


def test_a_consumer_that_leaves_ends_it(store: Store, consumer: Consumer) -> None:
    joined = store.body().join(consumer)
    consumer.producer.stopProducing()
    failure_of(joined, BodyUnwanted)
    assert store.cancelled == 1
    assert consumer.unregistered == 0, "who was stopped is taken off by whoever stopped it"


def test_a_consumer_may_leave_in_a_write(store: Store) -> None:
    class Leaving(Consumer):
        def write(self, data: bytes | memoryview) -> None:
            super().write(data)
            self.producer.stopProducing()

    consumer = Leaving()
    failure_of(store.body().join(consumer), BodyUnwanted)
    assert len(consumer.pieces) == 1


def test_an_error_of_the_consumer_ends_it(store: Store) -> None:
    class Broken(Consumer):
        def write(self, data: bytes | memoryview) -> None:
            raise OSError("full")

    consumer = Broken()
    assert str(failure_of(store.body().join(consumer), OSError)) == "full"
    assert (consumer.unregistered, store.cancelled) == (1, 1)


def test_cancelling_ends_it(store: Store, consumer: Consumer) -> None:
    joined = store.body().join(consumer)
    joined.cancel()
    failure_of(joined, BodyUnwanted)
    assert store.cancelled == 1


def test_nothing_is_asked_for_one_that_is_abandoned(store: Store) -> None:
    body = store.body()
    body.abandon()
    body.abandon()
    assert store.asked == []


@given(st.integers(0, 3 * RANGE), st.integers(0, 3 * RANGE), st.integers(1, 2 * MIB), st.lists(st.booleans()))
def test_any_part_comes_whole_whoever_pauses_when(start: int, length: int, first: int, pauses: list[bool]) -> None:
    store, start = Store(), min(start, SIZE)
    stop = min(start + length, SIZE)
    rest = iter(pauses)

    class Fickle(Consumer):
        paused = False

        def write(self, data: bytes | memoryview) -> None:
            assert not self.paused
            super().write(data)
            if next(rest, False):
                self.paused = True
                self.producer.pauseProducing()

    consumer = Fickle()
    joined = store.body(start, stop, first).join(consumer)
    while not_yet(joined):
        assert len(store.waiting) <= 1
        if store.waiting:
            store.give()
        if consumer.paused and consumer.producer is not None:
            consumer.paused = False
            consumer.producer.resumeProducing()
    ended(joined)
    assert consumer.content == CONTENT[start:stop]
