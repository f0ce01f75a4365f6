from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred

from crproxy.config import Config, ConfigError
from crproxy.fleet.leases import Holder, Lease, Leases
from crproxy.fleet.nodes_only import NodesOnly
from crproxy.metrics import FleetNumbers
from crproxy.service.fleet import FleetService
from crproxy.web import page
from tests.fleet.fake import FakeValkey
from tests.memory import Network, ended
from tests.service.in_common import BOUNDS, FLEET, InCommon
from tests.sharing.crew import Crew
from tests.web.conftest import Browser


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> InCommon:
    return InCommon(monkeypatch, tmp_path)


@pytest.fixture
def fleet(world: InCommon) -> Iterator[FleetService]:
    fleet = world.fleet()
    yield fleet
    if fleet.running:
        ended(fleet.stopService())


def test_alone_there_is_nobody_else(fleet: FleetService) -> None:
    fleet.startService()
    assert fleet.numbers() == FleetNumbers(
        is_up=False, nodes=1, leases=0, refused=0, answers=0, bytes=0, answers_given=0, bytes_given=0
    )
    described = ended(Deferred.fromCoroutine(fleet.describe()))
    assert (described["node"], described["up"], described["leases"]) == ("a", False, 0)
    assert [node["name"] for node in described["nodes"]] == ["a"]
    assert "0123456789abcdef" not in str(described)


def test_the_page_shows_who_is_there_and_not_where(fleet: FleetService) -> None:
    fleet.startService()
    state = fleet.state()
    assert (state.up, state.leases) == (False, 0)
    (node,) = state.nodes
    assert (node.name, node.is_this) == ("a", True)
    assert not hasattr(page.Node, "url")


def test_where_nodes_cannot_agree_none_keeps_the_store_within_its_size(fleet: FleetService) -> None:
    fleet.startService()
    assert not ended(Deferred.fromCoroutine(fleet.may_tidy()))


class HandLeases:
    """Gives what a test says."""

    def __init__(self) -> None:
        self.found: Lease | Holder | None = None
        self.asked = 0

    async def take(self, name: str, note: str = "") -> Lease | Holder | None:
        assert name == "janitor"
        self.asked += 1
        return self.found


def test_who_has_the_lease_keeps_it_within_its_size_and_stays_the_one(world: InCommon, fleet: FleetService) -> None:
    leases, valkey = HandLeases(), FakeValkey()
    fleet.membership = replace(fleet.membership, leases=cast(Leases, leases))

    def may() -> bool:
        turn = ended(Deferred.fromCoroutine(fleet.may_tidy()))
        return turn is not None and turn()

    leases.found = Holder("b", "https://b.test:1", 1, b"")
    assert not may()
    real = Leases(valkey.valkey, cast(Any, None), "a", "https://a.test:1", world.reactor)
    leases.found = lease = Lease("janitor", 2, b"", world.reactor.seconds() + 3, b"", real)
    assert may()
    assert may()
    assert leases.asked == 2, "what is had is not asked for again"
    world.reactor.advance(3)
    assert not lease.is_ours
    leases.found = None
    assert not may()


def test_what_other_nodes_are_given_is_counted(world: InCommon, fleet: FleetService) -> None:
    site = fleet.site(world.cache())
    received = Browser(site, Network()).get("/v1/node")
    assert received.status == 200
    assert (fleet.numbers().answers_given, fleet.numbers().bytes_given) == (1, len(received.body))
    assert Browser(site, Network()).get("/v1/blobs/sha256:" + "0" * 64).status == 404
    assert fleet.numbers().answers_given == 2


def test_nodes_are_let_in_as_far_as_there_are_descriptors(world: InCommon, fleet: FleetService) -> None:
    doors = [fleet.lets_in(fleet.site(world.cache())) for _ in range(2)]
    assert [cast(NodesOnly, door)._most for door in doors] == [BOUNDS.from_nodes] * 2
    for door in doors:
        cast(NodesOnly, door).refused = 3
    assert fleet.numbers().refused == 6


def test_where_it_listens_twice_each_has_its_part(world: InCommon) -> None:
    twice = replace(FLEET, listen=("tcp:1", "tcp:2"))
    config = replace(world.config, fleet=twice)
    service = FleetService(config, twice, world.reactor, world.now, world.sharing, BOUNDS)
    assert cast(NodesOnly, service.lets_in(service.site(world.cache())))._most == BOUNDS.from_nodes // 2


def test_leases_of_all_workers_are_this_nodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    crew = Crew()
    workers = [InCommon(monkeypatch, tmp_path / str(slot), crew.member(slot)) for slot in range(2)]
    services = [worker.fleet() for worker in workers]
    for number, service in enumerate(services, 1):
        service.census.holds["leases"] = lambda number=number: number  # type: ignore[misc]
        service.startService()
    assert [service.state().leases for service in services] == [3, 3]
    assert ended(Deferred.fromCoroutine(services[1].describe()))["leases"] == 3
    for service in services:
        ended(service.stopService())


def test_without_a_fleet_there_is_no_such_service(world: InCommon) -> None:
    with pytest.raises(ConfigError, match="no fleet is configured"):
        FleetService(Config(), FLEET, world.reactor, world.now, world.sharing, BOUNDS)


def test_what_is_not_installed_is_said_with_what_to_do(world: InCommon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "crproxy.fleet.fleet", None)
    with pytest.raises(ConfigError, match=r"\[fleet\] takes what is not installed here .*crproxy\[fleet\]"):
        world.fleet()
