"""One worker follows what another fetches, until that one cannot keep it: the file it was reading is gone."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.flights import Flight, Flights
from crproxy.oci.digests import Digest
from crproxy.policy.ranges import Slice
from crproxy.sharing import Alone
from crproxy.store.blobs import Partial
from crproxy.store.entries import Entry
from crproxy.store.store import Store
from tests.memory import ended, not_yet
from tests.sources import HandBody, HandSource
from tests.stores import make_dependencies, make_store
from tests.upstream.conftest import Consumer

CONTENT = bytes(range(100))
SIZE = len(CONTENT)
ENTRY = Entry(Digest.of(CONTENT))
LENGTHS = pytest.mark.parametrize("length", [SIZE, None], ids=["size known", "size unknown"])


class Workers(Alone):
    """What workers share, who are all in this process."""

    is_alone = False


class World:
    """Two workers with one cache; upstream of each says ``length``, and one follows what the other fetches."""

    def __init__(self, directory: Path, length: int | None) -> None:
        self.clock = Clock()
        self.length = length
        self.store = make_store(directory, self.clock)
        self.sources = [HandSource(CONTENT, self.clock), HandSource(CONTENT, self.clock)]
        self._flights = [self._make(self.store), self._make(make_store(directory, self.clock))]
        fetches, self.follows = [
            flights.begin(ENTRY, source) for flights, source in zip(self._flights, self.sources, strict=True)
        ]
        self.body = self.answer(0)
        # Nobody would take it past the disk else.
        self.first, self.first_done = self.reading(fetches)

    def _make(self, store: Store) -> Flights:
        return Flights(replace(make_dependencies(store, self.clock), sharing=Workers()))

    def answer(self, number: int) -> HandBody:
        return self.sources[number].answer(length=self.length)

    def reading(self, flight: Flight, part: Slice | None = None) -> tuple[Consumer, Deferred[None]]:
        consumer = Consumer()
        return consumer, flight.reader(part).join(consumer)

    def look(self) -> None:
        """Let who follows look again."""
        self.clock.advance(0.02)

    def give_up(self) -> None:
        """Let the first worker find the disk full with 40 bytes in the file, and discard it; 60 came."""
        with full_from(40):
            self.body.send(CONTENT[40:60])
        self.look()

    def finish(self) -> None:
        self.body.send(CONTENT[60:])
        self.body.end()
        self.look()

    def stop(self) -> None:
        stopped = [flights.stop() for flights in self._flights]
        self.clock.advance(1)
        for each in stopped:
            ended(each)


@contextmanager
def full_from(size: int) -> Iterator[None]:
    """Let the disk take nothing that is behind byte ``size`` of a file."""
    append = Partial.append

    def limited(self: Partial, pieces: list[bytes]) -> None:
        content = b"".join(pieces)
        append(self, [content[: max(0, size - self.filled)]])
        if self.filled >= size:
            raise OSError(errno.ENOSPC, "No space left on device")

    with patch.object(Partial, "append", limited):
        yield


@pytest.fixture
def world(tmp_path: Path, length: int | None) -> Iterator[World]:
    world = World(tmp_path, length)
    # A follower asks for the size by itself: of what upstream does not say it hears nothing either.
    with patch.object(HandSource, "size", lambda _: _said(length)):
        world.look()
        yield world
        world.stop()
    assert world.clock.getDelayedCalls() == []


async def _said(length: int | None) -> int | None:
    return length


@LENGTHS
def test_who_follows_goes_on_where_the_file_was_in_one_of_its_own(world: World) -> None:
    consumer, done = world.reading(world.follows)
    world.body.send(CONTENT[:40])
    world.look()
    assert consumer.content == CONTENT[:40]
    world.give_up()
    assert world.sources[1].asked == [(0, None)], "it takes over"
    body = world.answer(1)
    body.send(CONTENT[:40])
    assert consumer.content == CONTENT[:40], "nothing comes twice"
    body.send(CONTENT[40:])
    assert not_yet(done)
    body.end()
    world.look()
    ended(done)
    assert consumer.content == CONTENT
    assert world.store.blobs.size(ENTRY) == SIZE


@LENGTHS
def test_who_fetches_serves_its_own_readers_to_their_end(world: World) -> None:
    world.body.send(CONTENT[:40])
    world.look()
    world.give_up()
    world.finish()
    ended(world.first_done)
    assert world.first.content == CONTENT
    assert world.sources[0].asked == [(0, None)]


@LENGTHS
def test_who_had_not_read_all_of_what_was_there_misses_nothing(world: World) -> None:
    consumer, done = world.reading(world.follows)
    world.body.send(CONTENT[:30])
    world.look()
    consumer.producer.pauseProducing()
    world.body.send(CONTENT[30:40])
    world.look()
    world.give_up()
    body = world.answer(1)
    body.send(CONTENT[:50])
    consumer.producer.resumeProducing()
    body.send(CONTENT[50:])
    body.end()
    world.look()
    ended(done)
    assert consumer.content == CONTENT


@LENGTHS
def test_who_comes_while_another_takes_over_reads_from_the_start(world: World) -> None:
    _, done = world.reading(world.follows)
    world.body.send(CONTENT[:40])
    world.look()
    world.give_up()
    late, late_done = world.reading(world.follows)
    body = world.answer(1)
    body.send(CONTENT)
    body.end()
    world.look()
    ended(done)
    ended(late_done)
    assert late.content == CONTENT


@pytest.mark.parametrize("length", [SIZE])
def test_a_part_is_read_on_to_its_end_alone(world: World) -> None:
    consumer, done = world.reading(world.follows, Slice(20, 70, SIZE))
    world.body.send(CONTENT[:40])
    world.look()
    assert consumer.content == CONTENT[20:40]
    world.give_up()
    world.answer(1).send(CONTENT[:80])
    ended(done)
    assert consumer.content == CONTENT[20:70]
