from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import DNSLookupError
from twisted.web.client import ResponseNeverReceived

from crproxy import __version__
from crproxy.config import Upstream
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.manifests import ACCEPT
from crproxy.upstream.agent import treq_client
from crproxy.upstream.errors import RefusedAddress, RefusedByProxy
from crproxy.upstream.exchange import Answer, Exchange, Question
from crproxy.upstream.tokens import Tokens, basic
from tests.memory import Network, Seen, answer, ended, failure_of, not_yet
from tests.outcomes import outcome
from tests.upstream.conftest import QUAY, TIMEOUTS

REGISTRY = "https://quay.io"
CDN = "https://cdn.example"
SCOPE = "repository:org/name:pull"
BLOB = Question("GET", "/v2/org/name/blobs/x", SCOPE)
HEAD = Question("HEAD", "/v2/org/name/blobs/x", SCOPE)
BEARER = f'WWW-Authenticate: Bearer realm="{REGISTRY}/v2/auth",service="quay.io",scope="{SCOPE}"'
BASIC = 'WWW-Authenticate: Basic realm="quay"'


class Asker:
    def __init__(self, network: Network, exchange: Exchange, upstream: Upstream) -> None:
        self.network, self.exchange, self.upstream = network, exchange, upstream

    def ask(self, question: Question = BLOB, upstream: Upstream | None = None) -> Deferred[Answer]:
        return self.network.run(self.exchange.ask(upstream or self.upstream, question))

    def serve(self, *answers: bytes, origin: str = REGISTRY) -> None:
        self.network.serve(origin, list(answers))

    @property
    def seen(self) -> list[Seen]:
        return self.network.seen

    @property
    def urls(self) -> list[str]:
        return [seen.url for seen in self.seen]

    @property
    def authorizations(self) -> list[str | None]:
        return [seen.one("Authorization") for seen in self.seen]

    def all_let_go(self) -> bool:
        """Whether no connection is left waiting for its body to be read, and nothing is left on the clock."""
        self.network.pump()
        idle = not self.network.clock.getDelayedCalls()
        return idle and all(connection.wire.closed for connection in self.network.connections)


@pytest.fixture
def asker(network: Network, exchange: Exchange, upstream: Upstream) -> Asker:
    return Asker(network, exchange, upstream)


@pytest.fixture
def secret(upstream: Upstream) -> Upstream:
    return replace(upstream, username="user", password="secret")


def refused(deferred: Deferred[Any]) -> RegistryError:
    error = failure_of(deferred, RegistryError)
    assert isinstance(error, RegistryError)
    return error


def token(text: str) -> bytes:
    return answer(200, b'{"token": "%s", "expires_in": 300}' % text.encode())


# What is sent


def test_a_question_is_asked_at_the_endpoint(asker: Asker) -> None:
    asker.serve(answer(200, b"x"))
    assert ended(asker.ask()).status == 200
    assert asker.seen[0].line == "GET /v2/org/name/blobs/x HTTP/1.1"
    assert asker.seen[0].one("Host") == "quay.io"


def test_an_endpoint_may_have_a_path(asker: Asker, upstream: Upstream) -> None:
    asker.serve(answer())
    ended(asker.ask(upstream=replace(upstream, endpoint="https://quay.io/mirror")))
    assert asker.seen[0].target == "/mirror/v2/org/name/blobs/x"


@pytest.mark.security("S17")
def test_identity_is_asked_for_exactly_once(asker: Asker) -> None:
    asker.serve(answer())
    ended(asker.ask())
    assert asker.seen[0].all("Accept-Encoding") == ["identity"]


def test_each_media_type_has_an_accept_line_of_its_own(asker: Asker) -> None:
    asker.serve(answer())
    ended(asker.ask(Question("GET", "/v2/org/name/manifests/v1", SCOPE, "manifests", {"Accept": list(ACCEPT)})))
    assert asker.seen[0].all("Accept") == list(ACCEPT)


def test_we_say_who_we_are(asker: Asker) -> None:
    asker.serve(answer())
    ended(asker.ask())
    assert asker.seen[0].all("User-Agent") == [f"crproxy/{__version__}"]


