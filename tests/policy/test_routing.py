from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.routing import Names, host_name, place, route
from tests import strategies
from tests.outcomes import outcome

QUAY = Registry("quay.io")
K8S = Registry("k8s.gcr.io")

LOCAL = Names()
DOMAIN = Names(
    "cr.example.com",
    {
        "docker.cr.example.com": DOCKER_HUB,
        "k8s-gcr.cr.example.com": K8S,
        "quay.cr.example.com": QUAY,
        "xn--bcher-kva.cr.example.com": QUAY,
        "hub.example.net": DOCKER_HUB,
        "[2001:db8::7]": K8S,
    },
)

NO_DEFAULT = Names("cr.example.com", DOMAIN.aliases, None)
QUAY_BY_DEFAULT = Names("cr.example.com", DOMAIN.aliases, QUAY)

BASE = "cr.example.com"


def refusal(names: Names, host: str, name: str, ns: str | None = None) -> RegistryError:
    with pytest.raises(RegistryError) as raised:
        route(names, host, name, ns)
    return raised.value


@pytest.mark.parametrize(
    ("names", "host", "name", "ns", "repository"),
    [
        # by prefix, at the base domain and locally
        (DOMAIN, BASE, "quay.io/org/name", None, "quay.io/org/name"),
        (DOMAIN, BASE, "k8s.gcr.io/coredns/coredns", None, "k8s.gcr.io/coredns/coredns"),
        (DOMAIN, BASE, "docker.io/nginx", None, "docker.io/library/nginx"),
        (DOMAIN, BASE, "index.docker.io/nginx", None, "docker.io/library/nginx"),
        (DOMAIN, BASE, "registry-1.docker.io/a/b", None, "docker.io/a/b"),
        (DOMAIN, BASE, "quay.io:443/org/name", None, "quay.io/org/name"),
        (DOMAIN, BASE, "host:5000/name", None, "host:5000/name"),
        (DOMAIN, BASE, "localhost/name", None, "localhost/name"),
        (DOMAIN, BASE, "[::1]:5000/name", None, "[::1]:5000/name"),
        (LOCAL, "localhost:5000", "quay.io/org/name", None, "quay.io/org/name"),
        (LOCAL, "anything.at.all", "quay.io/org/name", None, "quay.io/org/name"),
        (LOCAL, "", "quay.io/org/name", None, "quay.io/org/name"),
        # mirror, at the root of the base domain
        (DOMAIN, BASE, "mysql", None, "docker.io/library/mysql"),
        (DOMAIN, BASE, "library/mysql", None, "docker.io/library/mysql"),
        (DOMAIN, BASE, "grafana/grafana", None, "docker.io/grafana/grafana"),
        (LOCAL, "127.0.0.1:5000", "mysql", None, "docker.io/library/mysql"),
        (QUAY_BY_DEFAULT, BASE, "org/name", None, "quay.io/org/name"),
        (QUAY_BY_DEFAULT, BASE, "name", None, "quay.io/name"),
        # the base domain's host in other spellings
        (DOMAIN, "CR.Example.COM", "mysql", None, "docker.io/library/mysql"),
        (DOMAIN, "cr.example.com:443", "mysql", None, "docker.io/library/mysql"),
        (DOMAIN, "cr.example.com:8443", "mysql", None, "docker.io/library/mysql"),
        (DOMAIN, "cr.example.com.", "mysql", None, "docker.io/library/mysql"),
        (DOMAIN, "CR.EXAMPLE.COM.:443", "mysql", None, "docker.io/library/mysql"),
        # by alias
        (DOMAIN, "docker.cr.example.com", "mysql", None, "docker.io/library/mysql"),
        (DOMAIN, "k8s-gcr.cr.example.com", "coredns/coredns", None, "k8s.gcr.io/coredns/coredns"),
        (DOMAIN, "K8S-GCR.CR.EXAMPLE.COM.:443", "coredns/coredns", None, "k8s.gcr.io/coredns/coredns"),
        (DOMAIN, "xn--bcher-kva.cr.example.com", "name", None, "quay.io/name"),
        (DOMAIN, "XN--BCHER-KVA.cr.example.com", "name", None, "quay.io/name"),
        (DOMAIN, "hub.example.net", "mysql", None, "docker.io/library/mysql"),
        (DOMAIN, "[2001:DB8::7]:443", "coredns", None, "k8s.gcr.io/coredns"),
        (DOMAIN, "[2001:db8::7]", "coredns", None, "k8s.gcr.io/coredns"),
        (NO_DEFAULT, "docker.cr.example.com", "mysql", None, "docker.io/library/mysql"),
        # an alias's whole path is the repository, also where it looks like a registry
        (DOMAIN, "quay.cr.example.com", "ghcr.io/org/name", None, "quay.io/ghcr.io/org/name"),
        (DOMAIN, "quay.cr.example.com", "quay.io/org/name", None, "quay.io/quay.io/org/name"),
        # by namespace
        (DOMAIN, BASE, "org/name", "quay.io", "quay.io/org/name"),
        (DOMAIN, BASE, "library/mysql", "docker.io", "docker.io/library/mysql"),
        (DOMAIN, BASE, "mysql", "docker.io", "docker.io/library/mysql"),
        (DOMAIN, BASE, "mysql", "registry-1.docker.io", "docker.io/library/mysql"),
        (DOMAIN, BASE, "org/name", "QUAY.IO", "quay.io/org/name"),
        (DOMAIN, BASE, "org/name", "quay.io:443", "quay.io/org/name"),
        (DOMAIN, BASE, "name", "[::1]:5000", "[::1]:5000/name"),
        (DOMAIN, BASE, "name", "bücher.example", "xn--bcher-kva.example/name"),
        (LOCAL, "localhost:5000", "org/name", "quay.io", "quay.io/org/name"),
        (NO_DEFAULT, BASE, "org/name", "quay.io", "quay.io/org/name"),
        (QUAY_BY_DEFAULT, BASE, "org/name", "ghcr.io", "ghcr.io/org/name"),
        # containerd's override_path: the same registry again in the path
        (DOMAIN, BASE, "quay.io/org/name", "quay.io", "quay.io/org/name"),
        (DOMAIN, BASE, "docker.io/library/mysql", "registry-1.docker.io", "docker.io/library/mysql"),
        (DOMAIN, BASE, "registry-1.docker.io/mysql", "docker.io", "docker.io/library/mysql"),
        (DOMAIN, BASE, "localhost:5000/name", "localhost:5000", "localhost:5000/name"),
        # another registry in the path is a part of the repository's name
        (DOMAIN, BASE, "ghcr.io/org/name", "quay.io", "quay.io/ghcr.io/org/name"),
        # the registry alone is a name, not a prefix
        (DOMAIN, BASE, "quay.io", "quay.io", "quay.io/quay.io"),
        # alias and namespace that agree
        (DOMAIN, "quay.cr.example.com", "org/name", "quay.io", "quay.io/org/name"),
        (DOMAIN, "docker.cr.example.com", "library/mysql", "docker.io", "docker.io/library/mysql"),
        (DOMAIN, "docker.cr.example.com", "mysql", "index.docker.io", "docker.io/library/mysql"),
        (DOMAIN, "docker.cr.example.com", "docker.io/mysql", "docker.io", "docker.io/library/mysql"),
    ],
)
def test_what_a_request_means(names: Names, host: str, name: str, ns: str | None, repository: str) -> None:
    found = route(names, host, name, ns)
    assert str(found.repository) == repository
    assert found.namespace == ns


