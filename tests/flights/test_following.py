from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock

from crproxy.flights import Flight, Flights, flight
from crproxy.flights.window import Windows
from crproxy.oci.digests import Digest
from crproxy.policy.ranges import Slice
from crproxy.store import blocks
from crproxy.store.blobs import Partial, WrongContent
from crproxy.store.entries import Entry
from tests.memory import ended, failure_of, not_yet
from tests.sources import HandBody, HandSource
from tests.stores import close_indexes, make_dependencies, make_store
from tests.upstream.conftest import Consumer

CONTENT = bytes(range(200))
SIZE = len(CONTENT)


class Disk:
    """Threads in which only writes wait until the test lets them be done. There is no room from ``full_at`` on."""

    def __init__(self, full_at: int | None) -> None:
        self.waiting: list[Callable[[], object]] = []
        self._full_at = full_at

    def __call__(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        if getattr(work, "__name__", "") != "append":
            return maybeDeferred(work, *args)
        done: Deferred[Any] = Deferred()
        partial: Partial = work.__self__  # type: ignore[attr-defined]
        content = b"".join(*args)
        half = len(content) // 2
        self.waiting.append(lambda: self._append(partial, content[:half]))
        self.waiting.append(lambda: maybeDeferred(self._end, partial, content[half:]).chainDeferred(done))
        return done

    def work(self) -> None:
        if self.waiting:
            self.waiting.pop(0)()

    def _append(self, partial: Partial, content: bytes) -> bool:
        room = len(content) if self._full_at is None else self._full_at - partial.filled
        partial.append([content[: max(0, room)]])
        return room >= len(content)

    def _end(self, partial: Partial, content: bytes) -> None:
        if not self._append(partial, content):
            raise OSError(errno.ENOSPC, "No space left on device")


class Reading:
    """One reader, which takes what comes unless it is paused."""

    def __init__(self, flight: Flight, start: int) -> None:
        self.start = start
        self.consumer = Consumer()
        self.done = flight.reader(Slice(start, SIZE, SIZE) if start else None).join(self.consumer)

    def pause(self) -> None:
        if self.consumer.producer is not None:
            self.consumer.producer.pauseProducing()

    def resume(self) -> None:
        if self.consumer.producer is not None:
            self.consumer.producer.resumeProducing()


class World:
    """A flight over a disk that is slow, and may be full."""

    def __init__(self, directory: Path, full_at: int | None = None, windows: int = 1) -> None:
        self.clock, self.disk = Clock(), Disk(full_at)
        self.store = make_store(directory, self.clock)
        dependencies = make_dependencies(self.store, self.clock)
        dependencies = replace(dependencies, threads=self.disk, windows=Windows(windows))
        self.source = HandSource(CONTENT, self.clock)
        self.flights = Flights(dependencies)
        self.flight = self.flights.begin(Entry(Digest.of(CONTENT)), self.source)
        self.body: HandBody = self.source.answer()
        self.readings = [Reading(self.flight, 0)]
        self.sent = 0

    def send(self, count: int) -> None:
        if not self.body.paused:
            self.body.send(CONTENT[self.sent : self.sent + count])
            self.sent = min(SIZE, self.sent + count)

    def fill_the_disk(self, *, lagging: bool) -> None:
        """Send more than it takes, while the first reader takes what comes, or nothing."""
        if lagging:
            self.readings[0].pause()
        self.send(100)
        while self.disk.waiting:
            self.disk.work()
        self.clock.advance(0)
        self.readings[0].resume()

    def finish(self) -> None:
        """Let everything come to its end."""
        for _ in range(1000):
            for reading in self.readings:
                reading.resume()
            self.disk.work()
            self.clock.advance(0.02)
            if self.sent < SIZE:
                self.send(50)
            elif not self.body.done.called:
                self.body.end()
            # Who fell behind where the disk was full asks by itself.
            while self.source.is_waited_for:
                self.source.send_all()
                self.source.asked.pop()
            if all(reading.done.called for reading in self.readings) and not self.disk.waiting:
                break

    def close(self) -> None:
        stopped = self.flights.stop()
        while self.disk.waiting:
            self.disk.work()
        ended(stopped)
        self.clock.advance(60)
        close_indexes()


def test_who_keeps_up_waits_for_no_disk(tmp_path: Path) -> None:
    world = World(tmp_path)
    (reading,) = world.readings
    world.send(40)
    world.send(60)
    assert len(world.disk.waiting) == 2, "nothing is written"
    assert reading.consumer.content == CONTENT[:100]
    world.readings.append(late := Reading(world.flight, 30))
    assert late.consumer.content == CONTENT[30:100]
    world.finish()
    assert reading.consumer.content == CONTENT
    world.close()


def test_many_are_told_when_it_is_on_disk_or_much(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.readings += [Reading(world.flight, 0) for _ in range(8)]
    world.send(40)
    assert [reading.consumer.content for reading in world.readings] == [b""] * 9
    world.disk.work()
    world.disk.work()
    assert [reading.consumer.content for reading in world.readings] == [CONTENT[:40]] * 9
    with patch.object(flight, "_STEP", 50):
        world.send(49)
        assert world.readings[0].consumer.content == CONTENT[:40]
        world.send(1)
        assert world.readings[0].consumer.content == CONTENT[:90]
    world.finish()
    world.close()


def test_the_last_byte_waits_for_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    (reading,) = world.readings
    world.send(SIZE)
    assert reading.consumer.content == CONTENT[:-1]
    not_yet(reading.done)
    world.finish()
    ended(reading.done)
    assert reading.consumer.content == CONTENT
    world.close()


Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(1, 90)),
        st.tuples(st.just("work"), st.just(0)),
        st.tuples(st.just("join"), st.integers(0, SIZE - 1)),
        st.tuples(st.just("pause"), st.integers(0, 3)),
        st.tuples(st.just("resume"), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.just(0)),
    ),
    max_size=30,
)


