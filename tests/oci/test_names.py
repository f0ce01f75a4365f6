from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import (
    DOCKER_HUB,
    OLLAMA,
    Registry,
    Repository,
    Tag,
    looks_like_registry,
    names_digest,
    parse_reference,
    referrers_tag,
)
from tests import strategies
from tests.outcomes import outcome

QUAY = Registry("quay.io")


@pytest.mark.parametrize(
    "name", ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", "Docker.IO"]
)
@pytest.mark.parametrize("port", ["", ":443"])
def test_every_name_of_docker_hub_is_one_registry(name: str, port: str) -> None:
    assert Registry.parse(name + port) is DOCKER_HUB


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("quay.io", "quay.io"),
        ("QUAY.IO", "quay.io"),
        ("quay.io:443", "quay.io"),
        ("quay.io:8443", "quay.io:8443"),
        ("quay.io:08443", "quay.io:8443"),
        ("docker.io:5000", "docker.io:5000"),
        ("localhost:5000", "localhost:5000"),
        ("my_registry:5000", "my_registry:5000"),
        ("192.0.2.7:5000", "192.0.2.7:5000"),
        ("[2001:DB8:0::1]", "[2001:db8::1]"),
        ("[::1]:5000", "[::1]:5000"),
        ("[::1]:443", "[::1]"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example:5000", "xn--bcher-kva.example:5000"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("quay。io", "quay.io"),
        ("ＱＵＡＹ.io", "quay.io"),
        ("a" * 63 + ".io", "a" * 63 + ".io"),
    ],
)
def test_a_registry_has_one_spelling(text: str, name: str) -> None:
    assert Registry.parse(text).name == name


@pytest.mark.security("S2")
@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        ":",
        ":5000",
        "quay.io:",
        "quay.io:0",
        "quay.io:65536",
        "quay.io:123456",
        "quay.io:-1",
        "quay.io:٣",
        "quay.io:5000:5000",
        "quay.io.",
        ".quay.io",
        "quay..io",
        "-quay.io",
        "quay-.io",
        "quay io",
        "quay.io\n",
        "quay.io\x00",
        "quay.io/x",
        "quay.io\\x",
        "quay%2eio",
        "user@quay.io",
        "quay.io?x",
        "quay.io#x",
        "::1",
        "127.1",
        "10.1",
        "127.0.0.1.",
        "0177.0.0.1",
        "127.0.0.01",
        "0x7f.0.0.1",
        "0x7f000001",
        "2130706433",
        "256.1.1.1",
        "1.2.3.4.5",
        "quay.io.1",
        "quay.0x",
        "127.0.0.1:0x50",
        "[::1",
        "[]",
        "[quay.io]",
        "[::1]x",
        "[fe80::1%eth0]",
        "[fe80::1%/../x]",
        "a" * 64 + ".io",
        ".".join(["a" * 60] * 5),
        "\u200d.io",
        "\ud800.io",
    ],
)
def test_what_is_no_host_is_no_registry(text: str) -> None:
    with pytest.raises(RegistryError) as raised:
        Registry.parse(text)
    assert raised.value.code is ErrorCode.NAME_INVALID


@given(strategies.hosts, st.none() | st.integers(1, 65535).filter(lambda port: port != 443))
def test_any_host_and_port_is_a_registry_of_that_name(host: str, port: int | None) -> None:
    text = host if port is None else f"{host}:{port}"
    registry = Registry.parse(text)
    assert str(registry) == text or registry is DOCKER_HUB


@given(st.text())
def test_a_registry_parses_or_is_invalid_and_then_is_its_own_spelling(text: str) -> None:
    found = outcome(RegistryError, Registry.parse, text)
    if isinstance(found, RegistryError):
        assert found.code is ErrorCode.NAME_INVALID
    else:
        assert Registry.parse(found.name) == found
        assert re.fullmatch(r"[a-z0-9._:\[\]-]+", found.name)


@given(strategies.names_by_regex | strategies.names)
def test_every_name_of_the_grammar_is_a_repository(name: str) -> None:
    assert str(Repository.parse(QUAY, name)) == f"quay.io/{name}"


@given(st.text(alphabet="aZ0._-/%\\ \n\x00é", max_size=12))
def test_a_repository_parses_exactly_if_the_grammar_says_so(name: str) -> None:
    if re.fullmatch(strategies.NAME, name):
        assert Repository.parse(QUAY, name).path == name
    else:
        with pytest.raises(RegistryError) as raised:
            Repository.parse(QUAY, name)
        assert raised.value.code is ErrorCode.NAME_INVALID


@pytest.mark.security("S13")
@given(strategies.names, st.integers(0), st.sampled_from([*"A%\\ \n\x00:@+é", "..", "//", "___", "._"]))
def test_a_name_with_something_foreign_in_it_is_invalid(name: str, at: int, foreign: str) -> None:
    at %= len(name) + 1
    with pytest.raises(RegistryError) as raised:
        Repository.parse(QUAY, name[:at] + foreign + name[at:])
    assert raised.value.code is ErrorCode.NAME_INVALID


@pytest.mark.parametrize("name", ["", "/", "/a", "a/", "a//b", "../a", "a/..", "-a", "a-", "a.", "a_", "A"])
def test_names_at_the_edge_of_the_grammar_are_invalid(name: str) -> None:
    with pytest.raises(RegistryError) as raised:
        Repository.parse(QUAY, name)
    assert raised.value.code is ErrorCode.NAME_INVALID


