"""A flight that one slow connection would bring comes over several."""

from __future__ import annotations

import errno
from random import Random
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.flights import Flight, Flights
from crproxy.oci.digests import Digest
from crproxy.store.entries import Entry
from crproxy.store.store import Store
from tests.flights.conftest import reading, whole
from tests.memory import ended
from tests.sources import ManySource
from tests.stores import MIB

pytestmark = pytest.mark.usefixtures("nothing_is_left_open")

LARGE = Random(1).randbytes(MIB) * 72


@pytest.fixture
def slow(clock: Clock) -> ManySource:
    return ManySource(LARGE, clock)


def slow_flight(flights: Flights, slow: ManySource) -> Flight:
    flight = flights.begin(Entry(Digest.of(LARGE)), slow)
    slow.questions[0].answer()
    return flight


def a_second(slow: ManySource, clock: Clock) -> None:
    """At 4 MiB/s, from a connection that proves slow."""
    for _ in range(2):
        slow.questions[0].send(2 * MIB)
        clock.advance(0.5)


def test_a_slow_flight_that_is_read_is_brought_by_several(
    flights: Flights, slow: ManySource, clock: Clock, store: Store
) -> None:
    flight = slow_flight(flights, slow)
    reader, done = reading(flight)
    a_second(slow, clock)
    assert [start // MIB for start, _ in slow.ranges] == [0, 16, 28, 39]
    while not done.called:
        for question in slow.alive:
            if question.body is None:
                question.answer()
            question.send_all()
        clock.advance(0.1)
    ended(done)
    assert reader.content == LARGE
    assert whole(store, Entry(Digest.of(LARGE))) == LARGE


def test_one_that_is_waited_for_is_too(flights: Flights, slow: ManySource, clock: Clock) -> None:
    flight = slow_flight(flights, slow)
    waiting = Deferred.fromCoroutine(flight.finished())
    a_second(slow, clock)
    assert len(slow.ranges) == 4
    waiting.addErrback(lambda _: None)


def test_one_whose_readers_are_slower_is_not(flights: Flights, slow: ManySource, clock: Clock) -> None:
    flight = slow_flight(flights, slow)
    reader, done = reading(flight)
    slow.questions[0].send(MIB)
    reader.producer.pauseProducing()
    slow.questions[0].send(6 * MIB)
    a_second(slow, clock)
    assert len(slow.ranges) == 1
    reader.producer.resumeProducing()
    a_second(slow, clock)
    assert len(slow.ranges) == 4
    done.addErrback(lambda _: None)


def test_one_that_nobody_reads_is_not(flights: Flights, slow: ManySource, clock: Clock) -> None:
    slow_flight(flights, slow)
    a_second(slow, clock)
    assert len(slow.ranges) == 1


def test_what_the_disk_takes_nothing_of_comes_over_one(
    flights: Flights, slow: ManySource, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(flights.needs.blobs, "begin", refuse)
    flight = slow_flight(flights, slow)
    _, done = reading(flight)
    a_second(slow, clock)
    assert len(slow.ranges) == 1
    done.addErrback(lambda _: None)
