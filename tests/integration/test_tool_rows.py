"""crane, ko, oras, helm: what go-containerregistry and oras-go ask, and what they make of the answers; and namespaces.

The rows are those of the project's tables of how clients behave (G1, G2, O1) and of its answers (R12). What is sent
was recorded from these tools; they are not run here.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest

from tests.parts.answers import Answer, Filler, Gate, Stall
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import OCI_INDEX, OCI_MANIFEST, sha256
from tests.parts.places import REGISTRY, Place, blob, manifest_place
from tests.parts.raw_http import ask, exchange, fetch, hash_rest
from tests.parts.recordings import CRANE, DOCKER, ORAS, PODMAN, Fields, Recording
from tests.parts.shapes import content, manifest, ranged, tag_pages

if TYPE_CHECKING:
    from tests.parts.layouts import Layout

pytestmark = pytest.mark.integration

MEBIBYTE = 1 << 20
SIZE = 4 * MEBIBYTE
DOWN = "down.example.org"
OTHER = "other.example.org:5000"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def other() -> Iterator[FakeUpstream]:
    """A second registry."""
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, fake: FakeUpstream, other: FakeUpstream) -> Iterator[Daemon]:
    upstreams = {
        REGISTRY: Upstream(fake.url),
        "docker.io": Upstream(fake.url),
        OTHER: Upstream(other.url),
        DOWN: Upstream("http://127.0.0.1:9"),
    }
    with Daemon(tmp_path_factory.mktemp("daemon"), configuration(upstreams)) as daemon:
        yield daemon


@pytest.fixture
def repository() -> str:
    """A repository that the daemon has never heard of."""
    return f"team/app-{next(_numbers)}"


@pytest.fixture
def document(repository: str) -> bytes:
    """A manifest that it has never heard of."""
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [], "of": repository}).encode()


@pytest.fixture
def body() -> Filler:
    """And a layer."""
    return Filler(SIZE, seed=next(_numbers))


@pytest.fixture
def layer(repository: str, body: Filler) -> Place:
    return blob(body, repository)


@contextmanager
def cold(daemon: Daemon, fake: FakeUpstream, body: Filler, place: Place) -> Iterator[Callable[[], None]]:
    fake.script(place.path, content(body))
    yield lambda: None


@contextmanager
def filling(daemon: Daemon, fake: FakeUpstream, body: Filler, place: Place) -> Iterator[Callable[[], None]]:
    """Somebody else is getting it, and upstream stands still until told to go on."""
    with Gate() as gate:
        fake.script(place.path, ranged(body, Stall(gate, at=MEBIBYTE)))
        with exchange(daemon.address, "GET", place.through) as somebody:
            begun = somebody.read(MEBIBYTE)
            yield gate.open
            gate.open()
            assert hash_rest(somebody, begun) == (SIZE, body.digest)


@contextmanager
def warm(daemon: Daemon, fake: FakeUpstream, body: Filler, place: Place) -> Iterator[Callable[[], None]]:
    fake.script(place.path, content(body))
    fetch(daemon.address, place.through)
    daemon.cache.wait_until_whole(body.digest)
    yield lambda: None


@pytest.fixture(params=[cold, filling, warm], ids=lambda state: state.__name__)
def go_on(
    request: pytest.FixtureRequest, daemon: Daemon, fake: FakeUpstream, body: Filler, layer: Place
) -> Iterator[Callable[[], None]]:
    """Puts the layer in each state; called, it lets upstream go on."""
    with request.param(daemon, fake, body, layer) as release:
        yield release


# G1: HEAD tells type, length and digest; a blob is as long as its descriptor says.


@pytest.mark.parametrize("client", [CRANE, ORAS], ids=["crane", "oras"])
def test_g1_head_of_a_manifest_is_a_descriptor(
    daemon: Daemon, fake: FakeUpstream, client: Recording, repository: str, document: bytes
) -> None:
    for reference in ("v1", sha256(document)):
        place = manifest_place(reference, repository)
        fake.script(place.path, manifest(document, OCI_INDEX))
        for warm_by_now in (False, True):
            if warm_by_now:
                assert ask(daemon.address, "GET", place.through, *client.manifest).body == document
            reply = ask(daemon.address, "HEAD", place.through, *client.head)
            assert (reply.status, reply.headers["Content-Type"]) == (200, OCI_INDEX)
            assert reply.headers["Content-Length"] == str(len(document))
            assert reply.headers["Docker-Content-Digest"] == sha256(document)


@pytest.mark.usefixtures("go_on")
def test_g1_head_of_a_blob_has_its_length(daemon: Daemon, body: Filler, layer: Place) -> None:
    reply = ask(daemon.address, "HEAD", layer.through, ("User-Agent", "crane/v0.20.6 go-containerregistry/v0.20.6"))
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/octet-stream")
    assert reply.headers["Content-Length"] == str(body.size)
    assert reply.headers["Docker-Content-Digest"] == body.digest


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_g1_an_images_blobs_are_as_long_as_their_descriptors(
    daemon: Daemon, fake: FakeUpstream, layout: Layout, method: str, repository: str
) -> None:
    fake.publish(repository, "v1", layout.image())
    tag = ask(daemon.address, "GET", manifest_place("v1", repository).through, *CRANE.manifest)
    found = tag.json()
    for descriptor in (found["config"], *found["layers"]):
        place = Place(f"/v2/{repository}/blobs/{descriptor['digest']}")
        reply = ask(daemon.address, method, place.through, *CRANE.other)
        assert (reply.status, reply.headers["Content-Length"]) == (200, str(descriptor["size"]))
        assert reply.headers["Docker-Content-Digest"] == descriptor["digest"]


# G2: a page's Link leads to the same scheme and host; by namespace, to the same namespace.


@pytest.mark.parametrize(
    ("first", "fields"),
    [("?n=1000", CRANE.other), ("", ORAS.other), ("", PODMAN.other), ("?n=3&last=1.01.0", DOCKER.other)],
    ids=["crane", "oras, helm", "podman", "from there"],
)
@pytest.mark.parametrize("namespace", [False, True], ids=["prefix", "ns"])
@pytest.mark.parametrize("absolute", [False, True], ids=["relative", "absolute"])
def test_g2_the_pages_of_tags_are_followed_to_the_end(
    daemon: Daemon, fake: FakeUpstream, absolute: bool, namespace: bool, first: str, fields: Fields, repository: str
) -> None:
    tags = [f"1.{number:02}.0" for number in range(12)]
    place = Place(f"/v2/{repository}/tags/list")
    fake.script(place.path, tag_pages(repository, tags, limit=5, base=fake.url if absolute else ""))
    query = f"{first}{'&' if first else '?'}ns={REGISTRY}" if namespace else first
    url = f"{daemon.url}{place.path if namespace else place.through}{query}"
    assert list(every_page(daemon, url, fields)) == [tag for tag in tags if "last" not in first or tag > "1.01.0"]
    assert all("ns" not in request.query for request in fake.seen.requests(place.path))


def every_page(daemon: Daemon, url: str, fields: Fields) -> Iterator[str]:
    """Follow Link as go-containerregistry does, which takes no other scheme or host."""
    start = urlsplit(url)
    while url:
        here = urlsplit(url)
        assert (here.scheme, here.netloc, here.path) == (start.scheme, start.netloc, start.path)
        assert parse_qs(here.query).get("ns") == parse_qs(start.query).get("ns")
        page = ask(daemon.address, "GET", f"{here.path}?{here.query}", *fields)
        assert page.status == 200
        assert page.headers["OCI-Namespace"] == parse_qs(start.query).get("ns", [None])[0]
        yield from page.json()["tags"]
        link = page.headers["Link"]
        assert link is None or (link.startswith("</v2/") and link.endswith('>; rel="next"'))
        url = "" if link is None else urljoin(url, link[1 : link.index(">")])


# O1: oras resumes what says that it can be resumed.


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_o1_a_blob_says_that_it_has_ranges(
    daemon: Daemon, go_on: Callable[[], None], method: str, body: Filler, layer: Place
) -> None:
    with exchange(daemon.address, method, layer.through, *ORAS.other) as response:
        assert (response.status, response.headers["Accept-Ranges"]) == (200, "bytes")
        go_on()
        if method == "GET":
            assert hash_rest(response) == (SIZE, body.digest)


def test_o1_oras_resumes(daemon: Daemon, go_on: Callable[[], None], body: Filler, layer: Place) -> None:
    """As oras-go's httputil/seek.go asks: it wants 206, and that many bytes as are left."""
    part = ("Range", f"bytes={MEBIBYTE}-{SIZE - 1}")
    with exchange(daemon.address, "GET", layer.through, part, *ORAS.other) as response:
        go_on()
        assert (response.status, response.headers["Content-Length"]) == (206, str(SIZE - MEBIBYTE))
        assert hash_rest(response) == (SIZE - MEBIBYTE, body.part(MEBIBYTE, SIZE).digest)