@pytest.mark.security("S6")
def test_cookies_are_never_sent_back(asker: Asker) -> None:
    asker.serve(
        answer(200, b"", "Set-Cookie: session=1"), answer(200, b"", "Set-Cookie: session=1; Domain=quay.io"), answer()
    )
    for _ in range(3):
        ended(asker.ask())
    assert [seen.one("Cookie") for seen in asker.seen] == [None] * 3


# What comes back


def test_an_answers_header_has_names_in_lower_case_and_its_lines_joined(asker: Asker) -> None:
    asker.serve(answer(200, b"abc", "X-One: 1", "X-Two: 2", "x-two: 3"))
    headers = ended(asker.ask()).headers
    assert (headers["x-one"], headers["x-two"], headers["content-length"]) == ("1", "2, 3", "3")


def test_an_answers_header_has_no_control_characters(asker: Asker) -> None:
    """It may go on to a client."""
    asker.serve(b"HTTP/1.1 200 OK\r\nETag: a\x00b\x1b[2J\tc\x7f\rd\xff\r\nContent-Length: 0\r\n\r\n")
    assert ended(asker.ask()).headers["etag"] == "a b [2J\tc  d\xff"


def test_a_head_answers_length_is_that_of_the_body_it_stands_for(asker: Asker) -> None:
    asker.serve(answer(length=1234))
    assert ended(asker.ask(HEAD)).headers["content-length"] == "1234"
    assert asker.seen[0].method == "HEAD"


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("length", [2**63, 10**400])
def test_a_length_that_cannot_be_is_upstreams_fault(asker: Asker, method: str, length: int) -> None:
    asker.serve(answer(length=length))
    error = refused(asker.ask(replace(HEAD, method=method)))
    assert (error.status, error.code) == (502, ErrorCode.UNAVAILABLE)


@pytest.mark.parametrize("length", ["-1", "+1", "1, 2", "0x1", "1.0", "9" * 5000])
def test_nor_can_one_be_that_is_no_number(asker: Asker, length: str) -> None:
    asker.serve(answer(200, b"", f"Content-Length: {length}", length=None))
    assert refused(asker.ask(HEAD)).status == 502


@pytest.mark.parametrize("lines", [(), ("Transfer-Encoding: chunked",)])
def test_a_head_answer_without_a_length_has_none(asker: Asker, lines: tuple[str, ...]) -> None:
    asker.serve(answer(200, b"", *lines, length=None))
    assert "content-length" not in ended(asker.ask(HEAD)).headers


@pytest.mark.parametrize("status", [200, 204, 206, 304, 400, 403, 404, 405, 416, 429, 501])
def test_any_answer_that_needs_no_further_step_is_the_answer(asker: Asker, status: int) -> None:
    asker.serve(answer(status))
    assert ended(asker.ask()).status == status
    assert len(asker.seen) == 1


def test_a_body_is_still_with_upstream(asker: Asker) -> None:
    asker.serve(answer(200, b"abc"))
    found = ended(asker.ask())
    assert ended(asker.network.run(asker.exchange.read(found, 3))) == b"abc"


@pytest.mark.security("S17")
def test_an_encoded_answer_is_refused(asker: Asker) -> None:
    asker.serve(answer(200, b"\x1f\x8b", "Content-Encoding: gzip", length=100_000))
    error = refused(asker.ask(Question("GET", "/v2/org/name/manifests/v1", SCOPE, "manifests")))
    assert (error.code, error.status) == (ErrorCode.UNAVAILABLE, 503)
    assert "compressed" in error.message
    assert asker.all_let_go()


# Challenges


def test_a_challenge_is_answered_with_a_token(asker: Asker) -> None:
    asker.serve(answer(401, b"{}", BEARER), token("t1"), answer(200, b"x"))
    assert ended(asker.ask()).status == 200
    assert [seen.target.split("?")[0] for seen in asker.seen] == [BLOB.path, "/v2/auth", BLOB.path]
    assert asker.authorizations == [None, None, "Bearer t1"]


def test_the_next_question_brings_the_token_along(asker: Asker) -> None:
    asker.serve(answer(401, b"{}", BEARER), token("t1"), answer(), answer())
    ended(asker.ask())
    ended(asker.ask(replace(BLOB, path="/v2/org/name/blobs/y")))
    assert asker.authorizations[3:] == ["Bearer t1"]


def test_a_question_of_another_scope_does_not(asker: Asker) -> None:
    asker.serve(answer(401, b"{}", BEARER), token("t1"), answer(), answer())
    ended(asker.ask())
    ended(asker.ask(replace(BLOB, scope="repository:other:pull")))
    assert asker.authorizations[3:] == [None]


