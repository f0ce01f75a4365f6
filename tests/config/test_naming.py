from __future__ import annotations

import pytest
from hypothesis import given

from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.aliases import BUILT_IN
from tests import strategies
from tests.configs import loaded, mistake

QUAY = Registry("quay.io")
DOMAIN = 'domain = "cr.test"\n'
ALIASES = DOMAIN + "[aliases]\n"


def test_without_a_domain_there_are_no_aliases() -> None:
    assert loaded().names.aliases == {}


def test_with_a_domain_the_built_in_ones_are_there() -> None:
    aliases = loaded(DOMAIN).names.aliases
    assert aliases == {f"{label}.cr.test": registry for label, registry in BUILT_IN.items()}
    assert aliases["k8s-gcr.cr.test"] == Registry("k8s.gcr.io")


def test_they_are_below_the_domain_of_the_command_line() -> None:
    assert "quay.other.test" in loaded(DOMAIN, domain="other.test").names.aliases


@pytest.mark.parametrize(
    ("line", "host", "registry"),
    [
        ('corp = "registry.corp.example:5000"', "corp.cr.test", "registry.corp.example:5000"),
        ('quay = "ghcr.io"', "quay.cr.test", "ghcr.io"),
        ('QUAY = "ghcr.io"', "quay.cr.test", "ghcr.io"),
        ('hub = "index.docker.io"', "hub.cr.test", "docker.io"),
        ('"hub.example.net" = "docker.io"', "hub.example.net", "docker.io"),
        ('"Hub.Example.NET." = "docker.io"', "hub.example.net", "docker.io"),
        ('"bücher" = "quay.io"', "xn--bcher-kva.cr.test", "quay.io"),
    ],
)
def test_one_is_added_or_replaced(line: str, host: str, registry: str) -> None:
    assert str(loaded(ALIASES + line).names.aliases[host]) == registry


def test_a_host_of_its_own_needs_no_domain() -> None:
    assert loaded('[aliases]\n"hub.example.net" = "docker.io"').names.aliases == {"hub.example.net": DOCKER_HUB}


def test_one_is_removed() -> None:
    aliases = loaded(ALIASES + 'quay = ""').names.aliases
    assert "quay.cr.test" not in aliases
    assert len(aliases) == len(BUILT_IN) - 1


def test_the_command_line_adds_replaces_and_removes_what_the_file_has() -> None:
    text = ALIASES + 'corp = "corp.example"\nmine = "mine.example"'
    aliases = loaded(text, aliases=("corp=quay.io", "mine=", "more=ghcr.io", "hub.example.net=docker.io")).names.aliases
    assert aliases["corp.cr.test"] == QUAY
    assert "mine.cr.test" not in aliases
    assert aliases["more.cr.test"] == Registry("ghcr.io")
    assert aliases["hub.example.net"] == DOCKER_HUB


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[aliases]\nquay = "quay.io"', "line 2: aliases.quay: this is a label below the domain, and no domain is set"),
        (ALIASES + "quay = 1", "line 3: aliases.quay: 1 is not a text"),
        (ALIASES + 'quay = "a b"', "line 3: aliases.quay: 'a b' is not a registry's name"),
        (ALIASES + '"a b" = "quay.io"', 'line 3: aliases."a b": this is not a name'),
        (ALIASES + '"-x" = "quay.io"', "line 3: aliases.-x: this is not a name"),
        (ALIASES + '"[::1]" = "quay.io"', 'line 3: aliases."[::1]": this is not a name'),
        (ALIASES + '"a.example:443" = "quay.io"', 'line 3: aliases."a.example:443": this is not a name'),
        (ALIASES + '"cr.test" = "quay.io"', 'line 3: aliases."cr.test": this is the domain itself'),
        (ALIASES + 'nope = ""', "line 3: aliases.nope: there is no such alias to remove"),
        (ALIASES + 'a = "quay.io"\nA = "ghcr.io"', "line 4: aliases.A: a.cr.test has a line already"),
        (DOMAIN + "aliases = 1", "line 2: aliases: this is a table"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, where: str) -> None:
    assert mistake(text).startswith(where)


@pytest.mark.parametrize(
    ("alias", "what"),
    [
        ("quay", "--alias quay: write LABEL=REGISTRY"),
        ("quay=a b", "--alias quay: 'a b' is not a registry's name"),
        ("a b=quay.io", "--alias a b: this is not a name"),
        ("nope=", "--alias nope: there is no such alias to remove"),
    ],
)
def test_a_mistake_on_the_command_line_has_no_line(alias: str, what: str) -> None:
    assert mistake(DOMAIN, aliases=(alias,)).startswith(what)


@given(strategies.hosts)
def test_any_registry_may_have_an_alias(host: str) -> None:
    registry = Registry.parse(host)
    assert loaded(DOMAIN, aliases=(f"mine={host}",)).names.aliases["mine.cr.test"] == registry
