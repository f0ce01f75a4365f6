from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from twisted.internet.defer import Deferred

from crproxy.config.client_values import Clients
from crproxy.login import Identity
from crproxy.oci.errors import ErrorCode
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.access import Access
from crproxy.policy.authorizations import Credentials
from crproxy.policy.routing import Names
from tests.login.conftest import ALICE, BASE, DOCKER, GITHUB, USERS, Desk, at, basic, wanted
from tests.memory import ended

FOUND = wanted(BASE, "quay.io/org/name")
WRONG = Credentials("alice", "wrong")


def privileged(text: str) -> Access:
    return Access(privileged=(ipaddress.ip_network(text),))


@pytest.mark.parametrize("said", [None, basic(WRONG), "Bearer x", "Digest x", "bad_gateway"])
@pytest.mark.parametrize("host", [BASE, DOCKER])
def test_where_there_is_no_login_everybody_is_let_in_whatever_they_say(desk: Desk, host: str, said: str | None) -> None:
    for found in (None, FOUND):
        assert desk.authenticate(at(host, said), found) == Identity()


def test_and_needs_no_token(desk: Desk) -> None:
    error = desk.not_granted(at(BASE), ALICE, FOUND.name)
    assert (error.code, error.status) == (ErrorCode.NAME_UNKNOWN, 404)


@pytest.mark.parametrize("host", [BASE, DOCKER, "quay.cr.test"])
def test_where_there_are_users_they_log_in(desk: Desk, host: str) -> None:
    desk.close()
    assert desk.not_admitted(at(host)).message.startswith("log in first: docker login ")
    assert desk.authenticate(at(host, basic(ALICE))) == Identity("alice")


def test_at_a_host_of_pass_through_its_registry_says_who_gets_in(desk: Desk) -> None:
    for _ in ("open", "closed"):
        assert desk.not_admitted(at(GITHUB)).message == "log in with your own credentials of ghcr.io"
        assert desk.authenticate(at(GITHUB, basic(ALICE))).authorization is not None
        assert "does not know alice" in desk.not_admitted(at(GITHUB, basic(WRONG))).message
        desk.close()


def test_by_prefix_the_registry_of_pass_through_is_asked_as_nobody(desk: Desk) -> None:
    """S7: at the base domain a password is meant for the proxy, if for anybody."""
    found = wanted(BASE, "ghcr.io/org/name")
    assert desk.authenticate(at(BASE, basic(ALICE)), found) == Identity()
    desk.close()
    assert desk.authenticate(at(BASE, basic(ALICE)), found) == Identity("alice")
    assert desk.logins.asked == []


@pytest.mark.parametrize("host", ["", "evil.test", "nope.cr.test", "cr.test.evil.test", "127.0.0.1"])
def test_s14_another_host_is_misdirected_before_anything(desk: Desk, host: str) -> None:
    for _ in ("open", "closed"):
        for error in (desk.not_admitted(at(host, basic(WRONG)), FOUND), desk.not_granted(at(host), ALICE, "a/b")):
            assert (error.status, error.challenge) == (421, None)
        desk.close()
    assert desk.logins.asked == []


@pytest.mark.parametrize(
    ("client", "login", "let_in"),
    [
        ("192.0.2.7", False, True),
        ("192.0.2.7", True, False),
        ("198.51.100.7", False, False),
        (None, False, False),
    ],
)
def test_privileged_networks_need_no_login_where_it_is_so_written(
    desk: Desk, client: str | None, login: bool, let_in: bool
) -> None:
    desk.config = replace(
        desk.config, access=privileged("192.0.2.0/24"), clients=Clients(USERS, privileged_login=login)
    )
    for host, found in ((BASE, FOUND), (GITHUB, wanted(GITHUB, "org/name"))):
        auth = replace(at(host), client=client)
        if let_in:
            assert desk.authenticate(auth, found).user is None
        else:
            assert desk.not_admitted(auth, found).code is ErrorCode.UNAUTHORIZED
        assert desk.authenticate(replace(auth, authorization=basic(ALICE)), found).user in (None, "alice")


def test_locally_a_password_is_asked_for_directly(desk: Desk) -> None:
    desk.close()
    desk.config = replace(desk.config, names=Names())
    auth = replace(at("localhost:5000"), secure=False)
    assert (desk.not_admitted(auth, FOUND).challenge or "").startswith("Basic ")
    assert desk.authenticate(replace(auth, authorization=basic(ALICE)), FOUND) == Identity("alice")


