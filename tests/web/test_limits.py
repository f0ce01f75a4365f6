"""Limits as clients meet them: what is slower, what is answered 429, and for whom."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.web.server import Site

from crproxy.config import Limits, Listen
from crproxy.oci.digests import Digest
from crproxy.policy.access import Access
from crproxy.policy.units import Frequency
from tests.memory import Network, answer
from tests.parts.request_ids import without_id
from tests.web.conftest import Browser, Current, Received

QUAY = "https://quay.io"
CLIENT = IPv4Address("TCP", "192.0.2.1", 5000)
OTHER = IPv4Address("TCP", "192.0.2.2", 5000)
PROXY = IPv4Address("TCP", "10.0.0.1", 5000)
RATE = 1024 * 1024
SLOW = 64 * 1024

From = Callable[..., Browser]


@pytest.fixture
def come(site: Site, network: Network) -> From:
    """Opens a connection from an address."""

    def come(peer: IAddress = CLIENT) -> Browser:
        return Browser(site, network, peer)

    return come


def limit(current: Current, **limits: object) -> None:
    current.config = replace(current.config, limits=Limits(**limits))  # type: ignore[arg-type]


def trust(current: Current, network: str) -> None:
    current.config = replace(current.config, listen=replace(Listen(), trusted_proxies=(ipaddress.ip_network(network),)))


def blob(number: int, size: int = 8) -> tuple[str, bytes]:
    content = number.to_bytes(4, "big") * (size // 4)
    return f"/v2/quay.io/org/name/blobs/{Digest.of(content)}", content


def too_many(received: Received) -> str:
    (error,) = json.loads(received.body)["errors"]
    assert (received.status, error["code"]) == (429, "TOOMANYREQUESTS")
    assert int(received.one("Retry-After") or 0) >= 1
    return without_id(str(error["message"]), received.one("X-Request-Id"))


# Requests


def test_too_many_requests_are_told_when_to_come_back(network: Network, current: Current, come: From) -> None:
    limit(current, requests_per_client=Frequency(2, 10))
    assert [come().get("/v2/").status for _ in range(2)] == [200, 200]
    refused = come().get("/v2/")
    assert "192.0.2.1" in too_many(refused)
    assert refused.one("Retry-After") == "5"
    assert come(OTHER).get("/v2/").status == 200
    network.advance(5)
    assert come().get("/v2/").status == 200


def test_requests_that_are_too_many_ask_nobody(network: Network, current: Current, come: From) -> None:
    limit(current, requests_per_client=Frequency(1, 10))
    come().get("/v2/")
    too_many(come().get(blob(1)[0]))
    assert network.seen == []


# Who the client is


def ask_as(come: From, peer: IAddress, forwarded: str) -> int:
    return come(peer).get("/v2/", f"X-Forwarded-For: {forwarded}").status


def test_s25_what_others_than_proxies_write_counts_for_nothing(current: Current, come: From) -> None:
    limit(current, requests_per_client=Frequency(1, 60))
    trust(current, "10.0.0.0/8")
    assert [ask_as(come, CLIENT, f"198.51.100.{number}") for number in range(3)] == [200, 429, 429]


def test_s25_behind_a_proxy_each_client_is_its_own(current: Current, come: From) -> None:
    limit(current, requests_per_client=Frequency(1, 60))
    trust(current, "10.0.0.0/8")
    assert [ask_as(come, PROXY, f"198.51.100.{number}") for number in range(3)] == [200, 200, 200]
    assert [ask_as(come, PROXY, f"1.1.1.{number}, 198.51.100.1") for number in range(3)] == [429, 429, 429]


def test_s25_a_spoofed_address_is_not_privileged(network: Network, current: Current, come: From) -> None:
    trust(current, "10.0.0.0/8")
    networks = (ipaddress.ip_network("198.51.100.0/24"),)
    current.config = replace(current.config, access=Access(frozenset(), privileged=networks))
    target, content = blob(1)
    network.serve(QUAY, answer(200, content))
    assert come(CLIENT).get(target, "X-Forwarded-For: 198.51.100.1").status == 403
    assert come(PROXY).get(target, "X-Forwarded-For: 198.51.100.1, 192.0.2.9").status == 403
    assert network.seen == []
    assert come(PROXY).get(target, "X-Forwarded-For: 192.0.2.9, 198.51.100.1").status == 200


def test_s25_addresses_of_one_64_are_one_client(current: Current, come: From) -> None:
    limit(current, requests_per_client=Frequency(1, 60))
    addresses = ("2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:2::1")
    assert [come(IPv6Address("TCP", one, 5000)).get("/v2/").status for one in addresses] == [200, 429, 200]


def test_by_a_socket_of_this_machine_nobody_is_counted_but_for_whom_a_proxy_names(current: Current, come: From) -> None:
    limit(current, requests_per_client=Frequency(1, 60))
    here = UNIXAddress("/run/crproxy.sock")
    assert [ask_as(come, here, "192.0.2.1") for _ in range(2)] == [200, 200]
    trust(current, "10.0.0.0/8")
    assert [ask_as(come, here, "192.0.2.1") for _ in range(2)] == [200, 429]


# Bytes


@pytest.mark.parametrize("which", ["per_transfer", "per_client", "total"])
def test_a_stored_blob_flows_at_the_rate(network: Network, current: Current, come: From, which: str) -> None:
    target, content = blob(1, 4 * RATE)
    network.serve(QUAY, answer(200, content))
    assert come().get(target).body == content
    limit(current, **{which: RATE})
    browser = come()
    browser.ask(target)
    seconds = 0.0
    while len(browser.received().body) < len(content):
        assert len(browser.received().body) <= RATE * (seconds + 0.1) + 64 * 1024
        network.advance(0.01)
        seconds += 0.01
    assert seconds == pytest.approx(4, abs=0.2)
    assert browser.received().body == content


def test_a_fill_from_upstream_flows_at_its_rate_and_no_clock_runs_out(
    network: Network, current: Current, come: From
) -> None:
    """Upstream is silent for longer than it may be, because it is not read."""
    limit(current, upstream=SLOW)
    target, content = blob(1, 100 * SLOW)
    network.serve(QUAY, lambda seen: answer(length=len(content)))
    browser = come()
    browser.ask(target)
    (connection,) = network.connections
    connection.send(content[: 99 * SLOW])
    assert connection.wire.paused
    for _ in range(98):
        network.advance(1)
        assert connection.wire.paused
    network.advance(2)
    assert not connection.wire.disconnecting
    connection.send(content[99 * SLOW :])
    assert browser.received().body == content
    assert len(network.seen) == 1


def test_who_is_privileged_has_it_at_once(network: Network, current: Current, come: From) -> None:
    target, content = blob(1, 4 * RATE)
    network.serve(QUAY, answer(200, content))
    limit(current, per_transfer=RATE, per_client=RATE, total=RATE)
    current.config = replace(
        current.config, access=replace(Access(), privileged=(ipaddress.ip_network("192.0.2.1/32"),))
    )
    assert come().get(target).body == content


def test_a_limit_that_changes_counts_for_what_flows(network: Network, current: Current, come: From) -> None:
    target, content = blob(1, 4 * RATE)
    network.serve(QUAY, answer(200, content))
    limit(current, per_client=RATE)
    browser = come()
    browser.ask(target)
    network.advance(0.5)
    assert len(browser.received().body) < RATE
    limit(current)
    network.advance(0.5)
    assert browser.received().body == content


# Fills


def test_s21_new_fills_are_refused_and_running_ones_joined(network: Network, current: Current, come: From) -> None:
    limit(current, fills_per_client=2)
    network.serve(QUAY, lambda seen: answer(length=8))
    running = [come() for _ in range(2)]
    for number, browser in enumerate(running):
        browser.ask(blob(number)[0])
    assert "for 192.0.2.1" in too_many(come().get(blob(2)[0]))
    joined, other = come(), come(OTHER)
    joined.ask(blob(0)[0])
    other.ask(blob(2)[0])
    assert len(network.seen) == 3
    for number, connection in enumerate(network.connections):
        connection.send(blob(number)[1])
    assert [one.received().body for one in (*running, joined, other)] == [blob(n)[1] for n in (0, 1, 0, 2)]
    again = come()
    again.ask(blob(3)[0])
    assert len(network.seen) == 4


def test_s21_clients_that_ask_and_leave_start_no_more_than_they_may(
    network: Network, current: Current, come: From
) -> None:
    """A fill outlives its client, and counts for it until it has ended."""
    limit(current, fills_per_client=3)
    network.serve(QUAY, lambda seen: answer(length=8))
    for number in range(10):
        browser = come()
        browser.ask(blob(number)[0])
        browser.leave()
    assert len(network.seen) == 3


def test_s21_a_head_starts_none(network: Network, current: Current, come: From) -> None:
    limit(current, fills_per_client=1)
    network.serve(QUAY, lambda seen: answer(length=8))
    assert [come().head(blob(number)[0]).status for number in range(5)] == [200] * 5
    assert {seen.method for seen in network.seen} == {"HEAD"}


def test_s21_a_registry_is_not_asked_for_more_by_all_together(network: Network, current: Current, come: From) -> None:
    limit(current, fills_per_upstream=1)
    network.serve(QUAY, lambda seen: answer(length=8))
    come().ask(blob(0)[0])
    assert "from quay.io" in too_many(come(OTHER).get(blob(1)[0]))


def test_a_fill_that_fails_counts_no_more(network: Network, current: Current, come: From) -> None:
    limit(current, fills_per_client=1)
    network.serve(QUAY, answer(404))
    assert [come().get(blob(number)[0]).status for number in range(3)] == [404] * 3
