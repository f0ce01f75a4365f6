from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.names import DOCKER_HUB, Registry, canonical_host
from crproxy.policy.connecting import (
    Answered,
    HostPattern,
    NotATarget,
    Passed,
    Refused,
    Target,
    parse_target,
    verdict,
)
from crproxy.policy.hosts import refused_host
from tests.outcomes import outcome

GHCR = Registry("ghcr.io")
REGISTRIES = frozenset({DOCKER_HUB, GHCR, Registry("registry.example.com:5000")})
TUNNELS = tuple(map(HostPattern.parse, ("index.test.org", "*.files.test.org")))


def decided(text: str) -> object:
    return verdict(parse_target(text), REGISTRIES, TUNNELS)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("ghcr.io:443", "ghcr.io", 443),
        ("GHCR.io.:443", "ghcr.io", 443),
        ("[2001:DB8::1]:443", "2001:db8::1", 443),
        ("192.0.2.1:22", "192.0.2.1", 22),
        ("a:1", "a", 1),
        ("a:65535", "a", 65535),
    ],
)
def test_a_target_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert parse_target(text) == Target(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ghcr.io",
        "ghcr.io:",
        ":443",
        "ghcr.io:0",
        "ghcr.io:65536",
        "ghcr.io:443443",
        "ghcr.io:+43",
        "ghcr.io:٤٤٣",
        "https://ghcr.io:443",
        "user@ghcr.io:443",
        "user:password@ghcr.io:443",
        "ghcr.io:443/",
        "ghcr.io:443?",
        "ghcr.io:443#",
        "ghcr.io:443:443",
        "2001:db8::1:443",
        "[2001:db8::1]",
        "[ghcr.io]:443",
        "ghcr.io :443",
        "ghcr\t.io:443",
    ],
)
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(NotATarget, match=r"such as ghcr\.io:443"):
        parse_target(text)


@given(st.text(max_size=300))
def test_what_is_one_is_written_so(text: str) -> None:
    try:
        target = parse_target(text)
    except NotATarget:
        return
    assert parse_target(str(target)) == target


@pytest.mark.parametrize(
    ("text", "registry"),
    [
        ("ghcr.io:443", GHCR),
        ("GHCR.IO.:443", GHCR),
        ("docker.io:443", DOCKER_HUB),
        ("registry-1.docker.io:443", DOCKER_HUB),
        ("index.docker.io:443", DOCKER_HUB),
        ("registry.hub.docker.com:443", DOCKER_HUB),
    ],
)
def test_a_registry_is_answered_here(text: str, registry: Registry) -> None:
    assert decided(text) == Answered(registry)


@pytest.mark.parametrize("text", ["index.test.org:443", "www.files.test.org:443", "a.b.files.test.org:443"])
def test_what_is_listed_is_passed_through(text: str) -> None:
    assert decided(text) == Passed()


@pytest.mark.parametrize(
    "text",
    [
        "quay.io:443",
        "sub.ghcr.io:443",
        "auth.docker.io:443",
        "files.test.org:443",
        "evilfiles.test.org:443",
        "www.index.test.org:443",
        "registry.example.com:443",
        # Other ports, also of what is answered or listed.
        "ghcr.io:80",
        "ghcr.io:8443",
        "index.test.org:22",
        "registry.example.com:5000",
        # Addresses, in every way to write one, and names of each network's own.
        "127.0.0.1:443",
        "127.1:443",
        "2130706433:443",
        "0x7f000001:443",
        "0177.0.0.1:443",
        "[::1]:443",
        "[::ffff:127.0.0.1]:443",
        "[fe80::1]:443",
        "10.0.0.1:443",
        "169.254.169.254:443",
        "192.0.2.1:443",
        "localhost:443",
        "metadata.google.internal:443",
        "metadata:443",
        "printer.local:443",
        "xn--ls8h.localhost:443",
    ],
)
def test_everything_else_is_refused_in_words(text: str) -> None:
    found = decided(text)
    assert isinstance(found, Refused)
    assert "is refused" in found.why


def test_words_say_what_would_allow_it() -> None:
    found = decided("quay.io:443")
    assert isinstance(found, Refused)
    assert "under [proxy], registries = [...]" in found.why
    assert "tunnel = [...]" in found.why


def test_no_list_allows_an_address_or_a_name_of_the_network() -> None:
    for text in ("192.0.2.1", "localhost", "*.local", "*", "", "*.", "a b.example.com", "-.example.com", "2001:db8::1"):
        with pytest.raises(ValueError, match="is no host's name"):
            HostPattern.parse(text)
    inside = (HostPattern.parse("*.corp.internal"),)
    assert isinstance(verdict(Target("a.corp.internal", 443), frozenset(), inside), Refused)


def test_a_pattern_is_written_in_one_way() -> None:
    assert str(HostPattern.parse("*.EXAMPLE.com")) == "*.example.com"


HOSTS = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,20}[a-z0-9_])?(\.[a-z0-9]([a-z0-9-]{0,20}[a-z])?){0,4}", fullmatch=True)
ADDRESSES = st.ip_addresses().map(str)


@given(HOSTS | ADDRESSES, st.integers(1, 65535))
def test_a_target_is_written_as_it_was_read(host: str, port: int) -> None:
    target = Target(host, port)
    assert parse_target(str(target)) == target
    assert parse_target(str(target).upper()) == target


@given(st.text(st.characters(max_codepoint=255), max_size=300) | HOSTS.map(lambda host: f"{host}:443"))
def test_whatever_a_client_writes_is_a_target_or_none(text: str) -> None:
    """And what is passed through is a name in its one spelling, of something that is not inside."""
    found = outcome(NotATarget, parse_target, text)
    if isinstance(found, NotATarget):
        return
    assert parse_target(str(found)) == found
    if verdict(found, frozenset(), (HostPattern(found.host),)) == Passed():
        assert canonical_host(found.host) == found.host
        assert refused_host(found.host) is None
        assert found.port == 443


@given(HOSTS, st.booleans())
def test_a_pattern_is_written_as_it_was_read(host: str, below: bool) -> None:
    text = f"*.{host}" if below else host
    found = outcome(ValueError, HostPattern.parse, text)
    if isinstance(found, HostPattern):
        assert str(found) == text
        assert HostPattern.parse(str(found)) == found == HostPattern.parse(text.upper())
        assert (host in found, f"a.{host}" in found) == (not below, below)


@given(st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8}){1,4}", fullmatch=True))
def test_what_is_below_is_no_other_name(host: str) -> None:
    assert host not in HostPattern.parse(f"*.{host}")
    assert f"a.{host}" in HostPattern.parse(f"*.{host}")
    assert f"a{host}" not in HostPattern.parse(f"*.{host}")
