from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError as Refused

from crproxy.config import Upstream
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import Registry
from crproxy.policy.challenges import parse_challenges
from crproxy.upstream.agent import treq_client
from crproxy.upstream.errors import RefusedAddress
from crproxy.upstream.tokens import Tokens, basic
from tests.memory import Network, answer, ended, failure_of, not_yet
from tests.outcomes import outcome
from tests.sharing.crew import Crew
from tests.upstream.conftest import QUAY, TIMEOUTS

REALM = "https://quay.io/v2/auth"
SCOPE = "repository:org/name:pull"
CHALLENGE = f'Bearer realm="{REALM}",service="quay.io",scope="{SCOPE}"'


def token(text: str = "t1", **more: Any) -> bytes:
    return answer(200, json.dumps({"token": text, **more}).encode())


class Asker:
    """Asks for tokens as an exchange does."""

    def __init__(self, network: Network, http: HTTPClient, tokens: Tokens, upstream: Upstream) -> None:
        self.network, self.tokens, self.upstream = network, tokens, upstream
        self._http = http

    def ask(self, challenge: str = CHALLENGE, scope: str = SCOPE, **how: Any) -> Deferred[str | None]:
        challenges = parse_challenges([challenge])
        upstream = how.pop("upstream", self.upstream)
        asking = self.network.run(self.tokens.authorize(self._http, upstream, challenges, scope, **how))
        return asking.addCallback(lambda given: None if given is None else given.authorization)

    def serve(self, *answers: bytes) -> None:
        self.network.serve("https://quay.io", list(answers))

    def known(self, scope: str = SCOPE, username: str | None = None) -> str | None:
        return self.tokens.known(self.upstream, scope, username)

    @property
    def urls(self) -> list[str]:
        return [seen.url for seen in self.network.seen]


@pytest.fixture
def asker(network: Network, http: HTTPClient, tokens: Tokens, upstream: Upstream) -> Asker:
    return Asker(network, http, tokens, upstream)


@pytest.fixture
def secret(upstream: Upstream) -> Upstream:
    return replace(upstream, username="user", password="pa:ss")


def refused(deferred: Deferred[Any]) -> RegistryError:
    error = failure_of(deferred, RegistryError)
    assert isinstance(error, RegistryError)
    return error


def let_pass(network: Network) -> None:
    """Let the time pass that attempts are apart."""
    for _ in range(4):
        network.advance(1)


def test_a_token_is_fetched_where_the_challenge_says(asker: Asker) -> None:
    asker.serve(token())
    assert ended(asker.ask()) == "Bearer t1"
    assert asker.urls == [f"{REALM}?service=quay.io&scope=repository%3Aorg%2Fname%3Apull"]
    assert asker.network.seen[0].method == "GET"
    assert asker.network.seen[0].one("Authorization") is None
    assert asker.network.seen[0].all("Accept-Encoding") == ["identity"]


def test_an_access_token_is_a_token_too(asker: Asker) -> None:
    asker.serve(answer(200, b'{"access_token": "t2"}'))
    assert ended(asker.ask()) == "Bearer t2"


def test_of_both_names_dockers_own_counts(asker: Asker) -> None:
    asker.serve(answer(200, b'{"access_token": "t2", "token": "t1"}'))
    assert ended(asker.ask()) == "Bearer t1"


@pytest.mark.parametrize("challenge", ["", "Negotiate", "Bearer", 'Bearer service="x"', 'Basic realm="x"'])
def test_what_cannot_be_answered_is_not(asker: Asker, challenge: str) -> None:
    assert ended(asker.ask(challenge)) is None
    assert asker.network.seen == []


def test_basic_is_answered_with_the_configured_credentials(asker: Asker, secret: Upstream) -> None:
    authorization = ended(asker.ask('Basic realm="x"', upstream=secret))
    assert authorization == "Basic " + base64.b64encode(b"user:pa:ss").decode()


def test_any_character_may_be_in_a_password() -> None:
    assert base64.b64decode(basic("üser", "p@:ß").removeprefix("Basic ")).decode() == "üser:p@:ß"


def test_the_first_challenge_that_can_be_answered_counts(asker: Asker, secret: Upstream) -> None:
    asker.serve(token())
    assert ended(asker.ask(f'Negotiate, Basic realm="x", {CHALLENGE}')) == "Bearer t1"
    assert str(ended(asker.ask('Negotiate, Basic realm="x"', upstream=secret))).startswith("Basic ")


