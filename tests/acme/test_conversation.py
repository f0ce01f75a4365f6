from __future__ import annotations

import json
from dataclasses import replace

import pytest
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.error import ConnectionRefusedError as Refuses
from twisted.internet.error import DNSLookupError

from crproxy.acme.conversation import Answer, Conversation
from crproxy.acme.errors import AcmeError, CaUnreachable, Malformed, Problem, RateLimited, Refused
from crproxy.acme.jws import AccountKey
from crproxy.upstream.agent import treq_client
from tests.acme.conftest import TIMEOUTS
from tests.acme.fake_ca import DIRECTORY, ORIGIN, FakeCa, Reply, problem
from tests.memory import Network, answer, ended, failure_of, not_yet

ACCOUNT_URL = f"{ORIGIN}/account/1"


class Talk:
    """Says things to the CA."""

    def __init__(self, network: Network, conversation: Conversation) -> None:
        self.network, self.conversation = network, conversation

    def post(self, path: str = "/thing", payload: object = None, account: str | None = None) -> Deferred[Answer]:
        return self.network.run(self.conversation.post(f"{ORIGIN}{path}", payload, account, "a thing"))

    def get(self, url: str = f"{ORIGIN}/thing") -> Deferred[Answer]:
        return self.network.run(self.conversation.get(url, "a thing"))

    def refused(self, kind: type[AcmeError] = AcmeError) -> AcmeError:
        error = failure_of(self.post(), kind)
        assert isinstance(error, AcmeError)
        return error


@pytest.fixture
def http(network: Network) -> HTTPClient:
    return treq_client(network.agent())


def talk_with(network: Network, http: HTTPClient, key: AccountKey, url: str, at_a_time: int = 2) -> Talk:
    gate = DeferredSemaphore(at_a_time)
    return Talk(network, Conversation(http, url, key, network.clock, TIMEOUTS, gate))


@pytest.fixture
def talk(network: Network, ca: FakeCa, http: HTTPClient, key: AccountKey) -> Talk:
    ca.script("/thing", Reply({"a": 1}))
    return talk_with(network, http, key, f"{ORIGIN}/dir")


def test_a_request_is_signed_with_a_nonce_of_the_cas(ca: FakeCa, talk: Talk, key: AccountKey) -> None:
    assert ended(talk.post(payload={"b": [True, None]})).document == {"a": 1}
    assert ca.asked == ["GET /dir", "HEAD /nonce", "POST /thing"]
    (post,) = ca.posts
    assert (post.payload, post.header["jwk"]) == ({"b": [True, None]}, key.jwk)


def test_an_account_is_named_by_its_url(ca: FakeCa, talk: Talk) -> None:
    ended(talk.post())
    ended(talk.post(account=ACCOUNT_URL))
    assert [post.header.get("kid") for post in ca.posts] == [None, ACCOUNT_URL]


def test_a_nonce_that_came_with_an_answer_is_used(ca: FakeCa, talk: Talk) -> None:
    for _ in range(3):
        ended(talk.post())
    assert ca.asked == ["GET /dir", "HEAD /nonce", *["POST /thing"] * 3]


def test_a_request_whose_nonce_is_rejected_is_repeated_with_the_new_one(ca: FakeCa, talk: Talk) -> None:
    ca.nonces_to_reject = 15
    ended(talk.post())
    assert ca.asked == ["GET /dir", "HEAD /nonce", *["POST /thing"] * 16]


def test_a_ca_that_rejects_every_nonce_is_given_up(ca: FakeCa, talk: Talk) -> None:
    ca.nonces_to_reject = 1000
    error = talk.refused(Refused)
    assert isinstance(error, Refused)
    assert error.problem.kind == "badNonce"
    assert ca.asked.count("POST /thing") == 16


def test_a_ca_that_forgot_its_nonces_costs_one_more_request(ca: FakeCa, talk: Talk) -> None:
    waiting = [talk.post() for _ in range(2)]
    assert [ended(deferred).status for deferred in waiting] == [200, 200]
    ca.forget_nonces()
    ended(talk.post())
    assert ca.asked.count("POST /thing") == 4


