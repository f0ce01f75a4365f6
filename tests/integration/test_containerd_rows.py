"""containerd, and so Kubernetes: what it asks by namespace, and what it makes of the answers.

The rows are those of the project's table of how clients behave (C1 to C10; C4 and C5 are in
test_ranges.py, C11 in test_containerd_limit.py).
"""

from __future__ import annotations

import gzip
import itertools
import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Answer, Filler, Gate, Request, Stall
from tests.parts.containerd import Containerd, hosts
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import OCI_INDEX, OCI_MANIFEST, sha256
from tests.parts.places import Place, blob, manifest_place
from tests.parts.raw_http import ask, exchange
from tests.parts.recordings import CONTAINERD
from tests.parts.shapes import challenge, content, error, manifest, ranged, redirect, token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.parts.daemon import Start
    from tests.parts.images import Image
    from tests.parts.layouts import Layout

pytestmark = pytest.mark.integration

MEBIBYTE = 1 << 20
HUB = "docker.io"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def hub() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, hub: FakeUpstream) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("daemon"), configuration({HUB: Upstream(hub.url)})) as daemon:
        yield daemon


@pytest.fixture
def repository() -> str:
    """A repository that the daemon has never heard of."""
    return f"library/app-{next(_numbers)}"


@pytest.fixture
def document(repository: str) -> bytes:
    """A manifest that it has never heard of."""
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [], "of": repository}).encode()


@pytest.fixture
def body(repository: str) -> bytes:
    """And a layer."""
    return f"a layer of {repository}\n".encode() * 10_000


@pytest.fixture
def tag(repository: str) -> Place:
    return manifest_place("v1", repository, HUB)


@pytest.fixture
def layer(repository: str, body: bytes) -> Place:
    return blob(body, repository, HUB)


@pytest.fixture
def image(hub: FakeUpstream, layout: Layout, repository: str) -> Image:
    """An image that is there."""
    image = layout.image()
    hub.publish(repository, "v1", image)
    return image


@pytest.fixture(params=["manifests/v1", "blobs", "tags/list", "referrers"])
def anything(request: pytest.FixtureRequest, repository: str) -> Place:
    """Something of each kind."""
    kind: str = request.param
    return Place(f"/v2/{repository}/{kind if '/' in kind else f'{kind}/{sha256(repository.encode())}'}", HUB)


@pytest.fixture
def by_way_of_the_daemon(tmp_path: Path, daemon: Daemon) -> str:
    """ctr's option by which it asks the daemon for everything."""
    return hosts(tmp_path, daemon.url)


def by_namespace(place: Place, more: str = "") -> str:
    """Return what containerd asks for: the path as it is upstream, and which registry that is."""
    return f"{place.path}?{more}ns={HUB}"


def methods(hub: FakeUpstream, path: str) -> list[str]:
    return [request.method for request in hub.seen.requests(path)]


# C1: no ping; one HEAD by namespace tells all.


def test_c1_the_recorded_head_tells_all_at_once(daemon: Daemon, hub: FakeUpstream, tag: Place, document: bytes) -> None:
    hub.script(tag.path, manifest(document, OCI_INDEX))
    reply = ask(daemon.address, "HEAD", by_namespace(tag), *CONTAINERD.head)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == OCI_INDEX
    assert reply.headers["Docker-Content-Digest"] == sha256(document)
    assert reply.headers["Content-Length"] == str(len(document))
    assert reply.headers["OCI-Namespace"] == HUB
    (request,) = hub.seen.requests(tag.path)
    assert (request.method, request.query) == ("HEAD", {})


