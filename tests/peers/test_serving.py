from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.flights import Flight, Flights
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.peers.serving import from_memory
from crproxy.pullthrough import Reply
from crproxy.store.blobs import Blobs, PartialKey
from crproxy.store.entries import Entry
from tests.memory import ended
from tests.sources import HandBody, HandSource
from tests.stores import make_dependencies, make_store
from tests.upstream.conftest import Consumer

CONTENT = bytes(range(100))
KEY = PartialKey(Entry(Digest.of(CONTENT)))


class Memory:
    """A worker that has the blob in memory, with somebody who reads it."""

    def __init__(self, directory: Path, length: int | None) -> None:
        self.clock = Clock()
        self.flights = Flights(make_dependencies(make_store(directory, self.clock), self.clock))
        source = HandSource(CONTENT, self.clock)
        with patch.object(Blobs, "begin", side_effect=OSError(errno.EROFS, "Read-only file system")):
            self.flight: Flight = self.flights.begin(KEY.entry, source)
        self.body: HandBody = source.answer(length=length)
        self.reader = Consumer()
        self.done = self.flight.reader(None).join(self.reader)

    def ask(self, start: int, key: PartialKey = KEY) -> Deferred[Reply]:
        return Deferred.fromCoroutine(from_memory(self.flights, key, start))

    def finish(self, reply: Reply, begun: int) -> bytes:
        consumer = Consumer()
        joined = reply.body.join(consumer)
        self.body.send(CONTENT[begun:])
        self.body.end()
        ended(joined)
        ended(self.done)
        return consumer.content


@pytest.fixture(params=[100, None], ids=["size known", "size unknown"])
def memory(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Memory]:
    memory = Memory(tmp_path, request.param)
    yield memory
    stopped = memory.flights.stop()
    memory.clock.advance(1)
    ended(stopped)
    memory.done.addErrback(lambda _: None)


def test_all_of_it_is_given_as_it_comes(memory: Memory) -> None:
    memory.body.send(CONTENT[:40])
    reply = ended(memory.ask(0))
    size = memory.flight.size
    expected = (200, None) if size is None else (206, "bytes 0-99/100")
    assert (reply.status, reply.headers.get("Content-Range")) == expected
    assert reply.body.length == size
    assert memory.finish(reply, 40) == CONTENT


@pytest.mark.parametrize("memory", [100], indirect=True)
def test_the_rest_is_given_from_any_byte_that_is_there(memory: Memory) -> None:
    memory.body.send(CONTENT[:40])
    reply = ended(memory.ask(30))
    assert (reply.status, reply.headers["Content-Range"], reply.body.length) == (206, "bytes 30-99/100", 70)
    assert memory.finish(reply, 40) == CONTENT[30:]


def test_what_has_not_come_is_not_there(memory: Memory) -> None:
    memory.body.send(CONTENT[:40])
    assert ended(memory.ask(41)).status == 416


@pytest.mark.parametrize("memory", [None], indirect=True)
def test_where_the_size_is_unknown_no_rest_is_given(memory: Memory) -> None:
    memory.body.send(CONTENT[:40])
    assert ended(memory.ask(30)).status == 416


@pytest.mark.parametrize(
    "key",
    [PartialKey(Entry(Digest.of(b"other"))), PartialKey(KEY.entry, Registry("quay.io"))],
    ids=["blob", "registry"],
)
def test_another_is_not_there(memory: Memory, key: PartialKey) -> None:
    assert ended(memory.ask(0, key)).status == 404


def test_what_comes_to_disk_is_read_there(tmp_path: Path) -> None:
    clock = Clock()
    flights, source = Flights(make_dependencies(make_store(tmp_path, clock), clock)), HandSource(CONTENT, clock)
    flights.begin(KEY.entry, source)
    assert ended(Deferred.fromCoroutine(from_memory(flights, KEY, 0))).status == 404
    source.send_all()
