from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError as Refused

from crproxy.config import Upstream
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.policy.authorizations import Credentials
from crproxy.upstream.exchange import Exchange
from crproxy.upstream.logins import Logins
from crproxy.upstream.tokens import Token, Tokens, basic
from tests.memory import Network, Seen, answer, ended, failure_of
from tests.upstream.conftest import QUAY

REGISTRY, AUTH, EVIL = "https://quay.io", "https://auth.quay.io", "https://evil.example"
SCOPE = "repository:org/name:pull"
ALICE = Credentials("alice", "pa:ss wörd")
ALICES = basic(ALICE.username, ALICE.password)
BASIC = 'WWW-Authenticate: Basic realm="quay"'


def bearer(realm: str, scope: str = "") -> str:
    return f'WWW-Authenticate: Bearer realm="{realm}",service="quay.io"{scope}'


def given(token: str = "t1", **more: Any) -> bytes:
    return answer(200, json.dumps({"token": token, **more}).encode())


class Desk:
    """Logs clients in at an upstream."""

    def __init__(self, network: Network, logins: Logins, upstream: Upstream) -> None:
        self.network, self.logins, self.upstream = network, logins, upstream

    def log_in(self, credentials: Credentials = ALICE, scope: str = SCOPE, **more: Any) -> Deferred[Token | None]:
        upstream = replace(self.upstream, **more)
        return self.network.run(self.logins.log_in(upstream, credentials, scope))

    def refused(self, **how: Any) -> RegistryError:
        asking = self.log_in(**how)
        for _ in range(4):
            # What attempts are apart, where one may pass.
            self.network.advance(1)
        error = failure_of(asking, RegistryError)
        assert isinstance(error, RegistryError)
        return error

    @property
    def seen(self) -> list[tuple[str, str | None]]:
        """What was asked, and as whom."""
        return [(seen.url, seen.one("Authorization")) for seen in self.network.seen]


@pytest.fixture
def desk(network: Network, http: HTTPClient, exchange: Exchange, tokens: Tokens, upstream: Upstream) -> Desk:
    return Desk(network, Logins(lambda _: http, exchange, tokens, network.clock), replace(upstream, passthrough=True))


# Tokens


def test_credentials_are_exchanged_for_a_token(network: Network, desk: Desk) -> None:
    network.serve(REGISTRY, answer(401, b"", bearer(f"{AUTH}/token")))
    network.serve(AUTH, given(expires_in=300))
    assert ended(desk.log_in()) == Token("Bearer t1", network.clock.seconds() + 295)
    url = f"{AUTH}/token?service=quay.io&scope=repository%3Aorg%2Fname%3Apull"
    assert desk.seen == [(f"{REGISTRY}/v2/", None), (url, ALICES)]


@pytest.mark.parametrize("scope", ["", SCOPE, f"{SCOPE} repository:org/other:pull"])
def test_what_it_is_to_be_good_for_we_say_not_the_challenge(network: Network, desk: Desk, scope: str) -> None:
    network.serve(REGISTRY, answer(401, b"", bearer(f"{AUTH}/token", ',scope="registry:catalog:*"')))
    network.serve(AUTH, given())
    ended(desk.log_in(scope=scope))
    target = network.seen[1].target
    assert "catalog" not in target
    assert target.count("repository") == scope.count("repository")


def test_two_logins_are_two_questions(network: Network, desk: Desk) -> None:
    """S12: nothing is kept of what may have been revoked."""
    network.serve(REGISTRY, answer(401, b"", bearer(f"{AUTH}/token")))
    network.serve(AUTH, [given("t1", expires_in=3600), given("t2", expires_in=3600), answer(401)])
    for authorization in ("Bearer t1", "Bearer t2"):
        token = ended(desk.log_in())
        assert token is not None
        assert token.authorization == authorization
    assert desk.refused().code is ErrorCode.UNAUTHORIZED
    assert len(network.seen) == 6


def test_a_clients_token_is_not_the_proxys(network: Network, desk: Desk, tokens: Tokens) -> None:
    """S10."""
    network.serve(REGISTRY, answer(401, b"", bearer(f"{AUTH}/token")))
    network.serve(AUTH, given(expires_in=3600))
    ended(desk.log_in())
    assert tokens.known(desk.upstream, SCOPE, None) is None
    assert tokens.known(desk.upstream, SCOPE, "alice") is None


def test_a_wrong_password_is_told(network: Network, desk: Desk) -> None:
    network.serve(REGISTRY, answer(401, b"", bearer(f"{AUTH}/token")))
    network.serve(AUTH, answer(401, b'{"errors": [{"code": "UNAUTHORIZED", "message": "bad password"}]}'))
    error = desk.refused()
    assert (error.code, error.status) == (ErrorCode.UNAUTHORIZED, 401)
    assert error.message.startswith("the login of 'alice' is refused: quay.io answered 401: UNAUTHORIZED bad password")
    assert ALICE.password not in error.message


@pytest.mark.parametrize(
    ("served", "code"),
    [
        (answer(403), ErrorCode.DENIED),
        (answer(404), ErrorCode.DENIED),
        (answer(429, b"", "Retry-After: 5"), ErrorCode.TOOMANYREQUESTS),
        (answer(500), ErrorCode.UNAVAILABLE),
        (answer(302, b"", f"Location: {EVIL}/"), ErrorCode.DENIED),
        (answer(200, b"{}"), ErrorCode.UNAVAILABLE),
        (answer(200, b'{"token": "a\\r\\nX: y"}'), ErrorCode.UNAVAILABLE),
        (answer(200, b'{"token": "%s"}' % (b"x" * 1024 * 1024)), ErrorCode.UNAVAILABLE),
    ],
    ids=["403", "404", "429", "500", "redirect", "empty", "odd", "huge"],
)
def test_s16_whatever_the_token_service_answers_is_an_answer(
    network: Network, desk: Desk, served: bytes, code: ErrorCode
) -> None:
    """S5: nor is its redirect to another domain followed with the credentials."""
    network.serve(REGISTRY, answer(401, b"", bearer(f"{AUTH}/token")))
    network.serve(AUTH, served)
    assert desk.refused().code is code
    assert not any(url.startswith(EVIL) for url, _ in desk.seen)