def test_c1_containerd_asks_as_recorded(containerd: Containerd, layout: Layout, tmp_path: Path) -> None:
    """Without the daemon: what the tests below send is what containerd sends, but for its encodings."""
    image = layout.image()
    with FakeUpstream() as alone:
        alone.publish("library/app", "v1", image)
        containerd.pull(f"{HUB}/library/app:v1", hosts(tmp_path, alone.url))
        first, second, *rest = alone.seen.requests()
    assert (first.method, first.path) == ("HEAD", "/v2/library/app/manifests/v1")
    assert (second.method, second.path) == ("GET", f"/v2/library/app/manifests/{image.manifest.digest}")
    assert {request.path for request in rest} == {f"/v2/library/app/blobs/{one.digest}" for one in image.blobs}
    for request in (first, second, *rest):
        assert request.query == {"ns": [HUB]}
    for request, recorded in ((first, CONTAINERD.head), (second, CONTAINERD.manifest)):
        assert request.values("Accept") == [value for name, value in recorded if name == "Accept"]


def test_c1_containerd_pulls_without_a_ping(
    daemon: Daemon,
    hub: FakeUpstream,
    containerd: Containerd,
    by_way_of_the_daemon: str,
    image: Image,
    repository: str,
    tag: Place,
) -> None:
    before = len(daemon.log)
    assert containerd.pull(f"{HUB}/{repository}:v1", by_way_of_the_daemon) == image.digests
    daemon.wait_for_log(re.escape(f'"HEAD {by_namespace(tag)} HTTP/1.1" 200'), after=before)
    assert "/v2/ HTTP" not in daemon.log[before:]
    assert methods(hub, tag.path) == ["HEAD"]
    assert methods(hub, repository).count("GET") == len(image.digests)


# C2: what is a blob is no manifest, and the other way around; to say so is quick.


@pytest.mark.parametrize("state", ["cold", "warm"])
def test_c2_head_of_a_blob_as_a_manifest_is_404_by_one_upstream_head(
    daemon: Daemon, hub: FakeUpstream, state: str, repository: str, layer: Place, body: bytes
) -> None:
    hub.script(layer.path, content(body))
    if state == "warm":
        assert ask(daemon.address, "GET", by_namespace(layer), *CONTAINERD.other).body == body
        daemon.cache.wait_until_whole(sha256(body))
    wrong = manifest_place(sha256(body), repository, HUB)
    assert ask(daemon.address, "HEAD", by_namespace(wrong), *CONTAINERD.head).status == 404
    assert methods(hub, wrong.path) == ["HEAD"]
    right = ask(daemon.address, "HEAD", by_namespace(layer), *CONTAINERD.head)
    assert (right.status, right.headers["Content-Length"]) == (200, str(len(body)))
    assert right.headers["Docker-Content-Digest"] == sha256(body)
    assert methods(hub, layer.path) == (["HEAD"] if state == "cold" else ["GET"])


def test_c2_head_of_what_is_neither_is_404_by_two(
    daemon: Daemon, hub: FakeUpstream, repository: str, layer: Place, body: bytes
) -> None:
    """That of a blob is confirmed by a GET of one byte; of a manifest, that would use up the quota."""
    for place, asked in ((manifest_place(sha256(body), repository, HUB), ["HEAD"]), (layer, ["HEAD", "GET"])):
        assert ask(daemon.address, "HEAD", by_namespace(place), *CONTAINERD.head).status == 404
        assert methods(hub, place.path) == asked


def test_c2_containerd_pulls_by_digest(
    hub: FakeUpstream, containerd: Containerd, by_way_of_the_daemon: str, image: Image, repository: str
) -> None:
    name = f"{HUB}/{repository}@{image.manifest.digest}"
    assert containerd.pull(name, by_way_of_the_daemon) == image.digests
    assert methods(hub, f"{repository}/manifests/{image.manifest.digest}") == ["HEAD", "GET"]


# C3: upstream would compress, and is not asked to.


@pytest.mark.parametrize("kind", ["manifest", "layer", "compressed layer"])
def test_c3_containerds_encodings_stay_here(
    daemon: Daemon, hub: FakeUpstream, kind: str, tag: Place, document: bytes, body: bytes, repository: str
) -> None:
    packed = gzip.compress(body, mtime=0)
    place, plain, fields = {
        "manifest": (tag, document, CONTAINERD.manifest),
        "layer": (blob(body, repository, HUB), body, CONTAINERD.other),
        "compressed layer": (blob(packed, repository, HUB), packed, CONTAINERD.other),
    }[kind]

    def compress_if_asked(request: Request) -> Answer:
        if request.values("Accept-Encoding") == ["identity"]:
            return content(plain)
        return content(gzip.compress(plain), ("Content-Encoding", "gzip"))

    hub.script(place.path, compress_if_asked)
    for _ in range(2):
        reply = ask(daemon.address, "GET", by_namespace(place), *fields)
        assert (reply.status, reply.headers["Content-Encoding"]) == (200, None)
        assert reply.body == plain


