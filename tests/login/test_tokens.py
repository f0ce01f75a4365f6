from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from crproxy.config import Config
from crproxy.config.client_values import Clients
from crproxy.login import Target
from crproxy.login.signing import Claims, Signer
from crproxy.login.tokens import issue, read
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.policy.challenges import parse_challenges
from tests.login.conftest import BASE, DOCKER, KEY, NAMES, at, wanted


def good(signer: Signer, host: str, name: str, found: Target | None) -> Claims:
    """What a token for this name says where something is wanted; raises where it is not good for it."""
    claims = Claims("alice", host, frozenset({name}))
    return read(signer, NAMES, signer.sign(claims, 300), at(host), found)


@pytest.mark.parametrize(
    ("host", "name", "asked", "ns"),
    [
        (DOCKER, "library/nginx", "library/nginx", None),
        (DOCKER, "nginx", "library/nginx", None),
        (DOCKER, "library/nginx", "nginx", None),
        (DOCKER, "nginx", "library/nginx", "docker.io"),
        (DOCKER, "docker.io/library/nginx", "docker.io/library/nginx", "docker.io"),
        (DOCKER, "library/nginx", "docker.io/library/nginx", "docker.io"),
        (DOCKER, "docker.io/nginx", "library/nginx", "index.docker.io"),
        (BASE, "quay.io/org/name", "quay.io/org/name", None),
        (BASE, "org/name", "quay.io/org/name", "quay.io"),
        (BASE, "quay.io/org/name", "org/name", "quay.io"),
        (BASE, "docker.io/nginx", "nginx", None),
        (BASE, "nginx", "index.docker.io/library/nginx", None),
        (BASE, "quay.io:443/org/name", "quay.io/org/name", None),
    ],
)
def test_a_token_is_for_a_repository_however_it_is_spelt(
    signer: Signer, host: str, name: str, asked: str, ns: str | None
) -> None:
    assert good(signer, host, name, wanted(host, asked, ns)).names == {name}


@pytest.mark.parametrize(
    ("host", "name", "asked", "ns"),
    [
        (DOCKER, "nginx", "org/nginx", None),
        (DOCKER, "docker.io/library/nginx", "library/nginx", None),
        (DOCKER, "library", "library/nginx", None),
        (DOCKER, "library/nginx", "library/nginx2", None),
        (BASE, "quay.io/org/name", "ghcr.io/org/name", None),
        (BASE, "quay.io/org/name", "org/name", "ghcr.io"),
        (BASE, "org/name", "quay.io/org/name", None),
        (BASE, "*", "quay.io/org/name", None),
        (BASE, "quay.io/org/*", "quay.io/org/name", None),
        (BASE, "QUAY.io/Org/Name", "quay.io/org/name", None),
        (BASE, "quay.io/../org", "quay.io/org/name", None),
        (BASE, "", "quay.io/org/name", None),
    ],
)
def test_s23_and_for_no_other(signer: Signer, host: str, name: str, asked: str, ns: str | None) -> None:
    with pytest.raises(RegistryError) as raised:
        good(signer, host, name, wanted(host, asked, ns))
    error = raised.value
    assert (error.code, error.message) == (ErrorCode.UNAUTHORIZED, f"this token is not for {asked}")
    (challenge,) = parse_challenges([error.challenge or ""])
    assert challenge.parameters["error"] == "insufficient_scope"
    assert challenge.parameters["scope"] == f"repository:{asked}:pull"


def test_whoever_only_looks_needs_no_repository(signer: Signer) -> None:
    assert read(signer, NAMES, signer.sign(Claims("alice", BASE), 300), at(BASE), None).user == "alice"


def test_s23_a_token_of_one_host_is_none_at_another(signer: Signer) -> None:
    token = signer.sign(Claims("alice", DOCKER, frozenset({"quay.io/org/name", "nginx"})), 300)
    for found in (None, wanted(BASE, "nginx")):
        with pytest.raises(RegistryError, match="for another host of this proxy: log in again") as raised:
            read(signer, NAMES, token, at(BASE), found)
        assert 'error="invalid_token"' in (raised.value.challenge or "")


def test_one_that_is_over_is_told_so(signer: Signer, clock: Clock) -> None:
    token = signer.sign(Claims("alice", BASE), 60)
    clock.advance(60)
    with pytest.raises(RegistryError, match="this token has expired: log in again"):
        read(signer, NAMES, token, at(BASE), None)


@pytest.mark.parametrize(
    ("ttl", "lifetime", "seconds"),
    [
        (300.0, None, 300),
        (3600.0, None, 3600),
        (300.0, 10.0, 60),
        (300.0, -5.0, 60),
        (300.0, 59.9, 60),
        (300.0, 61.9, 61),
        (300.0, 299.0, 299),
        (300.0, 9000.0, 300),
        (60.0, 100.0, 60),
        (300.0, float("nan"), 60),
    ],
)
def test_s23_a_token_lasts_as_long_as_what_it_stands_for_within_bounds(
    signer: Signer, clock: Clock, ttl: float, lifetime: float | None, seconds: int
) -> None:
    granted = issue(signer, Config(NAMES, clients=Clients(token_ttl=ttl)), Claims("alice", BASE), lifetime)
    assert granted.lifetime == seconds
    clock.advance(seconds - 1)
    assert signer.read(granted.token, BASE).user == "alice"
    clock.advance(1)
    with pytest.raises(Exception, match="expired"):
        signer.read(granted.token, BASE)


@given(st.floats(60, 3600), st.none() | st.floats())
def test_s23_however_long_that_is(ttl: float, lifetime: float | None) -> None:
    clock = Clock()
    signer = Signer(lambda: KEY, clock)
    granted = issue(signer, Config(NAMES, clients=Clients(token_ttl=ttl)), Claims("alice", BASE), lifetime)
    assert 60 <= granted.lifetime <= ttl
    assert signer.read(granted.token, BASE).user == "alice"