def test_a_token_that_is_rejected_is_fetched_anew_once(asker: Asker) -> None:
    asker.serve(answer(401, b"{}", BEARER), token("t1"), answer())
    ended(asker.ask())
    asker.serve(answer(401, b"{}", BEARER), token("t2"), answer(200))
    assert ended(asker.ask()).status == 200
    assert asker.authorizations[3:] == ["Bearer t1", None, "Bearer t2"]


def test_a_second_refusal_is_the_answer(asker: Asker) -> None:
    asker.serve(answer(401, b"{}", BEARER), token("t1"), answer(401, b"no", BEARER))
    found = ended(asker.ask())
    assert found.status == 401
    assert ended(asker.network.run(asker.exchange.read(found, 10))) == b"no"


def test_basic_is_answered_with_the_configured_credentials(asker: Asker, secret: Upstream) -> None:
    asker.serve(answer(401, b"{}", BASIC), answer(200))
    assert ended(asker.ask(upstream=secret)).status == 200
    assert asker.authorizations == [None, basic("user", "secret")]


def test_credentials_that_are_refused_are_not_tried_again(asker: Asker, secret: Upstream) -> None:
    asker.serve(answer(401, b"{}", BASIC), answer(401, b"{}", BASIC))
    assert ended(asker.ask(upstream=secret)).status == 401
    assert len(asker.seen) == 2


@pytest.mark.parametrize("line", [BASIC, "WWW-Authenticate: Negotiate", "X-Nothing: at all"])
def test_a_challenge_that_cannot_be_answered_is_the_answer(asker: Asker, line: str) -> None:
    asker.serve(answer(401, b"why", line))
    found = ended(asker.ask())
    assert ended(asker.network.run(asker.exchange.read(found, 10))) == b"why"
    assert len(asker.seen) == 1


def test_a_challenge_may_have_any_bytes(asker: Asker) -> None:
    challenge = b'WWW-Authenticate: Basic realm="\xff\xfe", Bearer realm="\xff'
    asker.serve(b"HTTP/1.1 401 Who\r\n" + challenge + b"\r\nContent-Length: 0\r\n\r\n")
    assert ended(asker.ask()).status == 401


def test_a_challenge_may_be_in_any_of_several_lines(asker: Asker) -> None:
    asker.serve(answer(401, b"{}", "WWW-Authenticate: Negotiate", BEARER), token("t1"), answer(200))
    assert ended(asker.ask()).status == 200


def test_a_token_service_that_refuses_ends_it_and_the_challenges_body_is_let_go(asker: Asker) -> None:
    asker.serve(answer(401, b"x", BEARER, length=100_000), answer(403))
    assert refused(asker.ask()).code is ErrorCode.DENIED
    assert asker.all_let_go()


def test_cancelling_while_a_token_is_fetched_lets_the_challenges_body_go(asker: Asker) -> None:
    asker.network.serve(
        REGISTRY, lambda seen: answer(401, b"x", BEARER, length=100_000) if "blobs" in seen.target else None
    )
    asked = asker.ask()
    asked.cancel()
    failure_of(asked, CancelledError)
    asker.network.pump()
    assert asker.network.connections[0].wire.closed


def test_many_questions_share_one_token(asker: Asker) -> None:
    def serve(seen: Seen) -> bytes | None:
        if seen.target.startswith("/v2/auth"):
            return None
        return answer(200) if seen.one("Authorization") else answer(401, b"{}", BEARER)

    asker.network.serve(REGISTRY, serve)
    asked = [asker.ask() for _ in range(10)]
    asker.network.waiting[0].send(token("t1"))
    assert [ended(one).status for one in asked] == [200] * 10
    assert len([url for url in asker.urls if "/v2/auth" in url]) == 1


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("question", [BLOB, HEAD])
def test_a_redirect_is_followed_with_the_same_method_and_header(asker: Asker, status: int, question: Question) -> None:
    asker.serve(answer(status, b"", f"Location: {CDN}/x"))
    asker.serve(answer(200), origin=CDN)
    question = replace(question, headers={"Range": ["bytes=5-"]})
    assert ended(asker.ask(question)).status == 200
    assert asker.seen[1].line == f"{question.method} /x HTTP/1.1"
    assert asker.seen[1].one("Host") == "cdn.example"
    assert asker.seen[1].one("Range") == "bytes=5-"
    assert asker.seen[1].all("Accept-Encoding") == ["identity"]


