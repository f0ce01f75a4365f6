"""One order for the fleet, in memory: nodes, a CA that signs, and a Valkey that comes and goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crproxy.fleet import leases
from crproxy.fleet.identity import Secret
from crproxy.fleet.sealed_values import Value
from crproxy.policy.shared_certificates import ALONE_AFTER
from crproxy.tls.certificates import self_signed
from crproxy.tls.plan import State
from tests.acme.fake_ca import problem
from tests.logs import Log
from tests.tls.conftest import NAMES
from tests.tls.fleet import CertifyingFleet

OTHER_SECRET = Secret(b"another secret of another fleet.")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[CertifyingFleet]:
    fleet = CertifyingFleet(tmp_path)
    yield fleet
    fleet.close()


@pytest.fixture
def log() -> Iterator[Log]:
    with Log() as log:
        yield log


def accounts(fleet: CertifyingFleet) -> list[str]:
    """The keys that accounts were asked for with."""
    return sorted({str(post.header["jwk"]) for post in fleet.ca.posts if post.path == "/account"})


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
def test_one_node_orders_and_all_show_it(fleet: CertifyingFleet, challenge: str) -> None:
    """The CA reaches the last, which did not order."""
    for _ in range(3):
        fleet.start(challenge=challenge)
    fleet.advance(30)
    assert sorted(fleet.ca.ordered) == sorted(NAMES)
    assert fleet.agree()
    assert len(accounts(fleet)) == 1
    assert all(node.states == {State.VALID} for node in fleet.nodes)
    assert len({node.account for node in fleet.nodes}) == 1
    assert fleet.server.get("fake:certificates") is None


def test_a_node_that_comes_later_orders_nothing_and_a_restart_without_valkey_has_it_all(
    fleet: CertifyingFleet,
) -> None:
    first = fleet.start()
    fleet.advance(30)
    asked = len(fleet.ca.posts)
    later = fleet.start()
    assert fleet.agree()
    expected = {name: later.leaf(name) for name in NAMES}
    fleet.stop(later)
    again = fleet.start(data_dir=later.data_dir, is_up=False)
    assert {name: again.leaf(name) for name in NAMES} == expected
    fleet.advance(60)
    assert len(fleet.ca.posts) == asked
    assert again.account == first.account


def test_an_alias_that_is_added_is_ordered_once(fleet: CertifyingFleet) -> None:
    for _ in range(3):
        fleet.start()
    fleet.advance(30)
    more = (*NAMES, "new.cr.test")
    fleet.nodes[1].certificates.rename(more)
    fleet.advance(10)
    fleet.nodes[0].certificates.rename(more)
    # The last hears of the name last, and finds its certificate at once.
    fleet.nodes[2].certificates.rename(more)
    fleet.advance(0.1)
    assert fleet.nodes[2].leaf("new.cr.test") == fleet.nodes[1].leaf("new.cr.test") is not None
    fleet.advance(10)
    assert fleet.ca.ordered.count("new.cr.test") == 1
    assert fleet.agree()


def test_a_renewal_is_one_order_and_replaces_what_all_have(fleet: CertifyingFleet) -> None:
    fleet.ca.lifetime = 900
    for _ in range(3):
        fleet.start()
    fleet.advance(60)
    first = fleet.nodes[0].leaf("cr.test")
    fleet.advance(600)
    assert sorted(fleet.ca.ordered) == sorted([*NAMES, *NAMES])
    assert fleet.agree()
    assert fleet.nodes[0].leaf("cr.test") != first
    assert len(accounts(fleet)) == 1


def test_the_next_node_goes_on_where_the_one_that_orders_dies(fleet: CertifyingFleet) -> None:
    fleet.ca.sees = lambda kind, name, token: False
    dead, other = fleet.start(), fleet.start()
    fleet.advance(4.2)
    # It is killed: its lease is not given back, and nothing of it is seen any more.
    dead.connected.is_up = False
    for step in list(dead.certificates._issuer._under_way):  # type: ignore[union-attr]
        step.cancel()
    fleet.ca.sees = fleet._sees
    fleet.nodes = [other]
    dead.certificates.stopService()
    fleet.advance(2)
    assert other.leaf("cr.test") is None
    fleet.advance(30)
    assert all(other.leaf(name) for name in NAMES)


# One after the other


def test_a_turn_that_is_lost_while_the_ca_thinks(fleet: CertifyingFleet, log: Log) -> None:
    """The CA does not answer, and the others would wait for ever."""
    fleet.ca.mute = True
    first, second = fleet.start(), fleet.start()
    fleet.advance(5)
    assert State.RENEWING in first.states
    first.connected.is_up = False
    fleet.advance(3)
    assert State.RENEWING not in first.states
    assert [line for line in log.lines if line.startswith("it is not this node's turn any more to ask the CA")]
    fleet.ca.mute = False
    fleet.advance(120)
    assert all(second.leaf(name) for name in NAMES)
    assert first.leaf("cr.test") is None
    # What another node did is no failure of this one's.
    assert State.FAILED not in first.states


def test_what_failed_at_one_node_is_not_tried_by_the_next(fleet: CertifyingFleet) -> None:
    fleet.ca.refusals["a.cr.test"] = problem("rejectedIdentifier", detail="not this one")
    for _ in range(3):
        fleet.start()
    fleet.advance(119)
    assert fleet.ca.ordered.count("a.cr.test") <= 1
    assert sorted(set(fleet.ca.ordered)) in ([*NAMES[:1], *NAMES[2:]], sorted(NAMES))
    refused = sum(post.path == "/order" and "a.cr.test" in str(post.payload) for post in fleet.ca.posts)
    assert refused == 1
    fleet.advance(700)
    refused = sum(post.path == "/order" and "a.cr.test" in str(post.payload) for post in fleet.ca.posts)
    # After 2 minutes, and 10 more: as one node alone would.
    assert refused == 2 + (refused > 2)
    states = {state.name: state for state in fleet.nodes[2].certificates.states()}
    assert states["a.cr.test"].state is State.FAILED
    assert "not this one" in (states["a.cr.test"].why or "")


def test_a_busy_ca_is_left_alone_by_all(fleet: CertifyingFleet) -> None:
    fleet.ca.busy = problem("rateLimited", 429, "Retry-After: 5000")
    for _ in range(3):
        fleet.start()
    fleet.advance(10)
    asked = len(fleet.ca.posts)
    assert 1 <= asked <= 3
    fleet.advance(600)
    assert len(fleet.ca.posts) == asked


def test_nothing_is_ordered_before_all_can_be_back(fleet: CertifyingFleet) -> None:
    """A node that finds a new Valkey first has nothing, and the others have it all."""
    first = fleet.start()
    fleet.advance(30)
    fleet.server.clear()
    first.connected.is_up = False
    asked = len(fleet.ca.posts)
    fleet.start()
    fleet.advance(3.5)
    first.connected.come_back()
    fleet.advance(30)
    assert fleet.agree()
    assert len(fleet.ca.posts) == asked


# While Valkey is away


def test_nobody_orders_alone_within_the_hour(fleet: CertifyingFleet, log: Log) -> None:
    node = fleet.start(is_up=False)
    fleet.advance(ALONE_AFTER - 10)
    assert fleet.ca.posts == []
    (said,) = [line for line in log.lines if "is due for a certificate, and Valkey is away" in line]
    assert said.startswith("cr.test, a.cr.test")
    assert said.endswith("asks the CA alone from 2023-11-14 23:13:20 UTC on")
    node.connected.come_back()
    fleet.advance(30)
    assert fleet.agree()
    assert sorted(fleet.ca.ordered) == sorted(NAMES)


def test_after_an_hour_each_orders_what_is_due_alone(fleet: CertifyingFleet, log: Log) -> None:
    node = fleet.start(is_up=False)
    fleet.advance(ALONE_AFTER + 30)
    assert all(node.leaf(name) for name in NAMES)
    assert [line for line in log.lines if line.startswith("Valkey is still away, and this node asks the CA alone for")]
    # What it has got is the fleet's once Valkey is back.
    node.connected.come_back()
    fleet.advance(2)
    fleet.start()
    assert fleet.agree()
    assert sorted(fleet.ca.ordered) == sorted(NAMES)


def test_what_is_not_due_is_not_ordered_however_long_it_is_away(fleet: CertifyingFleet) -> None:
    node = fleet.start()
    fleet.advance(30)
    asked = len(fleet.ca.posts)
    node.connected.is_up = False
    fleet.advance(3 * ALONE_AFTER)
    assert len(fleet.ca.posts) == asked


def test_of_two_that_ordered_alone_the_newest_is_everybodys(fleet: CertifyingFleet) -> None:
    first = fleet.start(is_up=False)
    fleet.advance(60)
    second = fleet.start(is_up=False)
    fleet.reached = first
    fleet.advance(ALONE_AFTER - 30)
    fleet.reached = second
    fleet.advance(60)
    assert first.leaf("cr.test") != second.leaf("cr.test")
    newest = second.leaf("cr.test")
    for node in (second, first):
        node.connected.come_back()
    fleet.advance(2)
    assert fleet.agree()
    assert first.leaf("cr.test") == newest
    assert first.account == second.account
    asked = len(fleet.ca.posts)
    fleet.advance(60)
    assert len(fleet.ca.posts) == asked


def test_who_is_alone_when_valkey_comes_back_leaves_what_another_does(fleet: CertifyingFleet) -> None:
    fleet.ca.mute = True
    alone = fleet.start(is_up=False)
    fleet.advance(ALONE_AFTER + 2)
    assert State.RENEWING in alone.states
    other = fleet.start()
    fleet.advance(5)
    assert State.RENEWING in other.states
    alone.connected.come_back()
    fleet.advance(0.1)
    assert State.RENEWING not in alone.states
    fleet.ca.mute = False
    fleet.advance(300)
    assert fleet.agree()


def test_a_valkey_that_lost_all_is_given_all_again(fleet: CertifyingFleet) -> None:
    for _ in range(2):
        fleet.start()
    fleet.advance(30)
    fleet.server.clear()
    for node in fleet.nodes:
        node.connected.come_back()
    fleet.advance(1)
    asked = len(fleet.ca.posts)
    fleet.start()
    fleet.advance(10)
    assert fleet.agree()
    assert len(fleet.ca.posts) == asked
    # Also where nobody noticed.
    fleet.server.clear()
    fleet.advance(3600)
    fleet.start()
    fleet.advance(1)
    assert fleet.agree()
    assert len(fleet.ca.posts) == asked


# What cannot be used

BAD = {
    "not sealed": b"junk",
    "nothing": b"",
    "sealed with another secret": OTHER_SECRET.seal("acme:ca.example certificate:cr.test", b"x"),
    "too long": bytes(300_000),
}


@pytest.mark.parametrize("junk", BAD.values(), ids=BAD)
def test_what_does_not_unseal_is_as_if_it_were_not_there(fleet: CertifyingFleet, log: Log, junk: bytes) -> None:
    for key in ("certificate:cr.test", "account", "attempt:cr.test", "attempt:*"):
        fleet.server.set(f"fake:acme:ca.example:{key}", junk)
    for _ in range(2):
        fleet.start()
    fleet.advance(30)
    assert fleet.agree()
    assert sorted(fleet.ca.ordered) == sorted(NAMES)
    assert len(accounts(fleet)) == 1
    said = [line for line in log.complaints if "in Valkey is of no use" in line]
    assert (
        "the certificate of cr.test in Valkey is of no use to this node: it was not sealed with this node's secret"
        in said
    )
    assert len(said) <= 4


def test_what_is_of_no_use_is_said_why(fleet: CertifyingFleet, log: Log) -> None:
    now = fleet.network.clock.seconds()
    ended = self_signed("a.cr.test", now - 91 * 86400)
    of_another, other_key = self_signed("elsewhere.test", now), self_signed("c.cr.test", now)
    begin = b"-----BEGIN CERTIFICATE"
    key = self_signed("c.cr.test", now).to_pem().partition(begin)[0]
    misfit = key + begin + other_key.to_pem().partition(begin)[2]
    contents = {"cr.test": b"junk", "a.cr.test": ended.to_pem(), "b.cr.test": of_another.to_pem(), "c.cr.test": misfit}
    values = fleet.values()
    for name, content in contents.items():
        fleet.network.run(values.replace(f"certificate:{name}", Value(), content, 10**6))
    fleet.start()
    fleet.advance(30)
    assert fleet.agree()
    assert sorted(fleet.ca.ordered) == sorted(NAMES)
    said = {line.split()[3]: line.partition(" to this node: ")[2] for line in log.complaints if "Valkey" in line}
    assert said == {
        "cr.test": "there is no private key in it",
        "a.cr.test": "it has ended",
        "b.cr.test": "it is for elsewhere.test",
        "c.cr.test": "the key belongs to none of the certificates",
    }


def test_one_that_was_sealed_for_another_name_is_of_no_use(fleet: CertifyingFleet, log: Log) -> None:
    fleet.start(names=NAMES[:2])
    fleet.advance(30)
    moved = fleet.server.get("fake:acme:ca.example:certificate:a.cr.test")
    assert moved is not None
    fleet.server.set("fake:acme:ca.example:certificate:cr.test", moved)
    fleet.start(names=NAMES[:1])
    assert [line for line in log.complaints if line.startswith("the certificate of cr.test in Valkey is of no use")]


def test_an_older_one_replaces_nothing(fleet: CertifyingFleet) -> None:
    node = fleet.start()
    fleet.advance(30)
    before = node.leaf("cr.test")
    older = self_signed("cr.test", fleet.network.clock.seconds() - 86400)
    key = "certificate:cr.test"
    fleet.server.values.pop(f"fake:acme:ca.example:{key}")
    fleet.network.run(fleet.values().replace(key, Value(), older.to_pem(), 10**6))
    fleet.advance(2)
    assert node.leaf("cr.test") == before
    # And the next finds the newer one.
    fleet.start()
    assert fleet.agree()


def test_nodes_with_two_secrets_do_not_quarrel_without_end(fleet: CertifyingFleet, log: Log) -> None:
    fleet.start()
    fleet.advance(30)
    fleet.start(secret=OTHER_SECRET)
    fleet.advance(120)
    assert all(node.states == {State.VALID} for node in fleet.nodes)
    assert len(fleet.ca.ordered) == 2 * len(NAMES)
    written = len([what for what in fleet.server.asked if what == "script"])
    fleet.advance(120)
    assert len([what for what in fleet.server.asked if what == "script"]) == written


def test_an_idle_node_asks_one_thing_in_a_second(fleet: CertifyingFleet) -> None:
    fleet.start()
    fleet.advance(30)
    fleet.server.asked.clear()
    fleet.advance(100)
    assert set(fleet.server.asked) == {"ZRANGEBYSCORE"}
    assert 99 <= len(fleet.server.asked) <= 101


def test_where_valkey_refuses_what_is_written_it_is_away(fleet: CertifyingFleet) -> None:
    node = fleet.start(is_up=False)
    node.connected.refuses.add(leases._TAKE)
    node.connected.come_back()
    fleet.advance(ALONE_AFTER + 30)
    assert fleet.ca.posts == []
