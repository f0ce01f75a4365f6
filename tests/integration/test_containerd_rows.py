"""What containerd asks, as it was recorded or by its own command, and what it needs to be answered.

The rows are those of the project's table of how clients behave (C1 and so on); C4 and C5 are in test_ranges.py.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Answer, Filler, Gate, Stall
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import OCI_INDEX, OCI_MANIFEST, sha256
from tests.parts.raw_http import Reply, ask, exchange, hash_rest
from tests.parts.shapes import content, error, manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.containerd import Containerd
    from tests.parts.daemon import Start
    from tests.parts.layouts import Layout

pytestmark = pytest.mark.integration

REGISTRY = "registry.example.org"
# core/remotes/docker/resolver.go: all types in one line, and anything else.
ACCEPT = (
    "Accept",
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*",
)
CODINGS = ("Accept-Encoding", "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5")
AGENT = ("User-Agent", "containerd/v2.1.4")
BODY = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []}).encode()
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, fake: FakeUpstream) -> Iterator[Daemon]:
    upstreams = {REGISTRY: Upstream(fake.url), "docker.io": Upstream(fake.url)}
    text = configuration(upstreams, domain="cr.test") + '[aliases]\nquay = "quay.io"\n'
    with Daemon(tmp_path_factory.mktemp("daemon"), text) as running:
        yield running


@pytest.fixture
def name() -> str:
    return f"team/app{next(_numbers)}"


HOST = ("Host", "cr.test")


def asks(daemon: Daemon, method: str, target: str, *fields: tuple[str, str], ns: str = REGISTRY) -> Reply:
    """Ask as containerd does."""
    joint = "&" if "?" in target else "?"
    return ask(daemon.address, method, f"{target}{joint}ns={ns}", HOST, AGENT, *fields)


def test_c1_a_head_by_tag_has_all_that_it_needs_at_once(daemon: Daemon, fake: FakeUpstream, name: str) -> None:
    """Without a digest or a length containerd asks again by GET. It makes no ping before."""
    fake.script(f"/v2/{name}/manifests/v1", manifest(BODY, OCI_MANIFEST))
    reply = asks(daemon, "HEAD", f"/v2/{name}/manifests/v1", ACCEPT)
    assert reply.status == 200
    assert reply.headers["Docker-Content-Digest"] == sha256(BODY)
    assert reply.headers["Content-Length"] == str(len(BODY))
    assert reply.headers["Content-Type"] == OCI_MANIFEST
    assert [request.method for request in fake.seen.requests(name)] == ["HEAD"]
    assert fake.seen.requests(name)[0].query == {}


def test_c2_the_wrong_kind_of_a_digest_is_a_fast_404(daemon: Daemon, fake: FakeUpstream, name: str) -> None:
    layer = b"layer" * 100
    fake.script(f"/v2/{name}/blobs/{sha256(layer)}", content(layer))
    wrong = asks(daemon, "HEAD", f"/v2/{name}/manifests/{sha256(layer)}", ACCEPT)
    right = asks(daemon, "HEAD", f"/v2/{name}/blobs/{sha256(layer)}")
    assert (wrong.status, right.status) == (404, 200)
    assert right.headers["Content-Length"] == str(len(layer))
    assert [request.method for request in fake.seen.requests(name)] == ["HEAD", "HEAD"]
    assert fake.seen.sent(name) == 0


def test_c3_a_blob_is_never_encoded(daemon: Daemon, fake: FakeUpstream, name: str) -> None:
    layer = b"compresses well " * 1000
    path = f"/v2/{name}/blobs/{sha256(layer)}"
    fake.script(path, content(layer))
    for _ in range(2):
        reply = asks(daemon, "GET", path, CODINGS)
        assert (reply.body, reply.headers["Content-Encoding"]) == (layer, None)
    assert [request.values("Accept-Encoding") for request in fake.seen.requests(path)] == [["identity"]]


def test_c6_the_header_of_a_slow_layer_comes_at_once(daemon: Daemon, fake: FakeUpstream, name: str, gate: Gate) -> None:
    """It is given up after 30 s without one; here upstream stands still until the header is seen."""
    layer = Filler(8 << 20, seed=next(_numbers))
    path = f"/v2/{name}/blobs/{layer.digest}"
    fake.script(path, content(layer, fault=Stall(gate, at=0)))
    with exchange(daemon.address, "GET", f"{path}?ns={REGISTRY}", HOST) as response:
        assert (response.status, response.length) == (200, len(layer))
        gate.open()
        assert hash_rest(response) == (len(layer), layer.digest)


@pytest.mark.parametrize(
    ("prefix", "ns"),
    [
        ("docker.io", "docker.io"),
        ("docker.io", "registry-1.docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("index.docker.io", "registry-1.docker.io"),
        (REGISTRY, REGISTRY),
    ],
)
def test_c7_override_path_repeats_the_registry(
    daemon: Daemon, fake: FakeUpstream, name: str, prefix: str, ns: str
) -> None:
    fake.script(f"/v2/{name}/manifests/v1", manifest(BODY, OCI_MANIFEST))
    reply = asks(daemon, "GET", f"/v2/{prefix}/{name}/manifests/v1", ACCEPT, ns=ns)
    assert (reply.body, reply.headers["OCI-Namespace"]) == (BODY, ns)
    assert {request.path for request in fake.seen.requests(name)} == {f"/v2/{name}/manifests/v1"}


def test_c7_a_prefix_that_contradicts_is_told_where_it_is_not_there(daemon: Daemon, name: str) -> None:
    reply = asks(daemon, "GET", f"/v2/ghcr.io/{name}/manifests/v1", ACCEPT)
    assert reply.status == 404
    assert reply.message.endswith(
        f"ns={REGISTRY} was asked for, so ghcr.io/ was taken for a part of the repository's name"
    )


def test_c8_a_secret_of_the_clients_stays_between_it_and_us(
    containerd: Containerd, start: Start, fake: FakeUpstream, layout: Layout, name: str
) -> None:
    """Nothing challenges, so containerd asks for no token; a header that it sends all the same goes no further."""
    image = layout.image()
    fake.publish(name, "v1", image)
    daemon = start({REGISTRY: Upstream(fake.url)})
    pulled = containerd.pull(f"127.0.0.1:{daemon.port}/{REGISTRY}/{name}:v1", "--user", "me:secret")
    assert pulled == image.digests
    basic = ("Authorization", "Basic bWU6c2VjcmV0")
    fake.script(f"/v2/{name}/manifests/v2", manifest(BODY, OCI_MANIFEST))
    assert ask(daemon.address, "GET", f"/v2/{REGISTRY}/{name}/manifests/v2", basic).status == 200
    assert all(request.values("Authorization") == [] for request in fake.seen.requests(name))


def test_c9_an_anonymous_pull_is_never_challenged(daemon: Daemon, fake: FakeUpstream, name: str) -> None:
    """The kubelet's credentials without a server address would go to whoever challenges."""
    fake.script(f"/v2/{name}/manifests/v1", error(401, "UNAUTHORIZED", "who are you?", ("WWW-Authenticate", "Basic")))
    for method in ("HEAD", "GET"):
        reply = asks(daemon, method, f"/v2/{name}/manifests/v1", ACCEPT)
        assert (reply.status, reply.headers["WWW-Authenticate"]) == (403, None)