def test_a_token_is_kept(asker: Asker) -> None:
    asker.serve(token(expires_in=300))
    ended(asker.ask())
    assert ended(asker.ask()) == "Bearer t1"
    assert asker.known() == "Bearer t1"
    assert len(asker.urls) == 1


def test_nothing_is_known_before_it_was_asked_for(asker: Asker) -> None:
    assert asker.known() is None


def test_a_token_is_known_by_what_it_was_wanted_for(asker: Asker) -> None:
    asker.serve(token())
    ended(asker.ask())
    assert asker.known("repository:other:pull") is None
    assert asker.known(username="user") is None


@pytest.mark.parametrize(
    ("more", "seconds"),
    [
        ({}, 55),
        ({"expires_in": None}, 55),
        ({"expires_in": 0}, 55),
        ({"expires_in": 300}, 295),
        ({"expires_in": "300"}, 295),
        ({"expires_in": 1}, 5),
        ({"expires_in": -5}, 5),
    ],
)
def test_a_token_is_used_until_five_seconds_before_its_end(asker: Asker, more: dict[str, Any], seconds: int) -> None:
    asker.serve(token("t1", **more), token("t2"))
    ended(asker.ask())
    asker.network.advance(seconds - 1)
    assert asker.known() == ended(asker.ask()) == "Bearer t1"
    asker.network.advance(1)
    assert asker.known() is None
    assert ended(asker.ask()) == "Bearer t2"


@pytest.mark.parametrize("seconds", [b"1e300", b"99999999999999999999", b'"Infinity"', b'"1e400"'])
def test_a_token_that_would_never_end_is_used_for_a_day_at_most(asker: Asker, seconds: bytes) -> None:
    asker.serve(answer(200, b'{"token": "t1", "expires_in": %s}' % seconds))
    ended(asker.ask())
    asker.network.advance(24 * 3600)
    assert asker.known() is None


@pytest.mark.parametrize("seconds", [b"Infinity", b"NaN", b'"nan"', b"1e400", b"9" * 5000, b"[1]", b'"x"'])
def test_an_end_that_is_no_time_makes_no_token(asker: Asker, seconds: bytes) -> None:
    asker.serve(answer(200, b'{"token": "t1", "expires_in": %s}' % seconds))
    failure_of(asker.ask(), RegistryError)


def test_a_rejected_token_is_fetched_anew(asker: Asker) -> None:
    asker.serve(token("t1", expires_in=300), token("t2", expires_in=300))
    ended(asker.ask())
    assert ended(asker.ask(rejected="Bearer t1")) == "Bearer t2"
    assert asker.known() == "Bearer t2"


def test_a_token_rejected_by_many_is_fetched_anew_once(asker: Asker) -> None:
    asker.serve(token("t1", expires_in=300), token("t2", expires_in=300))
    ended(asker.ask())
    first, second = asker.ask(rejected="Bearer t1"), asker.ask(rejected="Bearer t1")
    assert ended(first) == ended(second) == "Bearer t2"
    assert len(asker.urls) == 2


def waits(asker: Asker) -> None:
    asker.network.serve("https://quay.io", lambda _: None)


def test_many_who_want_one_token_ask_once(asker: Asker) -> None:
    waits(asker)
    waiters = [asker.ask() for _ in range(20)]
    assert len(asker.urls) == 1
    asker.network.waiting[0].send(token())
    assert [ended(waiter) for waiter in waiters] == ["Bearer t1"] * 20


@pytest.mark.parametrize(
    "challenge",
    [
        CHALLENGE.replace("/v2/auth", "/v2/other"),
        CHALLENGE.replace('service="quay.io"', 'service="other"'),
        CHALLENGE.replace("org/name", "org/other"),
    ],
)
def test_another_realm_service_or_scope_is_another_token(asker: Asker, challenge: str) -> None:
    waits(asker)
    asker.ask()
    asker.ask(challenge)
    assert len(asker.urls) == 2


def test_another_registry_is_another_token(asker: Asker, upstream: Upstream) -> None:
    waits(asker)
    asker.ask()
    asker.ask(upstream=replace(upstream, registry=Registry("ghcr.io")))
    assert len(asker.urls) == 2


def test_another_user_is_another_token(asker: Asker, secret: Upstream) -> None:
    waits(asker)
    asker.ask()
    asker.ask(upstream=secret)
    assert [seen.one("Authorization") is None for seen in asker.network.seen] == [True, False]


