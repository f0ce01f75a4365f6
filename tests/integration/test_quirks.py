"""Every public registry's peculiarities, by a fake of each, through the daemon.

The table of upstreams and its notes; what is peculiar is in crproxy/policy/quirks.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Answer, Cut, Filler, Framing
from tests.parts.daemon import Upstream
from tests.parts.images import OCI_MANIFEST, sha256
from tests.parts.raw_http import Reply, ask
from tests.parts.registries import FAKES, PublicRegistry, docker_hub
from tests.parts.shapes import content

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.daemon import Daemon, Start

pytestmark = pytest.mark.integration


def upstream(registry: PublicRegistry) -> Upstream:
    return Upstream(registry.registry.url, registry.username, registry.password)


def through(registry: PublicRegistry, path: str) -> str:
    return path.replace("/v2/", f"/v2/{registry.name}/", 1)


def asks(daemon: Daemon, registry: PublicRegistry, path: str, method: str = "GET", *fields: tuple[str, str]) -> Reply:
    return ask(daemon.address, method, through(registry, path), *fields)


@pytest.fixture(params=FAKES)
def registry(request: pytest.FixtureRequest) -> Iterator[PublicRegistry]:
    with FAKES[request.param]() as fake:
        yield fake


def of(name: str) -> PublicRegistry:
    return FAKES[name]()


def whole(registry: PublicRegistry) -> bytes:
    return b"".join(registry.layer.pieces())


@pytest.mark.parametrize("first", ["HEAD", "GET"])
def test_an_image_is_pulled_from_each(start: Start, registry: PublicRegistry, first: str) -> None:
    daemon = start({registry.name: upstream(registry)})
    by_tag, by_digest, layer = registry.paths()
    digest = sha256(registry.manifest)
    for path in (by_tag, by_digest):
        for method in (first, "GET"):
            reply = asks(daemon, registry, path, method)
            assert (reply.status, reply.headers["Docker-Content-Digest"]) == (200, digest)
            assert reply.headers["Content-Length"] == str(len(registry.manifest))
            assert reply.body == (registry.manifest if method == "GET" else b"")
    for method in (first, "GET", "HEAD"):
        reply = asks(daemon, registry, layer, method)
        assert (reply.status, reply.headers["Content-Length"]) == (200, str(registry.layer.size))
        assert reply.body == (whole(registry) if method == "GET" else b"")
    assert asks(daemon, registry, f"/v2/{registry.repository}/tags/list").json()["tags"] == ["v1"]
    assert registry.tokens <= 1


def test_a_range_of_a_cold_blob_is_had_from_each(start: Start, registry: PublicRegistry) -> None:
    daemon = start({registry.name: upstream(registry)})
    reply = asks(daemon, registry, registry.paths()[2], "GET", ("Range", "bytes=100-199"))
    assert (reply.status, reply.body) == (206, whole(registry)[100:200])


# What one pull of each takes: a host's requests, among them the challenged one and the one for the token.
REQUESTS = {
    "docker.io": {"registry": 3, "auth": 1, "production.cloudflare": 1},
    "ghcr.io": {"registry": 4},
    "quay.io": {"registry": 4, "cdn": 1},
    "gcr.io": {"registry": 4},
    "nvcr.io": {"registry": 4},
    "registry.k8s.io": {"registry": 2, "regional": 3, "s3": 1},
    "mcr.microsoft.com": {"registry": 2, "blob.core": 1},
    "public.ecr.aws": {"registry": 4},
    "headless.example.org": {"registry": 2},
    "taciturn.example.org": {"registry": 2},
}


def test_a_pull_takes_no_more_requests_than_it_must(start: Start, registry: PublicRegistry) -> None:
    daemon = start({registry.name: upstream(registry)})
    for _ in range(2):
        for path in registry.paths():
            assert asks(daemon, registry, path).status == 200
    assert {role: len(host.seen.requests()) for role, host in registry.hosts.items()} == REQUESTS[registry.name]
    challenged = registry.name.partition(".")[0] not in ("mcr", "headless", "taciturn")
    assert registry.tokens == challenged


@pytest.mark.security("S26")
def test_cut_blobs_are_resumed_each_by_a_fresh_signed_url(start: Start) -> None:
    """The URL that was cut is good for nothing any more."""
    with of("quay.io") as registry:
        layer, cdn = registry.paths()[2], registry.host("cdn")
        registry.registry.script(layer, registry.signed("cdn", Cut(50_000), Cut(150_000)))
        daemon = start({registry.name: upstream(registry)})
        assert asks(daemon, registry, layer).body == whole(registry)
        gets = cdn.seen.requests("/layer", "GET")
        assert [request.query["signature"] for request in gets] == [["1"], ["2"], ["3"]]
        assert [request.values("Range") for request in gets] == [[], ["bytes=50000-"], ["bytes=150000-"]]
        assert "signature" not in daemon.log


def test_the_signed_urls_of_the_fakes_are_good_for_one_get() -> None:
    with of("mcr.microsoft.com") as registry:
        cdn, target = registry.host("blob.core"), ask(registry.registry.address, "GET", registry.paths()[2])
        at = target.headers["Location"].removeprefix(cdn.url)
        statuses = [ask(cdn.address, method, at).status for method in ("HEAD", "GET", "GET", "HEAD")]
        assert (target.status, statuses) == (307, [200, 200, 403, 403])


def test_a_wrong_password_is_told_with_where_it_is_configured(start: Start) -> None:
    with of("nvcr.io") as registry:
        daemon = start({registry.name: Upstream(registry.registry.url, registry.username, "wrong")})
        reply = asks(daemon, registry, registry.paths()[0])
        assert (reply.status, reply.code) == (403, "DENIED")
        assert "nvcr.io answered 401: UNAUTHORIZED incorrect username or password" in reply.message
        assert 'may check username and password under [upstreams."nvcr.io"]' in reply.message


def test_a_missing_login_is_told_with_what_nvidia_wants(start: Start) -> None:
    with of("nvcr.io") as registry:
        daemon = start({registry.name: Upstream(registry.registry.url)})
        reply = asks(daemon, registry, registry.paths()[0])
        assert (reply.status, reply.code) == (403, "DENIED")
        assert "$oauthtoken" in reply.message


def test_docker_hub_says_401_of_what_does_not_exist(start: Start) -> None:
    with docker_hub() as hub:
        daemon = start({"docker.io": upstream(hub)})
        reply = ask(daemon.address, "GET", "/v2/missing/manifests/v1")
        assert (reply.status, reply.code) == (403, "DENIED")
        assert "Docker Hub says so of repositories that do not exist, too" in reply.message
        assert reply.message.endswith(
            "no registry was named, so docker.io/library/missing was meant; "
            "put another one in front, such as quay.io/missing"
        )


@pytest.mark.parametrize("status", [405, 501])
def test_an_upstream_without_head_is_asked_by_get_and_only_once(start: Start, status: int) -> None:
    with of("headless") as registry:
        for path in registry.paths():
            registry.registry.script(path, Answer(status), method="HEAD")
        daemon = start({registry.name: upstream(registry)})
        by_tag, by_digest, layer = registry.paths()
        for _ in range(2):
            assert asks(daemon, registry, by_tag, "HEAD").status == 200
            assert asks(daemon, registry, layer, "HEAD").headers["Content-Length"] == str(registry.layer.size)
        assert asks(daemon, registry, by_digest).body == registry.manifest
        assert methods(registry, by_tag) == ["HEAD", "GET"]
        assert methods(registry, by_digest) == []
        ranges = [request.values("Range") for request in registry.registry.seen.requests(layer, "GET")]
        assert ranges[0] == ["bytes=0-0"]
        assert registry.registry.seen.sent(layer) <= len(ranges)


def methods(registry: PublicRegistry, path: str) -> list[str]:
    return [request.method for request in registry.registry.seen.requests(path)]


@pytest.mark.parametrize("left_out", ["Content-Type", "Content-Length", "Docker-Content-Digest", None])
def test_a_head_that_leaves_something_out_is_completed_by_one_get(start: Start, left_out: str | None) -> None:
    with of("taciturn") as registry:
        by_tag, _, _ = registry.paths()
        fields = (("Content-Type", OCI_MANIFEST), ("Docker-Content-Digest", sha256(registry.manifest)))
        head = Answer(
            headers=tuple(field for field in fields if field[0] != left_out),
            body=registry.manifest,
            framing=Framing.CHUNKED if left_out == "Content-Length" else Framing.LENGTH,
        )
        registry.registry.script(by_tag, head, method="HEAD")
        daemon = start({registry.name: upstream(registry)})
        for _ in range(2 if left_out else 1):
            reply = asks(daemon, registry, by_tag, "HEAD")
            assert (reply.status, reply.headers["Content-Type"]) == (200, OCI_MANIFEST)
            assert reply.headers["Docker-Content-Digest"] == sha256(registry.manifest)
            assert reply.headers["Content-Length"] == str(len(registry.manifest))
        assert methods(registry, by_tag) == (["HEAD", "GET"] if left_out else ["HEAD"])


def test_a_head_of_a_digest_need_not_say_the_digest(start: Start) -> None:
    with of("taciturn") as registry:
        by_digest = registry.paths()[1]
        head = Answer(headers=(("Content-Type", OCI_MANIFEST),), body=registry.manifest)
        registry.registry.script(by_digest, head, method="HEAD")
        daemon = start({registry.name: upstream(registry)})
        assert asks(daemon, registry, by_digest, "HEAD").headers["Docker-Content-Digest"] == sha256(registry.manifest)
        assert methods(registry, by_digest) == ["HEAD"]


def test_a_blobs_length_is_had_by_its_first_byte(start: Start) -> None:
    with of("taciturn") as registry:
        layer, seen = registry.paths()[2], registry.registry.seen
        daemon = start({registry.name: upstream(registry)})
        assert asks(daemon, registry, layer, "HEAD").headers["Content-Length"] == str(registry.layer.size)
        assert methods(registry, layer) == ["HEAD", "GET"]
        assert seen.requests(layer, "GET")[0].values("Range") == ["bytes=0-0"]
        assert seen.sent(layer) <= 1


def test_an_upstream_that_knows_neither_head_nor_range_sends_no_blob_for_a_head(start: Start) -> None:
    """The answer is let go of once its header has come; what was on its way by then is lost."""
    with PublicRegistry("ancient.example.org", layer=Filler(128 << 20, seed=7)) as registry:
        layer, seen = registry.paths()[2], registry.registry.seen
        registry.registry.script(layer, content(registry.layer))
        registry.registry.script(layer, Answer(405), method="HEAD")
        daemon = start({registry.name: upstream(registry)})
        assert asks(daemon, registry, layer, "HEAD").headers["Content-Length"] == str(registry.layer.size)
        (get,) = seen.requests(layer, "GET")
        seen.wait_until_closed(get.connection)
        assert seen.sent(layer) < registry.layer.size // 4
