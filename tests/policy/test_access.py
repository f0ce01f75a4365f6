from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.errors import RegistryError
from crproxy.oci.names import DOCKER_HUB, Registry, Repository
from crproxy.policy.access import Access, Patterns, parse_pattern
from tests.outcomes import outcome

QUAY = Registry("quay.io")
GHCR = Registry("ghcr.io")


def image(name: str) -> Repository:
    registry, _, path = name.partition("/")
    return Registry.parse(registry).repository(path)


def patterns(*texts: str) -> Patterns:
    return Patterns(map(parse_pattern, texts))


@pytest.mark.security("S1")
@pytest.mark.parametrize("access", [Access(), Access(frozenset({QUAY, DOCKER_HUB}))])
def test_what_is_listed_is_served_and_without_a_list_everything(access: Access) -> None:
    access.check(image("quay.io/org/app"))


def refusal(access: Access, name: str = "ghcr.io/org/app", client: str | None = None) -> RegistryError:
    with pytest.raises(RegistryError) as raised:
        access.check(image(name), client)
    return raised.value


def served(access: Access, name: str, client: str | None = None) -> bool:
    return not isinstance(outcome(RegistryError, access.check, image(name), client), RegistryError)


@pytest.mark.security("S1", "S31")
def test_a_registry_of_which_nothing_is_served_is_denied_as_its_images_are() -> None:
    access = Access(frozenset({QUAY}), message="ask alice", privileged=(ipaddress.ip_network("192.0.2.0/24"),))
    for client in (None, "198.51.100.1"):
        access.check_registry(QUAY, client)
        with pytest.raises(RegistryError) as raised:
            access.check_registry(GHCR, client)
        assert raised.value.message == refusal(access, client=client).message
        assert raised.value.status == 403
    access.check_registry(GHCR, "192.0.2.1")
    Access().check_registry(GHCR)


@pytest.mark.security("S1", "S31")
@pytest.mark.parametrize(
    ("images", "is_served"),
    [
        (("ghcr.io/*",), True),
        (("ghcr.io/org/app",), True),
        (("ghcr.io/org/*", "quay.io/x/y"), True),
        (("*",), True),
        (("ghcr.io.example.com/*", "quay.io/ghcr.io/x"), False),
        ((), False),
    ],
)
def test_a_registry_of_which_something_is_everybodys_is_not_denied(images: tuple[str, ...], is_served: bool) -> None:
    access = Access(frozenset({QUAY}), privileged_images=patterns(*images))
    assert (outcome(RegistryError, access.check_registry, GHCR, None) is None) == is_served


@pytest.mark.security("S1")
def test_another_registry_is_denied_and_told_what_is_served() -> None:
    error = refusal(Access(frozenset({QUAY, DOCKER_HUB})))
    assert error.status == 403
    assert error.message == (
        "this proxy does not serve ghcr.io; the registries that it serves: docker.io, quay.io; "
        "whoever runs it may add ghcr.io to its list"
    )


def test_the_operator_says_whom_to_ask() -> None:
    assert refusal(Access(frozenset({QUAY}), "ask ops@example.com")).message.endswith("quay.io; ask ops@example.com")


@pytest.mark.security("S1")
@pytest.mark.parametrize(
    ("allow", "deny", "name", "is_served"),
    [
        ([], [], "quay.io/org/app", True),
        (["quay.io/org/app"], [], "quay.io/org/app", True),
        (["quay.io/org/app"], [], "quay.io/org/other", False),
        (["quay.io/org/*"], [], "quay.io/org/app", True),
        (["quay.io/org/*"], [], "quay.io/org/deep/app", True),
        (["quay.io/org/*"], [], "quay.io/organisation/app", False),
        (["quay.io"], [], "quay.io/org/app", True),
        (["quay.io/*"], [], "ghcr.io/org/app", False),
        (["*"], [], "ghcr.io/org/app", True),
        (["docker.io/nginx"], [], "docker.io/library/nginx", True),
        (["index.docker.io/library/*"], [], "docker.io/nginx", True),
        ([], ["quay.io/org/app"], "quay.io/org/app", False),
        ([], ["quay.io/org/app"], "quay.io/org/other", True),
        ([], ["*"], "quay.io/org/app", False),
        # the most specific wins
        (["quay.io/org/app"], ["quay.io/*"], "quay.io/org/app", True),
        (["quay.io/org/app"], ["quay.io/*"], "quay.io/org/other", False),
        (["quay.io/*"], ["quay.io/org/*"], "quay.io/org/app", False),
        (["quay.io/*"], ["quay.io/org/*"], "quay.io/other/app", True),
        (["quay.io/org/*"], ["quay.io/org/secret"], "quay.io/org/secret", False),
        # of two that are as specific, the one that denies
        (["quay.io/org/app"], ["quay.io/org/app"], "quay.io/org/app", False),
        (["*"], ["*"], "quay.io/org/app", False),
    ],
)
def test_the_most_specific_pattern_counts(allow: list[str], deny: list[str], name: str, is_served: bool) -> None:
    assert served(Access(allow=patterns(*allow), deny=patterns(*deny)), name) is is_served


