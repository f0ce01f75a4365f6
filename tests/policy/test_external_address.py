from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.external_address import external_address
from crproxy.policy.routing import Names

QUAY = Registry("quay.io")
DOMAIN = Names(
    "cr.example.com",
    {"docker.cr.example.com": DOCKER_HUB, "quay.cr.example.com": QUAY, "a.very.long.name.example.net": QUAY},
)
LOCAL = Names()
ALONE = Names(None, {"hub.example.net": DOCKER_HUB})


@pytest.mark.parametrize(
    ("names", "host", "secure", "base", "scheme"),
    [
        (DOMAIN, "cr.example.com", True, "cr.example.com", "https"),
        (DOMAIN, "cr.example.com:443", True, "cr.example.com", "https"),
        (DOMAIN, "CR.example.com.:443", True, "cr.example.com", "https"),
        (DOMAIN, "cr.example.com:8443", True, "cr.example.com:8443", "https"),
        # behind something that ends TLS
        (DOMAIN, "cr.example.com", False, "cr.example.com", "https"),
        (DOMAIN, "quay.cr.example.com", True, "cr.example.com", "https"),
        (LOCAL, "localhost:5000", False, "localhost:5000", "http"),
        (LOCAL, "127.0.0.1:5000", False, "127.0.0.1:5000", "http"),
        (LOCAL, "[::1]:5000", False, "[::1]:5000", "http"),
        (LOCAL, "Proxy.LAN:5000", False, "proxy.lan:5000", "http"),
        (LOCAL, "proxy.lan", True, "proxy.lan", "https"),
        (LOCAL, "proxy.lan:80", False, "proxy.lan", "http"),
        # Docker would take a bare word for a part of an image's name
        (LOCAL, "proxy", False, "proxy:80", "http"),
        (LOCAL, "proxy", True, "proxy:443", "https"),
        (LOCAL, "localhost", False, "localhost", "http"),
        (ALONE, "hub.example.net", False, None, "http"),
        (ALONE, "localhost:5000", False, "localhost:5000", "http"),
    ],
)
def test_a_front_is_what_clients_write(names: Names, host: str, secure: bool, base: str | None, scheme: str) -> None:
    address = external_address(names, host, secure=secure)
    assert (address.base, address.scheme) == (base, scheme)


@pytest.mark.parametrize("host", ["", "<script>", "a b", "evil.example/\r\nX: y", "a" * 300, "..", "[::1", "é\0"])
def test_s14_a_host_that_is_no_name_is_not_repeated(host: str) -> None:
    assert external_address(LOCAL, host, secure=False).base == "localhost:5000"


@given(host=st.text(max_size=60), names=st.sampled_from([DOMAIN, LOCAL, ALONE]), secure=st.booleans())
def test_s14_whatever_the_host_is_a_front_is_a_name_and_a_port(host: str, names: Names, secure: bool) -> None:
    address = external_address(names, host, secure=secure)
    assert address.base is None or re.fullmatch(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[1-9][0-9]{0,4})?", address.base)
    assert re.fullmatch(r"(:[1-9][0-9]{0,4})?", address.port)


def test_of_several_aliases_the_shortest_is_shown() -> None:
    assert external_address(DOMAIN, "cr.example.com:8443", secure=True).alias(QUAY) == "quay.cr.example.com:8443"


def test_a_registry_without_an_alias_has_none() -> None:
    assert external_address(DOMAIN, "cr.example.com", secure=True).alias(Registry("ghcr.io")) is None


@pytest.mark.parametrize(
    ("names", "mirror"),
    [
        (DOMAIN, "docker.cr.example.com"),
        (Names("cr.example.com"), "cr.example.com"),
        (Names("cr.example.com", {}, QUAY), None),
        (Names("cr.example.com", {}, None), None),
    ],
)
def test_a_mirror_is_where_docker_hub_is(names: Names, mirror: str | None) -> None:
    assert external_address(names, "cr.example.com", secure=True).mirror() == mirror


def test_only_its_own_names_are_its_own() -> None:
    address = external_address(DOMAIN, "cr.example.com:8443", secure=True)
    assert address.is_own("cr.example.com")
    assert address.is_own("cr.example.com:8443")
    assert address.is_own("quay.cr.example.com")
    assert not address.is_own("quay.io")
    assert not external_address(LOCAL, "localhost:5000", secure=False).is_own("localhost:5001")
