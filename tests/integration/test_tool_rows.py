"""What podman, skopeo, crane, oras and helm ask, as it was recorded, and what they need to be answered.

The rows are those of the project's table of how clients behave (P1, G1, O1 and so on); P3 and P4 are in test_ranges.py.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import pytest

from tests.parts.answers import Filler, Stall
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import OCI_MANIFEST, sha256
from tests.parts.podman import Podman
from tests.parts.raw_http import ask, exchange, hash_rest
from tests.parts.shapes import content, error, manifest, ranged, tag_pages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.answers import Gate
    from tests.parts.daemon import Start
    from tests.parts.layouts import Layout
    from tests.parts.skopeo import Skopeo

pytestmark = pytest.mark.integration

REGISTRY = "registry.example.org"
BODY = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []}).encode()
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, fake: FakeUpstream) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("daemon"), configuration({REGISTRY: Upstream(fake.url)})) as running:
        yield running


@pytest.fixture
def name() -> str:
    return f"team/tool{next(_numbers)}"


def through(path: str) -> str:
    return path.replace("/v2/", f"/v2/{REGISTRY}/", 1)


def test_p1_p2_podman_pings_and_gets_at_once(
    podman: Podman, daemon: Daemon, fake: FakeUpstream, layout: Layout, name: str
) -> None:
    """P1: the ping is 200, or the mirror is out. P2: then GET manifests/REF, without a HEAD."""
    assert ask(daemon.address, "GET", "/v2/").status == 200
    image = layout.image()
    fake.publish(name, "v1", image)
    assert image.manifest.digest in podman.pull(f"127.0.0.1:{daemon.port}/{REGISTRY}/{name}:v1")
    asked = [(request.method, request.path.rpartition("/")[2]) for request in fake.seen.requests(f"{name}/manifests")]
    assert asked == [("GET", "v1")]


def test_p5_a_429_says_how_long_to_wait(start: Start, name: str) -> None:
    """containers/image tries five times, as long apart as it is told. Tokens we hand out none."""
    with FakeUpstream() as busy:
        busy.script(f"/v2/{name}/manifests/v1", error(429, "TOOMANYREQUESTS", "slow down", ("Retry-After", "30")))
        daemon = start({REGISTRY: Upstream(busy.url)})
        waits = []
        for _ in range(5):
            reply = ask(daemon.address, "GET", through(f"/v2/{name}/manifests/v1"))
            assert (reply.status, reply.code) == (429, "TOOMANYREQUESTS")
            waits.append(int(reply.headers["Retry-After"]))
        assert waits == sorted(waits, reverse=True)
        assert 0 < waits[-1] <= waits[0] == 30
        assert len(busy.seen.requests(name)) == 1


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_p6_any_error_of_a_manifest_is_one_and_its_blobs_are_served(
    daemon: Daemon, fake: FakeUpstream, name: str, status: int
) -> None:
    """An error sends podman to the next mirror; after a manifest it stays with us for the blobs."""
    path = f"/v2/{name}/manifests/v1"
    layer = f"layer of {name}".encode()
    fake.script(path, error(status, "DENIED"))
    assert ask(daemon.address, "GET", through(path)).status >= 400
    fake.script(path, manifest(BODY, OCI_MANIFEST))
    fake.script(f"/v2/{name}/blobs/{sha256(layer)}", content(layer))
    assert ask(daemon.address, "GET", through(path)).body == BODY
    assert ask(daemon.address, "GET", through(f"/v2/{name}/blobs/{sha256(layer)}")).body == layer


def test_g1_a_head_has_what_a_descriptor_is_made_of(daemon: Daemon, fake: FakeUpstream, name: str) -> None:
    layer = f"layer of {name}".encode() * 99
    fake.script(f"/v2/{name}/manifests/v1", manifest(BODY, OCI_MANIFEST))
    fake.script(f"/v2/{name}/blobs/{sha256(layer)}", content(layer))
    for _ in range(2):
        described = ask(daemon.address, "HEAD", through(f"/v2/{name}/manifests/v1")).headers
        assert described["Docker-Content-Digest"] == sha256(BODY)
        assert (described["Content-Type"], described["Content-Length"]) == (OCI_MANIFEST, str(len(BODY)))
        blob = ask(daemon.address, "HEAD", through(f"/v2/{name}/blobs/{sha256(layer)}")).headers
        assert (blob["Content-Type"], blob["Content-Length"]) == ("application/octet-stream", str(len(layer)))
        ask(daemon.address, "GET", through(f"/v2/{name}/manifests/v1"))
        ask(daemon.address, "GET", through(f"/v2/{name}/blobs/{sha256(layer)}"))


@pytest.mark.parametrize("query", ["?n=40", f"?n=40&ns={REGISTRY}"])
def test_g2_the_next_page_is_on_the_host_that_was_asked(
    daemon: Daemon, fake: FakeUpstream, name: str, query: str
) -> None:
    """Upstream's own links are absolute and name its own host."""
    tags = [f"v{number:03}" for number in range(100)]
    fake.script(f"/v2/{name}/tags/list", tag_pages(name, tags, base=fake.url))
    target, seen = through(f"/v2/{name}/tags/list") + query, []
    while target:
        reply = ask(daemon.address, "GET", target)
        seen += reply.json()["tags"]
        link = (reply.headers["Link"] or "").partition("<")[2].partition(">")[0]
        assert not urlsplit(link).netloc
        target = urljoin(target, link) if link else ""
        assert not target or ("ns=" in target) == ("ns=" in query)
    assert seen == tags


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_o1_a_blob_says_that_it_can_be_resumed(
    daemon: Daemon, fake: FakeUpstream, name: str, method: str, gate: Gate
) -> None:
    """oras resumes only where Accept-Ranges says so: cold, while it is filling, and warm."""
    body = Filler(4 << 20, seed=next(_numbers))
    path = f"/v2/{name}/blobs/{body.digest}"
    fake.script(path, ranged(body, Stall(gate, at=1 << 20)))
    ranges = [ask(daemon.address, "HEAD", through(path)).headers["Accept-Ranges"]]
    with exchange(daemon.address, "GET", through(path)) as response:
        with exchange(daemon.address, method, through(path)) as other:
            ranges += [response.headers["Accept-Ranges"], other.headers["Accept-Ranges"]]
        gate.open()
        assert hash_rest(response) == (len(body), body.digest)
    daemon.cache.wait_until_whole(body.digest)
    with exchange(daemon.address, method, through(path)) as warm:
        ranges.append(warm.headers["Accept-Ranges"])
    assert ranges == ["bytes"] * 4


def test_o1_helm_resolves_a_version_by_the_tags(skopeo: Skopeo, daemon: Daemon, fake: FakeUpstream, name: str) -> None:
    fake.script(f"/v2/{name}/tags/list", tag_pages(name, ["1.0.0", "1.1.0", "2.0.0_build.5"]))
    assert skopeo.tags(f"127.0.0.1:{daemon.port}/{REGISTRY}/{name}") == ["1.0.0", "1.1.0", "2.0.0_build.5"]
