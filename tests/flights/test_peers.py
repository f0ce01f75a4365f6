"""What the disk takes nothing of: one worker has it sent by upstream, and the others read it from its memory."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.flights import Flight, Told
from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.peers import OtherWorkers
from crproxy.store.blobs import Blobs, PartialKey, WrongContent
from crproxy.store.entries import Entry
from tests.flights.test_following_workers import full_from
from tests.memory import ended, failure_of, not_yet
from tests.peers.workers import Wire, Worker, make_workers
from tests.sharing.crew import Crew
from tests.sources import HandBody, HandSource
from tests.stores import MIB
from tests.upstream.conftest import Consumer

CONTENT = bytes(range(200))
SIZE = len(CONTENT)
ENTRY = Entry(Digest.of(CONTENT))
KEY = PartialKey(ENTRY)


class World:
    """Three workers with one cache, and upstream as each of them sees it."""

    def __init__(self, directory: Path) -> None:
        self.clock, self.wire = Clock(), Wire()
        self.crew = Crew()
        self.workers: list[Worker] = make_workers(directory, self.clock, self.wire, 3, self.crew)
        self.sources = [HandSource(CONTENT, self.clock) for _ in self.workers]
        self.upstreams: list[int] = []
        self.reads: list[tuple[Consumer, Deferred[None]]] = []

    def begin(self, slot: int, whose: str | None = "anybody") -> Flight:
        told = Told(asks_upstream=lambda: self.upstreams.append(slot))
        return self.workers[slot].flights.begin(ENTRY, self.sources[slot], None, told, whose)

    def read(self, flight: Flight) -> tuple[Consumer, Deferred[None]]:
        ended(Deferred.fromCoroutine(flight.known()))
        consumer = Consumer()
        self.reads.append((consumer, flight.reader(None).join(consumer)))
        return self.reads[-1]

    def look(self) -> None:
        for _ in range(5):
            self.clock.advance(0.02)

    def all_have_it(self) -> None:
        for consumer, done in self.reads:
            ended(done)
            assert consumer.content == CONTENT

    def stop(self) -> None:
        stopped = [worker.flights.stop() for worker in self.workers]
        self.clock.advance(2)
        for each in stopped:
            ended(each)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.stop()
    assert world.clock.getDelayedCalls() == []
    assert [worker.peers.find(KEY) for worker in world.workers] == [None] * 3
    assert [worker.peers.are_waiting(KEY) for worker in world.workers] == [False] * 3


@pytest.fixture
def full(world: World) -> Iterator[World]:
    """The disk takes nothing from the first byte on."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with patch.object(Blobs, "begin", refuse):
        yield world


def answer(world: World, slot: int) -> HandBody:
    return world.sources[slot].answer()


def test_upstream_is_asked_by_the_first_alone(full: World) -> None:
    flights = [full.begin(slot) for slot in range(3)]
    body = answer(full, 0)
    reads = [full.read(flight) for flight in flights]
    body.send(CONTENT[:50])
    assert [consumer.content for consumer, _ in reads] == [CONTENT[:50]] * 3
    body.send(CONTENT[50:])
    body.end()
    full.all_have_it()
    assert full.upstreams == [0]
    assert [source.asked for source in full.sources] == [[(0, None)], [], []]
    assert [source.sized for source in full.sources] == [0, 0, 0]
    assert full.wire.asked == [(0, 0), (0, 0)]


def test_whoever_asks_for_somebody_else_asks_upstream_whether_it_may(full: World) -> None:
    flights = [full.begin(0), full.begin(1, "somebody else"), full.begin(2, None)]
    body = answer(full, 0)
    for flight in flights:
        full.read(flight)
    body.send(CONTENT)
    body.end()
    full.all_have_it()
    assert [source.sized for source in full.sources] == [0, 1, 1]
    assert full.upstreams == [0]


def test_what_upstream_refuses_is_not_had_from_another(full: World) -> None:
    full.begin(0)
    body = answer(full, 0)
    full.sources[1].size_error = RegistryError(ErrorCode.DENIED, "no")
    refused = full.begin(1, "somebody else")
    assert isinstance(failure_of(Deferred.fromCoroutine(refused.known()), RegistryError), RegistryError)
    assert full.wire.asked == []
    body.send(CONTENT)
    body.end()


