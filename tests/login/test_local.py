from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.internet.task import Clock

from crproxy.login import Identity
from crproxy.login.signing import Claims
from crproxy.oci.errors import ErrorCode
from crproxy.policy.authorizations import Credentials
from tests.login.conftest import ALICE, BASE, BOB, DOCKER, USERS, Desk, at, basic, wanted

FOUND = wanted(BASE, "quay.io/org/name")
WRONG = "the username or the password is wrong"


@pytest.fixture(autouse=True)
def closed(desk: Desk) -> None:
    desk.close()


def test_a_password_lets_in(desk: Desk) -> None:
    for found in (None, FOUND):
        assert desk.authenticate(at(BASE, basic(ALICE)), found) == Identity("alice")


@pytest.mark.parametrize("credentials", [Credentials("alice", "x"), Credentials("mallory", "of alice"), BOB])
def test_a_wrong_one_does_not(desk: Desk, credentials: Credentials) -> None:
    for found in (None, FOUND):
        error = desk.not_admitted(at(BASE, basic(credentials)), found)
        assert (error.code, error.message) == (ErrorCode.UNAUTHORIZED, WRONG)
        assert (error.challenge or "").startswith('Bearer realm="https://cr.test/token"')
    assert desk.not_granted(at(BASE), credentials, FOUND.name).message == WRONG


def test_whoever_says_nothing_is_told_how_to_log_in(desk: Desk) -> None:
    error = desk.not_admitted(at(f"{BASE}:8443"), FOUND)
    assert error.message == f"log in first: docker login {BASE}:8443"
    assert 'realm="https://cr.test:8443/token"' in (error.challenge or "")
    assert desk.not_granted(at(BASE), None, FOUND.name).code is ErrorCode.UNAUTHORIZED


@pytest.mark.parametrize("host", [f"{BASE}:\x1b[31m", f"{BASE}:443; rm -rf /", f"{BASE}:99999"])
def test_s14_no_host_is_named_that_is_not_ours(desk: Desk, host: str) -> None:
    """People copy what they are told to type."""
    assert desk.not_admitted(at(host), FOUND).message == f"log in first: docker login {BASE}"


def test_a_token_lets_in_to_what_it_is_for(desk: Desk, clock: Clock) -> None:
    granted = desk.issue_token(at(BASE), ALICE, FOUND.name)
    assert granted.lifetime == 300
    carrying = at(BASE, f"Bearer {granted.token}")
    for found in (None, FOUND, wanted(BASE, "org/name", "quay.io")):
        assert desk.authenticate(carrying, found) == Identity("alice")
    assert desk.not_admitted(carrying, wanted(BASE, "quay.io/org/other")).message.startswith("this token is not for ")
    clock.advance(300)
    assert desk.not_admitted(carrying, FOUND).message.startswith("this token has expired")


def test_one_for_nothing_shows_that_there_is_a_login(desk: Desk) -> None:
    carrying = at(BASE, f"Bearer {desk.issue_token(at(BASE), ALICE).token}")
    assert desk.authenticate(carrying) == Identity("alice")
    assert desk.not_admitted(carrying, FOUND).code is ErrorCode.UNAUTHORIZED


def test_at_an_alias_it_is_for_that_alias(desk: Desk) -> None:
    token = desk.issue_token(at(DOCKER), ALICE, "nginx").token
    assert desk.authenticate(at(DOCKER, f"Bearer {token}"), wanted(DOCKER, "library/nginx")) == Identity("alice")
    assert desk.not_admitted(at(BASE, f"Bearer {token}"), wanted(BASE, "nginx")).code is ErrorCode.UNAUTHORIZED


def test_s23_a_user_who_is_taken_off_the_list_is_out_at_once(desk: Desk) -> None:
    carrying = at(BASE, f"Bearer {desk.issue_token(at(BASE), ALICE, FOUND.name).token}")
    desk.config = replace(desk.config, clients=replace(desk.config.clients, users={"bob": USERS["bob"]}))
    error = desk.not_admitted(carrying, FOUND)
    assert error.message == "there is no user alice here: log in again"
    assert 'error="invalid_token"' in (error.challenge or "")
    assert desk.not_admitted(at(BASE, basic(ALICE)), FOUND).message == WRONG


@pytest.mark.parametrize("user", ["", "mallory"])
def test_s23_nobody_is_no_user(desk: Desk, user: str) -> None:
    carrying = desk.carrying(BASE, Claims(user, BASE, frozenset({FOUND.name})))
    assert desk.not_admitted(carrying, FOUND).code is ErrorCode.UNAUTHORIZED


def test_s23_a_token_of_pass_through_is_nothing_here_also_for_a_user_of_that_name(desk: Desk) -> None:
    """Whoever registers the name of a user at an upstream is not that user."""
    for registry in ("ghcr.io", "quay.io", ""):
        claims = Claims("alice", BASE, frozenset({FOUND.name}), registry, "Bearer x")
        for found in (None, FOUND):
            error = desk.not_admitted(desk.carrying(BASE, claims), found)
            assert 'error="invalid_token"' in (error.challenge or "")


@pytest.mark.parametrize("said", ["Bearer x", "Bearer a.b.c", "Digest x", "Basic x"])
def test_what_cannot_be_read_lets_nobody_in(desk: Desk, said: str) -> None:
    error = desk.not_admitted(at(BASE, said), FOUND)
    assert (error.code, error.challenge is not None) == (ErrorCode.UNAUTHORIZED, True)


def test_the_login_of_an_upstream_is_none_here(desk: Desk) -> None:
    """S7: what a client sends to this proxy stays there."""
    desk.authenticate(at(BASE, basic(ALICE)), FOUND)
    desk.not_admitted(at(BASE, basic(BOB)), wanted(BASE, "ghcr.io/org/name"))
    assert desk.logins.asked == []
