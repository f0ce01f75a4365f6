"""Workers of one daemon, all in this process, that ask each other without a network between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from crproxy.flights import Flights
from crproxy.flights.peers import NotThere, PeerIsGone
from crproxy.flights.window import Windows
from crproxy.limits import Body
from crproxy.peers import Asking, OtherWorkers
from crproxy.peers.serving import from_memory
from crproxy.store.blobs import PartialKey
from crproxy.store.store import Store
from crproxy.upstream.client import Streamed
from crproxy.upstream.relay import BodyBroke
from tests.sharing.crew import Crew
from tests.stores import MIB, make_dependencies, make_store

__all__ = ["Sent", "Wire", "Worker", "make_workers"]


_REFUSALS = {404: PeerIsGone, 416: NotThere}


@dataclass
class Wire:
    """Asks as `Asking` does; ``asked`` has each slot that was, and the byte."""

    flights: dict[int, Flights] = field(default_factory=dict)
    asked: list[tuple[int, int]] = field(default_factory=list)

    async def open(self, slot: int, key: PartialKey, start: int) -> Streamed:
        self.asked.append((slot, start))
        if slot not in self.flights:
            raise PeerIsGone("nobody listens there")
        reply = await from_memory(self.flights[slot], key, start)
        if reply.status in _REFUSALS:
            raise _REFUSALS[reply.status]
        headers = {name.lower(): value for name, value in reply.headers.items()}
        return Streamed(reply.status, headers, Sent(reply.body))


@dataclass
class Sent:
    """A body as it comes over a connection: whatever is wrong with it, it is cut."""

    body: Body

    @property
    def length(self) -> int | None:
        return self.body.length

    def join(self, consumer: IConsumer) -> Deferred[None]:
        done: Deferred[None] = Deferred(lambda _: self.body.abandon())

        def fail(failure: Failure) -> None:
            if not done.called:
                done.errback(failure)

        stoppable = _Stoppable(consumer, lambda: fail(Failure(BodyBroke("stopped"))))
        self.body.join(stoppable).addErrback(_cut).addCallbacks(done.callback, fail)
        return done

    def abandon(self) -> None:
        self.body.abandon()


@implementer(IConsumer, IPushProducer)
class _Stoppable:
    """Tells whoever writes to a consumer that it wants no more, and that its body has ended by that, as Relay does."""

    def __init__(self, consumer: IConsumer, on_stop: Callable[[], object]) -> None:
        self._consumer: Any = consumer
        self._on_stop = on_stop
        self._producer: Any = None
        self._is_writing = self._is_stopped = False

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer = producer
        self._consumer.registerProducer(self, streaming)

    def unregisterProducer(self) -> None:
        self._consumer.unregisterProducer()

    def write(self, data: bytes) -> None:
        self._is_writing = True
        self._consumer.write(data)
        self._is_writing = False
        if self._is_stopped:
            self._on_stop()

    def pauseProducing(self) -> None:
        self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        self._producer.resumeProducing()

    def stopProducing(self) -> None:
        self._producer.stopProducing()
        self._is_stopped = True
        if not self._is_writing:
            self._on_stop()


def _cut(failure: Failure) -> None:
    raise BodyBroke(failure.getErrorMessage())


@dataclass
class Worker:
    """One of them."""

    store: Store
    flights: Flights
    peers: OtherWorkers


def make_workers(
    directory: Path, clock: Clock, wire: Wire, number: int = 2, crew: Crew | None = None, *, windows: int = 8 * MIB
) -> list[Worker]:
    crew, workers = crew or Crew(), []
    for slot in range(number):
        sharing = crew.member(slot)
        store, peers = make_store(directory, clock, sharing=sharing), OtherWorkers(sharing, cast(Asking, wire))
        needs: Any = replace(make_dependencies(store, clock), sharing=sharing, peers=peers, windows=Windows(8, windows))
        wire.flights[slot] = Flights(needs)
        workers.append(Worker(store, wire.flights[slot], peers))
    return workers
