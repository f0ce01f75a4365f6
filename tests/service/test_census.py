from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.fleet.nodes import Node
from crproxy.service.census import Census, Seen
from crproxy.sharing import Alone
from tests.logs import Log
from tests.sharing.crew import Crew

A = Node("a", "https://a:1", "1.2", 0.0, 1, "run-a", {"flights": 2.0, "stored": 1000.0})
B = Node("b", "https://b:1", "1.3", 0.0, 1, "run-b", {})
SEEN_A, SEEN_B = Seen("a", "1.2", 2, 1000), Seen("b", "1.3", 0, 0)


class Fleet:
    """Who is there, which a test answers for where it says so."""

    def __init__(self, *nodes: Node) -> None:
        self.there: Any = list(nodes)
        self.asked = 0

    async def nodes(self) -> Iterable[Node]:
        self.asked += 1
        if isinstance(self.there, Exception):
            raise self.there
        if isinstance(self.there, Deferred):
            return list(await self.there)
        return list(self.there)


class Worker:
    """One that holds so many leases."""

    def __init__(self, sharing: Any, clock: Clock, fleet: Fleet, leases: int = 0) -> None:
        self.leases = leases
        self.census = Census(fleet.nodes, sharing, clock)
        self.census.holds["leases"] = lambda: self.leases
        self.census.startService()

    @property
    def total(self) -> int:
        return self.census.total("leases")


def seen(census: Census) -> tuple[Seen, ...]:
    return census.nodes


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_who_is_there_is_looked_for_every_five_seconds(clock: Clock) -> None:
    fleet = Fleet(A)
    census = Census(fleet.nodes, Alone(), clock)
    assert seen(census) == ()
    census.startService()
    assert seen(census) == (SEEN_A,)
    fleet.there = [A, B]
    clock.pump([1] * 4)
    assert seen(census) == (SEEN_A,)
    clock.advance(1)
    assert seen(census) == (SEEN_A, SEEN_B)
    census.stopService()
    assert clock.getDelayedCalls() == []


def test_one_worker_looks_and_all_know(clock: Clock) -> None:
    crew, fleet = Crew(), Fleet(A, B)
    workers = [Worker(crew.member(slot), clock, fleet) for slot in range(3)]
    assert fleet.asked == 1
    assert [worker.census.nodes for worker in workers] == 3 * [(SEEN_A, SEEN_B)]


def test_what_workers_hold_is_added_up(clock: Clock) -> None:
    crew, fleet = Crew(), Fleet()
    workers = [Worker(crew.member(slot), clock, fleet, leases) for slot, leases in enumerate((1, 20, 300))]
    assert [worker.total for worker in workers] == [321] * 3
    workers[2].leases = 400
    # Its own each knows at once, that of the others within a second.
    assert [worker.total for worker in workers] == [321, 321, 421]
    clock.advance(1)
    assert [worker.total for worker in workers] == [421] * 3
    workers[1].census.stopService()
    assert workers[0].total == 401
    assert workers[0].census.total("nothing") == 0


def test_alone_there_is_nobody_to_tell(clock: Clock) -> None:
    worker = Worker(Alone(), clock, Fleet(), 7)
    assert worker.total == 7
    clock.advance(1)
    assert worker.total == 7


def test_a_look_that_takes_its_time_is_the_only_one_and_ends_with_it(clock: Clock) -> None:
    fleet = Fleet()
    fleet.there = Deferred()
    census = Census(fleet.nodes, Alone(), clock)
    census.startService()
    clock.pump([1] * 20)
    assert fleet.asked == 1
    with Log() as log:
        census.stopService()
    assert log.complaints == []


def test_a_look_that_fails_is_told_of_and_the_next_comes(clock: Clock) -> None:
    fleet = Fleet(A)
    fleet.there = RuntimeError("a mistake")
    census = Census(fleet.nodes, Alone(), clock)
    with Log() as log:
        census.startService()
    assert "the nodes could not be counted" in log.complaints[0]
    fleet.there = [A]
    clock.pump([1] * 5)
    assert seen(census) == (SEEN_A,)
    census.stopService()
