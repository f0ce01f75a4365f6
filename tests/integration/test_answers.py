"""What the daemon answers, request by request: the table of answers, and errors written for people.

The rows are those of the project's table of answers (R1 and so on).
"""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import pytest

from tests.parts.answers import Answer, Request
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, sha256
from tests.parts.ports import reserve_port
from tests.parts.raw_http import Reply, ask
from tests.parts.shapes import content, error, manifest, tag_pages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.docker_engine import DockerEngine
    from tests.parts.layouts import Layout
    from tests.parts.skopeo import Skopeo

pytestmark = pytest.mark.integration

REGISTRY = "registry.example.org"
DOWN = "down.example.org"
# Registries of their own: one that answers 429 is left alone for a while.
QUOTA = "quota.example.org"
QUOTA_BLOBS = "quota-blobs.example.org"
QUOTA_BARE = "quota-bare.example.org"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
BODY = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []}, indent=4).encode()
# Of no blob that is here: one that everybody may pull is served to all repositories.
NOWHERE = sha256(b"what nobody has")


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def hub() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, fake: FakeUpstream, hub: FakeUpstream) -> Iterator[Daemon]:
    upstreams = {
        **{name: Upstream(fake.url) for name in (REGISTRY, QUOTA, QUOTA_BLOBS, QUOTA_BARE)},
        "docker.io": Upstream(hub.url),
        DOWN: Upstream(f"http://127.0.0.1:{reserve_port()}"),
    }
    with Daemon(tmp_path_factory.mktemp("daemon"), configuration(upstreams)) as daemon:
        yield daemon


def through(path: str, registry: str = REGISTRY) -> str:
    """Return the target by which our client asks for what ``path`` is upstream."""
    return path.replace("/v2/", f"/v2/{registry}/", 1)


def assert_error(reply: Reply, status: int, code: str) -> None:
    assert (reply.status, reply.code) == (status, code), reply
    assert reply.message


@pytest.mark.security("S21")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/v2/", "/v2"])
def test_r1_ping_never_asks_upstream(
    daemon: Daemon, fake: FakeUpstream, hub: FakeUpstream, method: str, path: str
) -> None:
    before = len(fake.seen.requests()) + len(hub.seen.requests())
    pong = ask(daemon.address, method, path)
    assert pong.status == 200
    assert pong.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert pong.body == (b"{}" if method == "GET" else b"")
    assert len(fake.seen.requests()) + len(hub.seen.requests()) == before


def test_r2_head_of_a_cold_tag_is_one_upstream_head(daemon: Daemon, fake: FakeUpstream) -> None:
    path = "/v2/team/r2/manifests/v1"
    fake.script(path, manifest(BODY, OCI_MANIFEST))
    header = ask(daemon.address, "HEAD", through(path))
    assert (header.status, header.body) == (200, b"")
    assert header.headers["Content-Type"] == OCI_MANIFEST
    assert header.headers["Content-Length"] == str(len(BODY))
    assert header.headers["Docker-Content-Digest"] == sha256(BODY)
    assert [request.method for request in fake.seen.requests(path)] == ["HEAD"]


def test_r2_head_invents_no_digest(daemon: Daemon, fake: FakeUpstream) -> None:
    path = "/v2/team/r2-bare/manifests/v1"
    fake.script(path, Answer(headers=(("Content-Type", OCI_MANIFEST),), body=BODY))
    header = ask(daemon.address, "HEAD", through(path))
    assert header.status == 200
    assert header.headers.get("Docker-Content-Digest") in (None, sha256(BODY))


