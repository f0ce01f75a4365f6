"""What Docker Engine asks, as it was recorded, and what it needs to be answered.

The rows are those of the project's table of how clients behave (D1 and so on). The real one pulls in
tests/integration/test_clients.py and test_ways.py; here each request is made by hand, to look at its answer.
"""

from __future__ import annotations

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Answer, Cut, Filler
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.docker_engine import DockerEngine
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import OCI_INDEX, OCI_MANIFEST, sha256
from tests.parts.node import HERE
from tests.parts.raw_http import Reply, ask
from tests.parts.shapes import challenge, content, error, manifest, ranged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.layouts import Layout

pytestmark = pytest.mark.integration

# moby, distribution/pull_v2.go and distribution/registry.go: one line for each type.
ACCEPTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/json",
)
DOCKER = (
    ("User-Agent", "docker/20.10.24 go/go1.19.8 git-commit/x kernel/6.1 os/linux arch/amd64"),
    ("Accept-Encoding", "gzip"),
    ("Connection", "close"),
)
# What Docker takes for the last word, so that it asks no more (moby, distribution/errors.go).
FINAL = {"UNAUTHORIZED", "UNSUPPORTED", "DENIED", "TOOMANYREQUESTS", "NAME_UNKNOWN", "BLOB_UNKNOWN"}
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def hub() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, hub: FakeUpstream) -> Iterator[Daemon]:
    upstreams = {"docker.io": Upstream(hub.url), "quay.io": Upstream(hub.url)}
    with Daemon(tmp_path_factory.mktemp("daemon"), configuration(upstreams)) as running:
        yield running


@pytest.fixture
def name() -> str:
    """An official image that nobody has asked for before."""
    return f"image{next(_numbers)}"


def asks(daemon: Daemon, method: str, target: str, *fields: tuple[str, str]) -> Reply:
    """Ask as Docker does."""
    return ask(daemon.address, method, target, *DOCKER, *fields)


def manifest_fields() -> tuple[tuple[str, str], ...]:
    return tuple(("Accept", accept) for accept in ACCEPTS)