@pytest.mark.security("S6")
@pytest.mark.parametrize(
    "origin",
    [CDN, "https://quay.io:8443", "https://sub.quay.io", "https://quay.io.evil.example", "https://evil-quay.io"],
)
@pytest.mark.parametrize("line", [BEARER, BASIC])
def test_authorization_never_goes_to_another_origin(asker: Asker, secret: Upstream, origin: str, line: str) -> None:
    def serve(seen: Seen) -> bytes:
        if seen.target.startswith("/v2/auth"):
            return token("t1")
        return answer(307, b"", f"Location: {origin}/x") if seen.one("Authorization") else answer(401, b"{}", line)

    asker.network.serve(REGISTRY, serve)
    asker.serve(answer(200), origin=origin)
    assert ended(asker.ask(upstream=secret)).status == 200
    assert asker.urls[-1] == f"{origin}/x"
    assert asker.authorizations[-1] is None
    assert asker.authorizations[-2] is not None


def test_authorization_stays_at_the_same_origin(asker: Asker) -> None:
    asker.serve(answer(401, b"{}", BEARER), token("t1"), answer(307, b"", "Location: /elsewhere"), answer(200))
    assert ended(asker.ask()).status == 200
    assert asker.authorizations == [None, None, "Bearer t1", "Bearer t1"]
    assert asker.seen[3].target == "/elsewhere"


@pytest.mark.security("S6")
def test_authorization_does_not_come_back_with_a_redirect_that_does(asker: Asker, secret: Upstream) -> None:
    asker.serve(answer(401, b"{}", BASIC), answer(307, b"", f"Location: {CDN}/x"), answer(200))
    asker.serve(answer(307, b"", f"Location: {REGISTRY}/y"), origin=CDN)
    assert ended(asker.ask(upstream=secret)).status == 200
    assert asker.authorizations == [None, basic("user", "secret"), None, None]


@pytest.mark.security("S6")
def test_another_host_that_challenges_gets_an_anonymous_exchange(asker: Asker, secret: Upstream) -> None:
    asker.serve(answer(307, b"", "Location: https://us.pkg.example/v2/x"))
    challenge = 'WWW-Authenticate: Bearer realm="https://auth.example/token",service="pkg"'
    asker.serve(answer(401, b"{}", challenge), answer(200), origin="https://us.pkg.example")
    asker.serve(token("theirs"), origin="https://auth.example")
    assert ended(asker.ask(upstream=secret)).status == 200
    assert asker.authorizations == [None, None, None, "Bearer theirs"]


def test_another_hosts_token_is_not_shown_to_the_registry(asker: Asker) -> None:
    asker.serve(*[answer(307, b"", "Location: https://us.pkg.example/v2/x")] * 2)
    challenge = 'WWW-Authenticate: Bearer realm="https://auth.example/token"'
    asker.network.serve(
        "https://us.pkg.example", lambda seen: answer() if seen.one("Authorization") else answer(401, b"", challenge)
    )
    asker.serve(token("theirs"), origin="https://auth.example")
    ended(asker.ask())
    ended(asker.ask())
    assert [seen.one("Authorization") for seen in asker.seen if seen.origin == REGISTRY] == [None, None]


@pytest.mark.security("S6")
def test_another_host_that_asks_for_basic_gets_nothing(asker: Asker, secret: Upstream) -> None:
    asker.serve(*[answer(307, b"", f"Location: {CDN}/x")] * 2)
    asker.serve(*[answer(401, b"{}", BASIC)] * 2, origin=CDN)
    answered = ended(asker.ask(upstream=secret))
    assert (answered.status, answered.ours) == (401, False)
    assert asker.authorizations == [None] * 4


def test_five_redirects_are_followed(asker: Asker) -> None:
    asker.serve(*[answer(302, b"", f"Location: /{number}") for number in range(5)], answer(200))
    assert ended(asker.ask()).status == 200


@pytest.mark.security("S4")
def test_a_sixth_is_refused(asker: Asker) -> None:
    asker.network.serve(REGISTRY, answer(302, b"x", "Location: /again", length=100_000))
    error = refused(asker.ask())
    assert (error.code, error.message) == (
        ErrorCode.UNAVAILABLE,
        "quay.io is not available: it redirects more than 5 times",
    )
    assert len(asker.seen) == 6
    assert asker.all_let_go()