@pytest.mark.parametrize("nonce", ["", "not base64url", "a"])
def test_an_invalid_nonce_is_none(network: Network, ca: FakeCa, talk: Talk, nonce: str) -> None:
    directory = json.dumps(DIRECTORY).encode()
    network.serve(
        ORIGIN,
        [answer(200, directory, "Content-Type: application/json"), answer(200, b"", f"Replay-Nonce: {nonce}")],
    )
    assert "no nonce" in str(talk.refused(Malformed))


def test_no_more_requests_than_the_gate_lets_through(
    network: Network, ca: FakeCa, http: HTTPClient, key: AccountKey
) -> None:
    talk = talk_with(network, http, key, f"{ORIGIN}/dir", at_a_time=2)
    ca.script("/thing", None)
    waiting = [talk.post() for _ in range(5)]
    assert len(ca.posts) == 2
    network.waiting.pop(0).send(Reply({}).bytes())
    assert len(ca.posts) == 3
    assert [not_yet(deferred) for deferred in waiting] == [False, True, True, True, True]


def test_whoever_leaves_makes_room_at_the_gate(network: Network, ca: FakeCa, http: HTTPClient, key: AccountKey) -> None:
    talk = talk_with(network, http, key, f"{ORIGIN}/dir", at_a_time=1)
    ca.script("/thing", None)
    first, second, third = (talk.post() for _ in range(3))
    for leaving in (second, first):
        leaving.cancel()
        failure_of(leaving, CancelledError)
    network.pump()
    assert len(ca.posts) == 2
    assert not_yet(third)


def test_the_directory_is_asked_for_once_a_day(network: Network, ca: FakeCa, talk: Talk) -> None:
    for _ in range(3):
        ended(network.run(talk.conversation.directory()))
    network.advance(24 * 3600)
    ended(network.run(talk.conversation.directory()))
    assert ca.asked == ["GET /dir"] * 2


@pytest.mark.parametrize(
    ("reply", "kind", "retry_after", "said"),
    [
        (problem("unauthorized"), Refused, None, "ca.example refuses a thing: it says no (unauthorized)"),
        (problem("malformed", 400, "Retry-After: 5"), Refused, 5, "(malformed); ask again in 5 s"),
        (problem("rateLimited", 429, "Retry-After: 60"), RateLimited, 60, "asked too often for a thing: it says no"),
        (problem("rateLimited", 403), RateLimited, None, "asked too often"),
        (Reply(status=429, lines=("Retry-After: Thu, 01 Jan 1970 00:00:07 GMT",)), RateLimited, 7, "status 429"),
        (problem("serverInternal", 500), CaUnreachable, None, "cannot give a thing now: it says no (serverInternal)"),
        (
            Reply(status=503, lines=("Retry-After: 9",), media_type="text/html"),
            CaUnreachable,
            9,
            "status 503; ask again",
        ),
        (Reply(status=404, body=b"{", media_type="application/json"), Refused, None, "status 404"),
        (Reply(status=403, document=["no"]), Refused, None, "status 403"),
        (Reply(status=302, lines=("Location: https://elsewhere.example/",)), Refused, None, "status 302"),
    ],
)
def test_a_refusal_says_what_the_ca_said(
    ca: FakeCa, talk: Talk, reply: Reply, kind: type[AcmeError], retry_after: int | None, said: str
) -> None:
    ca.script("/thing", reply)
    error = talk.refused()
    assert type(error) is kind
    assert error.retry_after == retry_after
    assert said in str(error)


def test_a_refusal_has_its_subproblems(ca: FakeCa, talk: Talk) -> None:
    below = {"detail": "not that one", "identifier": {"type": "dns", "value": "x.example"}}
    ca.script("/thing", problem("malformed", 400, subproblems=[below]))
    error = talk.refused(Refused)
    assert isinstance(error, Refused)
    assert error.problem.subproblems == (Problem("", "not that one", "x.example"),)
    assert "x.example: not that one" in str(error)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Refuses(), "ca.example cannot be asked: it refuses connections"),
        (DNSLookupError(), "ca.example cannot be asked: its name cannot be resolved"),
    ],
)
def test_a_ca_that_cannot_be_connected_to(network: Network, talk: Talk, error: Exception, said: str) -> None:
    network.refuse(ORIGIN, error)
    assert said in str(talk.refused(CaUnreachable))