@pytest.mark.parametrize("claimed", [sha256(BODY), None, sha256(b"something else")])
def test_r3_get_of_a_cold_tag_is_identical_and_its_digest_computed_here(
    daemon: Daemon, fake: FakeUpstream, claimed: str | None
) -> None:
    path = "/v2/team/r3/manifests/v1"
    digest = () if claimed is None else (("Docker-Content-Digest", claimed),)
    fake.script(path, Answer(headers=(("Content-Type", DOCKER_MANIFEST), *digest), body=BODY))
    reply = ask(daemon.address, "GET", through(path))
    assert (reply.status, reply.body) == (200, BODY)
    assert reply.headers["Content-Type"] == DOCKER_MANIFEST
    assert reply.headers["Docker-Content-Digest"] == sha256(BODY)
    assert reply.headers["Content-Length"] == str(len(BODY))


def test_r3_a_manifest_that_is_not_what_its_digest_names_is_refused(daemon: Daemon, fake: FakeUpstream) -> None:
    # Not BODY: its bytes are here already, and would be served.
    path = f"/v2/team/r3-wrong/manifests/{sha256(BODY + b'  ')}"
    fake.script(path, manifest(BODY + b" ", OCI_MANIFEST))
    reply = ask(daemon.address, "GET", through(path))
    assert_error(reply, 503, "UNAVAILABLE")
    assert REGISTRY in reply.message


@pytest.mark.security("S21")
def test_r5_head_of_a_cold_blob_downloads_nothing(daemon: Daemon, fake: FakeUpstream) -> None:
    blob = b"layer" * 10_000
    path = f"/v2/team/r5/blobs/{sha256(blob)}"
    fake.script(path, content(blob))
    header = ask(daemon.address, "HEAD", through(path))
    assert header.status == 200
    assert header.headers["Content-Length"] == str(len(blob))
    assert header.headers["Docker-Content-Digest"] == sha256(blob)
    assert [request.method for request in fake.seen.requests(path)] == ["HEAD"]
    assert fake.seen.sent(path) == 0


def test_r10_the_tags_query_is_forwarded(daemon: Daemon, fake: FakeUpstream) -> None:
    path = "/v2/team/r10-query/tags/list"
    fake.script(path, tag_pages("team/r10-query", ["a", "b", "c", "d"]))
    page = ask(daemon.address, "GET", through(path) + "?n=2&last=a")
    assert page.json()["tags"] == ["b", "c"]
    (request,) = fake.seen.requests(path)
    assert request.query == {"n": ["2"], "last": ["a"]}


@pytest.mark.parametrize("absolute", [False, True])
def test_r10_links_are_relative_and_lead_to_the_end(daemon: Daemon, fake: FakeUpstream, absolute: bool) -> None:
    repository = f"team/r10-{absolute}".lower()
    tags = [f"v{number:03}" for number in range(250)]
    path = f"/v2/{repository}/tags/list"
    fake.script(path, tag_pages(repository, tags, base=fake.url if absolute else ""))
    assert list(all_tags(daemon, through(path))) == tags


def all_tags(daemon: Daemon, target: str) -> Iterator[str]:
    """Follow ``Link`` to the end, as clients do, but only where it stays here (RFC 8288)."""
    while True:
        page = ask(daemon.address, "GET", target)
        yield from page.json()["tags"]
        link = page.headers["Link"]
        if link is None:
            return
        uri, _, relation = link.partition(">; ")
        assert relation == 'rel="next"'
        assert not urlsplit(uri.removeprefix("<")).netloc
        following = urljoin(target, uri.removeprefix("<"))
        assert urlsplit(following).path == urlsplit(target).path
        target = following


def test_r10_skopeo_lists_2500_tags(daemon: Daemon, fake: FakeUpstream, skopeo: Skopeo) -> None:
    tags = [f"1.{number:04}" for number in range(2500)]
    fake.script("/v2/team/many/tags/list", tag_pages("team/many", tags, base=fake.url))
    assert skopeo.tags(f"127.0.0.1:{daemon.port}/{REGISTRY}/team/many") == tags