# C6: containerd waits 30 seconds for a header, and not for the layer.


@pytest.mark.parametrize("reached", [0, MEBIBYTE])
@pytest.mark.parametrize("behind", [False, True], ids=["direct", "redirected"])
def test_c6_the_header_comes_before_the_layer_is_here(
    daemon: Daemon, hub: FakeUpstream, gate: Gate, reached: int, behind: bool, repository: str
) -> None:
    large = Filler(16 * MEBIBYTE, seed=next(_numbers))
    place = blob(large, repository, HUB)
    hub.script(place.path, ranged(large, Stall(gate, at=reached)))
    if behind:
        hub.script(place.path, redirect(f"{hub.url}/c6/{reached}"))
        hub.script(f"/c6/{reached}", ranged(large, Stall(gate, at=reached)))
    with exchange(daemon.address, "GET", by_namespace(place), *CONTAINERD.other) as response:
        assert (response.status, response.headers["Content-Length"]) == (200, str(large.size))
        assert response.headers["Docker-Content-Digest"] == large.digest
        gate.open()
        assert len(response.read()) == large.size


# C7: override_path says the registry twice.


@pytest.mark.parametrize("ns", ["docker.io", "registry-1.docker.io", "index.docker.io", "registry.hub.docker.com"])
@pytest.mark.parametrize("first", ["docker.io", "registry-1.docker.io", "index.docker.io"])
def test_c7_the_path_and_the_namespace_agree_once_normalised(
    daemon: Daemon, hub: FakeUpstream, first: str, ns: str, tag: Place, document: bytes
) -> None:
    hub.script(tag.path, manifest(document, OCI_MANIFEST))
    for name in (tag.path, tag.path.replace("/library/", "/")):
        target = f"{name.replace('/v2/', f'/v2/{first}/')}?ns={ns}"
        reply = ask(daemon.address, "GET", target, *CONTAINERD.manifest)
        assert (reply.status, reply.body, reply.headers["OCI-Namespace"]) == (200, document, ns)
    assert methods(hub, tag.path) == ["GET"]


def test_c7_containerd_pulls_with_override_path(
    daemon: Daemon, containerd: Containerd, tmp_path: Path, image: Image, repository: str
) -> None:
    option = hosts(tmp_path, f"{daemon.url}/v2/{HUB}", "override_path = true")
    assert containerd.pull(f"{HUB}/{repository}:v1", option) == image.digests
    daemon.wait_for_log(rf'"HEAD /v2/{HUB}/{repository}/manifests/v1\?ns={HUB} HTTP/1\.1" 200')


# C8, C9: containerd's secrets are not asked for, and not passed on.


def test_c8_containerd_with_a_secret_pulls_what_takes_a_token(
    hub: FakeUpstream, containerd: Containerd, by_way_of_the_daemon: str, image: Image, repository: str, tag: Place
) -> None:
    hub.script("/c8-token", token("ours"))
    wanted = challenge(f"{hub.url}/c8-token", "registry", f"repository:{repository}:pull")
    hub.script(tag.path, wanted, manifest(image.manifest.read(), OCI_MANIFEST))
    assert containerd.pull(f"{HUB}/{repository}:v1", by_way_of_the_daemon, "--user=puller:secret") == image.digests
    sent = {value for request in hub.seen.requests() for value in request.values("Authorization")}
    assert sent == {"Bearer ours"}


def of_any_kind(place: Place, repository: str) -> Answer:
    """What is a manifest and a list as well as a blob, whose digest must be right."""
    if "/blobs/" in place.path:
        return content(repository.encode())
    return manifest(b'{"schemaVersion": 2, "manifests": [], "tags": []}', OCI_INDEX)


