"""Where bytes come from in a fleet: another node, the object store, upstream, in this order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.flights import Flight, Flights
from crproxy.flights.tiers import Elsewhere, Holder, Lease, SourceFailed
from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.policy.proofs import Proof
from crproxy.store.blobs import PartialKey, WrongContent
from crproxy.store.entries import Entry
from crproxy.store.store import Store
from crproxy.upstream.answers import Streamed
from tests.flights.conftest import reading
from tests.memory import ended, failure_of, not_yet
from tests.sources import HandParallel, HandSource
from tests.stores import make_dependencies

CONTENT = bytes(range(10)) * 10
ENTRY = Entry(Digest.of(CONTENT))
SIZE = len(CONTENT)
DENIED = RegistryError(ErrorCode.DENIED, "not yours")
OTHER = Holder("other", "https://10.0.0.2:5443", 1, whose="somebody")
THIRD = Holder("third", "https://10.0.0.3:5443", 2, whose="somebody")


@dataclass(eq=False)
class HandLease:
    lost: Deferred[None] = field(default_factory=Deferred)
    fulfilled_with: tuple[Entry, int] | None = None
    is_given_back: bool = False

    def fulfilled(self, entry: Entry, size: int) -> None:
        self.fulfilled_with = (entry, size)

    def give_back(self) -> None:
        self.is_given_back = True


@dataclass(eq=False)
class HandLeases:
    """What is found, one after the other; the last for good."""

    found: list[HandLease | Holder | None]
    questions: list[str] = field(default_factory=list)

    async def take(self, key: PartialKey, whose: str | None) -> Lease | Holder | None:
        self.questions.append("take")
        return self.found.pop(0) if len(self.found) > 1 else self.found[0]

    async def after(self, key: PartialKey, holder: Holder, whose: str | None) -> Lease | Holder | None:
        self.questions.append(f"after {holder.node}")
        return self.found.pop(0) if len(self.found) > 1 else self.found[0]


@dataclass(eq=False)
class HandNodes:
    """Nodes whose answers are a source's."""

    source: HandSource
    asked: list[tuple[str, int]] = field(default_factory=list)

    async def open(self, holder: Holder, key: PartialKey, start: int) -> Streamed:
        self.asked.append((holder.node, start))
        return await self.source.open(start, None)


@dataclass(eq=False)
class HandStore:
    """An object store whose answers are a source's; without one it has nothing."""

    source: HandSource | None = None
    blamed: int = 0

    async def open(self, entry: Entry, start: int, stop: int | None) -> Streamed | None:
        return None if self.source is None else await self.source.open(start, stop)

    def blame(self, entry: Entry) -> None:
        self.blamed += 1


@dataclass(eq=False)
class World:
    flights: Flights
    leases: HandLeases
    nodes: HandNodes
    objects: HandStore
    upstream: HandSource

    def begin(self, proof: Proof = Proof.GIVEN, whose: str | None = "somebody") -> Flight:
        return self.flights.begin(ENTRY, self.upstream, whose=whose, proof=proof)


Make = Callable[..., World]


@pytest.fixture
def make(store: Store, clock: Clock) -> Make:
    def make(*found: HandLease | Holder | None, in_store: bool = False) -> World:
        leases, nodes = HandLeases(list(found)), HandNodes(HandSource(CONTENT, clock))
        objects = HandStore(HandSource(CONTENT, clock) if in_store else None)
        elsewhere = Elsewhere(leases, nodes, objects) if found else Elsewhere(store=objects)
        flights = Flights(make_dependencies(store, clock, elsewhere=elsewhere))
        return World(flights, leases, nodes, objects, HandSource(CONTENT, clock))

    return make


def kept(store: Store) -> bool:
    return store.size(ENTRY) == SIZE


def test_who_has_the_lease_asks_upstream_and_says_that_it_is_here(make: Make, store: Store) -> None:
    lease = HandLease()
    world = make(lease)
    world.begin()
    assert not lease.is_given_back
    world.upstream.send_all()
    assert kept(store)
    assert (lease.fulfilled_with, lease.is_given_back) == ((ENTRY, SIZE), False)


def test_a_lease_is_given_back_where_it_came_to_nothing(make: Make) -> None:
    lease = HandLease()
    world = make(lease)
    flight = world.begin()
    world.upstream.refuse(DENIED)
    assert flight.is_over
    assert (lease.fulfilled_with, lease.is_given_back) == (None, True)


