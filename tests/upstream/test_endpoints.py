"""A registry with a mirror in front of it, in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionRefusedError as Refused

from crproxy.config import Upstream
from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import DOCKER_HUB, Repository, Tag
from crproxy.upstream.attempts import Attempt
from crproxy.upstream.client import RegistryClient
from crproxy.upstream.exchange import Exchange
from crproxy.upstream.quotas import Quotas
from crproxy.upstream.relay import BodyBroke
from crproxy.upstream.resuming import pour
from crproxy.upstream.tokens import Tokens, basic
from tests.memory import Network, Seen, answer, ended, failure_of, not_yet
from tests.upstream.conftest import QUAY, TIMEOUTS, Consumer

MIRROR, OWN, THIRD = "https://mirror.example", "https://quay.io", "https://third.example"
REPOSITORY = QUAY.repository("org/name")
LAYER = bytes(range(256))
BLOB = Digest.of(LAYER)
OF_LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": str(BLOB), "size": len(LAYER)}
MANIFEST = json.dumps({"schemaVersion": 2, "layers": [OF_LAYER]}).encode()
DIGEST, V1 = Digest.of(MANIFEST), Tag("v1")
TYPE = "application/vnd.oci.image.manifest.v1+json"
HERE = answer(200, MANIFEST, f"Content-Type: {TYPE}", f"Docker-Content-Digest: {DIGEST}")
OF_HERE = answer(
    200, b"", f"Content-Type: {TYPE}", f"Docker-Content-Digest: {DIGEST}", "Content-Length: 80", length=None
)
NO_DIGEST = answer(200, b"", f"Content-Type: {TYPE}", "Content-Length: 1", length=None)
NOT_FOUND = answer(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}')
NOW = 784111777.0


class Ask:
    """Asks it, and sees what is asked."""

    def __init__(self, network: Network, http: HTTPClient) -> None:
        self.network = network
        self.attempts: list[Attempt] = []
        self.upstream = Upstream(QUAY, MIRROR, fallbacks=(Upstream.public(QUAY),))
        self.quotas = Quotas(lambda: NOW + network.clock.seconds())
        tokens = Tokens(TIMEOUTS, network.clock)
        self.exchange = Exchange(lambda _: http, tokens, TIMEOUTS, network.clock, told=self.attempts.append)
        self.client = RegistryClient(lambda _: self.upstream, self.exchange, self.quotas)

    def lag(self) -> None:
        """Have the mirror lag behind, as far as tags go."""
        self.upstream = replace(self.upstream, trust_tags=False)

    def serve(self, mirror: Any, own: Any) -> None:
        self.network.serve(MIRROR, mirror)
        self.network.serve(OWN, own)

    def run(self, asking: Coroutine[Any, Any, Any]) -> Any:
        """What comes of it at once."""
        return ended(self.network.run(asking))

    def refused(self, asking: Coroutine[Any, Any, Any]) -> RegistryError:
        error = failure_of(self.network.run(asking), RegistryError)
        assert isinstance(error, RegistryError)
        return error

    @property
    def asked(self) -> list[str]:
        """Whom, and what, since this was looked at last."""
        seen = [f"{one.method} {one.url.removeprefix('https://')}" for one in self.network.seen]
        self.network.seen.clear()
        return [one.replace("/v2/org/name/", " ") for one in seen]

    async def open(self, start: int, stop: int | None) -> Any:
        return await self.client.blob(REPOSITORY, BLOB, start, stop)

    async def size(self) -> int | None:
        return None

    parallel = None

    def blame(self) -> None:
        self.client.blame(REPOSITORY, BLOB)


@pytest.fixture
def ask(network: Network, http: HTTPClient) -> Ask:
    return Ask(network, http)


QUESTIONS: dict[str, Callable[[RegistryClient], Coroutine[Any, Any, Any]]] = {
    "manifest by tag": lambda client: client.manifest(REPOSITORY, V1),
    "manifest by digest": lambda client: client.manifest(REPOSITORY, DIGEST),
    "head by tag": lambda client: client.head_manifest(REPOSITORY, V1),
    "head by digest": lambda client: client.head_manifest(REPOSITORY, DIGEST),
    "blob": lambda client: client.blob(REPOSITORY, BLOB),
    "head of a blob": lambda client: client.head_blob(REPOSITORY, BLOB),
    "tags": lambda client: client.tags(REPOSITORY, {}),
    "referrers": lambda client: client.referrers(REPOSITORY, DIGEST, {}),
}
OF_TAGS = {"manifest by tag", "head by tag", "tags", "referrers"}
anything = pytest.mark.parametrize("question", QUESTIONS)


def right(seen: Seen) -> bytes:
    """A registry that has it all."""
    path = seen.target.removeprefix("/v2/org/name/")
    head = seen.method == "HEAD"
    if path.startswith("manifests/"):
        return OF_HERE if head else HERE
    if path.startswith("tags/"):
        return answer(200, b'{"name": "org/name", "tags": ["v1"]}')
    if path.startswith("referrers/"):
        return answer(200, b'{"schemaVersion": 2, "manifests": []}')
    if head:
        return answer(200, b"", f"Content-Length: {len(LAYER)}", length=None)
    wanted = seen.one("Range")
    if wanted is None:
        return answer(200, LAYER)
    start = int(wanted.removeprefix("bytes=").partition("-")[0])
    return answer(206, LAYER[start:], f"Content-Range: bytes {start}-{len(LAYER) - 1}/{len(LAYER)}")


# The first that answers


@anything
def test_the_first_that_answers_is_the_only_one_asked(ask: Ask, question: str) -> None:
    ask.serve(right, answer(500))
    ask.run(QUESTIONS[question](ask.client))
    assert {one.split(" ")[1] for one in ask.asked} == {"mirror.example"}


@anything
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 451, 500, 502, 503])
def test_where_one_refuses_the_next_is_asked(ask: Ask, question: str, status: int) -> None:
    ask.serve(answer(status), right)
    assert not isinstance(wait(ask, QUESTIONS[question](ask.client)), RegistryError)
    assert ask.asked[-1].split(" ")[1] == "quay.io"


@anything
def test_where_one_cannot_be_reached_the_next_is_asked(ask: Ask, question: str) -> None:
    ask.network.refuse(MIRROR, Refused())
    ask.network.serve(OWN, right)
    asking = ask.network.run(QUESTIONS[question](ask.client))
    # One retry, as a connection that was kept may be gone; no more where there is another to ask.
    ask.network.advance(0.1)
    ended(asking)
    assert len(ask.attempts) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        answer(200, b"<!DOCTYPE html>", "Content-Type: text/html"),
        answer(200, b"x" * (4 * 1024 * 1024 + 1)),
        answer(200, MANIFEST, "Content-Encoding: gzip"),
        answer(302, b"", "Location: http://elsewhere.example/"),
    ],
    ids=["page", "large", "gzip", "unsound redirect"],
)
@pytest.mark.parametrize("question", ["manifest by tag", "manifest by digest", "tags", "referrers"])
def test_what_is_no_answer_is_none(ask: Ask, question: str, wrong: bytes) -> None:
    ask.serve(wrong, right)
    if question in ("tags", "referrers") and len(wrong) > 1_000_000:
        wrong = answer(200, b"x" * (16 * 1024 * 1024 + 1))
    ask.run(QUESTIONS[question](ask.client))


class Sizes:
    """A manifest says how large the blob is."""

    def size(self, repository: Repository, digest: Digest) -> int | None:
        return len(LAYER) if digest == BLOB else None


def test_a_blob_of_another_size_is_none(ask: Ask) -> None:
    ask.client.references = Sizes()
    ask.serve(answer(200, LAYER[:-1]), right)
    assert ask.run(ask.client.blob(REPOSITORY, BLOB)).body.length == len(LAYER)


@anything
def test_where_all_fail_it_is_the_last_ones_word_that_counts(ask: Ask, question: str) -> None:
    ask.serve(answer(403), NOT_FOUND)
    if question in ("head by tag", "head by digest"):
        # Not believed, before a GET says it.
        assert ask.run(QUESTIONS[question](ask.client)) is None
    else:
        assert ask.refused(QUESTIONS[question](ask.client)).status == 404
    ask.serve(NOT_FOUND, answer(403))
    if "head by" not in question:
        assert ask.refused(QUESTIONS[question](ask.client)).status == 403


def test_also_where_the_last_was_asked_first(ask: Ask) -> None:
    ask.serve(answer(404), answer(503))
    wait(ask, ask.client.manifest(REPOSITORY, DIGEST))
    ask.serve(NOT_FOUND, answer(403))
    ask.upstream = replace(Upstream.public(QUAY), fallbacks=(Upstream(QUAY, MIRROR),))
    _ = ask.asked
    assert ask.refused(ask.client.manifest(REPOSITORY, DIGEST)).status == 404
    # Its own endpoint rested.
    assert ask.asked == [f"GET mirror.example manifests/{DIGEST}", f"GET quay.io manifests/{DIGEST}"]


def wait(ask: Ask, asking: Coroutine[Any, Any, Any]) -> Any:
    """What comes of it after all attempts, or the error."""
    deferred = ask.network.run(asking)
    deferred.addErrback(lambda failure: failure.value if failure.check(RegistryError) else failure)
    for _ in range(20):
        ask.network.advance(0.1)
    return ended(deferred)


@pytest.mark.security("S12")
@pytest.mark.parametrize("mirror", [NOT_FOUND, answer(503), answer(403)])
def test_a_refused_login_is_not_overruled_by_a_mirror_without_one(ask: Ask, mirror: bytes) -> None:
    own = replace(Upstream.public(QUAY), username="me", password="secret")
    ask.upstream = replace(own, fallbacks=(Upstream(QUAY, MIRROR),))
    ask.serve(mirror, answer(403, b'{"errors": [{"code": "DENIED", "message": "not any more"}]}'))
    error = wait(ask, ask.client.manifest(REPOSITORY, DIGEST))
    assert (error.code, "not any more" in error.message) == (ErrorCode.DENIED, True)


def test_only_a_head_of_the_last_is_believed_where_a_get_may_follow(ask: Ask) -> None:
    """A mirror that knows no HEAD, and a registry that is down: a GET at the mirror tells."""
    ask.serve(answer(405), answer(503))
    assert wait(ask, ask.client.head_manifest(REPOSITORY, V1)) is None


# Resting


def test_who_failed_is_asked_last_for_half_a_minute(ask: Ask) -> None:
    ask.serve(answer(503), right)
    wait(ask, ask.client.manifest(REPOSITORY, DIGEST))
    _ = ask.asked
    ask.run(ask.client.manifest(REPOSITORY, DIGEST))
    assert ask.asked == [f"GET quay.io manifests/{DIGEST}"]
    ask.serve(right, answer(404))
    ask.run(ask.client.manifest(REPOSITORY, DIGEST))
    assert ask.asked == [f"GET quay.io manifests/{DIGEST}", f"GET mirror.example manifests/{DIGEST}"]
    ask.network.advance(30)
    ask.run(ask.client.manifest(REPOSITORY, DIGEST))
    assert ask.asked == [f"GET mirror.example manifests/{DIGEST}"]


def test_who_says_no_does_not_rest(ask: Ask) -> None:
    ask.serve(NOT_FOUND, right)
    for _ in range(2):
        ask.run(ask.client.manifest(REPOSITORY, DIGEST))
        assert ask.asked == [f"GET mirror.example manifests/{DIGEST}", f"GET quay.io manifests/{DIGEST}"]


# Slow ones


@anything
def test_who_is_slow_is_not_waited_for_while_there_is_another(ask: Ask, question: str) -> None:
    ask.serve(lambda _: None, right)
    asking = ask.network.run(QUESTIONS[question](ask.client))
    ask.network.advance(2.9)
    assert not_yet(asking)
    ask.network.advance(0.1)
    ended(asking)
    (connection,) = ask.network.waiting
    assert connection.wire.closed
    slow = ask.attempts[-2]
    assert (slow.endpoint, slow.trouble, slow.seconds) == (MIRROR, "timeout", 3.0)
    # And it rests.
    _ = ask.asked
    ask.run(ask.client.blob(REPOSITORY, BLOB))
    assert ask.asked == [f"GET quay.io blobs/{BLOB}"]


def test_a_header_in_time_is_enough(ask: Ask) -> None:
    ask.serve(lambda _: None, right)
    asking = ask.network.run(ask.client.manifest(REPOSITORY, DIGEST))
    ask.network.advance(2.9)
    ask.network.waiting[0].send(HERE[: -len(MANIFEST)])
    ask.network.advance(20)
    assert not_yet(asking)
    ask.network.waiting[0].send(MANIFEST)
    assert ended(asking).content == MANIFEST
    assert ask.asked == [f"GET mirror.example manifests/{DIGEST}"]


def test_the_last_is_waited_for(ask: Ask) -> None:
    ask.serve(answer(404), lambda _: None)
    asking = ask.network.run(ask.client.manifest(REPOSITORY, DIGEST))
    ask.network.advance(25)
    assert not_yet(asking)
    ask.network.waiting[0].send(HERE)
    assert ended(asking).digest == DIGEST


@pytest.mark.parametrize("last", [answer(503), answer(404), answer(429)])
def test_and_where_it_fails_those_that_were_slow_have_their_time(ask: Ask, last: bytes) -> None:
    ask.serve(lambda _: None, last)
    asking = ask.network.run(ask.client.manifest(REPOSITORY, DIGEST))
    for _ in range(50):
        ask.network.advance(0.1)
    assert not_yet(asking)
    assert [one.partition(" manifests")[0] for one in ask.asked][-1] == "GET mirror.example"
    ask.network.advance(20)
    ask.network.waiting[-1].send(HERE)
    assert ended(asking).digest == DIGEST


def test_where_that_fails_too_it_is_the_last_ones_word_that_counts(ask: Ask) -> None:
    ask.serve(lambda _: None, NOT_FOUND)
    asking = ask.network.run(ask.client.manifest(REPOSITORY, DIGEST))
    for _ in range(80):
        ask.network.advance(0.5)
    error = failure_of(asking, RegistryError)
    assert isinstance(error, RegistryError)
    assert error.status == 404


def test_who_leaves_lets_go_of_it(ask: Ask) -> None:
    ask.serve(lambda _: None, right)
    asking = ask.network.run(ask.client.manifest(REPOSITORY, DIGEST))
    asking.cancel()
    ask.network.pump()
    failure_of(asking, CancelledError)
    assert ask.network.waiting[0].wire.closed
    assert ask.network.clock.getDelayedCalls() == []
    # That is no failure of the mirror's.
    _ = ask.asked
    ask.serve(right, right)
    ask.run(ask.client.manifest(REPOSITORY, DIGEST))
    assert ask.asked == [f"GET mirror.example manifests/{DIGEST}"]


def test_nothing_is_left_on_the_clock(ask: Ask) -> None:
    ask.serve(right, right)
    ask.run(ask.client.manifest(REPOSITORY, DIGEST))
    assert ask.network.clock.getDelayedCalls() == []


# Tags


@pytest.mark.parametrize("question", sorted(OF_TAGS))
def test_who_lags_behind_is_never_asked_of_tags(ask: Ask, question: str) -> None:
    ask.lag()
    ask.serve(right, NOT_FOUND)
    if question == "head by tag":
        assert ask.run(QUESTIONS[question](ask.client)) is None
    else:
        assert ask.refused(QUESTIONS[question](ask.client)).status == 404
    assert {one.split(" ")[1] for one in ask.asked} == {"quay.io"}


def test_a_manifest_by_tag_comes_from_it_by_the_digest_that_the_registry_says(ask: Ask) -> None:
    ask.lag()
    ask.serve(right, right)
    assert ask.run(ask.client.manifest(REPOSITORY, V1)).digest == DIGEST
    assert ask.asked == ["HEAD quay.io manifests/v1", f"GET mirror.example manifests/{DIGEST}"]


def test_or_from_the_registry_where_it_does_not_have_that_yet(ask: Ask) -> None:
    ask.lag()
    ask.serve(NOT_FOUND, right)
    assert ask.run(ask.client.manifest(REPOSITORY, V1)).digest == DIGEST
    assert ask.asked == [
        "HEAD quay.io manifests/v1",
        f"GET mirror.example manifests/{DIGEST}",
        f"GET quay.io manifests/{DIGEST}",
    ]


@pytest.mark.parametrize(
    "head", [answer(405), answer(200, b"", f"Content-Type: {TYPE}", "Content-Length: 1", length=None)]
)
def test_where_no_head_tells_the_digest_the_registry_gives_it(ask: Ask, head: bytes) -> None:
    ask.lag()
    ask.serve(right, lambda seen: head if seen.method == "HEAD" else HERE)
    assert ask.run(ask.client.manifest(REPOSITORY, V1)).digest == DIGEST
    assert ask.asked == ["HEAD quay.io manifests/v1", "GET quay.io manifests/v1"]


def test_where_nobody_has_what_a_head_says_the_tag_itself_is_asked_for(ask: Ask) -> None:
    ask.lag()
    ask.serve(NOT_FOUND, lambda seen: NOT_FOUND if str(DIGEST) in seen.target else right(seen))
    assert ask.run(ask.client.manifest(REPOSITORY, V1)).digest == DIGEST
    assert ask.asked[-1] == "GET quay.io manifests/v1"


@pytest.mark.parametrize("first", ["own", "resting"])
def test_where_the_registry_is_first_it_is_asked_as_ever(ask: Ask, first: str) -> None:
    ask.lag()
    if first == "own":
        ask.upstream = replace(Upstream.public(QUAY), fallbacks=(replace(ask.upstream, fallbacks=()),))
    else:
        ask.serve(answer(503), right)
        wait(ask, ask.client.blob(REPOSITORY, BLOB))
        _ = ask.asked
    ask.serve(right, right)
    ask.run(ask.client.manifest(REPOSITORY, V1))
    assert ask.asked == ["GET quay.io manifests/v1"]


def test_a_lagging_mirror_gives_blobs(ask: Ask) -> None:
    ask.lag()
    ask.serve(right, right)
    ask.run(ask.client.blob(REPOSITORY, BLOB))
    assert ask.asked == [f"GET mirror.example blobs/{BLOB}"]


# Quotas


def test_a_limit_is_one_endpoints(ask: Ask) -> None:
    ask.serve(answer(429, b"", "Retry-After: 600"), right)
    for asked in (2, 1):
        ask.run(ask.client.manifest(REPOSITORY, DIGEST))
        assert len(ask.asked) == asked


def test_a_quota_is_the_registrys_own(ask: Ask) -> None:
    low = ("ratelimit-limit: 100;w=21600", "ratelimit-remaining: 1;w=21600")
    ask.serve(answer(200, MANIFEST, *low), right)
    ask.run(ask.client.manifest(REPOSITORY, DIGEST))
    assert ask.quotas.seen(QUAY) is None
    ask.serve(NOT_FOUND, answer(200, MANIFEST, *low))
    ask.run(ask.client.manifest(REPOSITORY, DIGEST))
    assert ask.quotas.low(QUAY) is not None


def test_docker_hubs_quota_is_spared(ask: Ask) -> None:
    """A HEAD is free, and what it tells of comes from the mirror."""
    ask.upstream = Upstream(DOCKER_HUB, MIRROR, trust_tags=False, fallbacks=(Upstream.public(DOCKER_HUB),))
    ask.network.serve(MIRROR, right)
    ask.network.serve("https://registry-1.docker.io", right)
    ask.run(ask.client.manifest(DOCKER_HUB.repository("org/name"), V1))
    assert ask.asked == ["HEAD registry-1.docker.io manifests/v1", f"GET mirror.example manifests/{DIGEST}"]


# Logins


def challenging(seen: Seen) -> bytes:
    """A registry that serves who logs in."""
    if seen.one("Authorization") is None:
        return answer(401, b"", 'WWW-Authenticate: Basic realm="x"')
    return right(seen)


@pytest.mark.security("S5")
def test_a_login_is_for_its_endpoint(ask: Ask) -> None:
    own = replace(Upstream.public(QUAY), username="me", password="secret")
    ask.upstream = replace(ask.upstream, fallbacks=(own,))
    ask.serve(challenging, challenging)
    ask.run(ask.client.manifest(REPOSITORY, DIGEST))
    given = [(seen.origin, seen.one("Authorization")) for seen in ask.network.seen]
    assert given == [(MIRROR, None), (OWN, None), (OWN, basic("me", "secret"))]


@pytest.mark.security("S5")
@pytest.mark.parametrize("username", [None, "me"])
def test_a_token_is_for_the_endpoint_that_it_was_got_for(ask: Ask, username: str | None) -> None:
    """Also where a mirror names the same token service, for the same scope, and its account has the same name."""
    token = answer(200, b'{"token": "of-quay"}')
    realm = 'WWW-Authenticate: Bearer realm="https://quay.io/token",service="quay.io"'

    def of_token(seen: Seen) -> bytes:
        if seen.target.startswith("/token"):
            return token
        return right(seen) if seen.all("Authorization") == ["Bearer of-quay"] else answer(401, b"", realm)

    own = replace(Upstream.public(QUAY), username=username, password=username and "secret")
    ask.upstream = replace(ask.upstream, username=username, password=username and "other", fallbacks=(own,))
    ask.serve(NOT_FOUND, of_token)
    ask.run(ask.client.manifest(REPOSITORY, DIGEST))
    ask.network.seen.clear()
    ask.serve(answer(401, b"", realm), of_token)
    ask.run(ask.client.manifest(REPOSITORY, DIGEST))
    at_mirror = [seen for seen in ask.network.seen if seen.origin == MIRROR]
    if username is None:
        # A token that anybody gets: it is asked for again, and by nobody's name.
        assert all("me" not in str(seen.all("Authorization")) for seen in ask.network.seen)
        assert at_mirror[0].all("Authorization") == []
    else:
        assert [seen.all("Authorization") for seen in at_mirror] == [[]]


@pytest.mark.security("S5")
def test_a_clients_own_login_is_for_no_mirror(ask: Ask) -> None:
    """The configuration was read again while it was asked for."""
    ask.serve(right, right)
    error = ask.refused(ask.client.on_behalf_of("Bearer of a client").blob(REPOSITORY, BLOB))
    assert (error.code, ask.asked) == (ErrorCode.UNAVAILABLE, [])
    ask.upstream = Upstream.public(QUAY)
    ask.run(ask.client.on_behalf_of("Bearer of a client").blob(REPOSITORY, BLOB))
    assert ask.asked == [f"GET quay.io blobs/{BLOB}"]


# Bodies that break, and bytes that are wrong


def half(seen: Seen) -> bytes:
    """A blob that is cut."""
    return answer(200, LAYER[:100], length=len(LAYER))


def test_a_body_that_is_cut_goes_on_elsewhere(ask: Ask, consumer: Consumer) -> None:
    ask.serve(half, right)
    poured = ask.network.run(pour(ask, consumer, 0, None, ask.network.clock))
    ask.network.connections[0].cut()
    ask.network.advance(0.1)
    ended(poured)
    assert consumer.content == LAYER
    assert [(seen.origin, seen.one("Range")) for seen in ask.network.seen] == [(MIRROR, None), (OWN, "bytes=100-")]


def test_one_that_stands_still_too(ask: Ask, consumer: Consumer) -> None:
    ask.serve(half, right)
    poured = ask.network.run(pour(ask, consumer, 0, None, ask.network.clock))
    ask.network.advance(TIMEOUTS.idle)
    ask.network.advance(0.1)
    ended(poured)
    assert consumer.content == LAYER


def test_one_that_we_end_says_nothing_of_its_endpoint(ask: Ask, consumer: Consumer) -> None:
    ask.serve(half, right)
    streamed = ask.run(ask.client.blob(REPOSITORY, BLOB))
    joined = streamed.body.join(consumer)
    consumer.producer.stopProducing()
    ask.network.pump()
    failure_of(joined, BodyBroke)
    _ = ask.asked
    ask.run(ask.client.blob(REPOSITORY, BLOB))
    assert ask.asked == [f"GET mirror.example blobs/{BLOB}"]


def test_a_body_can_be_let_go_and_has_its_length(ask: Ask) -> None:
    ask.serve(half, right)
    streamed = ask.run(ask.client.blob(REPOSITORY, BLOB))
    assert streamed.body.length == len(LAYER)
    streamed.body.abandon()
    ask.network.pump()
    assert ask.network.connections[0].wire.closed


def test_who_gave_wrong_bytes_is_not_asked_for_them_again(ask: Ask) -> None:
    ask.serve(answer(200, LAYER[::-1]), right)
    ask.run(ask.client.blob(REPOSITORY, BLOB))
    ask.client.blame(REPOSITORY, BLOB)
    _ = ask.asked
    for question in ("blob", "head of a blob"):
        ask.run(QUESTIONS[question](ask.client))
    assert {one.split(" ")[1] for one in ask.asked} == {"quay.io"}
    ask.network.advance(3600)
    ask.run(ask.client.blob(REPOSITORY, BLOB))
    assert ask.asked == [f"GET mirror.example blobs/{BLOB}"]


def test_another_manifest_than_was_asked_for_is_not_given(ask: Ask) -> None:
    ask.serve(answer(200, MANIFEST + b"\n"), right)
    assert ask.run(ask.client.manifest(REPOSITORY, DIGEST)).content == MANIFEST
    _ = ask.asked
    ask.network.advance(60)
    ask.run(ask.client.manifest(REPOSITORY, DIGEST))
    assert ask.asked == [f"GET quay.io manifests/{DIGEST}"]


def test_of_one_endpoint_nothing_is_noted(ask: Ask) -> None:
    ask.upstream = Upstream.public(QUAY)
    ask.network.serve(OWN, answer(200, LAYER[::-1]))
    ask.run(ask.client.blob(REPOSITORY, BLOB))
    ask.client.blame(REPOSITORY, BLOB)
    ask.run(ask.client.blob(REPOSITORY, BLOB))


# A configuration that is read again


def test_other_endpoints_count_at_once(ask: Ask) -> None:
    ask.serve(answer(503), right)
    ask.network.serve(THIRD, right)
    wait(ask, ask.client.blob(REPOSITORY, BLOB))
    _ = ask.asked
    ask.upstream = Upstream(QUAY, THIRD, fallbacks=ask.upstream.endpoints[:1])
    ask.run(ask.client.blob(REPOSITORY, BLOB))
    assert ask.asked == [f"GET third.example blobs/{BLOB}"]