def test_r11_referrers_are_forwarded_with_their_filter(daemon: Daemon, fake: FakeUpstream) -> None:
    path = f"/v2/team/r11/referrers/{sha256(BODY)}"
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()
    fake.script(
        path, Answer(headers=(("Content-Type", OCI_INDEX), ("OCI-Filters-Applied", "artifactType")), body=index)
    )
    reply = ask(daemon.address, "GET", through(path) + "?artifactType=application%2Fvnd.example.sbom%2Bjson")
    assert (reply.status, reply.body) == (200, index)
    assert reply.headers["Content-Type"] == OCI_INDEX
    assert reply.headers["OCI-Filters-Applied"] == "artifactType"
    (request,) = fake.seen.requests(path)
    assert request.query == {"artifactType": ["application/vnd.example.sbom+json"]}


def test_r11_referrers_that_upstream_does_not_have_stay_404(daemon: Daemon) -> None:
    reply = ask(daemon.address, "GET", through(f"/v2/team/r11-none/referrers/{sha256(BODY)}"))
    assert reply.status == 404
    assert reply.json()["errors"]


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v2/_catalog"),
        ("GET", "/v2/_catalog?n=10"),
        ("PUT", through("/v2/team/app/manifests/v1")),
        ("POST", through("/v2/team/app/blobs/uploads/")),
        ("PATCH", through("/v2/team/app/blobs/uploads/1234")),
        ("DELETE", through("/v2/team/app/manifests/v1")),
        ("DELETE", through(f"/v2/team/app/blobs/{sha256(BODY)}")),
    ],
)
def test_r13_the_catalog_and_writes_are_unsupported(
    daemon: Daemon, fake: FakeUpstream, method: str, target: str
) -> None:
    before = len(fake.seen.requests())
    assert_error(ask(daemon.address, method, target, ("Content-Length", "0")), 405, "UNSUPPORTED")
    assert len(fake.seen.requests()) == before


def test_r14_a_sha512_blob_is_served(daemon: Daemon, fake: FakeUpstream) -> None:
    digest = f"sha512:{hashlib.sha512(BODY).hexdigest()}"
    fake.script(f"/v2/team/r14/blobs/{digest}", content(BODY))
    reply = ask(daemon.address, "GET", through(f"/v2/team/r14/blobs/{digest}"))
    assert (reply.status, reply.body) == (200, BODY)
    assert reply.headers["Docker-Content-Digest"] == digest


def test_r14_a_sha512_manifest_is_served_under_its_own_digest(daemon: Daemon, fake: FakeUpstream) -> None:
    digest = f"sha512:{hashlib.sha512(BODY).hexdigest()}"
    fake.script(f"/v2/team/r14/manifests/{digest}", Answer(headers=(("Content-Type", OCI_MANIFEST),), body=BODY))
    reply = ask(daemon.address, "GET", through(f"/v2/team/r14/manifests/{digest}"))
    assert (reply.status, reply.body) == (200, BODY)
    assert reply.headers["Docker-Content-Digest"] == digest


def test_r15_a_manifest_without_a_media_type_has_upstreams_content_type(daemon: Daemon, fake: FakeUpstream) -> None:
    body = b'{"schemaVersion": 2, "manifests": []}'
    fake.script("/v2/team/r15/manifests/v1", manifest(body, OCI_INDEX))
    reply = ask(daemon.address, "GET", through("/v2/team/r15/manifests/v1"))
    assert (reply.body, reply.headers["Content-Type"]) == (body, OCI_INDEX)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_r16_a_narrow_accept_goes_upstream_as_the_full_list(daemon: Daemon, fake: FakeUpstream, method: str) -> None:
    path = f"/v2/team/r16-{method.lower()}/manifests/v1"
    fake.script(path, manifest(BODY, OCI_INDEX))
    reply = ask(daemon.address, method, through(path), ("Accept", DOCKER_MANIFEST))
    assert (reply.status, reply.headers["Content-Type"]) == (200, OCI_INDEX)
    (request,) = fake.seen.requests(path)
    assert {OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST} <= accepted(request)


