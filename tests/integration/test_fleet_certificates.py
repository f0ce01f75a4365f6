"""Certificates of a fleet: one node orders for all, with a real CA, a real Valkey, and a balancer before the nodes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts.fleets import tables_of
from tests.parts.issuing import DOMAIN, HTTP_01, TLS_ALPN_01, IssuingDaemon
from tests.parts.pebble import Pebble
from tests.parts.ports import reserve_port
from tests.parts.round_robin import RoundRobin
from tests.parts.valkey import Valkey

if TYPE_CHECKING:
    from cryptography import x509

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

FEW = {"quay": "quay.io", "ghcr": "ghcr.io"}
NAMES = [DOMAIN, f"ghcr.{DOMAIN}", f"quay.{DOMAIN}"]
NEW = f"new.{DOMAIN}"
OF_ANOTHER = ", from another node"


class IssuingFleet:
    """Nodes that one CA knows as one.

    Arguments:
        directory: of all of them.
        challenge: which one they answer.
        lifetime: seconds that a certificate is valid.
    """

    def __init__(self, directory: Path, *, challenge: str = HTTP_01, lifetime: int | None = None) -> None:
        self.nodes: list[IssuingDaemon] = []
        self._by_name: dict[str, IssuingDaemon] = {}
        self._directory = directory
        self._challenge = challenge
        with ExitStack() as running:
            self.valkey = running.enter_context(Valkey())
            self.plain = running.enter_context(RoundRobin())
            self.secure = running.enter_context(RoundRobin())
            (directory / "pebble").mkdir()
            pebble = Pebble(
                directory / "pebble", http_port=self.plain.port, tls_port=self.secure.port, lifetime=lifetime
            )
            self.pebble = running.enter_context(pebble)
            self._running = running.pop_all()

    def __enter__(self) -> IssuingFleet:
        return self

    def __exit__(self, *_: object) -> None:
        with self._running:
            for node in self.nodes:
                node.stop()

    def start(self, *, data_dir: Path | None = None) -> IssuingDaemon:
        """Start one more, with an empty disk unless another is given."""
        number = len(self._by_name) + 1
        directory = self._directory / f"node-{number}"
        directory.mkdir()
        plain, secure = reserve_port(), reserve_port()
        node = IssuingDaemon(
            directory,
            self.pebble,
            aliases=FEW,
            challenge=self._challenge,
            ports=(plain, secure),
            data_dir=data_dir,
            more=tables_of(self._directory, number, None, self.valkey),
        )
        self._by_name[f"node-{number}"] = node
        self.nodes.append(node)
        self.reach(*self.nodes)
        return node

    def reach(self, *nodes: IssuingDaemon) -> None:
        """Have the CA, and everybody else, reach these and no others."""
        self.secure.targets = [node.tls_port for node in nodes]
        if self._challenge == HTTP_01:
            self.plain.targets = [node.port for node in nodes]

    def start_together(self, number: int) -> None:
        """Start so many, none of which can begin before all of them can be reached."""
        self.valkey.kill()
        for _ in range(number):
            self.start()
        self.valkey.again()

    def shown(self, name: str) -> set[x509.Certificate]:
        """The certificates that nodes show for ``name``, each of which is good."""
        found = set()
        for node in self.nodes:
            shown = node.look(name)
            assert (shown.verdict, shown.names) == ("ok", [name])
            assert shown.certificate is not None
            found.add(shown.certificate)
        return found

    def wait(self, *names: str, seconds: float = 60, after: list[int] | None = None) -> None:
        for number, node in enumerate(self.nodes):
            node.wait_until_certified(names, seconds, after=0 if after is None else after[number])

    def add_alias(self, node: IssuingDaemon) -> None:
        node.tell("PUT", "/aliases/new", "quay.io")

    def wait_for_holder(self) -> IssuingDaemon:
        """Return the node whose turn it is to ask the CA, once it is anybody's."""
        deadline = time.monotonic() + 60
        while (lease := self.valkey.ask("GET", "crproxy:certificates")) is None:
            assert time.monotonic() < deadline, "nobody orders"
            time.sleep(0.02)
        return self._by_name[json.loads(lease)["node"]]

    @property
    def asked(self) -> list[int]:
        """How many orders, and accounts, the CA was asked for."""
        return [self.pebble.orders, self.pebble.asked("POST /sign-me-up")]


@pytest.fixture
def fleet(workers: int, tmp_path: Path) -> Iterator[IssuingFleet]:
    with IssuingFleet(tmp_path) as fleet:
        yield fleet


def orderers(fleet: IssuingFleet) -> set[int]:
    """Which nodes have got a certificate from the CA."""
    return {
        number
        for number, node in enumerate(fleet.nodes)
        if any("has a certificate until" in line and OF_ANOTHER not in line for line in node.log.splitlines())
    }