@pytest.mark.parametrize(
    ("names", "host", "name", "ns"),
    [
        # a registry without a repository
        (DOMAIN, BASE, "quay.io", None),
        (DOMAIN, BASE, "localhost", None),
        (LOCAL, "localhost:5000", "quay.io", None),
        # no registry, and none by default
        (NO_DEFAULT, BASE, "mysql", None),
        (NO_DEFAULT, BASE, "org/name", None),
        # names and namespaces that do not parse
        (DOMAIN, BASE, "quay.io/Org", None),
        (DOMAIN, BASE, "quay.io:99999/org", None),
        (DOMAIN, BASE, "-quay.io/org", None),
        (DOMAIN, BASE, "[::1/org", None),
        (DOMAIN, BASE, "..", None),
        (DOMAIN, BASE, "quay.io/../x", None),
        (DOMAIN, BASE, "org/name", ""),
        (DOMAIN, BASE, "org/name", "quay.io/"),
        (DOMAIN, BASE, "org/name", "https://quay.io"),
        (DOMAIN, BASE, "org/name", "user@quay.io"),
        (DOMAIN, BASE, "org/name", "quay.io\r\nX: y"),
        (DOMAIN, BASE, "Org", "quay.io"),
        # host and namespace disagree
        (DOMAIN, "docker.cr.example.com", "org/name", "quay.io"),
        (DOMAIN, "quay.cr.example.com", "library/mysql", "docker.io"),
        (DOMAIN, "hub.example.net", "org/name", "docker.io:5000"),
    ],
)
def test_what_does_not_parse_or_contradicts_itself_is_invalid(
    names: Names, host: str, name: str, ns: str | None
) -> None:
    error = refusal(names, host, name, ns)
    assert (error.code, error.status) == (ErrorCode.NAME_INVALID, 400)


