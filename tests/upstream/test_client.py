from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError as Refused

from crproxy.config import Upstream
from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError, errors_body
from crproxy.oci.manifests import ACCEPT, MANIFEST_LIMIT
from crproxy.oci.names import DOCKER_HUB, Repository, Tag
from crproxy.policy.quotas import Quota
from crproxy.policy.refusals import Unconfirmed
from crproxy.upstream.client import RangeRefused, RegistryClient
from crproxy.upstream.exchange import Exchange
from crproxy.upstream.quotas import Quotas
from tests.memory import Network, answer, ended, failure_of
from tests.upstream.conftest import QUAY, Consumer

REPOSITORY = QUAY.repository("org/name")
MANIFEST = b'{"schemaVersion": 2}'
DIGEST = Digest.of(MANIFEST)
TYPE = "application/vnd.oci.image.manifest.v1+json"
LIST = b'{"schemaVersion": 2, "manifests": [], "tags": ["v1"]}'
NOW = 784111777.0


@pytest.fixture
def client(exchange: Exchange) -> RegistryClient:
    return RegistryClient(Upstream.public, exchange, Quotas(lambda: NOW))


def refused(deferred: Deferred[Any]) -> RegistryError:
    error = failure_of(deferred, RegistryError)
    assert isinstance(error, RegistryError)
    return error


def manifest_answer(content: bytes = MANIFEST) -> bytes:
    return answer(200, content, f"Content-Type: {TYPE}")