@pytest.mark.security("S4")
def test_redirects_from_host_to_host_count_alike(asker: Asker) -> None:
    asker.network.serve(REGISTRY, answer(302, b"", f"Location: {CDN}/x"))
    asker.network.serve(CDN, answer(302, b"", f"Location: {REGISTRY}/y"))
    assert refused(asker.ask()).message.endswith("it redirects more than 5 times")
    assert len(asker.seen) == 6


@pytest.mark.security("S4")
@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ((), ErrorCode.UNAVAILABLE),
        (("Location:",), ErrorCode.UNAVAILABLE),
        (("Location: http://quay.io/x",), ErrorCode.DENIED),
        (("Location: file:///etc/passwd",), ErrorCode.DENIED),
        (("Location: https://u@cdn.example/",), ErrorCode.DENIED),
    ],
)
def test_s4_a_redirect_that_must_not_be_followed_is_not(asker: Asker, lines: tuple[str, ...], code: ErrorCode) -> None:
    asker.serve(answer(302, b"x", *lines, length=100_000))
    assert refused(asker.ask()).code is code
    assert len(asker.seen) == 1
    assert asker.all_let_go()


def test_an_http_registry_may_redirect_to_http(asker: Asker) -> None:
    upstream = Upstream(QUAY, "http://registry.internal:5000", private_hosts=frozenset({"registry.internal"}))
    asker.serve(answer(302, b"", "Location: http://files.internal/x"), origin="http://registry.internal:5000")
    asker.serve(answer(200), origin="http://files.internal")
    assert ended(asker.ask(upstream=upstream)).status == 200


QUERIES = [
    "X-Amz-Credential=AKIA%2F20260101%2fus-east-1&X-Amz-Signature=0aF",
    "sig=a+b%20c==&se=2026-01-01T00%3A00%3A00Z",
    "a=1&a=2&b&c=&&d=%7E~;e=%;f=%zz;",
    "Expires=1&Signature=Q~-_a%2B&Key-Pair-Id=K",
    "response-content-disposition=attachment%3B%20filename%3D%22x%22",
    "q='()*!$,@:/?;",
    "=",
    "&",
    "%E4%BD%A0&%ff",
]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("path", ["/x", "/a%2Fb%20c/+;v=1/~%7e", "/", "/a//b", "/%E4%BD%A0", "/a/%2e%2e/b"])
def test_a_signed_urls_path_and_query_go_out_byte_for_byte(asker: Asker, path: str, query: str) -> None:
    asker.serve(answer(302, b"", f"Location: {CDN}{path}?{query}"))
    asker.serve(answer(200), origin=CDN)
    ended(asker.ask())
    assert asker.seen[1].target == f"{path}?{query}"


# RFC 3986, 3.4: what a query may hold; a per cent sign wherever it likes.
QUERY = st.text("abzABZ019-._~!$&'()*+,;=:@/?%", min_size=1, max_size=30)


@given(QUERY)
@example("%")
@example("a;b=c&d=%3b")
def test_any_query_goes_out_byte_for_byte(query: str) -> None:
    network = Network()
    http = treq_client(network.agent())
    exchange = Exchange(lambda _: http, Tokens(TIMEOUTS, network.clock), TIMEOUTS, network.clock)
    network.serve(REGISTRY, answer(302, b"", f"Location: {CDN}/x?{query}"))
    network.serve(CDN, answer(200))
    assert ended(network.run(exchange.ask(Upstream.public(QUAY), BLOB))).status == 200
    assert network.seen[1].target == f"/x?{query}"


def test_what_no_query_may_hold_is_escaped(asker: Asker) -> None:
    asker.serve(answer(302, b"", f'Location: {CDN}/x?q="<>[]^`{{|}}\\'))
    asker.serve(answer(200), origin=CDN)
    ended(asker.ask())
    assert asker.seen[1].target == "/x?q=%22%3C%3E%5B%5D%5E%60%7B%7C%7D%5C"


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30))
@example("https://[::1/")
@example("https://cdn.example:x/")
@example("/\u00e9 x")
def test_any_location_is_followed_or_a_registry_error(location: str) -> None:
    network = Network()
    http = treq_client(network.agent())
    exchange = Exchange(lambda _: http, Tokens(TIMEOUTS, network.clock), TIMEOUTS, network.clock)
    network.serve(
        REGISTRY, lambda seen: answer(302, b"", f"Location: {location}") if len(network.seen) < 2 else answer()
    )
    found = outcome(RegistryError, ended, network.run(exchange.ask(Upstream.public(QUAY), BLOB)))
    assert found.status in ((403, 503) if isinstance(found, RegistryError) else (200,))