@pytest.mark.security("S1")
def test_an_image_that_is_not_allowed_is_told_so() -> None:
    error = refusal(Access(allow=patterns("quay.io/*")))
    assert (error.status, error.message) == (
        403,
        "this proxy does not serve ghcr.io/org/app: its list of images does not allow it; "
        "whoever runs it may add ghcr.io/org/app to that",
    )


@pytest.mark.parametrize(
    ("client", "is_served"),
    [("192.0.2.7", True), ("::ffff:192.0.2.7", True), ("2001:db8::1", True), ("198.51.100.1", False), (None, False)],
)
def test_privileged_networks_are_served_everything(client: str | None, is_served: bool) -> None:
    networks = (ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/32"))
    access = Access(frozenset({QUAY}), deny=patterns("*"), privileged=networks)
    assert served(access, "ghcr.io/org/app", client) is is_served


def test_privileged_images_are_served_to_everybody() -> None:
    access = Access(frozenset({QUAY}), deny=patterns("*"), privileged_images=patterns("ghcr.io/org/*"))
    assert served(access, "ghcr.io/org/app")
    assert not served(access, "ghcr.io/other/app")


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("*", "*"),
        ("quay.io", "quay.io/*"),
        ("QUAY.io/*", "quay.io/*"),
        ("quay.io/org/app", "quay.io/org/app"),
        ("quay.io/org/*", "quay.io/org/*"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("registry-1.docker.io/*", "docker.io/*"),
        ("host:5000/a/*", "host:5000/a/*"),
    ],
)
def test_a_pattern_has_one_spelling(text: str, pattern: str) -> None:
    assert parse_pattern(text) == pattern


@pytest.mark.parametrize(
    "text", ["", "/", "*/x", "quay.io/*/x", "quay.io/a*", "quay.io/Org", "a b", "**", "quay.io/", "quay.io//a", "*.io"]
)
def test_what_is_no_pattern_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no pattern: write REGISTRY/REPOSITORY"):
        parse_pattern(text)


@given(st.text())
def test_any_text_is_a_pattern_or_a_value_error(text: str) -> None:
    found = outcome(ValueError, parse_pattern, text)
    assert isinstance(found, str | ValueError)


@given(
    st.lists(st.sampled_from(["*", "quay.io/*", "quay.io/a/*", "quay.io/a/b", "ghcr.io"]), unique=True), st.randoms()
)
def test_the_order_does_not_matter(texts: list[str], random: object) -> None:
    half = len(texts) // 2
    allow, deny = texts[:half], texts[half:]
    expected = Access(allow=patterns(*allow), deny=patterns(*deny))
    turned = Access(allow=patterns(*reversed(allow)), deny=patterns(*reversed(deny)))
    for name in ("quay.io/a/b", "quay.io/a/c", "quay.io/x", "ghcr.io/x"):
        assert served(expected, name) is served(turned, name)


def test_a_list_may_be_long() -> None:
    """Each look-up takes as many steps as the name has parts."""
    access = Access(allow=Patterns(f"quay.io/org/app{number}" for number in range(50_000)))
    assert served(access, "quay.io/org/app49999")
    assert not served(access, "quay.io/org/app50000")