def accepted(request: Request) -> set[str]:
    return {kind.partition(";")[0].strip() for line in request.values("Accept") for kind in line.split(",")}


def test_docker_pulls_a_bare_name_from_the_default_registry(
    daemon: Daemon, hub: FakeUpstream, docker: DockerEngine, layout: Layout
) -> None:
    image = layout.image()
    hub.publish("library/nginx", "latest", image)
    pulled = docker.pull(f"localhost:{daemon.port}/nginx")
    assert (pulled.pulled_as, pulled.contents) == (image.manifest.digest, image.unpacked)
    assert hub.seen.requests("/v2/library/nginx/manifests/latest")


@pytest.mark.parametrize("name", ["nginx", "docker.io/nginx", "index.docker.io/library/nginx", "library/nginx"])
def test_docker_hubs_names_are_one_registry(daemon: Daemon, hub: FakeUpstream, name: str) -> None:
    tag = name.replace("/", "-")
    hub.script(f"/v2/library/nginx/manifests/{tag}", manifest(BODY, OCI_MANIFEST))
    assert ask(daemon.address, "GET", f"/v2/{name}/manifests/{tag}").body == BODY


@pytest.mark.parametrize(
    "path", ["/v2/team/app/manifests/v1", f"/v2/team/app/blobs/{NOWHERE}", "/v2/team/app/tags/list"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_upstream_that_is_down_is_503_with_retry_after(daemon: Daemon, method: str, path: str) -> None:
    reply = ask(daemon.address, method, through(path, DOWN))
    assert reply.status == 503
    assert int(reply.headers["Retry-After"]) > 0
    if method == "GET":
        assert_error(reply, 503, "UNAVAILABLE")
        assert DOWN in reply.message


@pytest.mark.security("S13")
@pytest.mark.parametrize(
    "name",
    [
        f"{REGISTRY}/team/../app",
        f"{REGISTRY}/./app",
        f"{REGISTRY}/team%2Fapp",
        f"{REGISTRY}/team%2fapp",
        f"{REGISTRY}/Team/app",
        f"{REGISTRY}//app",
        f"{REGISTRY}/team//app",
        f"{REGISTRY}/app%00",
        f"{REGISTRY}/-app",
        f"{REGISTRY}/{'a' * 256}",
        f"{REGISTRY}",
        "no_such_host!.example/app",
    ],
)
def test_bad_names_are_refused_before_upstream(daemon: Daemon, fake: FakeUpstream, name: str) -> None:
    before = len(fake.seen.requests())
    assert_error(ask(daemon.address, "GET", f"/v2/{name}/manifests/v1"), 400, "NAME_INVALID")
    assert len(fake.seen.requests()) == before


@pytest.mark.security("S13")
def test_a_raw_nul_is_refused_before_upstream(daemon: Daemon, fake: FakeUpstream) -> None:
    before = len(fake.seen.requests())
    # Twisted refuses the request line itself, without a body.
    assert ask(daemon.address, "GET", through("/v2/team/app\0/manifests/v1")).status == 400
    assert len(fake.seen.requests()) == before


@pytest.mark.parametrize("tag", ["-v1", ".v1", "v" * 129, "v+1"])
def test_bad_tags_are_refused(daemon: Daemon, tag: str) -> None:
    assert_error(ask(daemon.address, "GET", through(f"/v2/team/app/manifests/{tag}")), 400, "TAG_INVALID")


@pytest.mark.parametrize("kind", ["blobs", "manifests", "referrers"])
@pytest.mark.parametrize("digest", ["sha256:abc", f"sha256:{'A' * 64}", f"md5:{'a' * 32}", "sha256:", ":"])
def test_bad_digests_are_refused(daemon: Daemon, kind: str, digest: str) -> None:
    assert_error(ask(daemon.address, "GET", through(f"/v2/team/app/{kind}/{digest}")), 400, "DIGEST_INVALID")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v2/team/missing/manifests/v1", "MANIFEST_UNKNOWN"),
        (f"/v2/team/missing/manifests/{sha256(BODY)}", "MANIFEST_UNKNOWN"),
        (f"/v2/team/missing/blobs/{NOWHERE}", "BLOB_UNKNOWN"),
        ("/v2/team/missing/tags/list", "NAME_UNKNOWN"),
    ],
)
def test_what_upstream_does_not_have_is_404(daemon: Daemon, path: str, code: str) -> None:
    reply = ask(daemon.address, "GET", through(path))
    assert_error(reply, 404, code)
    assert REGISTRY in reply.message
    assert ask(daemon.address, "HEAD", through(path)).status == 404


