from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.internet.task import Clock

from crproxy.config import Upstream
from crproxy.login import Identity
from crproxy.login.signing import Claims, Signer
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.authorizations import Credentials
from crproxy.policy.routing import Names
from tests.login.conftest import ALICE, BASE, DOCKER, GITHUB, Desk, Vouching, at, basic, wanted

NAME = "org/name"
FOUND = wanted(GITHUB, NAME)
SCOPE = f"repository:{NAME}:pull"
ALICES = f"Bearer of alice for {SCOPE}"
WRONG = Credentials("alice", "wrong")
LOG_IN = "log in with your own credentials of ghcr.io"


# Nobody


def test_nobody_is_let_in_to_what_is_public_and_told_how_to_log_in_for_the_rest(desk: Desk) -> None:
    admitted = desk.authenticate(at(GITHUB), FOUND)
    assert (admitted.user, admitted.authorization) == (None, None)
    assert admitted.challenge == (
        f'Bearer realm="https://{GITHUB}/token",service="{GITHUB}",scope="repository:{NAME}:pull"'
    )


def test_docker_learns_at_the_root_that_there_is_a_login(desk: Desk) -> None:
    error = desk.not_admitted(at(GITHUB))
    assert (error.code, error.message) == (ErrorCode.UNAUTHORIZED, LOG_IN)
    assert error.challenge == f'Bearer realm="https://{GITHUB}/token",service="{GITHUB}"'


def test_nobody_gets_a_token_that_is_nobodys(desk: Desk, signer: Signer) -> None:
    """Docker asks for one before each pull."""
    granted = desk.issue_token(at(GITHUB), None, NAME)
    assert signer.read(granted.token, GITHUB) == Claims("", GITHUB, frozenset({NAME}), "ghcr.io")
    assert desk.authenticate(at(GITHUB, f"Bearer {granted.token}"), FOUND) == Identity()
    assert desk.logins.asked == []


# With credentials


def test_credentials_are_exchanged_for_what_upstream_takes(desk: Desk) -> None:
    assert desk.authenticate(at(GITHUB, basic(ALICE)), FOUND) == Identity("alice", ALICES)
    assert desk.logins.asked == [("ghcr.io", "alice", SCOPE)]


def test_they_are_looked_at_by_upstream_each_time(desk: Desk, logins: Vouching) -> None:
    """S12: what was right a minute ago may have been revoked."""
    desk.authenticate(at(GITHUB, basic(ALICE)), FOUND)
    logins.known.clear()
    assert desk.not_admitted(at(GITHUB, basic(ALICE)), FOUND).code is ErrorCode.UNAUTHORIZED


def test_a_login_alone_is_for_nothing(desk: Desk) -> None:
    assert desk.authenticate(at(GITHUB, basic(ALICE))).user == "alice"
    assert desk.logins.asked == [("ghcr.io", "alice", "")]


def test_a_token_holds_what_upstream_gave(desk: Desk, signer: Signer) -> None:
    granted = desk.issue_token(at(GITHUB), ALICE, NAME, "org/other")
    scope = f"{SCOPE} repository:org/other:pull"
    assert desk.logins.asked == [("ghcr.io", "alice", scope)]
    claims = signer.read(granted.token, GITHUB)
    assert claims == Claims("alice", GITHUB, frozenset({NAME, "org/other"}), "ghcr.io", f"Bearer of alice for {scope}")
    admitted = desk.authenticate(at(GITHUB, f"Bearer {granted.token}"), FOUND)
    assert admitted == Identity("alice", f"Bearer of alice for {scope}")
    assert len(desk.logins.asked) == 1


def test_upstream_is_asked_for_what_names_mean(desk: Desk) -> None:
    upstream = replace(Upstream.public(DOCKER_HUB), passthrough=True)
    desk.config = replace(desk.config, upstreams={DOCKER_HUB: upstream})
    desk.issue_token(at(DOCKER), ALICE, "nginx", "library/nginx")
    assert desk.logins.asked == [("docker.io", "alice", "repository:library/nginx:pull")]


def test_also_where_a_client_repeats_the_registry_in_the_path(desk: Desk) -> None:
    """Containerd with override_path asks for a token by the path that it pulls by, and cannot say ns= there."""
    name = f"ghcr.io/{NAME}"
    granted = desk.issue_token(at(GITHUB), ALICE, name)
    assert desk.logins.asked == [("ghcr.io", "alice", SCOPE)]
    assert (
        desk.authenticate(at(GITHUB, f"Bearer {granted.token}"), wanted(GITHUB, name, "ghcr.io")).authorization
        == ALICES
    )


@pytest.mark.parametrize(("theirs", "ours"), [(300.0, 300), (100.5, 100), (30.0, 60), (-1.0, 60), (86400.0, 300)])
def test_s23_it_ends_with_that_within_bounds(desk: Desk, logins: Vouching, theirs: float, ours: int) -> None:
    logins.lifetime = theirs
    assert desk.issue_token(at(GITHUB), ALICE, NAME).lifetime == ours


def test_a_token_that_was_refused_is_told_with_upstreams_words(desk: Desk) -> None:
    for error in (desk.not_granted(at(GITHUB), WRONG, NAME), desk.not_admitted(at(GITHUB, basic(WRONG)), FOUND)):
        assert (error.code, error.message) == (ErrorCode.UNAUTHORIZED, "ghcr.io does not know alice")
        assert (error.challenge or "").startswith(f'Bearer realm="https://{GITHUB}/token"')