@pytest.mark.parametrize("challenge", [HTTP_01, TLS_ALPN_01])
def test_three_that_start_together_order_once(workers: int, tmp_path: Path, challenge: str) -> None:
    with IssuingFleet(tmp_path, challenge=challenge) as fleet:
        fleet.start_together(3)
        fleet.wait(*NAMES)
        assert fleet.pebble.orders == len(NAMES)
        assert all(len(fleet.shown(name)) == 1 for name in NAMES)
        # The CA was answered by all of them, of which one had ordered.
        balancer = fleet.plain if challenge == HTTP_01 else fleet.secure
        assert len(set(balancer.chosen)) == 3
        assert len(orderers(fleet)) == 1
        accounts = {path.read_bytes() for node in fleet.nodes for path in node.data_dir.rglob("account.pem")}
        assert len(accounts) == 1


def test_the_ca_is_answered_by_a_node_that_did_not_order(fleet: IssuingFleet) -> None:
    first = fleet.start()
    fleet.wait(*NAMES)
    # An empty disk is full at once, and nothing is ordered for it.
    asked = fleet.asked
    second = fleet.start()
    fleet.wait(*NAMES)
    assert all(len(fleet.shown(name)) == 1 for name in NAMES)
    assert fleet.asked == asked
    # The second is asked, and the first one orders: the second does not know the name yet.
    fleet.reach(second)
    fleet.add_alias(first)
    first.wait_until_certified([NEW])
    assert second.look(NEW).certificate is None
    assert fleet.pebble.orders == len(NAMES) + 1
    fleet.add_alias(second)
    second.wait_until_certified([NEW])
    assert len(fleet.shown(NEW)) == 1
    assert fleet.pebble.orders == len(NAMES) + 1
    assert orderers(fleet) == {0}


def test_an_alias_that_all_are_told_of_is_ordered_once(fleet: IssuingFleet) -> None:
    fleet.start_together(3)
    fleet.wait(*NAMES)
    with ThreadPoolExecutor(3) as together:
        list(together.map(fleet.add_alias, fleet.nodes))
    fleet.wait(NEW)
    assert len(fleet.shown(NEW)) == 1
    assert fleet.pebble.orders == len(NAMES) + 1


def test_a_renewal_is_one_order_for_all(workers: int, tmp_path: Path) -> None:
    # Its last third is long enough for all of them under load.
    with IssuingFleet(tmp_path, lifetime=45) as fleet:
        fleet.start_together(2)
        fleet.wait(*NAMES)
        first = [fleet.shown(name) for name in NAMES]
        after = [len(node.log) for node in fleet.nodes]
        assert fleet.pebble.orders == len(NAMES)
        fleet.wait(*NAMES, seconds=60, after=after)
        second = [fleet.shown(name) for name in NAMES]
        assert all(len(shown) == 1 for shown in second)
        assert all(one.isdisjoint(other) for one, other in zip(first, second, strict=True))
        assert fleet.pebble.orders == 2 * len(NAMES)


def test_the_next_goes_on_where_the_one_that_orders_is_killed(fleet: IssuingFleet) -> None:
    fleet.start_together(2)
    fleet.wait(*NAMES)
    with fleet.pebble.frozen():
        for node in fleet.nodes:
            fleet.add_alias(node)
        killed = fleet.wait_for_holder()
        killed.kill()
        (left,) = (node for node in fleet.nodes if node is not killed)
        fleet.nodes = [left]
        fleet.reach(left)
    left.wait_until_certified([NEW], seconds=60)
    assert len(fleet.shown(NEW)) == 1


def test_without_valkey_a_node_has_what_is_on_its_disk_and_orders_nothing(fleet: IssuingFleet) -> None:
    fleet.start_together(2)
    fleet.wait(*NAMES)
    shown = [fleet.shown(name) for name in NAMES]
    asked = fleet.asked
    fleet.valkey.kill()
    for node in list(fleet.nodes):
        node.stop()
        fleet.nodes.remove(node)
        again = fleet.start(data_dir=node.data_dir)
        fleet.add_alias(again)
        again.wait_for_log(f"{NEW} is due for a certificate, and Valkey is away: this node asks the CA alone from ", 30)
    assert [fleet.shown(name) for name in NAMES] == shown
    assert fleet.asked == asked
    # It comes back empty: it is given what nodes have, and one of them orders.
    fleet.valkey.again()
    fleet.wait(NEW)
    assert len(fleet.shown(NEW)) == 1
    assert fleet.pebble.orders == len(NAMES) + 1
    fleet.start()
    fleet.nodes[-1].wait_until_certified(NAMES)
    assert [fleet.shown(name) for name in NAMES] == shown
    assert fleet.pebble.orders == len(NAMES) + 1


@pytest.mark.security("S22")
def test_what_lies_in_valkey_is_sealed_and_ends(fleet: IssuingFleet) -> None:
    fleet.start()
    fleet.wait(*NAMES)
    # Once another has it it lies there.
    fleet.start()
    fleet.wait(*NAMES)
    keys = [key for key in fleet.valkey.ask("KEYS", "crproxy:acme:*") if fleet.valkey.ask("TYPE", key) == "string"]
    assert {key.rpartition("_")[2].partition(":")[2] for key in keys} == {
        "account",
        *(f"certificate:{name}" for name in NAMES),
    }
    for key in fleet.valkey.ask("KEYS", "crproxy:acme:*"):
        assert fleet.valkey.ask("PTTL", key) > 0
    for key in keys:
        content = fleet.valkey.read(key)
        assert len(content) > 200
        assert b"-----BEGIN" not in content