# Failures and retries


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_what_a_balancer_says_is_tried_again_with_longer_and_longer_waits(asker: Asker, status: int) -> None:
    asker.network.serve(REGISTRY, answer(status))
    asked = asker.ask()
    for attempts, wait in enumerate([0.1, 0.2, 0.4], 1):
        asker.network.advance(wait - 0.01)
        assert len(asker.seen) == attempts
        asker.network.advance(0.01)
        assert len(asker.seen) == attempts + 1
    assert ended(asked).status == status


def test_an_upstream_that_recovers_is_not_noticed(asker: Asker) -> None:
    asker.serve(answer(503, b"x", length=100_000), answer(200, b"x"))
    asked = asker.ask()
    asker.network.advance(0.1)
    assert ended(asked).status == 200
    assert asker.network.connections[0].wire.closed


def test_an_upstream_that_says_when_to_come_back_is_not_asked_before(asker: Asker) -> None:
    asker.serve(answer(503, b"", "Retry-After: 30"))
    assert ended(asker.ask()).headers["retry-after"] == "30"
    assert len(asker.seen) == 1


def test_no_retries_are_none(asker: Asker, upstream: Upstream) -> None:
    asker.serve(answer(503))
    assert ended(asker.ask(upstream=replace(upstream, retries=0))).status == 503


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Refused(), "it refuses connections"),
        (DNSLookupError("no"), "its name cannot be resolved"),
        (OSError("broken"), "OSError: broken"),
    ],
)
def test_a_connection_that_fails_is_tried_again(asker: Asker, error: Exception, words: str) -> None:
    asker.network.refuse(REGISTRY, error)
    asked = asker.ask()
    for wait in (0.1, 0.2):
        asker.network.advance(wait)
    assert not_yet(asked)
    asker.network.advance(0.4)
    raised = refused(asked)
    assert (raised.status, raised.message) == (503, f"quay.io is not available: {words}")
    assert raised.retry_after == 10


def test_a_connection_that_stands_at_last_is_used(asker: Asker) -> None:
    asker.network.refuse(REGISTRY, Refused())
    asked = asker.ask()
    asker.serve(answer(200))
    asker.network.advance(0.1)
    assert ended(asked).status == 200


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 200 OK\r\nContent-Le"])
def test_a_connection_that_breaks_before_the_header_is_whole_is_tried_again(asker: Asker, part: bytes) -> None:
    asker.network.serve(REGISTRY, lambda _: None)
    asked = asker.ask()
    if part:
        asker.network.waiting[0].send(part)
    asker.network.waiting[0].cut()
    asker.serve(answer(200))
    asker.network.advance(0.1)
    assert ended(asked).status == 200


def test_what_is_no_http_is_tried_again_and_then_unavailable(asker: Asker) -> None:
    asker.network.serve(REGISTRY, b"SSH-2.0-OpenSSH\r\n")
    asked = asker.ask()
    for wait in (0.1, 0.2, 0.4):
        asker.network.advance(wait)
    assert refused(asked).status == 503


def test_an_upstream_that_is_silent_is_given_up_after_the_header_time(asker: Asker, upstream: Upstream) -> None:
    asker.network.serve(REGISTRY, lambda _: None)
    asked = asker.ask(upstream=replace(upstream, retries=0))
    asker.network.advance(29)
    assert not_yet(asked)
    asker.network.advance(1)
    assert refused(asked).message == "quay.io is not available: it did not answer in time"
    assert asker.all_let_go()


@pytest.mark.security("S2")
def test_an_address_that_is_refused_is_denied_and_not_tried_again(asker: Asker) -> None:
    asker.network.refuse(REGISTRY, RefusedAddress("its name leads to 10.0.0.1, which is not a public address"))
    error = refused(asker.ask())
    assert (error.code, error.status) == (ErrorCode.DENIED, 403)
    assert error.message == (
        "quay.io is refused: its name leads to 10.0.0.1, which is not a public address; "
        'if that is meant, whoever runs this proxy writes its endpoint under [upstreams."quay.io"]'
    )
    assert asker.network.clock.getDelayedCalls() == []