def test_one_who_leaves_takes_nobody_with_it(asker: Asker) -> None:
    waits(asker)
    first, second = asker.ask(), asker.ask()
    first.cancel()
    failure_of(first, CancelledError)
    asker.network.waiting[0].send(token())
    assert ended(second) == "Bearer t1"


def test_a_token_that_nobody_waits_for_any_more_is_kept(asker: Asker) -> None:
    waits(asker)
    waiter = asker.ask()
    waiter.cancel()
    failure_of(waiter, CancelledError)
    asker.network.waiting[0].send(token())
    assert asker.known() == "Bearer t1"


def test_a_failure_is_everybodys_and_the_next_one_asks_again(asker: Asker) -> None:
    waits(asker)
    first, second = asker.ask(), asker.ask()
    asker.network.waiting[0].send(answer(500, b"", "Retry-After: 7"))
    assert refused(first).status == refused(second).status == 503
    asker.serve(token())
    assert ended(asker.ask()) == "Bearer t1"


def test_credentials_go_to_the_registrys_own_realm(asker: Asker, secret: Upstream) -> None:
    asker.serve(token())
    ended(asker.ask(upstream=secret))
    assert asker.network.seen[0].one("Authorization") == basic("user", "pa:ss")


@pytest.mark.security("S5")
@pytest.mark.parametrize(
    "realm",
    ["https://evil.example/token", "https://quay.io.evil.example/token", "https://evil-quay.io/token"],
)
def test_credentials_never_go_to_another_domains_realm(asker: Asker, secret: Upstream, realm: str) -> None:
    error = refused(asker.ask(f'Bearer realm="{realm}"', upstream=secret))
    assert (error.code, error.status) == (ErrorCode.DENIED, 403)
    assert asker.network.connections == []


def test_an_anonymous_token_may_come_from_another_domain(asker: Asker) -> None:
    asker.network.serve("https://auth.example", token())
    assert ended(asker.ask('Bearer realm="https://auth.example/token"')) == "Bearer t1"


@pytest.mark.security("S5", "S6")
def test_another_host_that_asks_gets_no_credentials(asker: Asker, secret: Upstream) -> None:
    asker.network.serve("https://auth.example", token())
    challenge = 'Bearer realm="https://auth.example/token"'
    assert ended(asker.ask(challenge, upstream=secret, anonymous=True)) == "Bearer t1"
    assert asker.network.seen[0].one("Authorization") is None
    assert ended(asker.ask('Basic realm="x"', upstream=secret, anonymous=True)) is None


def test_a_token_for_another_host_is_not_known_for_the_registry(asker: Asker) -> None:
    asker.network.serve("https://auth.example", token(expires_in=300))
    ended(asker.ask('Bearer realm="https://auth.example/token"', anonymous=True))
    assert asker.known() is None


@pytest.mark.security("S5")
@pytest.mark.parametrize(
    ("realm", "what"),
    [
        ("http://quay.io/token", "http://quay.io, which is not https"),
        ("http://auth.example:80/token", "http://auth.example, which is not https"),
        ("http://[::1]:8080/token", "http://[::1]:8080, which is not https"),
        ("/token", "at something that is no https URL"),
        ("https://user@quay.io/token", "at something that is no https URL"),
        ("ftp://quay.io/token", "at something that is no https URL"),
        ("https://quay.io:0/token", "at something that is no https URL"),
    ],
)
def test_s5_a_realm_that_is_not_sound_is_not_asked(asker: Asker, realm: str, what: str) -> None:
    error = refused(asker.ask(f'Bearer realm="{realm}"'))
    assert error.code is ErrorCode.DENIED
    assert error.message == f"quay.io is refused: its token service is {what}"
    assert asker.network.connections == []


def test_a_registry_that_is_http_by_configuration_may_have_an_http_realm(asker: Asker) -> None:
    asker.network.serve("http://registry.internal:5001", token())
    upstream = Upstream(QUAY, "http://registry.internal:5000", private_hosts=frozenset({"registry.internal"}))
    assert ended(asker.ask('Bearer realm="http://registry.internal:5001/auth"', upstream=upstream)) == "Bearer t1"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_token_services_redirect_is_followed(asker: Asker, secret: Upstream, status: int) -> None:
    """Many answer ``/token`` so where they mean ``/token/``."""
    asker.serve(answer(status, b"", "Location: /v2/auth/?scope=x"), token())
    assert ended(asker.ask(upstream=secret)) == "Bearer t1"
    assert asker.urls[1:] == ["https://quay.io/v2/auth/?scope=x"]
    assert [seen.one("Authorization") for seen in asker.network.seen] == [basic("user", "pa:ss")] * 2