def test_registry_and_name_together_have_255_characters_at_the_most() -> None:
    longest = "a" * (255 - len("quay.io/"))
    assert Repository.parse(QUAY, longest).path == longest
    with pytest.raises(RegistryError):
        Repository.parse(QUAY, longest + "a")


@pytest.mark.parametrize(
    ("registry", "path", "full"),
    [
        (DOCKER_HUB, "nginx", "docker.io/library/nginx"),
        (OLLAMA, "llama3", "registry.ollama.ai/library/llama3"),
        (OLLAMA, "user/model", "registry.ollama.ai/user/model"),
        (DOCKER_HUB, "library/nginx", "docker.io/library/nginx"),
        (DOCKER_HUB, "grafana/grafana", "docker.io/grafana/grafana"),
        (QUAY, "nginx", "quay.io/nginx"),
    ],
)
def test_only_a_one_part_name_of_docker_hub_is_in_library(registry: Registry, path: str, full: str) -> None:
    assert str(registry.repository(path)) == full


@given(strategies.tags)
def test_every_tag_of_the_grammar_parses_and_prints_as_it_was(text: str) -> None:
    assert parse_reference(text) == Tag(text)
    assert str(Tag.parse(text)) == text


@given(st.text(alphabet="aZ0._-/:%\n ", max_size=6))
def test_a_tag_parses_exactly_if_the_grammar_says_so(text: str) -> None:
    if re.fullmatch(strategies.TAG, text):
        assert Tag.parse(text).name == text
    else:
        with pytest.raises(RegistryError) as raised:
            Tag.parse(text)
        assert raised.value.code is ErrorCode.TAG_INVALID


def test_a_tag_has_128_characters_at_the_most() -> None:
    assert Tag.parse("a" * 128).name == "a" * 128
    with pytest.raises(RegistryError) as raised:
        Tag.parse("a" * 129)
    assert raised.value.code is ErrorCode.TAG_INVALID


@given(strategies.digests)
def test_a_reference_with_a_colon_is_a_digest(text: str) -> None:
    assert parse_reference(text) == Digest.parse(text)


def test_a_reference_with_a_colon_that_is_no_digest_is_an_invalid_digest() -> None:
    with pytest.raises(RegistryError) as raised:
        parse_reference("latest:1")
    assert raised.value.code is ErrorCode.DIGEST_INVALID


def test_an_image_is_named_with_a_colon_before_a_tag_and_an_at_before_a_digest() -> None:
    repository, digest = QUAY.repository("org/name"), Digest.of(b"")
    assert repository.named(Tag("v1")) == "quay.io/org/name:v1"
    assert repository.named(digest) == f"quay.io/org/name@{digest}"


@pytest.mark.parametrize(
    ("part", "is_registry"),
    [("quay.io", True), ("host:5000", True), ("localhost", True), ("library", False), ("", False)],
)
def test_a_dot_a_port_or_localhost_tells_a_registry(part: str, is_registry: bool) -> None:
    assert looks_like_registry(part) is is_registry


def test_the_message_quotes_what_was_asked_for_and_no_more_than_160_characters_of_it() -> None:
    with pytest.raises(RegistryError) as raised:
        Repository.parse(QUAY, "A" * 1000)
    assert "A" * 160 in raised.value.message
    assert "A" * 161 not in raised.value.message


@pytest.mark.parametrize("name", ["ollama.ai", "ollama.com", "registry.ollama.ai", "Ollama.ai", "ollama.ai:443"])
def test_ollamas_registry_has_one_name_and_its_sites_are_no_registry(name: str) -> None:
    assert Registry.parse(name) == OLLAMA
    assert OLLAMA.hosts == {"registry.ollama.ai"}
    assert Registry.parse("ollama.ai:5000") != OLLAMA


@pytest.mark.parametrize("name", ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"])
def test_docker_hub_is_asked_for_by_each_of_its_names(name: str) -> None:
    assert name in DOCKER_HUB.hosts
    assert len(DOCKER_HUB.hosts) == 4


@given(strategies.hosts, st.none() | st.integers(1, 65535))
def test_the_hosts_of_a_registry_are_those_that_name_it_at_https_own_port(host: str, port: int | None) -> None:
    registry = Registry.parse(host if port is None else f"{host}:{port}")
    assert all(Registry.parse(each) == registry for each in registry.hosts)
    if registry != DOCKER_HUB and not host.startswith("["):
        assert registry.hosts == (frozenset({registry.name}) if port in (None, 443) else frozenset())


@pytest.mark.parametrize(
    ("tag", "names"),
    [
        ("sha256-" + "0" * 64, True),
        ("sha512-" + "0" * 64, True),
        (f"sha256-{'a' * 64}.sig", True),
        ("sha256-" + "0" * 63, False),
        (f"sha256-{'a' * 64}-x", False),
        (f"x-sha256-{'a' * 64}", False),
        ("latest", False),
    ],
)
def test_a_tag_that_stands_for_what_is_about_a_digest(tag: str, names: bool) -> None:
    assert names_digest(Tag(tag)) == names


def test_what_is_made_for_a_digest_is_one() -> None:
    for suffix in ("", ".sig"):
        assert names_digest(referrers_tag(Digest.of(b"x"), suffix))