@pytest.mark.security("S4")
def test_an_address_is_checked_behind_a_redirect_too(asker: Asker) -> None:
    asker.serve(answer(302, b"", f"Location: {CDN}/x"))
    asker.network.refuse(CDN, RefusedAddress("its name leads to 169.254.169.254, which is not a public address"))
    error = refused(asker.ask())
    assert error.code is ErrorCode.DENIED
    assert error.message.endswith('list the host as private_hosts under [upstreams."quay.io"]')


@pytest.mark.parametrize("status", [401, 403])
def test_a_signed_url_that_is_dead_is_asked_for_anew(asker: Asker, status: int) -> None:
    asker.serve(answer(307, b"", f"Location: {CDN}/x?signature=1"), answer(307, b"", f"Location: {CDN}/x?signature=2"))
    asker.serve(answer(status), answer(200, b"x"), origin=CDN)
    assert ended(asker.ask()).status == 200
    assert asker.urls[1::2] == [f"{CDN}/x?signature=1", f"{CDN}/x?signature=2"]


def test_one_that_is_dead_again_is_not_the_registrys_answer(asker: Asker) -> None:
    asker.serve(*[answer(307, b"", f"Location: {CDN}/x")] * 2)
    asker.serve(answer(403), answer(403), origin=CDN)
    answered = ended(asker.ask())
    assert (answered.status, answered.ours) == (403, False)


def test_of_a_head_no_other_link_is_asked_for(asker: Asker) -> None:
    """It may be signed for GET alone, and then each would be refused."""
    asker.serve(answer(307, b"", f"Location: {CDN}/x"))
    asker.serve(answer(403), origin=CDN)
    answered = ended(asker.ask(HEAD))
    assert (answered.status, answered.ours) == (403, False)


def test_a_manifest_that_is_refused_elsewhere_is_refused(asker: Asker) -> None:
    asker.serve(answer(307, b"", f"Location: {CDN}/x"))
    asker.serve(answer(403), origin=CDN)
    assert ended(asker.ask(Question("GET", "/v2/org/name/manifests/v1", SCOPE, "manifests"))).status == 403


def test_a_proxy_that_refuses_is_named_and_not_tried_again(asker: Asker) -> None:
    asker.network.refuse(REGISTRY, RefusedByProxy("the proxy proxy:3128 answered 407 Who are you?"))
    error = refused(asker.ask())
    assert (error.status, error.message) == (
        503,
        "quay.io is not available: the proxy proxy:3128 answered 407 Who are you?",
    )
    assert asker.network.clock.getDelayedCalls() == []


def test_cancelling_while_upstream_thinks_ends_the_request_and_makes_no_other(asker: Asker) -> None:
    asker.network.serve(REGISTRY, lambda _: None)
    asked = asker.ask()
    asked.cancel()
    failure_of(asked, CancelledError)
    asker.network.advance(60)
    assert asker.network.connections[0].wire.aborted
    assert len(asker.seen) == 1
    assert asker.all_let_go()


def test_cancelling_between_two_attempts_makes_no_other(asker: Asker) -> None:
    asker.serve(answer(503))
    asked = asker.ask()
    asked.cancel()
    failure_of(asked, CancelledError)
    asker.network.advance(60)
    assert len(asker.seen) == 1


def test_twisteds_own_wrapping_of_a_cancellation_is_what_we_take_it_for(asker: Asker, http: HTTPClient) -> None:
    # If this fails, `send` need not unwrap it any more.
    asker.network.serve(REGISTRY, lambda _: None)
    asked = http.request("GET", f"{REGISTRY}/x", unbuffered=True, reactor=cast(Any, asker.network.clock))
    asker.network.pump()
    asked.cancel()
    failure_of(asked, ResponseNeverReceived)


# With a client's own Authorization

CALLER = "Bearer of alice"
ON_BEHALF = replace(BLOB, caller=CALLER)


def test_a_client_is_asked_for_with_its_own(asker: Asker) -> None:
    asker.serve(answer(200))
    assert ended(asker.ask(ON_BEHALF)).status == 200
    assert asker.authorizations == [CALLER]