def test_an_alias_that_goes_takes_its_login_along(desk: Desk) -> None:
    names = Names(BASE, {GITHUB: DOCKER_HUB, DOCKER: Registry("ghcr.io")})
    desk.config = replace(desk.config, names=names)
    assert desk.authenticate(at(GITHUB)) == Identity()
    assert desk.not_admitted(at(DOCKER)).code is ErrorCode.UNAUTHORIZED


@pytest.mark.parametrize("host", [BASE, GITHUB])
def test_credentials_are_counted_by_whether_they_were_right(desk: Desk, host: str) -> None:
    desk.close()
    desk.not_admitted(at(host))
    desk.authenticate(at(host, basic(ALICE)))
    for _ in range(2):
        desk.not_admitted(at(host, basic(WRONG)))
    assert (desk.login.right, desk.login.wrong) == (1, 2)


# Who says to a proxy who it is (RFC 9110, 11.7.2)


def test_where_there_is_no_login_nobody_is_anybody(desk: Desk) -> None:
    for said in (None, basic(ALICE), basic(WRONG), "Bearer x", "no credentials"):
        assert desk.user_of(said) is None
    assert (desk.login.right, desk.login.wrong) == (0, 0)


def test_who_is_a_user_is_named_and_nobody_else(desk: Desk) -> None:
    desk.close()
    assert desk.user_of(basic(ALICE)) == "alice"
    assert desk.not_a_user(basic(WRONG)).message == "the username or the password is wrong"
    assert desk.not_a_user(basic(Credentials("mallory", "of alice"))).code is ErrorCode.UNAUTHORIZED
    assert (desk.login.right, desk.login.wrong) == (1, 2)


@pytest.mark.parametrize("said", [None, "Bearer x", "Basic", "Basic !", "Digest x", "Negotiate x", ""])
def test_who_does_not_say_so_is_told_how(desk: Desk, said: str | None) -> None:
    desk.close()
    error = desk.not_a_user(said)
    assert (error.code, error.status, error.challenge) == (ErrorCode.UNAUTHORIZED, 401, None)
    if said in (None, "Bearer x"):
        assert error.message == "log in: put USERNAME:PASSWORD@ into the proxy's URL"
    assert (desk.login.right, desk.login.wrong) == (0, 0)


@pytest.mark.parametrize(("client", "login", "let_in"), [("192.0.2.7", False, True), ("192.0.2.7", True, False)])
def test_privileged_networks_need_not_say_so_either(desk: Desk, client: str, login: bool, let_in: bool) -> None:
    clients = Clients(USERS, privileged_login=login)
    desk.config = replace(desk.config, access=privileged("192.0.2.0/24"), clients=clients)
    if let_in:
        assert desk.user_of(None, client) is None
    else:
        assert desk.not_a_user(None, client).code is ErrorCode.UNAUTHORIZED
    assert desk.not_a_user(None, "198.51.100.7").code is ErrorCode.UNAUTHORIZED


def test_who_was_let_in_is_so_until_the_configuration_says_otherwise(desk: Desk) -> None:
    assert [desk.login.lets_in(user, None) for user in (None, "alice", "mallory")] == [True, True, True]
    desk.close()
    assert [desk.login.lets_in(user, None) for user in (None, "alice", "mallory")] == [False, True, False]
    desk.config = replace(
        desk.config, access=privileged("192.0.2.0/24"), clients=Clients(USERS, privileged_login=False)
    )
    assert [desk.login.lets_in(None, client) for client in ("192.0.2.7", "198.51.100.7")] == [True, False]


# One that goes by another configuration


def test_it_goes_by_that_and_counts_with_this(desk: Desk) -> None:
    other = desk.login.by(lambda: replace(desk.config, clients=Clients()))
    desk.close()
    assert ended(Deferred.fromCoroutine(other.user_of(basic(WRONG), None))) is None
    third = desk.login.by(lambda: desk.config)
    assert ended(Deferred.fromCoroutine(third.user_of(basic(ALICE), None))) == "alice"
    assert desk.user_of(basic(ALICE)) == "alice"
    assert [(login.right, login.wrong) for login in (desk.login, other, third)] == [(2, 0)] * 3