@pytest.mark.parametrize(
    "realm",
    [
        f"{EVIL}/token",
        "https://quay.io.evil.example/token",
        "https://evilquay.io/token",
        "http://quay.io/token",
        "http://auth.quay.io/token",
        "https://user@quay.io/token",
        "https://quay.io@evil.example/token",
        "/token",
        "ftp://quay.io/token",
    ],
)
def test_s5_a_realm_of_another_domain_is_not_given_the_credentials(network: Network, desk: Desk, realm: str) -> None:
    network.serve(REGISTRY, answer(401, b"", bearer(realm)))
    assert desk.refused().status in (403, 503)
    assert desk.seen == [(f"{REGISTRY}/v2/", None)]


def test_s5_unless_it_is_listed(network: Network, desk: Desk) -> None:
    network.serve(REGISTRY, answer(401, b"", bearer(f"{EVIL}/token")))
    network.serve(EVIL, given())
    assert ended(desk.log_in(token_hosts=frozenset({"evil.example"}))) is not None
    assert desk.seen[1][1] == ALICES


def test_a_token_service_that_is_down_is_unavailable(network: Network, desk: Desk) -> None:
    network.serve(REGISTRY, answer(401, b"", bearer(f"{AUTH}/token")))
    network.refuse(AUTH, Refused())
    assert desk.refused().code is ErrorCode.UNAVAILABLE


# Basic


def test_a_registry_that_takes_basic_is_asked_whether_it_does(network: Network, desk: Desk) -> None:
    network.serve(REGISTRY, [answer(401, b"", BASIC), answer(200, b"{}")])
    assert ended(desk.log_in()) == Token(ALICES, network.clock.seconds() + 300)
    assert desk.seen == [(f"{REGISTRY}/v2/", None), (f"{REGISTRY}/v2/", ALICES)]


def test_a_wrong_password_is_told_there_too_and_asked_for_once(network: Network, desk: Desk) -> None:
    """Several attempts lock accounts."""
    network.serve(REGISTRY, answer(401, b"", BASIC))
    error = desk.refused()
    assert (error.code, error.message) == (
        ErrorCode.UNAUTHORIZED,
        "quay.io does not know this username and password",
    )
    assert len(network.seen) == 2


def test_it_is_asked_again_for_the_next_login(network: Network, desk: Desk) -> None:
    network.serve(
        REGISTRY, lambda seen: answer(200) if seen.one("Authorization") == ALICES else answer(401, b"", BASIC)
    )
    ended(desk.log_in())
    ended(desk.log_in())
    assert len(network.seen) == 4


@pytest.mark.parametrize("served", [answer(500), answer(302, b"", f"Location: {EVIL}/"), answer(404)])
def test_s6_credentials_follow_no_redirect(network: Network, desk: Desk, served: bytes) -> None:
    def answers(seen: Seen) -> bytes:
        return served if seen.one("Authorization") else answer(401, b"", BASIC)

    network.serve(REGISTRY, answers)
    asking = desk.log_in()
    for _ in range(10):
        network.advance(2)
    assert isinstance(error := failure_of(asking, RegistryError), RegistryError)
    assert error.code is ErrorCode.UNAVAILABLE
    assert {url for url, _ in desk.seen} == {f"{REGISTRY}/v2/"}


# Neither


def test_a_registry_without_a_login_gives_none(network: Network, desk: Desk) -> None:
    network.serve(REGISTRY, answer(200, b"{}"))
    assert ended(desk.log_in()) is None
    assert desk.seen == [(f"{REGISTRY}/v2/", None)]


@pytest.mark.parametrize("lines", [(), ("WWW-Authenticate: Negotiate",), ('WWW-Authenticate: Bearer service="x"',)])
@pytest.mark.parametrize("status", [401, 403])
def test_a_login_of_another_kind_is_not_known(
    network: Network, desk: Desk, status: int, lines: tuple[str, ...]
) -> None:
    network.serve(REGISTRY, answer(status, b"", *lines))
    error = desk.refused()
    assert (error.code, "of a kind that is not known here" in error.message) == (ErrorCode.UNAVAILABLE, True)


def test_the_first_challenge_that_can_be_answered_counts(network: Network, desk: Desk) -> None:
    network.serve(REGISTRY, [answer(401, b"", "WWW-Authenticate: Negotiate", BASIC), answer(200)])
    assert ended(desk.log_in()) is not None


@pytest.mark.parametrize("status", [302, 404, 429])
def test_another_answer_is_none(network: Network, desk: Desk, status: int) -> None:
    network.serve(REGISTRY, answer(status, b"", f"Location: {EVIL}/v2/"))
    error = desk.refused()
    assert (error.code, error.message) == (
        ErrorCode.UNAVAILABLE,
        f"quay.io is not available: /v2/ was answered {status}",
    )


def test_who_the_client_is_stays_out_of_the_upstreams_table(desk: Desk, network: Network) -> None:
    network.serve(REGISTRY, answer(200))
    ended(desk.log_in())
    assert (desk.upstream.username, desk.upstream.password, desk.upstream.registry) == (None, None, QUAY)