@pytest.mark.security("S14")
@pytest.mark.parametrize(
    "host",
    [
        "",
        "example.com",
        "com",
        "other.example.org",
        "nope.cr.example.com",
        "a.docker.cr.example.com",
        "xcr.example.com",
        "cr.example.com.evil.org",
        "cr.example.com..",
        "127.0.0.1:5000",
        "localhost",
        "[::1]:5000",
        "[2001:db8::8]",
        "[",
        "bücher.cr.example.com",
        "cr.example.com\x00",
        "cr.example.com@evil.org",
    ],
)
@pytest.mark.parametrize("ns", [None, "quay.io"])
def test_another_host_is_misdirected(host: str, ns: str | None) -> None:
    error = refusal(DOMAIN, host, "quay.io/org/name", ns)
    assert (error.code, error.status) == (ErrorCode.DENIED, 421)


def test_a_label_that_is_no_alias_is_told_how_to_ask_by_prefix() -> None:
    assert refusal(DOMAIN, "nope.cr.example.com", "name").message == (
        "'nope' is no alias of this proxy; there are docker, k8s-gcr, quay, xn--bcher-kva. "
        "Every registry can be asked by prefix, such as cr.example.com/quay.io/ORG/NAME"
    )


def test_a_label_that_is_nearly_an_alias_is_told_which() -> None:
    assert "did you mean quay.cr.example.com?" in refusal(DOMAIN, "quai.cr.example.com", "name").message


def test_another_host_is_told_which_to_ask() -> None:
    assert refusal(DOMAIN, "example.org", "name").message.endswith("ask for cr.example.com/REGISTRY/NAME")


@pytest.mark.parametrize(
    ("host", "name", "ns", "hint"),
    [
        (BASE, "quay.io/org/name", None, None),
        ("quay.cr.example.com", "org/name", None, None),
        (BASE, "org/name", "quay.io", None),
        (BASE, "quay.io/org/name", "quay.io", None),
        (
            BASE,
            "org/name",
            None,
            "no registry was named, so docker.io/org/name was meant; "
            "put another one in front, such as quay.io/org/name",
        ),
        ("quay.cr.example.com", "quay.io/org/name", None, "this host stands for quay.io already: leave quay.io/ out"),
        (
            "quay.cr.example.com",
            "ghcr.io/org/name",
            None,
            "this host stands for quay.io: ask for cr.example.com/ghcr.io/org/name instead",
        ),
        (
            BASE,
            "ghcr.io/org/name",
            "quay.io",
            "ns=quay.io was asked for, so ghcr.io/ was taken for a part of the repository's name",
        ),
    ],
)
def test_what_was_perhaps_meant(host: str, name: str, ns: str | None, hint: str | None) -> None:
    assert route(DOMAIN, host, name, ns).hint == hint


def test_a_contradiction_is_told_with_both_registries() -> None:
    message = refusal(DOMAIN, "docker.cr.example.com", "name", "quay.io").message
    assert message == "this host is the alias of docker.io, but ns=quay.io was asked for: use one of them"


def test_a_registry_without_a_repository_is_told_what_to_add() -> None:
    assert refusal(DOMAIN, BASE, "quay.io").message.endswith("ask for quay.io/REPOSITORY")