@pytest.mark.parametrize(
    ("path", "registry"),
    [("/v2/team/quota/manifests/v1", QUOTA), (f"/v2/team/quota/blobs/{NOWHERE}", QUOTA_BLOBS)],
)
def test_upstreams_429_stays_429_with_its_retry_after(
    daemon: Daemon, fake: FakeUpstream, path: str, registry: str
) -> None:
    fake.script(path, error(429, "TOOMANYREQUESTS", "pull rate limit", ("Retry-After", "17")))
    reply = ask(daemon.address, "GET", through(path, registry))
    assert_error(reply, 429, "TOOMANYREQUESTS")
    assert reply.headers["Retry-After"] == "17"
    assert registry in reply.message
    assert len(fake.seen.requests(path)) == 1


def test_a_429_without_retry_after_gets_one(daemon: Daemon, fake: FakeUpstream) -> None:
    path = "/v2/team/quota-bare/manifests/v1"
    fake.script(path, error(429, "TOOMANYREQUESTS"))
    assert int(ask(daemon.address, "GET", through(path, QUOTA_BARE)).headers["Retry-After"]) > 0


def test_upstreams_403_is_denied_with_its_own_words(daemon: Daemon, fake: FakeUpstream) -> None:
    path = "/v2/team/private/manifests/v1"
    fake.script(path, error(403, "DENIED", "this plan has ended"))
    reply = ask(daemon.address, "GET", through(path))
    assert_error(reply, 403, "DENIED")
    assert REGISTRY in reply.message
    assert "this plan has ended" in reply.message


@pytest.mark.parametrize("status", [500, 503])
def test_upstreams_5xx_is_503_with_retry_after(daemon: Daemon, fake: FakeUpstream, status: int) -> None:
    path = f"/v2/team/broken-{status}/manifests/v1"
    fake.script(path, error(status, "UNKNOWN", "out of order"))
    reply = ask(daemon.address, "GET", through(path))
    assert_error(reply, 503, "UNAVAILABLE")
    assert int(reply.headers["Retry-After"]) > 0


def test_a_passing_503_is_not_seen_by_the_client(daemon: Daemon, fake: FakeUpstream) -> None:
    path = "/v2/team/passing/manifests/v1"
    fake.script(path, error(503, "UNAVAILABLE"), manifest(BODY, OCI_MANIFEST))
    assert ask(daemon.address, "GET", through(path)).body == BODY


def test_a_client_that_tries_tls_first_is_let_go_at_once(daemon: Daemon) -> None:
    """Docker, podman and skopeo do so with any registry that may speak plain HTTP; they wait 10 s for an answer."""
    context = ssl.create_default_context()
    with (
        socket.create_connection(daemon.address, timeout=2) as connection,
        pytest.raises((ssl.SSLError, OSError)) as failed,
    ):
        context.wrap_socket(connection, server_hostname="localhost")
    assert not isinstance(failed.value, TimeoutError)


def test_a_query_with_many_fields_is_answered_properly(daemon: Daemon) -> None:
    query = "&".join(f"field{number}=1" for number in range(100))
    assert ask(daemon.address, "GET", f"{through('/v2/team/app/tags/list')}?{query}").status < 500
