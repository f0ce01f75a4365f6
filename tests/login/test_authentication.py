from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.login import AuthRequest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.policy.authorizations import Bearer, basic_challenge
from crproxy.policy.challenges import parse_challenges
from crproxy.policy.routing import Names
from tests.login.conftest import ALICE, BASE, NAMES, basic, wanted

FOUND = wanted(BASE, "quay.io/org/name")


@pytest.mark.parametrize(
    ("host", "realm", "service"),
    [
        ("cr.test", "https://cr.test/token", "cr.test"),
        ("cr.test:443", "https://cr.test:443/token", "cr.test"),
        ("cr.test:8443", "https://cr.test:8443/token", "cr.test"),
        ("CR.test.:8443", "https://cr.test:8443/token", "cr.test"),
        ("docker.cr.test", "https://docker.cr.test/token", "docker.cr.test"),
    ],
)
def test_a_token_is_had_at_the_host_that_was_asked(host: str, realm: str, service: str) -> None:
    (challenge,) = parse_challenges([AuthRequest(host, secure=True).challenge(NAMES, None)])
    assert (challenge.scheme, challenge.parameters) == ("bearer", {"realm": realm, "service": service})


def test_a_challenge_names_what_is_wanted_and_what_is_wrong() -> None:
    (challenge,) = parse_challenges([AuthRequest(BASE, secure=True).challenge(NAMES, FOUND, "invalid_token")])
    assert challenge.parameters["scope"] == "repository:quay.io/org/name:pull"
    assert challenge.parameters["error"] == "invalid_token"


@pytest.mark.parametrize("host", ["cr.test", "docker.cr.test:8443"])
def test_without_tls_the_password_goes_where_the_client_has_gone_already(host: str) -> None:
    """A realm in the clear would be asked with it, too; an https one may not be there."""
    assert AuthRequest(host, secure=False).challenge(NAMES, FOUND) == basic_challenge()


@pytest.mark.parametrize("host", ["", "evil.test", "cr.test.evil.test", "localhost:5000", "127.0.0.1", 'x",realm="y'])
@pytest.mark.parametrize("names", [NAMES, Names()])
def test_s14_no_realm_is_made_of_a_host_that_is_not_ours(host: str, names: Names) -> None:
    assert AuthRequest(host, secure=True).challenge(names, FOUND) == basic_challenge()


@pytest.mark.parametrize(
    "port",
    ["", ":", ":0", ":080", ":65536", ":99999", ":123456", ":-1", ":x", ": 1", ":٣", ':1"', ":1/x", ":1@evil.test"],
)
def test_s14_what_is_no_port_is_left_out(port: str) -> None:
    challenge = AuthRequest(f"cr.test{port}", secure=True).challenge(NAMES, None)
    assert challenge == 'Bearer realm="https://cr.test/token",service="cr.test"'


@given(st.text(st.characters(exclude_categories=["Cs"])).map("cr.test:{}".format) | st.text())
def test_s14_of_a_host_only_a_port_comes_back(host: str) -> None:
    challenge = AuthRequest(host, secure=True).challenge(NAMES, None)
    if challenge != basic_challenge():
        (read,) = parse_challenges([challenge])
        realm = read.parameters["realm"].removesuffix("/token")
        name, _, port = realm.removeprefix("https://").partition(":")
        assert name in NAMES
        assert not port or 0 < int(port) < 65536


def test_what_a_client_says_is_read() -> None:
    assert AuthRequest(BASE).said(NAMES, None) is None
    assert AuthRequest(BASE, basic(ALICE)).said(NAMES, None) == ALICE
    assert AuthRequest(BASE, "Bearer x").said(NAMES, None) == Bearer("x")


def test_what_cannot_be_read_is_refused_with_a_challenge() -> None:
    with pytest.raises(RegistryError) as raised:
        AuthRequest(BASE, "Digest secret", secure=True).said(NAMES, FOUND)
    error = raised.value
    assert (error.code, error.status) == (ErrorCode.UNAUTHORIZED, 401)
    assert error.headers()["WWW-Authenticate"].startswith('Bearer realm="https://cr.test/token"')
    assert "secret" not in str(error)


def test_what_it_says_is_not_shown() -> None:
    """S26."""
    assert "secret" not in repr(AuthRequest(BASE, "Bearer secret"))
