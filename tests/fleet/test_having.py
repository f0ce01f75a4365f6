"""What a node gives another one, by where it has it; upstream's side and time are in the test's hands."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.fleet.having import Having
from crproxy.flights import Flight, Flights, tiers
from crproxy.flights.tiers import Elsewhere
from crproxy.flights.window import FellBehind
from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import Registry
from crproxy.policy.proofs import Proof
from crproxy.policy.ranges import ByteRange
from crproxy.store.blobs import Blobs, PartialKey, WrongContent
from crproxy.store.entries import Entry
from crproxy.upstream.answers import Streamed
from tests.fleet.workers import CONTENT, KEY, WHOLE, TwoWorkers, streaming
from tests.memory import ended, not_yet
from tests.peers.workers import Sent
from tests.sources import HandSource
from tests.stores import filled, make_dependencies, make_store

OTHERS = [
    PartialKey(Entry(Digest.of(b"another")), Registry("quay.io")),
    PartialKey(KEY.entry, Registry("docker.io")),
    PartialKey(Entry(KEY.entry.digest, Registry("quay.io")), Registry("quay.io")),
]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TwoWorkers]:
    node = TwoWorkers(tmp_path)
    yield node
    node.stop()


WORKERS = pytest.mark.parametrize("worker", [0, 1], ids=["in the worker that fills", "in another"])


def partials(node: TwoWorkers) -> list[str]:
    return [path.name for path in (node.directory / "cache").rglob("partial/*/*")]


@WORKERS
def test_where_there_is_nothing_nothing_is_begun(node: TwoWorkers, worker: int) -> None:
    assert node.answered(worker).status == 404
    assert partials(node) == []
    assert (node.source.asked, [each.flights.begun for each in node.workers]) == ([], [0, 0])


@WORKERS
def test_what_nobody_fills_any_more_is_left_alone(node: TwoWorkers, worker: int) -> None:
    filled(node.workers[0].store.blobs, KEY.entry, CONTENT[:40], KEY.origin)
    assert node.answered(worker).status == 404
    assert node.workers[0].store.blobs.partial_size(KEY.entry, KEY.origin) == 40


@WORKERS
def test_what_is_kept_is_given(node: TwoWorkers, worker: int) -> None:
    ended(node.workers[0].store.keep(KEY.entry, CONTENT))
    for each in node.workers:
        each.store.index.refresh()
    reply = node.answered(worker, None)
    assert (reply.status, reply.body.length, dict(reply.headers)) == (
        200,
        100,
        {"Content-Type": "application/octet-stream"},
    )
    consumer, done = node.read(reply)
    ended(done)
    assert consumer.content == CONTENT


@pytest.mark.parametrize(
    ("wanted", "status", "content_range", "expected"),
    [
        (WHOLE, 206, "bytes 0-99/100", CONTENT),
        (ByteRange(30, None), 206, "bytes 30-99/100", CONTENT[30:]),
        (ByteRange(30, 39), 206, "bytes 30-39/100", CONTENT[30:40]),
        (ByteRange(99, 1000), 206, "bytes 99-99/100", CONTENT[99:]),
        (ByteRange(100, None), 416, "bytes */100", b""),
    ],
)
@pytest.mark.parametrize("coming", ["kept", "here", "there"])
def test_a_part_is_given(
    node: TwoWorkers, coming: str, wanted: ByteRange, status: int, content_range: str, expected: bytes
) -> None:
    if coming == "kept":
        ended(node.workers[0].store.keep(KEY.entry, CONTENT))
        body = None
    else:
        node.begin()
        body = node.source.answer()
        body.send(CONTENT[:50])
    reply = node.answered(1 if coming == "there" else 0, wanted)
    assert (reply.status, reply.headers.get("Content-Range")) == (status, content_range)
    if status == 416:
        return
    assert reply.body.length == len(expected)
    consumer, done = node.read(reply)
    if body is not None:
        body.send(CONTENT[50:])
        body.end()
        node.look()
    ended(done)
    assert consumer.content == expected


def test_of_nothing_all_is_given(node: TwoWorkers) -> None:
    empty = PartialKey(Entry(Digest.of(b"")), KEY.origin)
    ended(node.workers[0].store.keep(empty.entry, b""))
    reply = node.answered(0, WHOLE, empty)
    assert (reply.status, reply.body.length) == (200, 0)
    ended(node.read(reply)[1])


def test_what_nobody_has_read_is_read_first(node: TwoWorkers) -> None:
    path = node.workers[0].store.blobs.keep(KEY.entry)
    path.write_bytes(CONTENT)
    consumer, done = node.read(node.answered(0))
    ended(done)
    assert consumer.content == CONTENT
    path.write_bytes(CONTENT[::-1])
    node.workers[1].store.drop(KEY.entry)
    path.write_bytes(CONTENT[::-1])
    assert node.answered(1).status == 404
    assert not path.exists()


@WORKERS
def test_what_grows_is_followed_and_the_last_byte_waits_for_the_digest(node: TwoWorkers, worker: int) -> None:
    node.begin()
    asked = node.ask(worker)
    node.look()
    not_yet(asked)
    body = node.source.answer()
    node.look()
    consumer, done = node.read(ended(asked))
    for end in (10, 60, 99):
        body.send(CONTENT[len(consumer.content) : end])
        node.look()
        assert consumer.content == CONTENT[:end]
    body.send(CONTENT[99:])
    node.look()
    assert consumer.content == CONTENT[:99]
    not_yet(done)
    body.end()
    node.look()
    ended(done)
    assert consumer.content == CONTENT
    assert node.source.asked == [(0, None)]


@WORKERS
def test_wrong_bytes_come_to_no_end(node: TwoWorkers, worker: int) -> None:
    node.begin()
    body = node.source.answer()
    consumer, done = node.read(node.answered(worker))
    body.send(CONTENT[:60])
    node.look()
    body.send(bytes(40))
    body.end()
    node.look()
    with pytest.raises(WrongContent):
        ended(done)
    assert len(consumer.content) < 100


@WORKERS
def test_a_byte_that_has_not_come_is_waited_for(node: TwoWorkers, worker: int) -> None:
    node.begin()
    body = node.source.answer()
    body.send(CONTENT[:10])
    consumer, done = node.read(node.answered(worker, ByteRange(80, None)))
    body.send(CONTENT[10:70])
    node.look()
    assert consumer.content == b""
    body.send(CONTENT[70:])
    body.end()
    node.look()
    ended(done)
    assert consumer.content == CONTENT[80:]


@pytest.mark.parametrize(
    ("worker", "whose"),
    [(0, "anybody"), (1, "anybody"), (1, None)],
    ids=["upstream says none", "nor to another worker", "it is said to nobody else"],
)
def test_without_a_size_only_the_whole_is_given(node: TwoWorkers, worker: int, whose: str | None) -> None:
    node.begin(whose)
    body = node.source.answer(length=None if whose else 100)
    body.send(CONTENT[:10])
    asked, middle = node.ask(worker), node.ask(worker, ByteRange(5, None))
    node.look()
    body.send(CONTENT[10:20])
    node.look()
    reply = ended(asked)
    assert (reply.status, reply.body.length, reply.headers.get("Content-Range")) == (200, None, None)
    refused = ended(middle)
    assert (refused.status, "Content-Range" in refused.headers) == (416, False)
    consumer, done = node.read(reply)
    body.send(CONTENT[20:])
    node.look()
    not_yet(done)
    body.end()
    node.look()
    ended(done)
    assert consumer.content == CONTENT


@WORKERS
@pytest.mark.parametrize("key", OTHERS, ids=["blob", "origin", "pool"])
def test_something_else_is_not_there(node: TwoWorkers, worker: int, key: PartialKey) -> None:
    node.begin()
    node.source.answer().send(CONTENT[:10])
    assert node.answered(worker, WHOLE, key).status == 404


@WORKERS
def test_what_upstream_refuses_is_not_there(node: TwoWorkers, worker: int) -> None:
    node.begin()
    asked = node.ask(worker)
    node.source.refuse(RegistryError(ErrorCode.DENIED, "no"))
    node.clock.pump([0.02] * 100)
    assert ended(asked).status == 404


@WORKERS
def test_what_breaks_is_cut(node: TwoWorkers, worker: int) -> None:
    node.begin()
    node.source.answer().send(CONTENT[:10])
    consumer, done = node.read(node.answered(worker))
    stopped = node.workers[0].flights.stop()
    node.clock.pump([0.02] * 100)
    ended(stopped)
    with pytest.raises((RegistryError, FellBehind)):
        ended(done)
    assert consumer.content == CONTENT[:10]


class Unkept(TwoWorkers):
    """One of whose workers the disk takes nothing."""

    def begin(self, whose: str | None = "anybody") -> Flight:
        with patch.object(Blobs, "begin", side_effect=OSError(errno.EROFS, "Read-only file system")):
            return super().begin(whose)


@pytest.fixture
def unkept(tmp_path: Path) -> Iterator[Unkept]:
    node = Unkept(tmp_path)
    yield node
    node.stop()


@WORKERS
@pytest.mark.parametrize("length", [100, None], ids=["size known", "size unknown"])
def test_what_is_in_memory_alone_is_given(unkept: Unkept, worker: int, length: int | None) -> None:
    body, own = streaming(unkept, length)
    body.send(CONTENT[:40])
    reply = unkept.answered(worker)
    assert (reply.status, reply.body.length) == ((206, 100) if length else (200, None))
    consumer, done = unkept.read(reply)
    body.send(CONTENT[40:])
    body.end()
    unkept.look()
    ended(done)
    ended(own)
    assert consumer.content == CONTENT


@WORKERS
def test_a_part_of_that_too(unkept: Unkept, worker: int) -> None:
    body, own = streaming(unkept)
    body.send(CONTENT[:40])
    reply = unkept.answered(worker, ByteRange(30, 49))
    assert (reply.status, reply.headers["Content-Range"], reply.body.length) == (206, "bytes 30-49/100", 20)
    consumer, done = unkept.read(reply)
    body.send(CONTENT[40:])
    body.end()
    unkept.look()
    ended(done)
    ended(own)
    assert consumer.content == CONTENT[30:50]
    unkept.answered(worker, ByteRange(30, None)).body.abandon()


def test_what_its_window_has_not_reached_is_waited_for_a_while(unkept: Unkept) -> None:
    body, own = streaming(unkept)
    body.send(CONTENT[:10])
    asked = unkept.ask(0, ByteRange(50, None))
    unkept.look()
    not_yet(asked)
    body.send(CONTENT[10:60])
    unkept.look()
    consumer, done = unkept.read(ended(asked))
    body.send(CONTENT[60:])
    body.end()
    unkept.look()
    ended(done)
    ended(own)
    assert consumer.content == CONTENT[50:]


@WORKERS
def test_what_it_does_not_reach_is_not_there(unkept: Unkept, worker: int) -> None:
    body, own = streaming(unkept)
    body.send(CONTENT[:10])
    asked = unkept.ask(worker, ByteRange(50, None))
    unkept.clock.pump([0.1] * 60)
    assert ended(asked).status == 416
    own.cancel()
    own.addErrback(lambda _: None)


@WORKERS
def test_what_became_whole_while_it_was_looked_for_is_found(node: TwoWorkers, worker: int) -> None:
    find = node.havings[worker]._peers.find

    def stored_now(key: PartialKey) -> object:
        ended(node.workers[worker].store.keep(KEY.entry, CONTENT))
        return find(key)

    with patch.object(node.havings[worker]._peers, "find", stored_now):
        reply = node.answered(worker)
    consumer, done = node.read(reply)
    ended(done)
    assert consumer.content == CONTENT


# Circles


@dataclass
class Ring:
    """Nodes that follow each other: each asks the one that a test says has the lease; upstream is in its hands."""

    clock: Clock
    havings: list[Having] = field(default_factory=list)
    flights: list[Flights] = field(default_factory=list)
    # By node: whom it finds to have the lease; itself is that it has got it.
    found: list[list[int]] = field(default_factory=list)
    asked: list[tuple[int, int]] = field(default_factory=list)
    sources: list[HandSource] = field(default_factory=list)

    def add(self, directory: Path) -> None:
        directory.mkdir()
        number = len(self.havings)
        store = make_store(directory, self.clock)
        elsewhere = Elsewhere(_RingLeases(self, number), _RingNodes(self, number))
        flights = Flights(make_dependencies(store, self.clock, elsewhere))
        self.flights.append(flights)
        self.havings.append(Having(store, flights))
        self.found.append([])
        self.sources.append(HandSource(CONTENT, self.clock))

    def begin(self, number: int) -> Flight:
        whose, source = "anybody", self.sources[number]
        return self.flights[number].begin(KEY.entry, source, KEY.origin, whose=whose, proof=Proof.GIVEN)


@dataclass
class _RingLease:
    lost: Deferred[None] = field(default_factory=Deferred)

    def fulfilled(self, entry: Entry, size: int) -> None:
        """It is not looked at."""

    def give_back(self) -> None:
        """It is not looked at."""


@dataclass
class _RingLeases:
    ring: Ring
    number: int
    had: list[_RingLease] = field(default_factory=list)

    async def take(self, key: PartialKey, whose: str | None) -> tiers.Lease | tiers.Holder | None:
        found = self.ring.found[self.number].pop(0)
        if found == self.number:
            self.had.append(_RingLease())
            return self.had[-1]
        return tiers.Holder(str(found), f"https://{found}", 1, "anybody")

    async def after(
        self, key: PartialKey, holder: tiers.Holder, whose: str | None
    ) -> tiers.Lease | tiers.Holder | None:
        return await self.take(key, whose)


@dataclass
class _RingNodes:
    ring: Ring
    number: int

    async def open(self, holder: tiers.Holder, key: PartialKey, start: int) -> Streamed:
        asked = int(holder.node)
        self.ring.asked.append((self.number, asked))
        reply = await self.ring.havings[asked].get(key, ByteRange(start, None))
        if reply.status not in (200, 206):
            raise tiers.SourceFailed(str(reply.status))
        headers = {name.lower(): value for name, value in reply.headers.items()}
        return Streamed(reply.status, headers, Sent(reply.body))


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Ring]:
    ring = Ring(Clock())
    for number in range(3):
        ring.add(tmp_path / str(number))
    yield ring
    stopped = [each.stop() for each in ring.flights]
    for _ in range(200):
        ring.clock.advance(0.1)
    for each in stopped:
        ended(each)


def lose(ring: Ring, number: int) -> None:
    leases = ring.flights[number].needs.elsewhere.leases
    assert isinstance(leases, _RingLeases)
    leases.had[-1].lost.callback(None)
    for _ in range(50):
        ring.clock.advance(0.1)


def test_two_nodes_do_not_wait_for_each_other(ring: Ring) -> None:
    """The first had the lease, and loses it; an old word has it follow the second, which follows the first."""
    ring.found[0] = [0, 1, 0]
    ring.found[1] = [0]
    first = ring.begin(0)
    ring.sources[0].answer().send(CONTENT[:30])
    second = ring.begin(1)
    assert (ring.asked, second.filled) == ([(1, 0)], 30)
    lose(ring, 0)
    # The second has nothing of its own to give, and upstream goes on where it was.
    assert ring.asked == [(1, 0), (0, 1)]
    assert ring.sources[0].asked[-1] == (30, None)
    ring.sources[0].send_all()
    assert (first.has_arrived, second.has_arrived, ring.sources[1].asked) == (True, True, [])


def test_three_nodes_do_not_wait_for_each_other(ring: Ring) -> None:
    ring.found[0] = [0, 2, 0]
    ring.found[1] = [0]
    # The third has an old word, too.
    ring.found[2] = [1, 0]
    flights = [ring.begin(0)]
    ring.sources[0].answer().send(CONTENT[:30])
    flights += [ring.begin(1), ring.begin(2)]
    assert ring.asked == [(1, 0), (2, 1), (2, 0)]
    lose(ring, 0)
    assert ring.asked[3:] == [(0, 2)]
    ring.sources[0].send_all()
    assert [each.has_arrived for each in flights] == [True] * 3
    assert [len(each.asked) for each in ring.sources] == [2, 0, 0]
