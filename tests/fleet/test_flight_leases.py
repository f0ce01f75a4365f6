"""Leases as flights have them: who is followed, who is waited for, and how long what has come is held for others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.fleet.asking_nodes import NodeIsGone, NotThere
from crproxy.fleet.flight_leases import FlightLeases, OtherNodes
from crproxy.fleet.leases import Holder, Lease
from crproxy.flights import tiers
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.store.blobs import PartialKey
from crproxy.store.entries import Entry
from crproxy.upstream.client import Streamed
from tests.memory import ended, failure_of, not_yet

ENTRY = Entry(Digest.of(b"content"))
KEY = PartialKey(ENTRY, Registry("quay.io"))


class HandLease(Lease):
    """A lease that nobody renews."""

    def __init__(self) -> None:
        self.token = 7
        self.lost: Deferred[None] = Deferred()
        self.given_back = 0

    async def give_back(self) -> None:
        self.given_back += 1


@dataclass(eq=False)
class HandLeases:
    """What is found, one after the other; who waits does so until the test says who has it."""

    found: list[Lease | Holder | None] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    waiting: list[Deferred[Holder | None]] = field(default_factory=list)

    async def take(self, name: str, note: str = "") -> Lease | Holder | None:
        self.asked.append((name, note))
        return self.found.pop(0)

    async def wait_free(self, name: str, holder: Holder) -> Holder | None:
        self.waiting.append(Deferred())
        return await self.waiting[-1]


class World:
    def __init__(self) -> None:
        self.clock, self.leases = Clock(), HandLeases()
        self.flights = FlightLeases(cast(Any, self.leases), "here", self.clock)

    def take(self, *found: Lease | Holder | None, whose: str | None = "us") -> Any:
        self.leases.found = list(found)
        return ended(Deferred.fromCoroutine(self.flights.take(KEY, whose)))

    def after(self, holder: tiers.Holder, *found: Lease | Holder | None) -> Deferred[Any]:
        self.leases.found = list(found)
        return Deferred.fromCoroutine(self.flights.after(KEY, holder, "us"))


@pytest.fixture
def world() -> World:
    return World()


def holder(node: str = "there", token: int = 1, note: str = "") -> Holder:
    return Holder(node, "https://there.test:5443", token, b"", note)


def test_each_blob_of_each_registry_and_pool_has_a_lease_of_its_own(world: World) -> None:
    keys = [KEY, PartialKey(ENTRY), PartialKey(Entry(ENTRY.digest, Registry("quay.io")), Registry("quay.io"))]
    for key in keys:
        world.leases.found = [None]
        assert ended(Deferred.fromCoroutine(world.flights.take(key, None))) is None
    names = [name for name, _ in world.leases.asked]
    assert names[0] == f"flight:{ENTRY.digest}::quay.io"
    assert len(set(names)) == len(keys)


def test_whose_it_is_others_find_out_and_not_who_that_is(world: World) -> None:
    world.take(HandLease(), whose="a secret")
    (_, note), *_ = world.leases.asked
    assert "secret" not in note
    assert world.take(holder(note=note), whose="a secret").whose == "a secret"
    assert world.take(holder(note=note), whose="another").whose not in ("another", "a secret", None)
    assert world.take(holder(), whose=None).whose is None


def test_where_it_is_another_worker_of_this_node_who_has_it_the_file_says_who_goes_on(world: World) -> None:
    assert world.take(holder("here")) is None


def test_what_has_come_is_held_until_it_is_elsewhere(world: World) -> None:
    lease = HandLease()
    found = world.take(lease)
    found.fulfilled(ENTRY, 7)
    world.clock.advance(100)
    assert lease.given_back == 0
    world.flights.is_elsewhere(ENTRY)
    assert lease.given_back == 1
    world.flights.is_elsewhere(ENTRY)
    assert (lease.given_back, world.clock.getDelayedCalls()) == (1, [])


def test_it_is_held_for_two_minutes_at_the_most(world: World) -> None:
    lease = HandLease()
    world.take(lease).fulfilled(ENTRY, 7)
    world.clock.advance(120)
    assert lease.given_back == 1


def test_of_many_the_oldest_are_held_no_more(world: World) -> None:
    leases = [HandLease() for _ in range(201)]
    for number, lease in enumerate(leases):
        world.take(lease).fulfilled(Entry(Digest.of(str(number).encode())), 7)
    assert [lease.given_back for lease in leases] == [1] + [0] * 200
    world.flights.stop()
    assert [lease.given_back for lease in leases] == [1] * 201
    assert world.clock.getDelayedCalls() == []


def test_what_came_to_nothing_is_given_back_at_once(world: World) -> None:
    lease = HandLease()
    world.take(lease).give_back()
    assert lease.given_back == 1


def test_a_holder_that_gives_nothing_is_waited_out(world: World) -> None:
    lease = HandLease()
    seen = world.take(holder())
    after = world.after(seen, holder(), lease)
    assert not_yet(after)
    world.leases.waiting[0].callback(None)
    ended(after).give_back()
    assert lease.given_back == 1


def test_who_holds_it_for_good_is_out_of_reach_for_this_node_alone(world: World) -> None:
    seen = world.take(holder())
    after = world.after(seen, holder())
    world.clock.advance(4)
    assert ended(after) is None


def test_who_has_it_now_is_asked_without_waiting(world: World) -> None:
    seen = world.take(holder())
    found = ended(world.after(seen, holder("third", token=2)))
    assert (found.node, found.token) == ("third", 2)
    assert world.leases.waiting == []


class HandAsking:
    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.asked: list[tuple[str, PartialKey, int]] = []

    async def open(self, url: str, key: PartialKey, start: int) -> Streamed:
        self.asked.append((url, key, start))
        if self.error is not None:
            raise self.error
        return Streamed(206, {}, cast(Any, None))


def test_a_node_is_asked_where_it_says_it_is() -> None:
    asking = HandAsking(None)
    opened = OtherNodes(cast(Any, asking)).open(tiers.Holder("there", "https://there.test:1", 1), KEY, 5)
    assert ended(Deferred.fromCoroutine(opened)).status == 206
    assert asking.asked == [("https://there.test:1", KEY, 5)]


@pytest.mark.parametrize("error", [NodeIsGone("gone"), NotThere("not there")])
def test_whatever_is_wrong_with_it_something_else_is_asked(error: Exception) -> None:
    opened = OtherNodes(cast(Any, HandAsking(error))).open(tiers.Holder("there", "https://there.test:1", 1), KEY, 5)
    assert str(failure_of(Deferred.fromCoroutine(opened), tiers.SourceFailed)) == str(error)