@pytest.mark.parametrize("path", ["/dir", "/thing"])
def test_a_ca_that_does_not_answer(network: Network, ca: FakeCa, talk: Talk, path: str) -> None:
    ca.script(path, None)
    waiting = talk.post()
    network.advance(29)
    assert not_yet(waiting)
    network.advance(1)
    assert "did not answer in time" in str(failure_of(waiting, CaUnreachable))


def test_a_body_that_drips_is_not_waited_for(network: Network, ca: FakeCa, talk: Talk) -> None:
    ca.script("/thing", None)
    waiting = talk.get()
    (connection,) = network.waiting
    connection.send(answer(200, b"", "Content-Type: application/json", length=1000))
    for _ in range(6):
        assert not_yet(waiting)
        connection.send(b" ")
        network.advance(10)
    assert "did not answer in time" in str(failure_of(waiting, CaUnreachable))
    assert connection.wire.closed


def test_a_body_that_breaks(network: Network, ca: FakeCa, talk: Talk) -> None:
    ca.script("/thing", None)
    waiting = talk.post()
    network.waiting[0].send(answer(200, b"{", length=1000))
    network.waiting[0].cut()
    assert "ended in mid-body" in str(failure_of(waiting, CaUnreachable))


@pytest.mark.parametrize("length", [-1, None])
def test_a_body_has_a_limit(ca: FakeCa, talk: Talk, length: int | None) -> None:
    ca.script("/thing", Reply(body=b" " * (1024 * 1024 + 1), length=length))
    assert "ca.example sent a body of" in str(talk.refused(Malformed))


@pytest.mark.parametrize("media_type", ["text/html", "", "application/jsonx", "application/jose+json"])
def test_a_document_is_json(ca: FakeCa, talk: Talk, media_type: str) -> None:
    ca.script("/thing", Reply({}, media_type=media_type))
    with pytest.raises(Malformed, match="JSON was expected"):
        _ = ended(talk.post()).document


@pytest.mark.parametrize("media_type", ["application/json", "Application/JSON; charset=utf-8"])
def test_a_documents_type_may_have_parameters(ca: FakeCa, talk: Talk, media_type: str) -> None:
    ca.script("/thing", Reply({"a": 2}, media_type=media_type))
    assert ended(talk.post()).document == {"a": 2}


@pytest.mark.parametrize(
    "url",
    [
        "http://ca.example/thing",
        "ftp://ca.example/thing",
        "https://user@ca.example/thing",
        "https://ca.example/a b",
        "/thing",
        "",
        "https://ca.example/\r\nX: y",
    ],
)
def test_what_must_not_be_asked_is_not(ca: FakeCa, talk: Talk, url: str) -> None:
    assert "must not be asked" in str(failure_of(talk.get(url), Malformed))
    assert ca.asked == []


def test_a_directory_cannot_lead_to_plain_http(ca: FakeCa, talk: Talk) -> None:
    ca.offer(newNonce="http://ca.example/nonce")
    assert "must not be asked" in str(talk.refused(Malformed))
    assert ca.asked == ["GET /dir"]


def test_another_host_may_be_asked(network: Network, ca: FakeCa, talk: Talk) -> None:
    network.serve("https://other.example", answer(200, b"{}", "Content-Type: application/json"))
    assert ended(talk.get("https://other.example/thing")).document == {}


def test_a_ca_of_ones_own_may_speak_plain_http(network: Network, http: HTTPClient, key: AccountKey) -> None:
    talk = talk_with(network, http, key, "http://ca.internal:4000/dir")
    network.serve("http://ca.internal:4000", answer(200, b"{}", "Content-Type: application/json"))
    assert ended(talk.get("http://ca.internal:4000/thing")).document == {}


@pytest.mark.parametrize("url", ["", "letsencrypt", "ftp://ca.example/", "//ca.example/dir"])
def test_a_directory_is_at_a_url(network: Network, http: HTTPClient, key: AccountKey, url: str) -> None:
    with pytest.raises(ValueError, match="directory"):
        talk_with(network, http, key, url)


def test_an_answer_without_a_reason_has_its_status() -> None:
    nothing = Answer(418, "", None, None, None, b"")
    assert nothing.problem == Problem(detail="status 418")
    assert not nothing.is_success
    assert replace(nothing, status=204).is_success