def test_a_name_without_a_registry_is_told_what_to_put_in_front() -> None:
    assert refusal(NO_DEFAULT, BASE, "org/name").message.endswith("such as docker.io/org/name")


@pytest.mark.security("S14")
@pytest.mark.parametrize(
    ("host", "registry"),
    [(BASE, None), ("docker.cr.example.com:443", DOCKER_HUB), ("HUB.example.net.", DOCKER_HUB)],
)
def test_a_host_is_the_base_domain_or_an_alias(host: str, registry: Registry | None) -> None:
    assert place(DOMAIN, host) == registry


@given(st.text())
def test_locally_any_host_is_the_base(host: str) -> None:
    assert place(LOCAL, host) is None


@given(st.text(), st.text(), st.none() | st.text())
def test_anything_is_a_route_or_a_registry_error(host: str, name: str, ns: str | None) -> None:
    for names in (LOCAL, DOMAIN, NO_DEFAULT):
        found = outcome(RegistryError, route, names, host, name, ns)
        assert not isinstance(found, RegistryError) or found.status in (400, 421)


@given(strategies.hosts, strategies.names)
def test_the_four_ways_lead_to_the_same_repository(host: str, path: str) -> None:
    registry = Registry.parse(host)
    # With ns= a repository cannot begin with its own registry's name: that part is taken for override_path's.
    assume(outcome(RegistryError, Registry.parse, path.partition("/")[0]) != registry)
    names = Names(BASE, {"alias.cr.example.com": registry})
    by_prefix = route(names, BASE, f"{host}/{path}").repository
    assert by_prefix == registry.repository(path)
    assert route(names, "alias.cr.example.com", path).repository == by_prefix
    assert route(names, BASE, path, ns=host).repository == by_prefix
    assert route(names, BASE, f"{host}/{path}", ns=host).repository == by_prefix
    assert route(Names(BASE, {}, registry), BASE, f"{host}/{path}").repository == by_prefix


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("cr.example.com", "cr.example.com"),
        ("CR.Example.COM:8443", "cr.example.com"),
        ("cr.example.com.", "cr.example.com"),
        ("cr.example.com.:443", "cr.example.com"),
        ("cr.example.com:443:evil", "cr.example.com"),
        ("[2001:DB8::7]:5000", "[2001:db8::7]"),
        ("[2001:db8::7", "[2001:db8::7]"),
        ("", ""),
        (":443", ""),
    ],
)
def test_a_hosts_name_has_neither_port_nor_case_nor_last_dot(host: str, name: str) -> None:
    assert host_name(host) == name


@given(st.text())
def test_a_hosts_name_is_one_already(host: str) -> None:
    name = host_name(host)
    assert host_name(name) in (name, name.removesuffix("."))


@pytest.mark.parametrize("name", ["cr.example.com", "hub.example.net", "[2001:db8::7]", "quay.cr.example.com"])
def test_what_is_written_in_the_configuration_is_a_name_of_ours(name: str) -> None:
    assert name in DOMAIN


@pytest.mark.parametrize(
    "name", ["", "example.com", "nope.cr.example.com", "cr.example.com.", "CR.example.com", "cr.example.com:443"]
)
def test_s14_nothing_else_is(name: str) -> None:
    assert name not in DOMAIN


@given(st.text())
def test_s14_locally_no_name_is_ours(name: str) -> None:
    """Any Host is answered there, so none may go into a challenge's realm."""
    assert name not in LOCAL


@given(st.text() | st.sampled_from(["cr.example.com", "quay.cr.example.com:1", "docker.cr.example.com."]))
def test_whoever_is_answered_has_a_name_of_ours(host: str) -> None:
    assert isinstance(outcome(RegistryError, place, DOMAIN, host), RegistryError) == (host_name(host) not in DOMAIN)


def test_a_repositorys_first_part_may_look_like_a_registry_and_be_none() -> None:
    """1.2 is an address to a resolver (inet_aton(3)), and so no registry's name."""
    assert route(DOMAIN, "quay.cr.example.com", "1.2/app").repository == QUAY.repository("1.2/app")
    assert route(DOMAIN, BASE, "1.2/app", ns="quay.io").repository == QUAY.repository("1.2/app")
