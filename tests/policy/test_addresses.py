from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.addresses import is_public


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "44.1.2.3", "2606:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8"]
)
def test_the_internet_is_public(address: str) -> None:
    assert is_public(address)


INSIDE = {
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12:3456::1"],
    "link-local": ["169.254.169.254", "fe80::1", "fe80::1%eth0", "febf::1"],
    "site-local": ["fec0::1", "feff::1"],
    "carrier-grade NAT": ["100.64.0.1", "100.127.255.255"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],
    "broadcast and reserved": ["255.255.255.255", "240.0.0.1"],
    "documentation and benchmarks": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "2001:db8::1"],
    "IPv4-mapped": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::FFFF:a9fe:a9fe"],
    "IPv4-compatible": ["::127.0.0.1", "::10.0.0.1", "::8.8.8.8"],
    "IPv4-translated": ["::ffff:0:10.0.0.1", "::ffff:0:8.8.8.8"],
    "what RFC 4291 has not given out": ["100::1", "200::1", "4000::1", "5f00::1", "f000::1"],
    "IPv6's protocol assignments": ["2001:2::1", "2001:10::1", "2001:20::1", "2001:1::1"],
    "6to4's relays": ["192.88.99.1"],
    "newer documentation": ["3fff::1", "3fff:fff:ffff::1"],
    "clouds' own": ["168.63.129.16", "192.0.0.192", "100.100.100.200", "fd00:ec2::254", "::ffff:168.63.129.16"],
    "NAT64": ["64:ff9b::10.0.0.1", "64:ff9b::8.8.8.8", "64:ff9b:1::10.0.0.1"],
    "6to4": ["2002:7f00:1::", "2002:a9fe:a9fe::1"],
    "Teredo": ["2001:0:4136:e378:8000:63bf:3fff:fdd2"],
}


@pytest.mark.security("S2")
@pytest.mark.parametrize(
    ("kind", "address"), [(kind, address) for kind, addresses in INSIDE.items() for address in addresses]
)
def test_somebodys_inside_is_not_public(kind: str, address: str) -> None:
    assert not is_public(address)


@pytest.mark.security("S2")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "quay.io",
        "localhost",
        "0x7f.1",
        "0x08080808",
        "134744072",
        "010.8.8.8",
        "8.8.8",
        "8.8.8.8 ",
        "8.8.8.8:443",
        "8.8.8.8/32",
        "[2606:4700::1111]",
        "８.8.8.8",
    ],
)
def test_what_is_no_address_in_its_usual_notation_is_not_public(text: str) -> None:
    assert not is_public(text)


@given(st.text())
def test_any_text_is_public_or_not(text: str) -> None:
    assert is_public(text) in (True, False)


@pytest.mark.security("S2")
@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_when_it_is_mapped_into_ipv6(address: ipaddress.IPv4Address) -> None:
    assert is_public(f"::ffff:{address}") == is_public(str(address))


SPECIAL = ("private", "loopback", "link_local", "multicast", "reserved", "unspecified")


@pytest.mark.security("S2")
@given(st.ip_addresses().filter(lambda address: getattr(address, "ipv4_mapped", None) is None))
def test_no_public_address_is_one_of_the_special_ones(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if is_public(str(address)):
        assert [kind for kind in SPECIAL if getattr(address, f"is_{kind}")] == []