@settings(max_examples=150)
@given(STEPS, st.none() | st.integers(0, SIZE), st.integers(0, 1))
def test_whatever_disk_and_readers_do_each_gets_what_is_right(
    steps: list[Step], full_at: int | None, windows: int
) -> None:
    # Blocks that are small, so that what waits is in several.
    with tempfile.TemporaryDirectory() as name, patch.object(blocks, "SIZE", 16), patch.object(blocks, "_spare", []):
        world = World(Path(name), full_at, windows)
        try:
            for what, number in steps:
                _do(world, what, number)
                for reading in world.readings:
                    assert CONTENT[reading.start :].startswith(reading.consumer.content)
            world.finish()
            for reading in world.readings:
                ended(reading.done)
                assert reading.consumer.content == CONTENT[reading.start :]
        finally:
            world.close()


def _do(world: World, what: str, number: int) -> None:
    reading = world.readings[number % len(world.readings)]
    match what:
        case "send":
            world.send(number)
        case "work":
            world.disk.work()
        case "join" if world.flight.has(number) and not world.flight.is_over:
            world.readings.append(Reading(world.flight, number))
        case "pause":
            reading.pause()
        case "resume":
            reading.resume()
        case "wait":
            world.clock.advance(0.02)


def test_who_lags_where_the_disk_is_full_and_nobody_shares_asks_by_itself(tmp_path: Path) -> None:
    world = World(tmp_path, full_at=60, windows=0)
    (reading,) = world.readings
    world.fill_the_disk(lagging=True)
    assert reading.consumer.content == CONTENT[:60]
    assert world.source.asked == [(0, None), (60, None)]
    world.finish()
    assert reading.consumer.content == CONTENT
    world.close()


@pytest.mark.parametrize("lags", [False, True])
def test_what_was_to_be_kept_is_looked_at_to_its_end(tmp_path: Path, lags: bool) -> None:
    """Also where the disk is full, and nobody shares what comes."""
    world = World(tmp_path, full_at=60, windows=0)
    (reading,) = world.readings
    world.fill_the_disk(lagging=lags)
    (start, _) = world.source.asked[-1]
    assert start == (60 if lags else 100)
    body = world.source.answer()
    body.send(CONTENT[start:-1] + b"x")
    body.end()
    world.clock.advance(0)
    failure_of(reading.done, WrongContent)
    assert reading.consumer.content == CONTENT[:-1]
    world.close()