@pytest.mark.security("S5")
def test_s5_a_redirect_to_another_domain_is_not_given_the_credentials(asker: Asker, secret: Upstream) -> None:
    asker.serve(answer(302, b"", "Location: https://evil.example/"))
    error = refused(asker.ask(upstream=secret))
    assert error.code is ErrorCode.DENIED
    assert "token_hosts" in error.message
    assert len(asker.urls) == 1


@pytest.mark.security("S5")
@pytest.mark.parametrize("where", ["https://auth.quay.io", "https://quay.io:8443"])
def test_s5_a_redirect_to_another_origin_is_given_the_credentials_only_where_it_is_listed(
    asker: Asker, secret: Upstream, where: str
) -> None:
    asker.network.serve("https://quay.io", answer(302, b"", f"Location: {where}/"))
    asker.network.serve(where, token())
    assert refused(asker.ask(upstream=secret)).code is ErrorCode.DENIED
    assert [seen.origin for seen in asker.network.seen] == ["https://quay.io"]
    listed = replace(secret, token_hosts=frozenset({"auth.quay.io", "quay.io"}))
    assert ended(asker.ask(upstream=listed)) == "Bearer t1"


def test_without_credentials_a_redirect_may_lead_to_another_domain(asker: Asker) -> None:
    asker.serve(answer(302, b"", "Location: https://auth.example/"))
    asker.network.serve("https://auth.example", token())
    assert ended(asker.ask()) == "Bearer t1"


@pytest.mark.security("S5")
@pytest.mark.parametrize(
    ("location", "code", "why"),
    [
        ("http://quay.io/v2/auth", ErrorCode.DENIED, "it redirects to http://quay.io, which is not https"),
        ("ftp://quay.io/", ErrorCode.DENIED, "it redirects to something that is no https URL"),
        ("", ErrorCode.UNAVAILABLE, "it redirects without saying where"),
        ("/v2/auth", ErrorCode.UNAVAILABLE, "it redirects more than 5 times"),
    ],
)
def test_s5_a_redirect_that_leads_nowhere_is_not_followed(
    asker: Asker, location: str, code: ErrorCode, why: str
) -> None:
    asker.network.serve("https://quay.io", answer(302, b"", f"Location: {location}"))
    error = refused(asker.ask())
    assert error.code is code
    assert error.message.endswith(f"its token service: {why}")


# Which challenge is answered

BOTH = f'Basic realm="quay", {CHALLENGE}'


def test_a_token_is_preferred_to_the_password(asker: Asker, secret: Upstream) -> None:
    asker.serve(token())
    assert ended(asker.ask(BOTH, upstream=secret)) == "Bearer t1"


def test_where_the_token_service_refuses_the_password_is_tried(asker: Asker, secret: Upstream) -> None:
    asker.serve(answer(401))
    assert ended(asker.ask(BOTH, upstream=secret)) == basic("user", "pa:ss")


def test_without_a_password_its_refusal_counts(asker: Asker) -> None:
    asker.serve(answer(401))
    assert refused(asker.ask(BOTH)).code is ErrorCode.DENIED


def test_what_was_tried_is_not_tried_again(asker: Asker, secret: Upstream) -> None:
    tried = frozenset({"bearer"})
    assert ended(asker.ask(BOTH, upstream=secret, tried=tried)) == basic("user", "pa:ss")
    assert ended(asker.ask(BOTH, upstream=secret, tried=tried | {"basic"})) is None
    assert asker.urls == []


GARBAGE = [
    b"",
    b"<html>",
    b"null",
    b"[]",
    b"1",
    b'"token"',
    b"{}",
    b'{"token": ""}',
    b'{"token": 1}',
    b'{"token": ["t"]}',
    b'{"token": "a\\nb"}',
    b'{"token": "a\\u00e9"}',
    b'{"token": "t", "expires_in": "soon"}',
    b'{"token": "t", "expires_in": [1]}',
    b'{"token": "t", "expires_in": 1' + b"0" * 400 + b"}",
    b"\xff\xfe",
    b"[" * 200_000,
    json.dumps({"token": "t" * 16_385}).encode(),
]


