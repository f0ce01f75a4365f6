from __future__ import annotations

import socket

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crproxy.policy.hosts import refused_host, refused_port
from crproxy.policy.urls import Origin


@pytest.mark.parametrize(
    "host",
    [
        "quay.io",
        "registry-1.docker.io",
        "a.b.c.d.example.com",
        "xn--bcher-kva.example",
        "under_score.example.com",
        "internal.example.com",
        "localhost.example.com",
        "metadata.google.internal.example.com",
        "127.0.0.1.nip.io",
        "1.example",
    ],
)
def test_a_name_of_the_internet_may_be_asked(host: str) -> None:
    assert refused_host(host) is None


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "127.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "2606:4700::1111", "::ffff:127.0.0.1"]
)
def test_s2_an_address_may_not_whichever_it_is(host: str) -> None:
    assert refused_host(host) == f"it leads to {host}, an address where only names are asked"


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "2130706433",
        "127.0.0.1.",
        "quay.io.",
        "quay..io",
        ".quay.io",
        "-quay.io",
        "quay.io:443",
        "user@quay.io",
        "QUAY.io",
        "",
        "a" * 64 + ".io",
    ],
)
def test_s2_what_is_no_hosts_name_may_not(host: str) -> None:
    assert refused_host(host) == f"it leads to {host!r}, which is no host's name"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "metadata",
        "registry",
        "kubernetes.default.svc.cluster.local",
        "metadata.google.internal",
        "printer.local",
        "foo.localhost",
        "localhost.localdomain",
        "nas.lan",
        "router.home.arpa",
        "wiki.corp",
        "hidden.onion",
    ],
)
def test_s2_a_name_that_each_network_has_of_its_own_may_not(host: str) -> None:
    assert refused_host(host) == f"it leads to {host}, a name that each network has of its own"


@given(st.text("0123456789abcdefx.:", max_size=18))
@example("127.1")
@example("0x7f.1")
def test_s2_nothing_that_the_systems_resolver_takes_for_an_address_may(host: str) -> None:
    try:
        socket.inet_aton(host)
    except OSError:
        return
    assert refused_host(host) is not None


@pytest.mark.parametrize("origin", [Origin("https", "quay.io", 443), Origin("http", "quay.io", 80)])
def test_a_schemes_own_port_may_be_asked(origin: Origin) -> None:
    assert refused_port(origin) is None


@pytest.mark.parametrize(("scheme", "port"), [("https", 80), ("https", 8443), ("https", 22), ("http", 443)])
def test_s2_any_other_port_may_not(scheme: str, port: int) -> None:
    assert refused_port(Origin(scheme, "quay.io", port)) == (
        f"it leads to port {port} of quay.io, and a port of its own must be named in the configuration"
    )