def test_another_node_that_has_it_coming_is_followed(make: Make, store: Store) -> None:
    world = make(OTHER)
    flight = world.begin()
    body = world.nodes.source.answer(206)
    consumer, done = reading(flight)
    body.send(CONTENT)
    body.end()
    ended(done)
    assert consumer.content == CONTENT
    assert kept(store)
    # It is fetched for the same: nobody need ask upstream whether these may have it.
    assert (world.upstream.asked, world.upstream.sized) == ([], 0)


def test_for_others_upstream_says_whether_they_may_have_what_a_node_gives(make: Make, store: Store) -> None:
    world = make(OTHER)
    world.begin(Proof.BYTES, whose="somebody else")
    assert world.upstream.sized == 1
    world.nodes.source.send_all()
    assert kept(store)
    assert world.upstream.asked == []


@pytest.mark.parametrize("whose", ["somebody else", None])
def test_what_upstream_refuses_a_node_is_not_asked_for(make: Make, whose: str | None) -> None:
    world = make(OTHER)
    world.upstream.size_error = DENIED
    flight = world.begin(Proof.BYTES, whose=whose)
    assert failure_of(Deferred.fromCoroutine(flight.known()), RegistryError) is DENIED
    assert world.nodes.asked == []


def test_where_a_node_is_cut_its_heir_goes_on_from_the_byte_that_was_reached(
    make: Make, store: Store, clock: Clock
) -> None:
    lease = HandLease()
    world = make(OTHER, lease)
    world.begin()
    body = world.nodes.source.answer(206)
    body.send(CONTENT[:40])
    body.cut()
    clock.advance(5)
    assert world.upstream.asked == [(40, None)]
    world.upstream.send_all()
    assert kept(store)
    assert lease.fulfilled_with == (ENTRY, SIZE)


def test_a_node_that_does_not_answer_is_waited_out(make: Make, store: Store) -> None:
    world = make(OTHER, THIRD)
    world.begin()
    world.nodes.source.refuse(SourceFailed("it is gone"))
    assert world.leases.questions == ["take", "after other"]
    assert world.nodes.asked == [("other", 0), ("third", 0)]
    world.nodes.source.send_all()
    assert kept(store)


def test_where_the_nodes_cannot_agree_each_asks_for_itself(make: Make, store: Store) -> None:
    world = make(None)
    world.begin()
    world.upstream.send_all()
    assert kept(store)


def test_not_for_ever_is_one_node_after_the_other_asked(make: Make) -> None:
    world = make(OTHER)
    world.begin()
    for _ in range(5):
        world.nodes.source.refuse(SourceFailed("it is gone"))
    assert len(world.nodes.asked) == 5
    assert world.upstream.asked == [(0, None)]
    world.upstream.send_all()


def test_what_is_lost_to_another_node_is_followed_there(make: Make, store: Store, clock: Clock) -> None:
    lease = HandLease()
    world = make(lease, OTHER)
    world.begin()
    body = world.upstream.answer()
    body.send(CONTENT[:30])
    lease.lost.callback(None)
    assert body.stopped
    clock.advance(5)
    assert world.nodes.asked == [("other", 30)]
    world.nodes.source.send_all()
    assert kept(store)
    assert (lease.fulfilled_with, lease.is_given_back) == (None, False)


def test_a_lease_that_is_lost_after_the_end_is_nothing(make: Make, store: Store) -> None:
    lease = HandLease()
    world = make(lease)
    world.begin()
    world.upstream.send_all()
    lease.lost.callback(None)
    assert kept(store)


def test_it_is_with_a_node_while_that_is_asked_and_gives(make: Make, store: Store, clock: Clock) -> None:
    world = make(OTHER, THIRD, HandLease())
    flight = world.begin()
    seen = [flight.is_with_a_node]
    world.nodes.source.refuse(SourceFailed("it is gone"))
    seen.append(flight.is_with_a_node)
    body = world.nodes.source.answer(206)
    body.send(CONTENT[:40])
    seen.append(flight.is_with_a_node)
    body.cut()
    clock.advance(5)
    # It has the lease now: others are to follow it.
    assert [*seen, flight.is_with_a_node] == [True, True, True, False]
    world.upstream.send_all()
    assert kept(store)


def test_while_a_dead_node_is_waited_out_it_is_with_none(make: Make) -> None:
    world = make(OTHER, None)
    flight = world.begin()
    waiting: Deferred[None] = Deferred()

    async def after(key: PartialKey, holder: Holder, whose: str | None) -> None:
        await waiting

    world.leases.after = after  # type: ignore[method-assign]
    world.nodes.source.refuse(SourceFailed("it is gone"))
    assert not flight.is_with_a_node
    waiting.callback(None)
    assert world.upstream.asked == [(0, None)]


# The object store