@pytest.mark.security("S17")
@pytest.mark.parametrize("body", GARBAGE)
def test_an_answer_that_is_no_token_makes_the_registry_unavailable(asker: Asker, body: bytes) -> None:
    asker.serve(answer(200, body))
    error = refused(asker.ask())
    assert (error.code, error.status) == (ErrorCode.UNAVAILABLE, 503)
    assert "its token service sent" in error.message
    assert asker.known() is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(st.fixed_dictionaries({}, optional={"token": JSON, "access_token": JSON, "expires_in": JSON}) | JSON)
def test_any_answer_is_a_token_or_a_registry_error(document: Any) -> None:
    network = Network()
    asker = Asker(network, treq_client(network.agent()), Tokens(TIMEOUTS, network.clock), Upstream.public(QUAY))
    asker.serve(answer(200, json.dumps(document).encode()))
    found = outcome(RegistryError, ended, asker.ask())
    assert found.status == 503 if isinstance(found, RegistryError) else str(found).startswith("Bearer ")


@pytest.mark.security("S16")
@pytest.mark.parametrize("length", [-1, None])
def test_an_answer_of_more_than_a_mebibyte_is_refused(asker: Asker, length: int | None) -> None:
    asker.serve(answer(200, b" " * (1024 * 1024 + 1), length=length))
    assert refused(asker.ask()).status == 503
    assert asker.network.connections[0].wire.closed


@pytest.mark.security("S16")
def test_an_answer_of_a_mebibyte_is_read(asker: Asker) -> None:
    document = b'{"token": "t1"}'
    asker.serve(answer(200, document + b" " * (1024 * 1024 - len(document))))
    assert ended(asker.ask()) == "Bearer t1"


@pytest.mark.parametrize(
    ("given_", "code", "status"),
    [
        (answer(401), ErrorCode.DENIED, 403),
        (answer(403), ErrorCode.DENIED, 403),
        (answer(404), ErrorCode.DENIED, 403),
        (answer(429, b"", "Retry-After: 7"), ErrorCode.TOOMANYREQUESTS, 429),
        (answer(500), ErrorCode.UNAVAILABLE, 503),
        (answer(204), ErrorCode.UNAVAILABLE, 503),
    ],
)
def test_a_token_service_that_refuses(asker: Asker, given_: bytes, code: ErrorCode, status: int) -> None:
    asker.network.serve("https://quay.io", given_)
    asking = asker.ask()
    let_pass(asker.network)
    error = refused(asking)
    assert (error.code, error.status) == (code, status)
    assert status != 429 or error.retry_after == 7


@pytest.mark.security("S26")
def test_a_refused_login_names_the_user_but_no_password(asker: Asker, secret: Upstream) -> None:
    asker.serve(answer(401, b'{"errors": [{"code": "UNAUTHORIZED", "message": "bad login"}]}'))
    message = refused(asker.ask(upstream=secret)).message
    assert message.startswith("the login of 'user' is refused: quay.io answered 401: UNAUTHORIZED bad login")
    assert "pa:ss" not in message


@pytest.mark.parametrize(
    ("error", "words"),
    [(Refused(), "its token service: it refuses connections"), (OSError("x"), "its token service: OSError: x")],
)
def test_a_token_service_that_cannot_be_reached(asker: Asker, error: Exception, words: str) -> None:
    asker.network.refuse("https://quay.io", error)
    asking = asker.ask()
    let_pass(asker.network)
    assert refused(asking).message == f"quay.io is not available: {words}"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_failure_that_passes_is_not_noticed(asker: Asker, status: int) -> None:
    asker.serve(answer(status), token())
    asking = asker.ask()
    let_pass(asker.network)
    assert ended(asking) == "Bearer t1"


def test_one_that_says_when_to_ask_again_is_believed(asker: Asker) -> None:
    asker.serve(answer(503, b"", "Retry-After: 7"))
    assert refused(asker.ask()).retry_after == 7


@pytest.mark.security("S2")
def test_a_token_service_at_a_refused_address_is_denied(asker: Asker) -> None:
    asker.network.refuse("https://quay.io", RefusedAddress("its name leads to 10.0.0.1, which is not a public address"))
    error = refused(asker.ask())
    assert (error.code, error.status) == (ErrorCode.DENIED, 403)
    assert "10.0.0.1" in error.message