def test_where_that_one_dies_another_goes_on_from_the_byte_reached(full: World) -> None:
    flights = [full.begin(slot) for slot in range(3)]
    body = answer(full, 0)
    (_, died), *others = [full.read(flight) for flight in flights]
    body.send(CONTENT[:50])
    del full.reads[0], full.wire.flights[0]
    full.workers[0].flights.stop()
    failure_of(died, RegistryError)
    full.clock.advance(0)
    full.look()
    leads, follows = (1, 2) if full.upstreams == [0, 1] else (2, 1)
    assert full.upstreams == [0, leads]
    assert full.sources[leads].asked == [(50, None)]
    body = answer(full, leads)
    full.look()
    body.send(CONTENT[50:])
    body.end()
    full.look()
    full.all_have_it()
    assert [consumer.content for consumer, _ in others] == [CONTENT] * 2
    assert full.sources[follows].asked == []


def test_who_comes_when_the_first_bytes_are_gone_asks_upstream(full: World) -> None:
    first = full.begin(0)
    body = answer(full, 0)
    full.read(first)
    assert first.window is not None
    body.send(CONTENT[:50])
    first.window.forget()
    late = full.begin(1)
    again = answer(full, 1)
    full.read(late)
    for each, rest in ((again, CONTENT), (body, CONTENT[50:])):
        each.send(rest)
        each.end()
    full.all_have_it()
    assert full.upstreams == [0, 1]


def test_who_comes_when_it_is_over_begins_anew(full: World) -> None:
    for slot in range(2):
        flight = full.begin(slot)
        body = answer(full, slot)
        full.read(flight)
        body.send(CONTENT)
        body.end()
    full.all_have_it()
    assert (full.upstreams, full.wire.asked) == ([0, 1], [])


def test_who_follows_the_file_goes_on_in_memory_where_it_ends(world: World) -> None:
    first, second = world.begin(0), world.begin(1)
    body = answer(world, 0)
    world.look()
    reads = [world.read(first), world.read(second)]
    body.send(CONTENT[:40])
    world.look()
    with full_from(60):
        body.send(CONTENT[40:80])
        body.send(CONTENT[80:])
    body.end()
    assert not_yet(reads[1][1])
    world.look()
    world.all_have_it()
    assert world.upstreams == [0]
    assert world.wire.asked == [(0, 60)]
    assert [worker.store.blobs.size(ENTRY) for worker in world.workers] == [None] * 3
    assert list(world.workers[0].store.blobs.partials()) == []


def test_who_looks_while_the_disk_takes_no_more_asks_nobody_else(world: World) -> None:
    """The first lets go of its file after another has looked for who has it in memory, and before that has its lock."""
    first = world.begin(0)
    body = answer(world, 0)
    world.read(first)
    blobs, begin = world.workers[1].store.blobs, Blobs.begin

    def gives_up_meanwhile(self: Blobs, *of: Any) -> Any:
        if self is blobs and not first.is_unkept:
            with full_from(0):
                body.send(CONTENT[:80])
        return begin(self, *of)

    with patch.object(Blobs, "begin", gives_up_meanwhile):
        second = world.begin(1)
    world.read(second)
    body.send(CONTENT[80:])
    body.end()
    world.look()
    world.all_have_it()
    assert world.upstreams == [0]
    assert [source.asked for source in world.sources[:2]] == [[(0, None)], []]
    assert list(world.workers[1].store.blobs.partials()) == []


def test_what_is_held_for_those_who_follow_is_held_for_no_longer_than_two_seconds(world: World) -> None:
    first = world.begin(0)
    body = answer(world, 0)
    world.read(first)
    body.send(CONTENT[:40])
    world.workers[1].peers.wait(KEY)
    with full_from(60):
        body.send(CONTENT[40:])
    body.end()
    assert first.window is not None
    world.clock.advance(1.9)
    assert not first.is_over
    assert world.workers[1].peers.find(KEY) is not None
    world.clock.advance(0.2)
    assert world.workers[1].peers.find(KEY) is None
    world.workers[1].peers.come(KEY)
    world.all_have_it()


class Paced:
    """Takes as many bytes as it is let, and only counts them."""

    def __init__(self) -> None:
        self.wanted = self.taken = 0
        self._producer: Any = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer = producer
        self._balance()

    def unregisterProducer(self) -> None:
        self._producer = None

    def write(self, data: bytes) -> None:
        self.taken += len(data)
        self._balance()

    def take(self, number: int) -> None:
        self.wanted += number
        self._balance()

    def _balance(self) -> None:
        if self._producer is not None:
            if self.taken < self.wanted:
                self._producer.resumeProducing()
            else:
                self._producer.pauseProducing()