def test_what_the_store_has_upstream_is_not_asked_for(make: Make, store: Store) -> None:
    world = make(in_store=True)
    world.begin()
    assert world.objects.source is not None
    world.objects.source.send_all()
    assert kept(store)
    assert (world.upstream.asked, world.upstream.sized) == ([], 0)


def test_on_its_word_upstream_gives_what_the_store_has(make: Make, store: Store) -> None:
    world = make(in_store=True)
    world.begin(Proof.WORD)
    assert world.objects.source is not None
    world.objects.source.send_all()
    assert kept(store)
    assert (world.upstream.asked, world.upstream.sized) == ([], 1)


def test_without_its_word_nothing_of_the_store_is_given(make: Make) -> None:
    world = make(in_store=True)
    world.upstream.size_error = DENIED
    flight = world.begin(Proof.WORD)
    assert world.objects.source is not None
    body = world.objects.source.answer()
    assert failure_of(Deferred.fromCoroutine(flight.known()), RegistryError) is DENIED
    assert body.abandoned


def test_what_a_registry_never_gave_only_its_own_bytes_prove(make: Make, store: Store) -> None:
    world = make(in_store=True)
    world.begin(Proof.BYTES)
    assert world.objects.source is not None
    assert world.objects.source.asked == []
    world.upstream.send_all()
    assert kept(store)


def test_where_the_store_breaks_upstream_goes_on(make: Make, store: Store, clock: Clock) -> None:
    world = make(in_store=True)
    world.begin()
    assert world.objects.source is not None
    for reached in (20, 40, 60):
        body = world.objects.source.answer(206)
        body.send(CONTENT[reached - 20 : reached])
        body.cut()
        clock.advance(5)
    assert world.upstream.asked == [(60, None)]
    world.upstream.send_all()
    assert kept(store)


def test_a_store_that_fails_is_not_asked_again(make: Make, store: Store, clock: Clock) -> None:
    world = make(in_store=True)
    world.begin()
    assert world.objects.source is not None
    world.objects.source.refuse(SourceFailed("it is away"))
    body = world.upstream.answer()
    body.send(CONTENT[:50])
    body.cut()
    clock.advance(5)
    assert len(world.objects.source.asked) == 1
    world.upstream.send_all()
    assert kept(store)


def test_wrong_bytes_of_the_store_are_neither_kept_nor_given_again(make: Make, store: Store) -> None:
    world = make(in_store=True)
    flight = world.begin()
    assert world.objects.source is not None
    body = world.objects.source.answer()
    consumer, done = reading(flight)
    body.send(b"x" + CONTENT[1:])
    body.end()
    failure_of(done, WrongContent)
    assert len(consumer.content) == SIZE - 1
    assert store.size(ENTRY) is None
    assert (world.objects.blamed, world.upstream.blamed) == (1, 0)


def test_wrong_bytes_of_a_node_are_not_upstreams(make: Make, store: Store) -> None:
    world = make(OTHER)
    world.begin()
    body = world.nodes.source.answer(206)
    body.send(b"x" + CONTENT[1:])
    body.end()
    assert store.size(ENTRY) is None
    assert (world.objects.blamed, world.upstream.blamed) == (0, 0)


def test_wrong_bytes_of_upstream_are_its_own(make: Make) -> None:
    world = make(HandLease())
    world.begin()
    body = world.upstream.answer()
    body.send(b"x" + CONTENT[1:])
    body.end()
    assert (world.objects.blamed, world.upstream.blamed) == (0, 1)


def test_several_connections_are_upstreams_alone(make: Make, clock: Clock) -> None:
    world = make(OTHER, HandLease())
    world.upstream.parallel = HandParallel(4)
    flight = world.begin()
    parallel = flight.origin.parallel
    assert parallel is not None
    body = world.nodes.source.answer(206)
    assert parallel.connections == 1
    body.cut()
    clock.advance(5)
    world.upstream.answer()
    assert parallel.connections == 4
    ended(flight.stop())


def test_who_may_have_it_from_upstream_alone_has_it_from_there(make: Make, store: Store) -> None:
    world = make(OTHER, in_store=True)
    world.flights.begin(ENTRY, world.upstream)
    assert world.leases.questions == []
    world.upstream.send_all()
    assert kept(store)


def test_a_flight_that_is_stopped_gives_its_lease_back(make: Make) -> None:
    lease = HandLease()
    world = make(lease)
    flight = world.begin()
    world.upstream.answer()
    known = Deferred.fromCoroutine(flight.known())
    assert not not_yet(known)
    ended(flight.stop())
    assert lease.is_given_back