def publish(hub: FakeUpstream, name: str) -> tuple[bytes, bytes, bytes, list[bytes]]:
    """An index with one image of three layers; return all of it."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "name": name}).encode()
    layers = [f"{name} layer {number}".encode() * 1000 for number in range(3)]
    child = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": "x", "digest": sha256(config), "size": len(config)},
            "layers": [{"mediaType": "x", "digest": sha256(layer), "size": len(layer)} for layer in layers],
        }
    ).encode()
    described = {"mediaType": OCI_MANIFEST, "digest": sha256(child), "size": len(child)}
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [described]}).encode()
    for reference in ("latest", sha256(index)):
        hub.script(f"/v2/library/{name}/manifests/{reference}", manifest(index, OCI_INDEX))
    hub.script(f"/v2/library/{name}/manifests/{sha256(child)}", manifest(child, OCI_MANIFEST))
    for blob in (config, *layers):
        hub.script(f"/v2/library/{name}/blobs/{sha256(blob)}", content(blob))
    return index, child, config, layers


def test_d1_the_ping_never_challenges(daemon: Daemon, hub: FakeUpstream, name: str) -> None:
    """Docker learns of challenges here alone: a 401 later would find it without a token."""
    hub.script("/v2/", challenge(f"{hub.url}/token", "registry.docker.io", ""))
    hub.script(f"/v2/library/{name}/manifests/latest", error(401, "UNAUTHORIZED"))
    before = len(hub.seen.requests())
    reply = asks(daemon, "GET", "/v2/")
    assert (reply.status, reply.headers["WWW-Authenticate"]) == (200, None)
    assert len(hub.seen.requests()) == before
    refused = asks(daemon, "GET", f"/v2/library/{name}/manifests/latest")
    assert (refused.status, refused.headers["WWW-Authenticate"]) == (403, None)


@pytest.mark.parametrize("prefix", ["library/", "docker.io/", "docker.io/library/", ""])
def test_d2_d3_a_pull_as_it_was_recorded(daemon: Daemon, hub: FakeUpstream, name: str, prefix: str) -> None:
    """D2: HEAD by tag, GET by digest, the platform's, the configuration, three layers at once, no keep-alive.

    D3: as a mirror the name has library/ already, by prefix it has not.
    """
    index, child, config, layers = publish(hub, name)
    base = f"/v2/{prefix}{name}"
    headed = asks(daemon, "HEAD", f"{base}/manifests/latest", *manifest_fields())
    assert (headed.status, headed.headers["Docker-Content-Digest"]) == (200, sha256(index))
    assert (headed.headers["Content-Type"], headed.headers["Content-Length"]) == (OCI_INDEX, str(len(index)))
    for digest, body, kind in ((sha256(index), index, OCI_INDEX), (sha256(child), child, OCI_MANIFEST)):
        got = asks(daemon, "GET", f"{base}/manifests/{digest}", *manifest_fields())
        assert (got.status, got.body, got.headers["Content-Type"]) == (200, body, kind)
    with ThreadPoolExecutor(3) as pool:
        blobs = [config, *layers]
        got_blobs = list(pool.map(lambda blob: asks(daemon, "GET", f"{base}/blobs/{sha256(blob)}").body, blobs))
    assert got_blobs == blobs
    requests = hub.seen.requests(f"/{name}/")
    assert {request.path.split("/manifests/")[0].split("/blobs/")[0] for request in requests} == {f"/v2/library/{name}"}
    assert [request.method for request in requests].count("HEAD") == 1
    assert len(requests) == 1 + 2 + 4


@pytest.mark.parametrize("start", [1, 1000, 4095])
def test_d4_resuming_needs_a_206_that_goes_to_the_end(daemon: Daemon, hub: FakeUpstream, name: str, start: int) -> None:
    """A 200 would make Docker throw away what it has."""
    body = Filler(4096, seed=next(_numbers))
    hub.script(f"/v2/library/{name}/blobs/{body.digest}", ranged(body))
    reply = asks(daemon, "GET", f"/v2/library/{name}/blobs/{body.digest}", ("Range", f"bytes={start}-"))
    assert (reply.status, reply.headers["Content-Range"]) == (206, f"bytes {start}-4095/4096")
    assert reply.body == b"".join(body.part(start, 4096).pieces())


@pytest.mark.parametrize(
    "trouble",
    [Answer(500), Answer(502), Answer(503), Answer(504), content(Filler(1 << 20), fault=Cut(0))],
    ids=["500", "502", "503", "504", "cut"],
)
def test_d5_a_passing_failure_of_a_blob_is_one_that_docker_retries(
    daemon: Daemon, hub: FakeUpstream, name: str, trouble: Answer
) -> None:
    body = Filler(1 << 20)
    path = f"/v2/library/{name}/blobs/{body.digest}"
    hub.script(path, trouble)
    try:
        reply = asks(daemon, "GET", path)
    except OSError:
        return  # aborted: Docker asks again, too
    assert reply.status >= 500
    assert reply.code not in FINAL


def test_d6_docker_goes_on_from_a_mirror_that_fails(
    tmp_path_factory: pytest.TempPathFactory, daemon: Daemon, hub: FakeUpstream, layout: Layout, name: str
) -> None:
    """The second mirror has it; the first one, ours, says that upstream refuses it."""
    image = layout.image()
    hub.script(f"/v2/library/{name}/manifests/v1", error(403, "DENIED", "pay first"))
    with FakeUpstream() as other:
        other.publish(f"library/{name}", "v1", image)
        mirrors = [daemon.url, other.url]
        with DockerEngine(tmp_path_factory.mktemp("dkr"), HERE, mirrors) as docker:
            assert docker.pull(f"{name}:v1").contents == image.unpacked
    assert [request.method for request in hub.seen.requests(f"/{name}/manifests/v1")] == ["HEAD", "GET"]
