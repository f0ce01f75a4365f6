from __future__ import annotations

import ipaddress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crproxy.policy.clients import Network, client_of, is_in, is_trusted, network_of

PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8:1::/48"))
NOBODY: tuple[Network, ...] = ()

addresses = st.ip_addresses().map(str)
proxies = st.one_of(st.ip_addresses(network="10.0.0.0/8"), st.ip_addresses(network="2001:db8:1::/48")).map(str)
outsiders = st.ip_addresses().filter(lambda one: not is_in(str(one), PROXIES)).map(lambda one: normal(str(one)))
lines = st.lists(st.one_of(st.text(), addresses, st.lists(addresses).map(", ".join)))


def normal(text: str) -> str:
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(address if mapped is None else mapped)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        # what the client wrote itself is further left, and no proxy's word
        ("10.0.0.1", ["198.51.100.1, 192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["198.51.100.1", "192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["198.51.100.1, 192.0.2.1, 10.9.9.9"], "192.0.2.1"),
        ("10.0.0.1", ["192.0.2.1,10.9.9.9", "10.8.8.8"], "192.0.2.1"),
        # inside of the network that is trusted
        ("10.0.0.1", ["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
        # the last good one
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.1, unknown, 10.2.2.2"], "10.2.2.2"),
        ("10.0.0.1", ["192.0.2.1, 10.2.2"], "10.0.0.1"),
        ("10.0.0.1", ["", " , ,192.0.2.1,,"], "192.0.2.1"),
        # as some write it
        ("10.0.0.1", ["192.0.2.1:50000"], "192.0.2.1"),
        ("10.0.0.1", ["[2001:db8::1]:50000"], "2001:db8::1"),
        ("10.0.0.1", ["[2001:db8::1]"], "2001:db8::1"),
        ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", ["::ffff:192.0.2.1"], "192.0.2.1"),
        ("::ffff:10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("2001:db8:1::5", ["192.0.2.1"], "192.0.2.1"),
        # who is not trusted may write anything
        ("192.0.2.1", ["198.51.100.1"], "192.0.2.1"),
        ("::ffff:192.0.2.1", ["198.51.100.1"], "192.0.2.1"),
        ("fe80::1%eth0", [], "fe80::1"),
        # a socket of this machine
        (None, [], None),
        (None, ["192.0.2.1"], "192.0.2.1"),
        (None, ["nonsense"], None),
    ],
)
def test_s25_a_client_is_who_trusted_proxies_say(peer: str | None, forwarded: list[str], client: str | None) -> None:
    assert client_of(peer, forwarded, PROXIES) == client


def test_s25_where_no_proxy_is_trusted_a_socket_of_this_machine_is_not_either() -> None:
    assert client_of(None, ["192.0.2.1"], NOBODY) is None


@given(outsiders, lines)
def test_s25_nothing_that_an_outsider_writes_counts(peer: str, forwarded: list[str]) -> None:
    assert client_of(peer, forwarded, PROXIES) == peer


@given(addresses, lines)
def test_s25_where_no_proxy_is_trusted_nothing_counts(peer: str, forwarded: list[str]) -> None:
    assert client_of(peer, forwarded, NOBODY) == normal(peer)


@given(proxies, lines, outsiders, st.lists(proxies))
def test_s25_what_stands_left_of_the_client_counts_for_nothing(
    peer: str, spoofed: list[str], client: str, others: list[str]
) -> None:
    assert client_of(peer, [*spoofed, ", ".join([client, *others])], PROXIES) == client


@given(st.one_of(st.none(), addresses), lines)
def test_whatever_is_written_a_client_is_an_address_or_nobody(peer: str | None, forwarded: list[str]) -> None:
    client = client_of(peer, forwarded, PROXIES)
    assert client is None or normal(client) == client
    assert peer is None or client is not None


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("nonsense", "nonsense"),
    ],
)
def test_a_client_is_counted_by_its_network(address: str, network: str) -> None:
    assert network_of(address) == network


@given(st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address))
def test_every_address_of_a_64_is_one_client(address: ipaddress.IPv6Address) -> None:
    assume(address.ipv4_mapped is None)
    other = ipaddress.IPv6Address(int(address) ^ 0xFFFF_FFFF_FFFF_FFFF)
    neighbour = ipaddress.IPv6Address(int(address) ^ 1 << 64)
    assert address in ipaddress.ip_network(network_of(str(address)))
    if other.ipv4_mapped is None:
        assert network_of(str(other)) == network_of(str(address))
    assert network_of(str(neighbour)) != network_of(str(address))


@given(st.ip_addresses(v=4))
def test_ipv4_is_one_client_however_it_is_written(address: ipaddress.IPv4Address) -> None:
    assert network_of(str(address)) == network_of(f"::ffff:{address}") == str(address)


@pytest.mark.parametrize(
    ("address", "found"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("2001:db8:1::9", True), ("11.0.0.1", False), ("x", False)],
)
def test_an_address_is_looked_for_in_networks(address: str, found: bool) -> None:
    assert is_in(address, PROXIES) is found
    assert not is_in(None, PROXIES)


def test_a_trusted_proxy_is_one_of_those_that_are_named_and_a_socket_of_this_machine() -> None:
    assert is_trusted("10.1.2.3", PROXIES)
    assert is_trusted(None, PROXIES)
    assert not is_trusted("192.0.2.1", PROXIES)
    assert not is_trusted("10.1.2.3", NOBODY)
    assert not is_trusted(None, NOBODY)