@pytest.mark.parametrize("code", [ErrorCode.DENIED, ErrorCode.UNAVAILABLE, ErrorCode.TOOMANYREQUESTS])
def test_what_else_upstream_says_is_passed_on(desk: Desk, logins: Vouching, code: ErrorCode) -> None:
    logins.error = RegistryError(code, "ghcr.io says so", retry_after=7)
    assert desk.not_admitted(at(GITHUB, basic(ALICE)), FOUND) is logins.error
    assert desk.not_granted(at(GITHUB), ALICE, NAME) is logins.error


@pytest.mark.parametrize("name", ["Org/Name", "org//name", "..", "org/name/", "a" * 256])
def test_what_is_no_name_asks_nobody(desk: Desk, name: str) -> None:
    assert desk.not_granted(at(GITHUB), ALICE, name).status == 400
    assert desk.logins.asked == []


def test_what_is_too_long_to_hand_on_is_told(desk: Desk) -> None:
    credentials = Credentials("a" * 12_000, "x")
    desk.logins.known.add((credentials.username, "x"))
    error = desk.not_granted(at(GITHUB), credentials, NAME)
    assert (error.status, error.message.startswith("ghcr.io is not available: its token cannot be")) == (503, True)


def test_an_upstream_that_has_no_login_gives_everybody_what_it_has(desk: Desk, logins: Vouching) -> None:
    logins.open = True
    assert desk.authenticate(at(GITHUB, basic(WRONG)), FOUND) == Identity("alice")
    granted = desk.issue_token(at(GITHUB), WRONG, NAME)
    assert granted.lifetime == 300
    assert desk.authenticate(at(GITHUB, f"Bearer {granted.token}"), FOUND) == Identity("alice")


# Tokens that are another's


def test_s23_a_token_of_the_proxys_own_is_nothing_here(desk: Desk) -> None:
    desk.close()
    claims = Claims("alice", GITHUB, frozenset({NAME}))
    for found in (None, FOUND):
        error = desk.not_admitted(desk.carrying(GITHUB, claims), found)
        assert error.message == "this token is for another registry"
        assert 'error="invalid_token"' in (error.challenge or "")


def test_s7_a_token_goes_to_the_registry_that_it_was_given_for(desk: Desk) -> None:
    """Though its host stands for another now."""
    carrying = at(GITHUB, f"Bearer {desk.issue_token(at(GITHUB), ALICE, NAME).token}")
    corp = Registry("corp.example")
    upstream = replace(Upstream.public(corp), passthrough=True)
    desk.config = replace(desk.config, names=Names(BASE, {GITHUB: corp}), upstreams={corp: upstream})
    for found in (None, replace(FOUND, repository=corp.repository(NAME))):
        assert desk.not_admitted(carrying, found).message == "this token is for another registry"


def test_s23_a_token_is_for_what_it_was_asked_for(desk: Desk, clock: Clock) -> None:
    carrying = at(GITHUB, f"Bearer {desk.issue_token(at(GITHUB), ALICE, NAME).token}")
    other = wanted(GITHUB, "org/other")
    assert desk.not_admitted(carrying, other).message == "this token is not for org/other"
    clock.advance(300)
    assert desk.not_admitted(carrying, FOUND).message.startswith("this token has expired")


# Where the proxy serves nobody who did not log in


@pytest.fixture
def closed(desk: Desk) -> Desk:
    desk.close()
    return desk


def test_a_closed_proxy_serves_nobody_what_is_public(closed: Desk) -> None:
    nobodys = closed.carrying(GITHUB, Claims("", GITHUB, frozenset({NAME}), "ghcr.io"))
    for error in (
        closed.not_admitted(at(GITHUB), FOUND),
        closed.not_admitted(at(GITHUB)),
        closed.not_admitted(nobodys, FOUND),
        closed.not_admitted(nobodys),
        closed.not_granted(at(GITHUB), None, NAME),
    ):
        assert (error.code, error.message) == (ErrorCode.UNAUTHORIZED, LOG_IN)


def test_it_serves_those_whom_the_upstream_knows(closed: Desk) -> None:
    assert closed.authenticate(at(GITHUB, basic(ALICE)), FOUND) == Identity("alice", ALICES)
    granted = closed.issue_token(at(GITHUB), ALICE, NAME)
    assert closed.authenticate(at(GITHUB, f"Bearer {granted.token}"), FOUND) == Identity("alice", ALICES)


def test_an_upstream_that_has_no_login_vouches_for_nobody(closed: Desk, logins: Vouching) -> None:
    logins.open = True
    for error in (
        closed.not_admitted(at(GITHUB, basic(ALICE)), FOUND),
        closed.not_admitted(at(GITHUB, basic(ALICE))),
        closed.not_granted(at(GITHUB), ALICE, NAME),
    ):
        assert (error.code, error.message) == (
            ErrorCode.UNAUTHORIZED,
            "ghcr.io has no login, so it vouches for nobody",
        )


def test_nor_does_it_by_a_token_of_the_time_before(desk: Desk, logins: Vouching) -> None:
    """It was given to whoever said any name at all."""
    logins.open = True
    carrying = at(GITHUB, f"Bearer {desk.issue_token(at(GITHUB), WRONG, NAME).token}")
    desk.close()
    for found in (None, FOUND):
        assert desk.not_admitted(carrying, found).message == LOG_IN


def test_a_password_without_a_name_is_nobodys(closed: Desk, logins: Vouching) -> None:
    """Token services may take it for no login, and give a token for what is public."""
    nameless = Credentials("", "x")
    logins.known.add(("", "x"))
    for error in (
        closed.not_admitted(at(GITHUB, basic(nameless)), FOUND),
        closed.not_admitted(at(GITHUB, basic(nameless))),
        closed.not_granted(at(GITHUB), nameless, NAME),
    ):
        assert (error.code, error.message) == (ErrorCode.UNAUTHORIZED, LOG_IN)
    assert logins.asked == []