def test_o1_helm_finds_a_charts_versions(daemon: Daemon, fake: FakeUpstream, repository: str) -> None:
    """Helm (by oras-go) lists the tags, picks one that is in the range, and pulls that."""
    chart = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [], "chart": repository}).encode()
    place = Place(f"/v2/{repository}/tags/list")
    fake.script(place.path, tag_pages(repository, ["1.0.0", "1.2.0_build", "2.0.0"]))
    fake.script(manifest_place("1.2.0_build", repository).path, manifest(chart, OCI_MANIFEST))
    assert ask(daemon.address, "GET", place.through, *ORAS.other).json()["tags"] == ["1.0.0", "1.2.0_build", "2.0.0"]
    assert ask(daemon.address, "GET", manifest_place("1.2.0_build", repository).through, *ORAS.manifest).body == chart


# R12: ns says which registry.


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("kind", ["manifests/v1", "manifests", "blobs", "tags/list", "referrers"])
def test_r12_the_namespace_says_which_registry(
    daemon: Daemon, fake: FakeUpstream, other: FakeUpstream, kind: str, method: str, repository: str
) -> None:
    body = json.dumps({"schemaVersion": 2, "manifests": [], "tags": [], "of": repository}).encode()
    path = f"/v2/{repository}/{kind if '/' in kind else f'{kind}/{sha256(body)}'}"
    other.script(path, manifest(body, OCI_MANIFEST) if kind.startswith("manifests") else content(body))
    reply = ask(daemon.address, method, f"{path}?ns={OTHER}")
    assert (reply.status, reply.headers["OCI-Namespace"]) == (200, OTHER)
    assert reply.body == (body if method == "GET" else b"")
    assert len(other.seen.requests(path)) == 1
    assert all(request.query == {} for request in other.seen.requests(path))
    assert fake.seen.requests(path) == []


