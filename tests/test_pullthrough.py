from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer

from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import Reference, Registry, Repository, Tag
from crproxy.oci.routes import BlobRequest, ManifestRequest, ReferrersRequest, TagsRequest
from crproxy.pullthrough import Asked, Content, PullThrough, Reply, Unsent
from crproxy.upstream.client import Manifest, Streamed
from tests.memory import ended, failure_of
from tests.upstream.conftest import Consumer

REPOSITORY = Registry("quay.io").repository("org/name")
DIGEST = Digest.of(b"{}")
NAMED = {"Docker-Content-Digest": str(DIGEST), "ETag": f'"{DIGEST}"'}
PATH = "/v2/quay.io/org/name/tags/list"


class Client:
    """An upstream that says what the test wants, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.header: dict[str, str] = {}
        self.status = 200
        self.error: RegistryError | None = None

    def _hear(self, *asked: Any) -> None:
        self.asked.append(asked)
        if self.error is not None:
            raise self.error

    async def manifest(self, repository: Repository, reference: Reference) -> Manifest:
        self._hear("manifest", repository, reference)
        return Manifest(DIGEST, "type/x", b"{}")

    async def head_manifest(self, repository: Repository, reference: Reference) -> Mapping[str, str]:
        self._hear("head_manifest", repository, reference)
        return self.header

    async def head_blob(self, repository: Repository, digest: Digest) -> Mapping[str, str]:
        self._hear("head_blob", repository, digest)
        return self.header

    async def blob(self, repository: Repository, digest: Digest, client_headers: Mapping[str, str]) -> Streamed:
        self._hear("blob", repository, digest, dict(client_headers))
        return self._streamed()

    async def tags(self, repository: Repository, query: Mapping[str, str]) -> Streamed:
        self._hear("tags", repository, dict(query))
        return self._streamed()

    async def referrers(self, repository: Repository, digest: Digest, query: Mapping[str, str]) -> Streamed:
        self._hear("referrers", repository, digest, dict(query))
        return self._streamed()

    def _streamed(self) -> Streamed:
        return Streamed(self.status, self.header, BODY)  # type: ignore[arg-type]


class _Body:
    length = 3

    def join(self, consumer: IConsumer) -> Deferred[None]:
        return succeed(None)

    def abandon(self) -> None:
        """Nothing is held."""


BODY = _Body()


@pytest.fixture
def client() -> Client:
    return Client()


def replied(client: Client, request: Any, method: str = "GET", **asked: Any) -> Reply:
    pullthrough = PullThrough(client)  # type: ignore[arg-type]
    return ended(Deferred.fromCoroutine(pullthrough.answer(REPOSITORY, request, Asked(method, PATH, **asked))))


@pytest.mark.parametrize("reference", [Tag("v1"), DIGEST])
def test_a_manifest_is_replied_with_its_type_and_digest(client: Client, reference: Reference) -> None:
    reply = replied(client, ManifestRequest("x", reference))
    assert reply == Reply(200, {"Content-Type": "type/x", **NAMED}, Content(b"{}"))
    assert client.asked == [("manifest", REPOSITORY, reference)]


def test_a_head_of_a_tag_has_upstreams_digest(client: Client) -> None:
    client.header = {"content-length": "7", "docker-content-digest": "sha256:abc", "set-cookie": "x"}
    reply = replied(client, ManifestRequest("x", Tag("v1")), "HEAD")
    assert reply == Reply(200, {"Docker-Content-Digest": "sha256:abc"}, Unsent(7))


def test_a_head_of_a_digest_has_that_digest_whatever_upstream_says(client: Client) -> None:
    client.header = {"docker-content-digest": "sha256:abc"}
    assert replied(client, ManifestRequest("x", DIGEST), "HEAD") == Reply(200, NAMED, Unsent(None))


def test_a_head_of_a_blob_asks_for_a_head(client: Client) -> None:
    client.header = {"content-length": "7", "accept-ranges": "bytes"}
    reply = replied(client, BlobRequest("x", DIGEST), "HEAD")
    assert reply == Reply(200, {"Accept-Ranges": "bytes", **NAMED}, Unsent(7))
    assert client.asked == [("head_blob", REPOSITORY, DIGEST)]


@pytest.mark.parametrize("length", ["", "-1", "x", "1, 1", "٣"])
def test_a_length_that_is_no_number_is_none(client: Client, length: str) -> None:
    client.header = {"content-length": length}
    assert replied(client, BlobRequest("x", DIGEST), "HEAD").body == Unsent(None)


@pytest.mark.parametrize("status", [200, 206, 416])
def test_a_blob_has_upstreams_status_and_its_own_digest(client: Client, status: int) -> None:
    client.status, client.header = status, {"content-range": "bytes 0-2/3", "docker-content-digest": "sha256:abc"}
    reply = replied(client, BlobRequest("x", DIGEST), headers={"range": "bytes=0-2"})
    assert (reply.status, reply.headers) == (status, {"Content-Range": "bytes 0-2/3", **NAMED})
    assert reply.body is BODY
    assert client.asked == [("blob", REPOSITORY, DIGEST, {"range": "bytes=0-2"})]


def test_the_query_goes_to_upstream_but_for_what_is_ours(client: Client) -> None:
    query = {"n": "2", "last": "v1", "next_page": "gAA", "ns": "quay.io"}
    replied(client, TagsRequest("x"), query=query)
    replied(client, ReferrersRequest("x", DIGEST), query={"artifactType": "a/b", "ns": "quay.io"})
    assert client.asked == [
        ("tags", REPOSITORY, {"n": "2", "last": "v1", "next_page": "gAA"}),
        ("referrers", REPOSITORY, DIGEST, {"artifactType": "a/b"}),
    ]


def test_the_next_page_is_at_the_path_that_was_asked_for(client: Client) -> None:
    client.header = {"link": '<https://quay.io/v2/org/name/tags/list?last=v2>; rel="next"', "content-type": "a/b"}
    reply = replied(client, TagsRequest("x"))
    assert reply.headers == {"Content-Type": "a/b", "Link": f'<{PATH}?last=v2>; rel="next"'}
    assert reply.body is BODY


def test_the_next_page_is_in_the_same_namespace(client: Client) -> None:
    client.header = {"link": '</v2/org/name/tags/list?last=v2>; rel="next"'}
    reply = replied(client, TagsRequest("x"), query={"ns": "quay.io"})
    assert reply.headers["Link"] == f'<{PATH}?last=v2&ns=quay.io>; rel="next"'


def test_without_a_next_page_there_is_no_link(client: Client) -> None:
    assert replied(client, TagsRequest("x")).headers == {}


def test_a_refusal_is_raised(client: Client) -> None:
    client.error = RegistryError(ErrorCode.DENIED, "no")
    asking = PullThrough(client).answer(REPOSITORY, TagsRequest("x"), Asked("GET", PATH))  # type: ignore[arg-type]
    assert failure_of(Deferred.fromCoroutine(asking), RegistryError) is client.error


def test_an_error_is_a_reply() -> None:
    error = RegistryError(ErrorCode.UNAVAILABLE, "down", retry_after=10)
    assert Reply.error(error) == Reply(
        503, {"Content-Type": "application/json", "Retry-After": "10"}, Content(error.body())
    )


def test_content_is_written_at_once() -> None:
    consumer, content = Consumer(), Content(b"abc")
    assert content.length == 3
    ended(content.join(consumer))
    assert consumer.content == b"abc"


def test_what_is_not_sent_is_not_written() -> None:
    consumer = Consumer()
    ended(Unsent(3).join(consumer))
    assert consumer.pieces == []