def test_another_worker_does_not_drive_on_those_who_are_as_fast(tmp_path: Path) -> None:
    """Its memory is ahead of its own clients: those of the worker that it reads from must not fall out behind it."""
    clock, wire, content, piece = Clock(), Wire(), bytes(4 * MIB), 64 * 1024
    workers = make_workers(tmp_path, clock, wire, windows=MIB)
    sources = [HandSource(content, clock) for _ in workers]
    entry = Entry(Digest.of(content))
    with patch.object(Blobs, "begin", side_effect=OSError(errno.ENOSPC, "full")):
        flights = [
            worker.flights.begin(entry, source, None, None, "anybody")
            for worker, source in zip(workers, sources, strict=True)
        ]
        body = sources[0].answer()
    readers = [(Paced(), flights[slot]) for slot in (0, 0, 0, 1)]
    done = [flight.reader(None).join(cast(Any, reader)) for reader, flight in readers]
    sent = 0
    while sent < len(content):
        for _ in range(2):
            if body.is_flowing and sent < len(content):
                body.send(content[sent : sent + piece])
                sent += piece
        for reader, _ in readers:
            reader.take(piece)
    body.end()
    for reader, _ in readers:
        reader.take(len(content))
    for each in done:
        ended(each)
    assert [len(source.asked) for source in sources] == [1, 0]


def test_who_falls_behind_another_worker_asks_upstream_for_itself(full: World) -> None:
    """And not by the credentials for which that one has it sent."""
    flights = [full.begin(0, "somebody"), full.begin(1, "somebody else")]
    body = answer(full, 0)
    for flight in flights:
        full.read(flight)
    body.send(CONTENT[:50])
    (serving,) = [reader for reader in flights[0]._readers if reader._source is not full.sources[0]]
    cast(Any, serving.flow).pauseProducing()
    body.send(CONTENT[50:100])
    window = flights[0].window
    assert window is not None
    window.forget()
    cast(Any, serving.flow).resumeProducing()
    full.clock.advance(1)
    assert full.sources[0].asked == [(0, None)]
    assert full.sources[1].asked == [(50, None)]
    full.sources[1].send_all()
    body.send(CONTENT[100:])
    body.end()
    full.all_have_it()


def test_what_was_wrong_in_the_file_is_not_gone_on_with(world: World) -> None:
    first, second = world.begin(0), world.begin(1)
    body = answer(world, 0)
    world.look()
    world.read(first)
    consumer, done = world.read(second)
    body.send(b"x" * 40)
    world.look()
    assert consumer.content == b"x" * 40
    body.send(b"x" * (SIZE - 40))
    body.end()
    # A third worker has it in memory before the second looks again.
    world.workers[2].peers.announce(KEY, "anybody")
    world.look()
    failure_of(done, WrongContent)
    assert consumer.content in (b"x" * 40, b"x" * (SIZE - 1))
    failure_of(world.reads[0][1], WrongContent)
    world.workers[2].peers.leave(KEY)


def test_what_a_dead_worker_had_is_not_looked_for(world: World) -> None:
    world.workers[2].peers.announce(KEY, "anybody")
    again = OtherWorkers(world.crew.member(2), cast(Any, world.wire))
    assert world.workers[0].peers.find(KEY) is None
    again.announce(KEY, "anybody")
    del world.wire.flights[2]
    world.begin(0)
    assert world.wire.asked == [(2, 0)]
    world.sources[0].send_all()
    assert world.workers[0].store.blobs.size(ENTRY) == SIZE, "it is kept: the disk has room"


def test_a_disk_that_takes_nothing_away_either_holds_up_nobody(world: World) -> None:
    first = world.begin(0)
    body = answer(world, 0)
    world.read(first)
    body.send(CONTENT[:40])
    with full_from(60), patch.object(Path, "unlink", side_effect=OSError(errno.EIO, "Input/output error")):
        body.send(CONTENT[40:])
        body.end()
        world.all_have_it()


def test_what_came_wrong_is_nobodys(full: World) -> None:
    flights = [full.begin(slot) for slot in range(2)]
    for flight in flights:
        flight.verify()
    body = answer(full, 0)
    for flight in flights:
        full.read(flight)
    body.send(b"x" * SIZE)
    body.end()
    full.look()
    assert full.sources[1].asked == [(SIZE - 1, None)], "the last byte is held back until all of it was right"
    full.sources[1].send_all()
    for consumer, done in full.reads:
        failure_of(done, Exception)
        assert consumer.content == b"x" * (SIZE - 1)
