"""Nodes of a fleet that cannot reach each other, or what they have in common: each on a machine of its own.

What is between them is dropped without a word. How many bytes upstream sends is counted there.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.parts.answers import Filler
from tests.parts.daemon import Daemon, Upstream
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.fleets import Fleet
from tests.parts.network import Network
from tests.parts.places import REGISTRY, Place, blob
from tests.parts.raw_http import Fetched, ask, fetch
from tests.parts.s3 import S3Server
from tests.parts.shapes import at_rate, ranged
from tests.parts.valkey import Valkey
from tests.parts.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

MIB = 1024 * 1024
SIZE, RATE = 24 * MIB, 3 * MIB
NODES = ("node-1", "node-2", "node-3")
CACHE = {"patience": "30s"}
# What upstream has sent of a body that is not taken any more: it lies in buffers.
UNDER_WAY = 6 * MIB
EACH = 2


@dataclass(slots=True)
class World:
    """Three nodes that know each other, with ``EACH`` clients of each for one cold blob."""

    network: Network
    fleet: Fleet
    fake: FakeUpstream
    s3: S3Server
    valkey: Valkey
    body: Filler
    clients: ThreadPoolExecutor

    @property
    def place(self) -> Place:
        return blob(self.body)

    @property
    def sent(self) -> int:
        """Bytes that upstream has sent of it."""
        return self.fake.seen.sent(self.place.path)

    @property
    def nodes(self) -> list[Daemon]:
        return self.fleet.nodes

    def ask(self, number: int) -> list[Future[Fetched]]:
        """Have clients of a node ask for it."""
        address, target = self.nodes[number].address, self.place.through
        return [self.clients.submit(fetch, address, target, seconds=120) for _ in range(EACH)]

    def follow(self) -> list[list[Future[Fetched]]]:
        """Have clients of all nodes ask for it; return once the first node fills it and the others follow that."""
        asked = [self.ask(0)]
        until(lambda: bool(self.fake.seen.requests(self.place.path, "GET")))
        asked += [self.ask(1), self.ask(2)]
        self.until_there_are(SIZE // 4, 0, 1, 2)
        assert len(self.fake.seen.requests(self.place.path, "GET")) == 1
        return asked

    def until_there_are(self, count: int, *numbers: int) -> None:
        """Wait until these nodes have so many bytes of it."""
        for number in numbers:
            until(functools.partial(self._has, number, count))

    def _has(self, number: int, count: int) -> bool:
        cache, digest = self.nodes[number].cache, self.body.digest
        return digest in cache.whole() or cache.partial().get(digest, -1) >= count

    def are_right(self, *asked: list[Future[Fetched]]) -> None:
        for future in [each for clients in asked for each in clients]:
            assert (future.result().size, future.result().digest) == (SIZE, self.body.digest)

    def only_the_rest_was_asked_for(self) -> None:
        """Upstream was asked once for the whole, and else from what had come."""
        asked = [request.values("Range") for request in self.fake.seen.requests(self.place.path, "GET")]
        firsts = [int(wanted[0].removeprefix("bytes=").partition("-")[0]) if wanted else 0 for wanted in asked]
        assert [first for first in firsts if first < SIZE // 4] == [0]

    def are_right_or_cut(self, asked: list[Future[Fetched]]) -> None:
        """What was cut is shorter than it was announced: no client takes it for the blob."""
        for future in asked:
            error = future.exception()
            assert error is None or isinstance(error, OSError | HTTPException), error
            assert error is not None or future.result().digest == self.body.digest


@pytest.fixture
def network() -> Iterator[Network]:
    with Network(*NODES, "services", "valkey") as network, network.entered():
        yield network


@pytest.fixture
def world(workers: int, network: Network, tmp_path: Path) -> Iterator[World]:
    (tmp_path / "s3").mkdir()
    body = Filler(SIZE)
    there = network.address("services")
    with network.entered("services"):
        fake = FakeUpstream(listener=socket.create_server(("0.0.0.0", 0), backlog=256))
        s3 = S3Server(tmp_path / "s3", host=there)
    with network.entered("valkey"):
        valkey = Valkey(host=network.address("valkey"))
    fake.script(blob(body).path, at_rate(ranged(body), RATE))
    upstream = Upstream(f"http://{there}:{fake.address[1]}", connections=1)
    with (
        fake,
        s3,
        valkey,
        Fleet(tmp_path, {REGISTRY: upstream}, s3=s3, valkey=valkey, cache=CACHE, network=network) as fleet,
        ThreadPoolExecutor(4 * EACH) as clients,
    ):
        for _ in NODES:
            fleet.start()
        yield World(network, fleet, fake, s3, valkey, body, clients)
        for node in fleet.nodes:
            assert node.cache.damaged() == []


def test_nodes_that_cannot_reach_each_other_fetch_each_for_itself(world: World) -> None:
    world.network.cut("node-1", "node-2", "node-3")
    world.network.cut("node-2", "node-3")
    asked = [world.ask(0)]
    until(lambda: bool(world.fake.seen.requests(world.place.path, "GET")))
    asked += [world.ask(1), world.ask(2)]
    world.are_right(*asked)
    assert world.sent <= 3 * SIZE


def test_nodes_that_lose_each_other_in_mid_body_go_on_from_there(world: World) -> None:
    asked = world.follow()
    world.network.cut("node-1", "node-2", "node-3")
    world.network.cut("node-2", "node-3")
    world.are_right(*asked)
    # Each of the two others at the most once more, and only what had not come.
    assert world.sent <= SIZE + 2 * (SIZE - SIZE // 4) + UNDER_WAY
    world.only_the_rest_was_asked_for()


def test_without_the_store_those_that_are_cut_off_ask_upstream_for_the_rest(world: World) -> None:
    asked = world.follow()
    world.s3.kill()
    world.network.cut("node-2", "node-1", "node-3")
    world.are_right(*asked)
    # Two groups: one more at the most, and of that only what had not come.
    assert world.sent <= 2 * SIZE - SIZE // 4 + UNDER_WAY
    world.only_the_rest_was_asked_for()


def test_a_filling_node_without_valkey_goes_on_and_is_followed_to_the_end(world: World) -> None:
    asked = world.follow()
    world.network.cut("node-1", "valkey")
    world.are_right(*asked)
    assert world.sent <= SIZE + UNDER_WAY
    world.nodes[0].wait_for_log("goes on alone until it is back")


def test_who_comes_while_the_filling_node_is_without_valkey_makes_one_more_fetch(world: World) -> None:
    asked = [world.ask(0)]
    world.until_there_are(SIZE // 4, 0)
    world.network.cut("node-1", "valkey")
    # Its lease is over then.
    world.nodes[0].wait_for_log("goes on alone until it is back")
    until(lambda: not world_keys(world))
    asked += [world.ask(1), world.ask(2)]
    world.are_right(*asked)
    assert world.sent <= 2 * SIZE + UNDER_WAY
    world.network.heal("node-1", "valkey")
    world.nodes[0].wait_for_log("is back after")


def test_a_following_node_without_valkey_follows_to_the_end(world: World) -> None:
    asked = world.follow()
    world.network.cut("node-2", "valkey")
    world.are_right(*asked)
    assert world.sent <= SIZE + UNDER_WAY
    world.network.heal("node-2", "valkey")
    world.nodes[1].wait_for_log("is back after")


@pytest.mark.parametrize("number", [0, 1], ids=["the filling one", "a following one"])
def test_a_node_that_is_cut_from_all_but_its_clients_comes_back(world: World, number: int) -> None:
    asked = world.follow()
    name = NODES[number]
    rest = [each for each in (*NODES, "services", "valkey") if each != name]
    world.network.cut(name, *rest)
    world.are_right(*(each for other, each in enumerate(asked) if other != number))
    world.network.heal(name, *rest)
    world.are_right_or_cut(asked[number])
    # Soon: what did not answer is left alone for some seconds.
    until(lambda: ask(world.nodes[number].address, "HEAD", world.place.through).status == 200, 60)
    world.are_right(world.ask(number))
    # One more than for all of them, and of that only what had not come.
    assert world.sent <= 2 * SIZE + UNDER_WAY


def test_a_node_to_which_nothing_of_another_comes_any_more_does_without(world: World) -> None:
    asked = world.follow()
    world.network.cut("node-1", "node-2")
    world.are_right(*asked)
    assert world.sent <= 2 * SIZE - SIZE // 4


def test_a_slow_way_between_nodes_is_no_reason_to_fetch_it_again(world: World) -> None:
    world.network.slow("node-2", MIB)
    world.are_right(*world.follow())
    assert world.sent <= SIZE + UNDER_WAY


def world_keys(world: World) -> list[str]:
    """The leases of flights that there are."""
    with world.network.entered("valkey"):
        found: list[str] = world.valkey.ask("KEYS", "crproxy:flight:*")
    return found
