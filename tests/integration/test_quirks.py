"""Every public registry's peculiarities, by a fake of each, through the daemon.

The table of upstreams and its notes; what is peculiar is in crproxy/policy/quirks.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Cut
from tests.parts.daemon import Upstream
from tests.parts.images import sha256
from tests.parts.raw_http import Reply, ask
from tests.parts.registries import FAKES, PublicRegistry, docker_hub
from tests.parts.shapes import challenge, ranged, redirect

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


@pytest.mark.parametrize("name", ["docker.io", "quay.io", "registry.k8s.io", "mcr.microsoft.com"])
def test_no_credentials_reach_another_host(start: Start, name: str) -> None:
    with of(name) as registry:
        daemon = start({registry.name: upstream(registry)})
        for path in registry.paths():
            assert asks(daemon, registry, path).status == 200
        for role, host in registry.hosts.items():
            if role not in ("registry", "regional"):
                assert all(request.values("Authorization") == [] for request in host.seen.requests())


def test_a_cut_blob_is_resumed_by_a_fresh_signed_url(start: Start) -> None:
    """The one that was cut is good for nothing any more."""
    with of("quay.io") as registry:
        cdn, flaky, once = registry.host("cdn"), ranged(registry.layer, Cut(100_000)), registry.signed("second")
        cdn.script("/flaky", flaky)
        layer = registry.paths()[2]
        guard = registry.bearer("registry", "/v2/auth", "quay.io", {"token": "quay"})
        first = redirect(f"{cdn.url}/flaky?signature=1")
        answers = iter([first])
        registry.registry.script(
            layer, guard(lambda request: next(answers, None) or (once(request) if callable(once) else once))
        )
        daemon = start({registry.name: upstream(registry)})
        assert asks(daemon, registry, layer).body == whole(registry)
        assert registry.host("second").seen.requests("/layer")[-1].values("Range") == ["bytes=100000-"]
        assert "signature" not in daemon.log


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


def test_s5_another_domains_realm_gets_no_credentials(start: Start) -> None:
    with of("nvcr.io") as registry, of("ghcr.io") as other:
        elsewhere = challenge(f"http://localhost:{other.registry.address[1]}/token", "x", "y")
        registry.registry.script(registry.paths()[0], elsewhere)
        hosts = ("localhost",)
        daemon = start(
            {registry.name: Upstream(registry.registry.url, registry.username, registry.password, private_hosts=hosts)}
        )
        reply = asks(daemon, registry, registry.paths()[0])
        assert (reply.status, reply.code) == (403, "DENIED")
        assert "token_hosts under" in reply.message
        assert other.registry.seen.requests() == []


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


def test_an_upstream_without_head_is_asked_by_get_and_only_once(start: Start) -> None:
    with of("headless") as registry:
        daemon = start({registry.name: upstream(registry)})
        by_tag, _, layer = registry.paths()
        for _ in range(2):
            assert asks(daemon, registry, by_tag, "HEAD").status == 200
            assert asks(daemon, registry, layer, "HEAD").headers["Content-Length"] == str(registry.layer.size)
        assert [request.method for request in registry.registry.seen.requests(by_tag)] == ["HEAD", "GET"]
        ranges = [request.values("Range") for request in registry.registry.seen.requests(layer, "GET")]
        assert ranges[0] == ["bytes=0-0"]
        assert registry.registry.seen.sent(layer) <= len(ranges)