def test_a_token_service_that_is_silent_is_given_up_after_the_header_time(asker: Asker) -> None:
    waits(asker)
    asked = asker.ask()
    asker.network.advance(29)
    assert not_yet(asked)
    asker.network.advance(1)
    assert refused(asked).message == "quay.io is not available: its token service: it did not answer in time"
    assert asker.network.clock.getDelayedCalls() == []


def test_a_token_service_that_stops_in_mid_answer_is_given_up(asker: Asker) -> None:
    asker.serve(answer(200, b'{"tok', length=100))
    asked = asker.ask()
    asker.network.advance(60)
    assert refused(asked).message == "quay.io is not available: its token service: upstream sent nothing for 60 s"


@pytest.mark.security("S17")
def test_a_token_service_that_encodes_its_answer_makes_the_registry_unavailable(asker: Asker) -> None:
    asker.serve(answer(200, b"\x1f\x8b", "Content-Encoding: gzip"))
    assert refused(asker.ask()).status == 503


@pytest.mark.security("S16")
def test_what_is_kept_of_one_is_not_long(asker: Asker) -> None:
    """Ten thousand are kept of each."""
    asker.serve(token("t" * 16_384))
    assert ended(asker.ask()) == "Bearer " + "t" * 16_384


@pytest.mark.security("S16")
@pytest.mark.parametrize("long", ["realm", "service", "scope"])
def test_a_challenge_that_is_long_is_not_answered(asker: Asker, long: str) -> None:
    asker.serve()
    parts = {"realm": f"{REALM}?x", "service": "quay.io", "scope": SCOPE}
    parts[long] += "x" * 8192
    challenge = "Bearer " + ",".join(f'{name}="{value}"' for name, value in parts.items())
    assert ended(asker.ask(challenge)) is None
    assert asker.urls == []


def test_a_field_of_a_refusal_may_have_any_bytes(asker: Asker) -> None:
    refusal = b"HTTP/1.1 429 Slow\r\nRetry-After: \xff\r\nContent-Length: 0\r\n\r\n"
    asker.serve(refusal)
    assert refused(asker.ask()).code is ErrorCode.TOOMANYREQUESTS


def test_so_many_tokens_are_kept_and_the_oldest_goes_first(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    asker.network.serve("https://quay.io", token(expires_in=300))
    monkeypatch.setattr("crproxy.sharing.bounding.KEPT", 2)
    scopes = ["repository:a:pull", "repository:b:pull", "repository:c:pull"]
    for scope in scopes:
        ended(asker.ask(f'Bearer realm="{REALM}"', scope))
    assert [asker.known(scope) for scope in scopes] == [None, "Bearer t1", "Bearer t1"]


# Several workers


class Workers:
    """Two that ask; their token service answers when it is let go."""

    def __init__(self, network: Network, http: HTTPClient, upstream: Upstream) -> None:
        crew = Crew()
        self.network = network
        self.one, self.other = (
            Asker(network, http, Tokens(TIMEOUTS, network.clock, sharing=crew.member(slot)), upstream)
            for slot in (0, 1)
        )


@pytest.fixture
def workers(network: Network, http: HTTPClient, upstream: Upstream) -> Workers:
    return Workers(network, http, upstream)


def test_one_worker_asks_for_what_all_of_them_want(workers: Workers) -> None:
    workers.network.serve("https://quay.io", lambda _: None)
    asked = [workers.one.ask(), workers.other.ask()]
    (waiting,) = workers.network.waiting
    waiting.send(token())
    assert [ended(each) for each in asked] == ["Bearer t1"] * 2
    assert len(workers.network.seen) == 1


def test_another_asks_where_the_first_got_none(workers: Workers) -> None:
    workers.network.serve("https://quay.io", lambda _: None)
    first, second = workers.one.ask(), workers.other.ask()
    (waiting,) = workers.network.waiting
    waiting.send(answer(403))
    assert refused(first).code is ErrorCode.DENIED
    not_yet(second)
    workers.network.waiting[1].send(token())
    assert ended(second) == "Bearer t1"


def test_a_token_that_was_refused_is_not_taken_from_another_worker(workers: Workers) -> None:
    workers.one.serve(token("t1"), token("t2"))
    assert ended(workers.one.ask()) == "Bearer t1"
    assert ended(workers.other.ask()) == "Bearer t1"
    assert ended(workers.other.ask(rejected="Bearer t1")) == "Bearer t2"
    assert ended(workers.one.ask(rejected="Bearer t1")) == "Bearer t2"