def test_a_manifest_by_tag_has_the_digest_of_its_bytes(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", manifest_answer())
    manifest = ended(network.run(client.manifest(REPOSITORY, Tag("v1"))))
    assert (manifest.digest, manifest.media_type, manifest.content) == (DIGEST, TYPE, MANIFEST)
    assert network.seen[0].line == "GET /v2/org/name/manifests/v1 HTTP/1.1"
    assert network.seen[0].all("Accept") == list(ACCEPT)


def test_what_is_another_than_upstream_says_is_no_answer(network: Network, client: RegistryClient) -> None:
    said = Digest.of(b"other")
    network.serve("https://quay.io", answer(200, MANIFEST, f"Docker-Content-Digest: {said}"))
    error = refused(network.run(client.manifest(REPOSITORY, Tag("v1"))))
    assert (error.code, error.status) == (ErrorCode.UNAVAILABLE, 502)
    assert error.message == (
        f"quay.io is not available: it sent {DIGEST} where quay.io/org/name:v1 was asked for, "
        f"and said that it is {said}"
    )


@pytest.mark.parametrize("said", ["", "x", "sha256:1", str(DIGEST), str(Digest.of(MANIFEST, "sha512"))])
def test_what_it_says_that_is_no_digest_does_not_matter(network: Network, client: RegistryClient, said: str) -> None:
    network.serve("https://quay.io", answer(200, MANIFEST, f"Docker-Content-Digest: {said}"))
    assert ended(network.run(client.manifest(REPOSITORY, Tag("v1")))).digest == DIGEST


@pytest.mark.parametrize("body", [b"<html>Log in</html>", b"", b'{"errors": []}'])
def test_what_is_no_manifest_is_no_answer(network: Network, client: RegistryClient, body: bytes) -> None:
    network.serve("https://quay.io", answer(200, body, "Content-Type: text/html"))
    error = refused(network.run(client.manifest(REPOSITORY, Tag("v1"))))
    assert (error.code, error.status, error.retry_after) == (ErrorCode.UNAVAILABLE, 502, 10)
    assert error.message.endswith("where quay.io/org/name:v1 was asked for")


def test_of_what_the_digest_names_it_is_not_asked_what_it_is(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", answer(200, b"<html>", "Content-Type: text/html"))
    manifest = ended(network.run(client.manifest(REPOSITORY, Digest.of(b"<html>"))))
    assert (manifest.content, manifest.media_type) == (b"<html>", "application/octet-stream")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_manifest_by_digest_is_checked_against_it(network: Network, client: RegistryClient, algorithm: str) -> None:
    digest = Digest.of(MANIFEST, algorithm)
    network.serve("https://quay.io", manifest_answer())
    assert ended(network.run(client.manifest(REPOSITORY, digest))).digest == digest
    assert network.seen[0].target == f"/v2/org/name/manifests/{digest}"


@pytest.mark.security("S9")
def test_a_manifest_that_is_another_is_not_given(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", manifest_answer(b"{}"))
    error = refused(network.run(client.manifest(REPOSITORY, DIGEST)))
    assert (error.code, error.status) == (ErrorCode.UNAVAILABLE, 503)
    assert error.message == (f"quay.io is not available: it sent {Digest.of(b'{}')} where {DIGEST} was asked for")


def test_a_manifest_without_a_type_is_bytes(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", answer(200, MANIFEST))
    assert ended(network.run(client.manifest(REPOSITORY, DIGEST))).media_type == "application/octet-stream"


@pytest.mark.security("S15")
def test_a_manifest_of_four_mebibytes_is_read(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", manifest_answer(MANIFEST + b" " * (MANIFEST_LIMIT - len(MANIFEST))))
    assert len(ended(network.run(client.manifest(REPOSITORY, Tag("v1")))).content) == MANIFEST_LIMIT


@pytest.mark.security("S15")
@pytest.mark.parametrize("length", [-1, None])
def test_a_larger_one_is_refused_not_cut(network: Network, client: RegistryClient, length: int | None) -> None:
    network.serve("https://quay.io", answer(200, b" " * (MANIFEST_LIMIT + 1), length=length))
    error = refused(network.run(client.manifest(REPOSITORY, Tag("v1"))))
    assert (error.code, error.status) == (ErrorCode.MANIFEST_INVALID, 502)
    assert error.message.startswith("quay.io sent a body of")


def test_a_manifest_that_breaks_off_is_unavailable(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", answer(200, b"{", length=20))
    asked = network.run(client.manifest(REPOSITORY, Tag("v1")))
    network.connections[0].cut()
    assert refused(asked).status == 503


HEADED = answer(200, b"", f"Docker-Content-Digest: {DIGEST}", f"Content-Type: {TYPE}", length=20)


@pytest.mark.parametrize(
    "headed",
    [
        *[answer(status) for status in (400, 401, 403, 404, 405, 410, 451, 501, 505)],
        answer(200, b"", f"Docker-Content-Digest: {DIGEST}", length=20),
        answer(200, b"", f"Content-Type: {TYPE}", length=20),
        answer(200, b"", f"Docker-Content-Digest: {DIGEST}", f"Content-Type: {TYPE}", length=None),
    ],
    ids=["400", "401", "403", "404", "405", "410", "451", "501", "505", "no type", "no digest", "no length"],
)
def test_where_a_head_tells_too_little_only_a_get_would_tell(
    network: Network, client: RegistryClient, headed: bytes
) -> None:
    network.serve("https://quay.io", headed)
    assert ended(network.run(client.head_manifest(REPOSITORY, Tag("v1")))) is None


def test_who_closes_the_connection_on_a_head_is_asked_by_a_get(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", lambda seen: None)
    asking = network.run(client.head_manifest(REPOSITORY, Tag("v1")))
    for _ in range(4):
        network.connections[-1].end()
        network.advance(1)
    assert ended(asking) is None


def test_who_cannot_be_reached_is_not_asked_twice(network: Network, client: RegistryClient) -> None:
    network.refuse("https://quay.io", Refused())
    asking = network.run(client.head_manifest(REPOSITORY, Tag("v1")))
    for _ in range(4):
        network.advance(1)
    assert refused(asking).status == 503


def test_a_digest_that_was_asked_for_need_not_be_told(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", answer(200, b"", f"Content-Type: {TYPE}", length=20))
    assert ended(network.run(client.head_manifest(REPOSITORY, DIGEST))) is not None


def test_no_get_of_docker_hub_comes_of_a_head(network: Network, client: RegistryClient) -> None:
    """Each would use up the quota."""
    repository = DOCKER_HUB.repository("nginx")
    network.serve("https://registry-1.docker.io", [answer(405), answer(200, b"", f"Content-Type: {TYPE}"), answer(200)])
    assert refused(network.run(client.head_manifest(repository, Tag("v1")))).status == 405
    assert ended(network.run(client.head_manifest(repository, Tag("v1")))) is not None
    # Nor one of a page in its place.
    assert refused(network.run(client.head_manifest(repository, Tag("v1")))).status == 502


@pytest.mark.parametrize(
    ("headed", "ranged", "length"),
    [
        (answer(405), answer(206, b"x", "Content-Range: bytes 0-0/1000"), "1000"),
        (answer(501), answer(200, b"xyz"), "3"),
        (answer(200, length=None), answer(206, b"x", "Content-Range: bytes 0-0/7"), "7"),
        (answer(405), answer(206, b"x", "Content-Range: bytes 0-0/*"), None),
        *[(answer(status), answer(206, b"x", "Content-Range: bytes 0-0/9"), "9") for status in (400, 403, 404, 505)],
    ],
)
def test_where_a_blob_has_no_head_its_first_byte_tells(
    network: Network, client: RegistryClient, headed: bytes, ranged: bytes, length: str | None
) -> None:
    network.serve("https://quay.io", [headed, ranged])
    assert ended(network.run(client.head_blob(REPOSITORY, DIGEST))).get("content-length") == length
    assert [seen.method for seen in network.seen] == ["HEAD", "GET"]
    assert network.seen[1].one("Range") == "bytes=0-0"


LISTS = {
    "tags": (lambda c: c.tags(REPOSITORY, {}), "the tags of quay.io/org/name"),
    "referrers": (lambda c: c.referrers(REPOSITORY, DIGEST, {}), f"the referrers of quay.io/org/name@{DIGEST}"),
}


@pytest.mark.parametrize("ask", LISTS)
@pytest.mark.parametrize("sent", [b"<html>Log in</html>", b"", b"[]", b"{}", b'{"tags": 1, "manifests": {}}'])
def test_what_is_no_list_is_upstreams_failure(network: Network, client: RegistryClient, ask: str, sent: bytes) -> None:
    network.serve("https://quay.io", answer(200, sent))
    asking, what = LISTS[ask]
    error = refused(network.run(asking(client)))
    assert (error.code, error.status) == (ErrorCode.UNAVAILABLE, 502)
    assert error.message == f"quay.io is not available: it sent no list where {what} were asked for"


def test_a_long_list_is_not_looked_through(network: Network, client: RegistryClient) -> None:
    content = b'{"tags": [' + b'"v", ' * 40_000 + b'"w"]}'
    network.serve("https://quay.io", answer(200, content))
    assert ended(network.run(client.tags(REPOSITORY, {}))).content == content


REFUSALS_OF_RANGES = [400, 403, 404, 405, 505, 501]


@pytest.mark.parametrize("status", REFUSALS_OF_RANGES)
def test_who_refuses_a_range_is_asked_for_the_whole(network: Network, client: RegistryClient, status: int) -> None:
    network.serve("https://quay.io", [answer(status), answer(200, b"0123456789")])
    streamed = ended(network.run(client.blob(REPOSITORY, DIGEST, 5)))
    assert (streamed.status, streamed.body.length) == (200, 10)
    assert [seen.one("Range") for seen in network.seen] == ["bytes=5-", None]


@pytest.mark.parametrize("status", [500, 503])
def test_also_where_it_was_asked_several_times(network: Network, client: RegistryClient, status: int) -> None:
    network.serve("https://quay.io", lambda seen: answer(status) if seen.one("Range") else answer(200, b"0123456789"))
    asking = network.run(client.blob(REPOSITORY, DIGEST, 5))
    for _ in range(4):
        network.advance(1)
    assert ended(asking).status == 200


def test_the_refusal_of_the_whole_counts(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", [answer(404), answer(403)])
    assert refused(network.run(client.blob(REPOSITORY, DIGEST, 5))).code is ErrorCode.DENIED


def test_a_host_that_it_redirects_to_refuses_nothing_for_it(network: Network, client: RegistryClient) -> None:
    """D5: Docker gives up where it is told DENIED."""
    network.serve("https://quay.io", answer(307, b"", "Location: https://cdn.example/x"))
    network.serve("https://cdn.example", answer(403))
    error = refused(network.run(client.blob(REPOSITORY, DIGEST)))
    assert (error.status, error.message) == (
        503,
        "quay.io is not available: the host that it redirects to answered 403",
    )


def test_a_head_that_it_redirects_to_where_only_a_get_may_go_is_a_get(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", answer(307, b"", "Location: https://cdn.example/x"))
    network.serve(
        "https://cdn.example",
        lambda seen: answer(403) if seen.method == "HEAD" else answer(206, b"x", "Content-Range: bytes 0-0/9"),
    )
    assert ended(network.run(client.head_blob(REPOSITORY, DIGEST)))["content-length"] == "9"


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize(
    ("body", "fields", "is_its_own"),
    [
        (b"<html>not here</html>", (), False),
        (b"", (), False),
        (b"404 page not found", (), False),
        (b'{"message": "not found"}', (), False),
        (b'{"errors": []}', (), True),
        (errors_body("MANIFEST_UNKNOWN", "no such thing"), (), True),
        (b"", ("Docker-Distribution-Api-Version: registry/2.0",), True),
    ],
)
def test_only_what_looks_like_a_registrys_is_its_own_404(
    network: Network, client: RegistryClient, status: int, body: bytes, fields: tuple[str, ...], is_its_own: bool
) -> None:
    network.serve("https://quay.io", answer(status, body, *fields))
    error = refused(network.run(client.manifest(REPOSITORY, Tag("v1"))))
    assert (error.code, error.status) == (ErrorCode.MANIFEST_UNKNOWN, 404)
    assert isinstance(error, Unconfirmed) is not is_its_own


def test_a_registry_that_is_busy_is_left_alone_for_as_long_as_it_said(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", [answer(429, b"", "Retry-After: 17"), answer(200, b"x")])
    assert refused(network.run(client.manifest(REPOSITORY, Tag("v1")))).retry_after == 17
    again = refused(network.run(client.manifest(REPOSITORY, Tag("v2"))))
    assert (again.status, again.retry_after) == (429, 17)
    assert again.message == "quay.io answered 429; it is not asked again for 17 s"
    assert ended(network.run(client.blob(REPOSITORY, DIGEST))).status == 200
    assert len(network.seen) == 2


def test_a_token_service_that_is_busy_counts_as_well(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", answer(401, b"", 'WWW-Authenticate: Bearer realm="https://auth.quay.io/t"'))
    network.serve("https://auth.quay.io", answer(429, b"", "Retry-After: 5"))
    for _ in range(2):
        assert refused(network.run(client.manifest(REPOSITORY, Tag("v1")))).status == 429
    assert len(network.seen) == 2


def test_what_it_says_of_our_quota_is_remembered(network: Network, client: RegistryClient) -> None:
    limits = ("ratelimit-limit: 100;w=21600", "ratelimit-remaining: 76;w=21600")
    network.serve("https://quay.io", [answer(404, b"", *limits)])
    refused(network.run(client.manifest(REPOSITORY, Tag("v1"))))
    assert client.quotas.seen(QUAY) == Quota(100, 76, 21600, NOW)


def test_a_head_of_a_manifest_gives_upstreams_header(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", HEADED)
    header = ended(network.run(client.head_manifest(REPOSITORY, Tag("v1"))))
    assert header is not None
    assert (header["docker-content-digest"], header["content-length"]) == (str(DIGEST), "20")
    assert network.seen[0].line == "HEAD /v2/org/name/manifests/v1 HTTP/1.1"
    assert network.seen[0].all("Accept") == list(ACCEPT)


def test_a_head_of_a_blob_downloads_nothing(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", answer(length=10**12))
    assert ended(network.run(client.head_blob(REPOSITORY, DIGEST)))["content-length"] == str(10**12)
    assert [seen.line for seen in network.seen] == [f"HEAD /v2/org/name/blobs/{DIGEST} HTTP/1.1"]


def test_a_blob_is_still_with_upstream(network: Network, client: RegistryClient, consumer: Consumer) -> None:
    network.serve("https://quay.io", answer(200, b"0123", length=10))
    streamed = ended(network.run(client.blob(REPOSITORY, DIGEST)))
    assert (streamed.status, streamed.body.length) == (200, 10)
    done = streamed.body.join(consumer)
    network.connections[0].send(b"456789")
    ended(done)
    assert consumer.content == b"0123456789"


@pytest.mark.security("S9")
@pytest.mark.parametrize(
    ("start", "stop", "content_range"),
    [
        (0, None, "bytes 0-0/1"),
        (0, None, "bytes 0-9/10"),
        (5, 15, "bytes 6-15/20"),
        (5, None, "bytes 0-9/20"),
        (5, 15, "bytes 5-5/20"),
        (5, 15, "bytes 5-15/20"),
    ],
)
def test_a_part_that_was_not_asked_for_or_is_as_long_as_it_does_not_say_is_refused(
    network: Network, client: RegistryClient, start: int, stop: int | None, content_range: str
) -> None:
    """Whatever Content-Range says would be told to the client, and ten bytes are sent."""
    network.serve("https://quay.io", answer(206, b"0123456789", f"Content-Range: {content_range}"))
    assert refused(network.run(client.blob(REPOSITORY, DIGEST, start, stop))).status == 503


def test_the_whole_of_a_blob_has_no_range(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", answer(200, b"0123456789", "Content-Range: bytes 5-9/10", "ETag: x"))
    streamed = ended(network.run(client.blob(REPOSITORY, DIGEST, 5)))
    assert (streamed.status, streamed.headers.get("content-range"), streamed.headers["etag"]) == (200, None, "x")


@pytest.mark.security("S9")
@pytest.mark.parametrize("start", [0, 5])
def test_a_blob_of_no_bytes_is_only_the_one_that_has_none(network: Network, client: RegistryClient, start: int) -> None:
    network.serve("https://quay.io", answer(200, b""))
    error = refused(network.run(client.blob(REPOSITORY, DIGEST, start)))
    assert (error.code, error.status) == (ErrorCode.UNAVAILABLE, 502)
    assert error.message == f"quay.io is not available: it sent no byte of {DIGEST}"
    assert ended(network.run(client.blob(REPOSITORY, Digest.of(b"")))).body.length == 0


class Sizes:
    """A manifest says that the blob has ten bytes."""

    def size(self, repository: Repository, digest: Digest) -> int | None:
        return 10 if digest == DIGEST else None


@pytest.fixture
def knowing(exchange: Exchange) -> RegistryClient:
    return RegistryClient(Upstream.public, exchange, Quotas(lambda: NOW), references=Sizes())


@pytest.mark.parametrize(
    ("answered", "start", "status"),
    [
        (answer(200, b"0123456789"), 0, 200),
        (answer(200, b"01234"), 0, None),
        (answer(200, b"0123456789a"), 0, None),
        (answer(200, b"01234"), 5, None),
        (answer(206, b"56789", "Content-Range: bytes 5-9/10"), 5, 206),
        (answer(206, b"5", "Content-Range: bytes 5-5/6"), 5, None),
        (answer(200, b"01234", length=None), 0, 200),
    ],
)
def test_a_blob_is_as_large_as_its_manifest_says(
    network: Network, knowing: RegistryClient, answered: bytes, start: int, status: int | None
) -> None:
    network.serve("https://quay.io", answered)
    asking = network.run(knowing.blob(REPOSITORY, DIGEST, start))
    if status is not None:
        assert ended(asking).status == status
        return
    error = refused(asking)
    assert error.status == 502
    assert error.message.endswith(f"where {DIGEST} was asked for, of which its manifest says that it has 10")


@pytest.mark.parametrize("length", [0, 4096])
def test_a_head_that_says_otherwise_is_not_believed_before_a_get(
    network: Network, knowing: RegistryClient, length: int
) -> None:
    network.serve("https://quay.io", [answer(200, length=length), answer(206, b"0", "Content-Range: bytes 0-0/10")])
    assert ended(network.run(knowing.head_blob(REPOSITORY, DIGEST)))["content-length"] == "10"


def test_a_blob_that_is_said_to_have_no_bytes_is_none(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", [answer(200), answer(416, b"", "Content-Range: bytes */0")])
    assert refused(network.run(client.head_blob(REPOSITORY, DIGEST))).status == 502


@pytest.mark.parametrize("kind", ["manifest", "tags"])
def test_nor_does_it_end_a_right_to_anything_else(network: Network, client: RegistryClient, kind: str) -> None:
    network.serve("https://quay.io", answer(307, b"", "Location: https://cdn.example/x"))
    network.serve("https://cdn.example", answer(403))
    error = refused(network.run(ASKS[kind][0](client, REPOSITORY)))
    assert (error.code, error.status) == (ErrorCode.DENIED, 403)
    assert isinstance(error, Unconfirmed)


def test_of_a_blob_a_range_may_be_asked_for(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", answer(206, b"x", "Content-Range: bytes 5-5/10"))
    streamed = ended(network.run(client.blob(REPOSITORY, DIGEST, 5, 6)))
    assert (streamed.status, streamed.headers["content-range"]) == (206, "bytes 5-5/10")
    assert network.seen[0].all("Range") == ["bytes=5-5"]


@pytest.mark.parametrize(
    ("start", "stop", "lines"),
    [(0, None, []), (5, None, ["bytes=5-"]), (0, 1, ["bytes=0-0"]), (5, 10, ["bytes=5-9"])],
)
def test_bytes_up_to_another_are_a_range_that_ends_before_it(
    network: Network, client: RegistryClient, start: int, stop: int | None, lines: list[str]
) -> None:
    network.serve("https://quay.io", answer(200, b"x"))
    ended(network.run(client.blob(REPOSITORY, DIGEST, start, stop)))
    assert network.seen[0].all("Range") == lines


def test_a_range_behind_the_end_is_an_answer(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", answer(416, b"", "Content-Range: bytes */10"))
    assert ended(network.run(client.blob(REPOSITORY, DIGEST, 10))).status == 416


@pytest.mark.parametrize(
    ("query", "target"),
    [
        ({}, "/v2/org/name/tags/list"),
        ({"n": "2", "last": "v1"}, "/v2/org/name/tags/list?n=2&last=v1"),
        ({"last": "a/b c&d=e+f#"}, "/v2/org/name/tags/list?last=a%2Fb%20c%26d%3De%2Bf%23"),
    ],
)
def test_tags_are_asked_for_page_by_page(
    network: Network, client: RegistryClient, query: dict[str, str], target: str
) -> None:
    network.serve("https://quay.io", answer(200, LIST))
    assert ended(network.run(client.tags(REPOSITORY, query))).content == LIST
    assert network.seen[0].target == target


def test_referrers_are_asked_for_by_digest_and_kind(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", answer(200, LIST, "OCI-Filters-Applied: artifactType"))
    streamed = ended(network.run(client.referrers(REPOSITORY, DIGEST, {"artifactType": "application/x+y"})))
    assert streamed.headers["oci-filters-applied"] == "artifactType"
    assert network.seen[0].target == f"/v2/org/name/referrers/{DIGEST}?artifactType=application%2Fx%2By"


def test_docker_hub_is_asked_where_its_registry_is(network: Network, client: RegistryClient) -> None:
    network.serve("https://registry-1.docker.io", manifest_answer())
    ended(network.run(client.manifest(DOCKER_HUB.repository("nginx"), Tag("latest"))))
    assert network.seen[0].target == "/v2/library/nginx/manifests/latest"


def test_the_scope_that_is_wanted_is_pulling_from_the_repository(network: Network, client: RegistryClient) -> None:
    network.serve(
        "https://quay.io", [answer(401, b"", 'WWW-Authenticate: Bearer realm="https://quay.io/auth"'), answer(403)]
    )
    refused(network.run(client.head_blob(REPOSITORY, DIGEST)))
    assert network.seen[1].target == "/auth?scope=repository%3Aorg%2Fname%3Apull"


Ask = Callable[[RegistryClient, Repository], Coroutine[Deferred[Any], Any, Any]]

ASKS: dict[str, tuple[Ask, ErrorCode, str]] = {
    "manifest": (lambda c, r: c.manifest(r, Tag("v1")), ErrorCode.MANIFEST_UNKNOWN, "quay.io/org/name:v1"),
    "blob": (lambda c, r: c.blob(r, DIGEST), ErrorCode.BLOB_UNKNOWN, f"quay.io/org/name@{DIGEST}"),
    "head_blob": (lambda c, r: c.head_blob(r, DIGEST), ErrorCode.BLOB_UNKNOWN, f"quay.io/org/name@{DIGEST}"),
    "tags": (lambda c, r: c.tags(r, {}), ErrorCode.NAME_UNKNOWN, "the tags of quay.io/org/name"),
    "referrers": (
        lambda c, r: c.referrers(r, DIGEST, {}),
        ErrorCode.MANIFEST_UNKNOWN,
        f"the referrers of quay.io/org/name@{DIGEST}",
    ),
}


@pytest.mark.parametrize("ask", ASKS)
def test_what_is_not_there_is_unknown_in_its_own_way(network: Network, client: RegistryClient, ask: str) -> None:
    network.serve("https://quay.io", answer(404, errors_body("MANIFEST_UNKNOWN", "no such thing")))
    asking, code, what = ASKS[ask]
    error = refused(network.run(asking(client, REPOSITORY)))
    assert (error.code, error.status) == (code, 404)
    assert error.message.startswith(f"{what} is not there: quay.io answered 404")


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize(
    ("status", "code", "answered"),
    [
        (401, ErrorCode.DENIED, 403),
        (403, ErrorCode.DENIED, 403),
        (429, ErrorCode.TOOMANYREQUESTS, 429),
        (507, ErrorCode.UNAVAILABLE, 503),
        (204, ErrorCode.UNAVAILABLE, 503),
    ],
)
def test_what_upstream_refuses_is_refused(
    network: Network, client: RegistryClient, ask: str, status: int, code: ErrorCode, answered: int
) -> None:
    network.serve("https://quay.io", answer(status))
    error = refused(network.run(ASKS[ask][0](client, REPOSITORY)))
    assert (error.code, error.status) == (code, answered)


def test_a_range_of_a_manifest_that_nobody_asked_for_is_refused(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", answer(206, b"{"))
    assert refused(network.run(client.manifest(REPOSITORY, Tag("v1")))).status == 503


def test_upstreams_own_words_reach_the_client(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", answer(403, errors_body("DENIED", "pay first")))
    assert "DENIED pay first" in refused(network.run(client.blob(REPOSITORY, DIGEST))).message


def test_a_quota_says_when_to_ask_again(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", answer(429, b"", "Retry-After: Sun, 06 Nov 1994 08:50:37 GMT"))
    assert refused(network.run(client.blob(REPOSITORY, DIGEST))).retry_after == 60


@pytest.mark.security("S16")
@pytest.mark.parametrize("body", [b"x" * 70_000, errors_body("DENIED", "x" * 70_000)])
def test_an_error_document_of_more_than_64_kib_is_not_read(
    network: Network, client: RegistryClient, body: bytes
) -> None:
    network.serve("https://quay.io", answer(403, body))
    assert refused(network.run(client.blob(REPOSITORY, DIGEST))).message.startswith(
        f"quay.io/org/name@{DIGEST} is refused: quay.io answered 403 ("
    )


def test_an_error_document_that_breaks_off_is_left_out(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", answer(404, b'{"errors"', length=100))
    asked = network.run(client.blob(REPOSITORY, DIGEST))
    network.connections[0].cut()
    assert refused(asked).message.endswith("is not there: quay.io answered 404")


# On behalf of a client

CALLER = "Bearer of alice"


def test_nobody_in_particular_is_the_proxy_itself(client: RegistryClient) -> None:
    assert client.on_behalf_of(None) is client


def test_s7_what_a_client_asks_for_is_asked_for_with_its_own_authorization(
    network: Network, client: RegistryClient
) -> None:
    # A manifest, and a list of each kind.
    network.serve("https://quay.io", manifest_answer(LIST))
    theirs = client.on_behalf_of(CALLER)
    ended(network.run(theirs.manifest(REPOSITORY, Tag("v1"))))
    ended(network.run(theirs.head_manifest(REPOSITORY, DIGEST)))
    ended(network.run(theirs.head_blob(REPOSITORY, DIGEST)))
    ended(network.run(theirs.blob(REPOSITORY, DIGEST))).body.abandon()
    ended(network.run(theirs.tags(REPOSITORY, {})))
    ended(network.run(theirs.referrers(REPOSITORY, DIGEST, {})))
    assert [seen.one("Authorization") for seen in network.seen] == [CALLER] * 6
    ended(network.run(client.manifest(REPOSITORY, Tag("v1"))))
    assert network.seen[-1].one("Authorization") is None


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_says_that_it_was_asked_with_the_clients_login(
    network: Network, client: RegistryClient, status: int
) -> None:
    network.serve("https://quay.io", answer(status, b"", 'WWW-Authenticate: Bearer realm="https://quay.io/auth"'))
    error = refused(network.run(client.on_behalf_of(CALLER).manifest(REPOSITORY, Tag("v1"))))
    assert (error.code, error.message.endswith("it was asked with your own login there")) == (ErrorCode.DENIED, True)
    assert len(network.seen) == 1


def test_what_a_client_used_up_is_its_own(network: Network, client: RegistryClient) -> None:
    low = (f"Content-Type: {TYPE}", "RateLimit-Limit: 100;w=21600", "RateLimit-Remaining: 1;w=21600")
    network.serve(
        "https://quay.io", [answer(200, MANIFEST, *low), answer(429, b"", "Retry-After: 60"), *[answer()] * 2]
    )
    theirs = client.on_behalf_of(CALLER)
    ended(network.run(theirs.manifest(REPOSITORY, Tag("v1"))))
    assert refused(network.run(theirs.head_manifest(REPOSITORY, Tag("v1")))).retry_after == 60
    assert client.quotas.seen(QUAY) is None
    for unaffected in (client, client.on_behalf_of("Bearer of bob")):
        ended(network.run(unaffected.head_manifest(REPOSITORY, DIGEST)))


def test_nor_does_a_client_pay_for_the_proxy(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", [answer(429, b"", "Retry-After: 60"), manifest_answer()])
    refused(network.run(client.manifest(REPOSITORY, Tag("v1"))))
    assert ended(network.run(client.on_behalf_of(CALLER).manifest(REPOSITORY, Tag("v1")))).digest == DIGEST


# Over several connections


def test_it_is_asked_over_as_many_as_its_table_says_and_nobody_forgets_who_refuses(exchange: Exchange) -> None:
    client = RegistryClient(lambda registry: Upstream(registry, "", connections=3), exchange, Quotas(lambda: NOW))
    theirs = client.on_behalf_of(CALLER)
    assert (client.parallel(QUAY).connections, theirs.parallel(QUAY).connections) == (3, 3)
    client.parallel(QUAY).refused(RangeRefused(200))
    assert (client.parallel(QUAY).connections, theirs.parallel(QUAY).connections) == (1, 1)


# Where a blob is, for clients that are sent there


SIGNED = "https://cdn.example.net/layer?signature=a%2Fb&expires=1"


def location(client: RegistryClient) -> Coroutine[Any, Any, str | None]:
    return client.blob_location(REPOSITORY, DIGEST)


def test_a_redirect_to_another_host_is_where_the_blob_is(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", answer(307, b"", f"Location: {SIGNED}"))
    assert ended(network.run(location(client))) == SIGNED
    assert [seen.line for seen in network.seen] == [f"GET /v2/org/name/blobs/{DIGEST} HTTP/1.1"]


def test_a_redirect_on_the_registrys_own_host_is_followed_first(network: Network, client: RegistryClient) -> None:
    there = answer(302, b"", f"Location: {SIGNED}")
    network.serve("https://quay.io", [answer(307, b"", "Location: /storage/1"), there])
    assert ended(network.run(location(client))) == SIGNED


def test_a_registry_that_sends_the_blob_itself_redirects_nowhere(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", answer(200, b"x" * 100_000))
    assert ended(network.run(location(client))) is None


@pytest.mark.parametrize("status", [404, 403])
def test_where_a_blob_is_that_is_refused_nobody_is_told(network: Network, client: RegistryClient, status: int) -> None:
    network.serve("https://quay.io", answer(status, errors_body("DENIED", "no")))
    assert refused(network.run(location(client))).status == status


@pytest.mark.security("S2")
@pytest.mark.parametrize("host", ["169.254.169.254", "localhost", "metadata.google.internal", "cdn.example.net:8443"])
def test_nobody_is_sent_where_nobody_may_be_sent(network: Network, client: RegistryClient, host: str) -> None:
    network.serve("https://quay.io", answer(307, b"", f"Location: https://{host}/x"))
    assert ended(network.run(location(client))) is None


@pytest.mark.security("S4")
def test_nobody_is_sent_from_https_to_http(network: Network, client: RegistryClient) -> None:
    network.serve("https://quay.io", answer(307, b"", "Location: http://cdn.example.net/x"))
    assert refused(network.run(location(client))).code is ErrorCode.DENIED