def test_r12_without_a_namespace_there_is_none_in_the_answer(
    daemon: Daemon, fake: FakeUpstream, repository: str, document: bytes
) -> None:
    place = manifest_place("v1", repository)
    fake.script(place.path, manifest(document, OCI_MANIFEST))
    reply = ask(daemon.address, "GET", place.through)
    assert (reply.status, reply.headers["OCI-Namespace"]) == (200, None)


@pytest.mark.parametrize(("registry", "status"), [(REGISTRY, 404), (DOWN, 503)])
def test_r12_an_error_says_of_which_registry_it_is(daemon: Daemon, registry: str, status: int, repository: str) -> None:
    reply = ask(daemon.address, "GET", f"/v2/{repository}/manifests/v1?ns={registry}")
    assert (reply.status, reply.headers["OCI-Namespace"]) == (status, registry)
    assert registry in reply.message


def test_r12_the_namespace_wins_over_the_default_registry_and_over_a_prefix(
    daemon: Daemon, fake: FakeUpstream, other: FakeUpstream, document: bytes, repository: str
) -> None:
    """A first part that names another registry is a part of the repository's name, as it is for that registry."""
    for path in (f"/v2/{repository}/manifests/v1", f"/v2/{REGISTRY}/{repository}/manifests/v1"):
        other.script(path, Answer(headers=(("Content-Type", OCI_MANIFEST),), body=document))
        assert ask(daemon.address, "GET", f"{path}?ns={OTHER}").body == document
    assert fake.seen.requests(repository) == []


@pytest.mark.parametrize("ns", ["", "no_such_host!", "a/b", "..", "docker.io%0d%0aX-More:1", "docker.io:port"])
def test_r12_what_is_no_registry_is_400(daemon: Daemon, fake: FakeUpstream, ns: str, repository: str) -> None:
    reply = ask(daemon.address, "GET", f"/v2/{repository}/manifests/v1?ns={ns}")
    assert (reply.status, reply.code) == (400, "NAME_INVALID")
    assert (reply.headers["OCI-Namespace"], reply.headers["X-More"]) == (None, None)
    assert fake.seen.requests(repository) == []