def test_c10_referrers_are_asked_for_and_then_their_tag(daemon: Daemon, fake: FakeUpstream, name: str) -> None:
    digest = sha256(name.encode())
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()
    found = Answer(headers=(("Content-Type", OCI_INDEX), ("OCI-Filters-Applied", "artifactType")), body=index)
    path = f"/v2/{name}/referrers/{digest}"
    fake.script(path, found, error(404, "NOT_FOUND"))
    reply = asks(daemon, "GET", f"{path}?artifactType=application%2Fspdx%2Bjson")
    assert (reply.body, reply.headers["OCI-Filters-Applied"]) == (index, "artifactType")
    assert fake.seen.requests(path)[0].query == {"artifactType": ["application/spdx+json"]}
    assert asks(daemon, "GET", path).status == 404
    tag = digest.replace(":", "-")
    fake.script(f"/v2/{name}/manifests/{tag}", manifest(index, OCI_INDEX))
    assert asks(daemon, "GET", f"/v2/{name}/manifests/{tag}", ACCEPT).body == index


def test_c10_a_warning_comes_with_what_is_stale(start: Start, name: str) -> None:
    with FakeUpstream() as upstream:
        upstream.script(f"/v2/{name}/manifests/v1", manifest(BODY, OCI_MANIFEST))
        daemon = start({REGISTRY: Upstream(upstream.url)}, cache={"tag_ttl": "1ms"})
        target = f"/v2/{name}/manifests/v1?ns={REGISTRY}"
        assert ask(daemon.address, "GET", target).headers["Warning"] is None
    reply = ask(daemon.address, "GET", target)
    assert reply.body == BODY
    assert reply.headers["Warning"].startswith('299 crproxy "served from the cache, ')


def test_c11_a_manifest_of_more_than_four_mebibytes_is_refused(daemon: Daemon, fake: FakeUpstream, name: str) -> None:
    body = json.dumps({"schemaVersion": 2, "annotations": {"a": "x" * (4 << 20)}}).encode()
    fake.script(f"/v2/{name}/manifests/v1", manifest(body, OCI_MANIFEST))
    reply = asks(daemon, "GET", f"/v2/{name}/manifests/v1", ACCEPT)
    assert (reply.status, reply.code) == (502, "MANIFEST_INVALID")
    assert sha256(body) not in daemon.cache.whole()


def test_r12_a_namespace_routes_and_is_named(daemon: Daemon, fake: FakeUpstream, name: str) -> None:
    fake.script(f"/v2/{name}/manifests/v1", manifest(BODY, OCI_MANIFEST))
    reply = asks(daemon, "GET", f"/v2/{name}/manifests/v1", ACCEPT)
    assert (reply.status, reply.body, reply.headers["OCI-Namespace"]) == (200, BODY, REGISTRY)
    agreeing = ask(daemon.address, "GET", f"/v2/{name}/manifests/v1?ns=docker.io", ("Host", "docker.cr.test"))
    assert (agreeing.status, agreeing.headers["OCI-Namespace"]) == (200, "docker.io")


def test_r12_a_namespace_that_contradicts_the_alias_is_refused(daemon: Daemon, name: str) -> None:
    reply = ask(daemon.address, "GET", f"/v2/{name}/manifests/v1?ns={REGISTRY}", ("Host", "quay.cr.test"))
    assert (reply.status, reply.code) == (400, "NAME_INVALID")
    assert reply.message == f"this host is the alias of quay.io, but ns={REGISTRY} was asked for: use one of them"
