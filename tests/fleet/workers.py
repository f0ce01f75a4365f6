"""A node of two workers, of which one fills; upstream's side and time are in the test's hands."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.fleet.having import Having
from crproxy.flights import Flight
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.policy.ranges import ByteRange
from crproxy.pullthrough import Reply
from crproxy.store.blobs import PartialKey
from crproxy.store.entries import Entry
from tests.flights.conftest import open_files
from tests.memory import ended
from tests.peers.workers import Wire, make_workers
from tests.sharing.crew import Crew
from tests.sources import HandBody, HandSource
from tests.upstream.conftest import Consumer

CONTENT = bytes(range(100))
KEY = PartialKey(Entry(Digest.of(CONTENT)), Registry("quay.io"))
OTHERS = [
    PartialKey(Entry(Digest.of(b"another")), Registry("quay.io")),
    PartialKey(KEY.entry, Registry("docker.io")),
    PartialKey(Entry(KEY.entry.digest, Registry("quay.io")), Registry("quay.io")),
]
WHOLE = ByteRange(0, None)


class TwoWorkers:
    """Two workers; the first fills, and either is asked."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = Clock()
        self.workers = make_workers(directory, self.clock, Wire(), 2, Crew(), windows=60)
        self.havings = [Having(each.store, each.flights) for each in self.workers]
        self.source = HandSource(CONTENT, self.clock)
        self.consumers: list[Consumer] = []
        self.flight: Flight | None = None

    def begin(self, whose: str | None = "anybody") -> Flight:
        self.flight = self.workers[0].flights.begin(KEY.entry, self.source, KEY.origin, whose=whose)
        return self.flight

    def ask(self, worker: int, wanted: ByteRange | None = WHOLE, key: PartialKey = KEY) -> Deferred[Reply]:
        return Deferred.fromCoroutine(self.havings[worker].get(key, wanted))

    def answered(self, worker: int, wanted: ByteRange | None = WHOLE, key: PartialKey = KEY) -> Reply:
        asked = self.ask(worker, wanted, key)
        self.look()
        return ended(asked)

    def read(self, reply: Reply) -> tuple[Consumer, Deferred[None]]:
        consumer = Consumer()
        self.consumers.append(consumer)
        return consumer, reply.body.join(consumer)

    def look(self, times: int = 3) -> None:
        for _ in range(times):
            self.clock.advance(0.02)

    def stop(self) -> None:
        stopped = [each.flights.stop() for each in self.workers]
        # As long as anything waits for anything.
        for _ in range(200):
            self.clock.advance(0.1)
        for each in stopped:
            ended(each)
        assert [len(having._files) for having in self.havings] == [0, 0]
        assert self.clock.getDelayedCalls() == []
        assert open_files(self.directory / "cache") == []


def streaming(node: TwoWorkers, length: int | None = 100) -> tuple[HandBody, Deferred[None]]:
    flight = node.begin()
    body = node.source.answer(length=length)
    return body, flight.reader(None).join(Consumer())