def test_s7_it_is_never_replaced_by_the_proxys(asker: Asker, secret: Upstream) -> None:
    """Also where the proxy has a token that would do."""
    asker.serve(answer(401, b"", BEARER), token("ours"), answer(200), answer(401, b"", BEARER), answer(401, b"", BASIC))
    ended(asker.ask(BLOB, secret))
    for _ in ("bearer", "basic"):
        assert ended(asker.ask(ON_BEHALF, secret)).status == 401
    assert asker.authorizations[3:] == [CALLER, CALLER]


def test_s7_nor_is_it_given_to_a_token_service_or_kept(asker: Asker) -> None:
    asker.serve(answer(401, b"", BEARER), answer(401, b"", BEARER), token("ours"), answer(200))
    ended(asker.ask(ON_BEHALF))
    ended(asker.ask())
    assert asker.authorizations == [CALLER, None, None, "Bearer ours"]


@pytest.mark.parametrize("origin", [CDN, "https://quay.io:8443", "https://cdn.quay.io"])
def test_s6_it_is_dropped_across_a_redirect_to_another_origin(asker: Asker, origin: str) -> None:
    asker.serve(answer(307, b"", f"Location: {origin}/x"))
    asker.serve(answer(200), origin=origin)
    assert ended(asker.ask(ON_BEHALF)).status == 200
    assert asker.authorizations == [CALLER, None]


def test_s6_and_does_not_come_back_with_the_next(asker: Asker) -> None:
    asker.serve(answer(307, b"", f"Location: {CDN}/x"), answer(200))
    asker.serve(answer(307, b"", f"Location: {REGISTRY}/y"), origin=CDN)
    assert ended(asker.ask(ON_BEHALF)).status == 200
    assert asker.authorizations == [CALLER, None, None]


def test_it_stays_at_the_same_origin(asker: Asker) -> None:
    asker.serve(answer(307, b"", "Location: /elsewhere"), answer(200))
    assert ended(asker.ask(ON_BEHALF)).status == 200
    assert asker.authorizations == [CALLER, CALLER]


def test_a_signed_url_that_is_dead_is_asked_for_anew_with_it(asker: Asker) -> None:
    asker.serve(answer(307, b"", f"Location: {CDN}/x"), answer(307, b"", f"Location: {CDN}/y"))
    asker.serve(answer(403), answer(200), origin=CDN)
    assert ended(asker.ask(ON_BEHALF)).status == 200
    assert asker.authorizations == [CALLER, None, CALLER, None]


def test_it_is_not_shown() -> None:
    """S26."""
    assert "alice" not in repr(ON_BEHALF)


# How a registry wants to be asked


def challenges_of(asker: Asker, authorization: str | None = None) -> Deferred[Any]:
    return asker.network.run(asker.exchange.challenges(asker.upstream, authorization))


@pytest.mark.parametrize("authorization", [None, CALLER])
def test_a_registry_that_is_content_has_no_challenges(asker: Asker, authorization: str | None) -> None:
    asker.serve(answer(200, b"{}"))
    assert ended(challenges_of(asker, authorization)) is None
    assert (asker.urls, asker.authorizations) == ([f"{REGISTRY}/v2/"], [authorization])
    assert asker.all_let_go()


@pytest.mark.parametrize("status", [401, 403])
def test_another_says_how(asker: Asker, status: int) -> None:
    asker.serve(answer(status, b"{}", BEARER, BASIC))
    assert [challenge.scheme for challenge in ended(challenges_of(asker))] == ["bearer", "basic"]
    assert asker.all_let_go()


def test_the_proxys_own_token_is_not_sent_along(asker: Asker) -> None:
    asker.serve(answer(401, b"", BEARER), token("ours"), answer(200), answer(401, b"", BEARER))
    ended(asker.ask(replace(BLOB, scope="")))
    ended(challenges_of(asker))
    assert asker.authorizations[-1] is None


@pytest.mark.parametrize("status", [301, 302, 307, 404, 429])
def test_s6_no_other_answer_is_followed(asker: Asker, status: int) -> None:
    asker.serve(answer(status, b"", f"Location: {CDN}/v2/"))
    assert refused(challenges_of(asker, CALLER)).message == f"quay.io is not available: /v2/ was answered {status}"
    assert asker.urls == [f"{REGISTRY}/v2/"]