@pytest.mark.parametrize("secret", ["Basic cHVsbGVyOnNlY3JldA==", "Bearer theirs"])
def test_c8_a_secret_sent_unasked_goes_no_further(
    daemon: Daemon, hub: FakeUpstream, secret: str, anything: Place, repository: str
) -> None:
    hub.script(anything.path, of_any_kind(anything, repository))
    for method in ("HEAD", "GET"):
        reply = ask(daemon.address, method, by_namespace(anything), ("Authorization", secret), *CONTAINERD.other)
        assert reply.status == 200
    sent = [request.values("Authorization") for request in hub.seen.requests(anything.path)]
    # A list is kept, and asked for once.
    assert sent == ([[]] if "tags" in anything.path or "referrers" in anything.path else [[], []])


@pytest.mark.parametrize(
    "refusal",
    [
        error(401, "UNAUTHORIZED", "who are you?", ("WWW-Authenticate", 'Basic realm="hub"')),
        error(401, "UNAUTHORIZED"),
        error(403, "DENIED", "not yours", ("WWW-Authenticate", 'Basic realm="hub"')),
    ],
    ids=["basic", "bare", "403"],
)
def test_c9_what_upstream_refuses_is_403_without_a_challenge(
    daemon: Daemon, hub: FakeUpstream, refusal: Answer, anything: Place
) -> None:
    hub.script(anything.path, refusal)
    for method in ("HEAD", "GET"):
        reply = ask(daemon.address, method, by_namespace(anything), *CONTAINERD.other)
        assert (reply.status, reply.headers["WWW-Authenticate"]) == (403, None)
    assert reply.code == "DENIED"


# C10: what refers to an image, and warnings.


def test_c10_referrers_are_asked_for_with_their_type(
    daemon: Daemon, hub: FakeUpstream, repository: str, document: bytes
) -> None:
    place = Place(f"/v2/{repository}/referrers/{sha256(document)}", HUB)
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()
    hub.script(place.path, Answer(headers=(("Content-Type", OCI_INDEX),), body=index))
    target = by_namespace(place, "artifactType=application%2Fvnd.example.sbom%2Bjson&")
    reply = ask(daemon.address, "GET", target, *CONTAINERD.other)
    assert (reply.status, reply.body, reply.headers["OCI-Namespace"]) == (200, index, HUB)
    (request,) = hub.seen.requests(place.path)
    assert request.query == {"artifactType": ["application/vnd.example.sbom+json"]}


def test_c10_without_referrers_the_referrers_tag_is_served(
    daemon: Daemon, hub: FakeUpstream, repository: str, document: bytes
) -> None:
    digest = sha256(document)
    fallback = manifest_place(digest.replace(":", "-"), repository, HUB)
    hub.script(fallback.path, manifest(document, OCI_INDEX))
    refused = ask(daemon.address, "GET", by_namespace(Place(f"/v2/{repository}/referrers/{digest}", HUB)))
    assert refused.status == 404
    reply = ask(daemon.address, "GET", by_namespace(fallback), *CONTAINERD.manifest)
    assert (reply.status, reply.body, reply.headers["Content-Type"]) == (200, document, OCI_INDEX)


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_c10_what_is_served_stale_warns(
    start: Start, hub: FakeUpstream, method: str, tag: Place, document: bytes
) -> None:
    hub.script(tag.path, manifest(document, OCI_MANIFEST))
    daemon = start({HUB: Upstream(hub.url)}, cache={"tag_ttl": "1ms"})
    assert ask(daemon.address, "GET", by_namespace(tag), *CONTAINERD.manifest).headers["Warning"] is None
    hub.script(tag.path, error(500, "UNKNOWN"))
    reply = ask(daemon.address, method, by_namespace(tag), *CONTAINERD.head)
    assert reply.status == 200
    assert reply.headers["Docker-Content-Digest"] == sha256(document)
    assert reply.headers["Warning"].startswith('299 crproxy "')
