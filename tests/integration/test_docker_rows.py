"""Docker Engine's graphdriver store: what it asks, in the order it asks, and what it makes of the answers.

The rows are those of the project's table of how clients behave (D1 to D5; D3 as a mirror
and D6 are in test_docker_mirror.py).
"""

from __future__ import annotations

import itertools
import json
import re
from contextlib import ExitStack
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Answer, Filler, Gate, Request, Script, Stall
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.docker_engine import DockerEngine
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Index, sha256
from tests.parts.layouts import random_tar
from tests.parts.places import REGISTRY, Place, blob, manifest_place
from tests.parts.raw_http import Reply, ask, asking, exchange
from tests.parts.recordings import DOCKER, Fields
from tests.parts.shapes import challenge, content, error, manifest, ranged, redirect, token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.daemon import Start
    from tests.parts.layouts import Layout

pytestmark = pytest.mark.integration

BODY = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []}, indent=4).encode()
DOWN = "down.example.org"
_numbers = itertools.count(1)
# What Docker does not try again (D5); after anything else it does, five times in all.
FINAL = {
    "UNAUTHORIZED",
    "UNSUPPORTED",
    "DENIED",
    "TOOMANYREQUESTS",
    "NAME_UNKNOWN",
    "BLOB_UNKNOWN",
    "MANIFEST_UNKNOWN",
}


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, fake: FakeUpstream) -> Iterator[Daemon]:
    upstreams = {name: Upstream(fake.url) for name in (REGISTRY, "docker.io")}
    config = configuration(upstreams | {DOWN: Upstream("http://127.0.0.1:9")}, timeouts={"headers": "2s"})
    with Daemon(tmp_path_factory.mktemp("daemon"), config) as daemon:
        yield daemon


@pytest.fixture
def repository() -> str:
    """A repository that the daemon has never heard of."""
    return f"team/app-{next(_numbers)}"


@pytest.fixture
def tag(repository: str) -> Place:
    return manifest_place("v1", repository)


@pytest.fixture
def body(repository: str) -> bytes:
    """A layer that the daemon has never heard of."""
    return f"a layer of {repository}\n".encode() * 10_000


@pytest.fixture
def layer(repository: str, body: bytes) -> Place:
    return blob(body, repository)


@pytest.fixture
def images(layout: Layout) -> Index:
    """An index of one image with three layers; Docker remembers manifests for a while, so each test has its own."""
    image = layout.image(*(layout.add(random_tar(Random(next(_numbers)), 50_000), OCI_LAYER) for _ in range(3)))
    here = {**image.manifest.descriptor(), "platform": {"architecture": "amd64", "os": "linux"}}
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [here]}
    return Index(layout.add(json.dumps(document).encode(), OCI_INDEX), (image,))


def asked(fake: FakeUpstream, path: str = "/v2/") -> list[tuple[str, str]]:
    return [(request.method, request.path) for request in fake.seen.requests(path)]


def for_whom_it_knows(answer: Answer, asking_for_it: Answer) -> Script:
    """Give ``answer`` to who brings the token, and challenge others."""

    def choose(request: Request) -> Answer:
        return answer if request.values("Authorization") == ["Bearer good"] else asking_for_it

    return choose


# D1: challenges are learnt from /v2/ alone, so there are none, there or later.


def test_d1_the_ping_is_200_though_upstream_challenges(
    daemon: Daemon, fake: FakeUpstream, repository: str, tag: Place
) -> None:
    wanted = challenge(f"{fake.url}/d1-token", "registry", f"repository:{repository}:pull")
    fake.script("/d1-token", token("good"))
    fake.script("/v2/", wanted)
    fake.script(tag.path, for_whom_it_knows(manifest(BODY, OCI_MANIFEST), wanted))
    before = len(fake.seen.requests())
    pong = ask(daemon.address, "GET", "/v2/", *DOCKER.other)
    assert (pong.status, pong.body, pong.headers["WWW-Authenticate"]) == (200, b"{}", None)
    assert len(fake.seen.requests()) == before
    reply = ask(daemon.address, "HEAD", tag.through, *DOCKER.head)
    assert (reply.status, reply.headers["WWW-Authenticate"]) == (200, None)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("what", ["manifests/v1", "blobs/sha256:" + 64 * "0", "tags/list"])
def test_d1_no_401_comes_after_that_200(
    daemon: Daemon, fake: FakeUpstream, repository: str, what: str, method: str
) -> None:
    place = Place(f"/v2/{repository}/{what}")
    fake.script("/d1-no-token", error(401, "UNAUTHORIZED"))
    fake.script(place.path, challenge(f"{fake.url}/d1-no-token", "registry", f"repository:{repository}:pull"))
    reply = ask(daemon.address, method, place.through, *DOCKER.other)
    assert (reply.status, reply.headers["WWW-Authenticate"]) == (403, None)


def test_d1_docker_pulls_without_credentials_what_takes_a_token(
    daemon: Daemon, fake: FakeUpstream, docker: DockerEngine, images: Index, repository: str, tag: Place
) -> None:
    fake.publish(repository, "v1", images)
    wanted = challenge(f"{fake.url}/d1-docker", "registry", f"repository:{repository}:pull")
    fake.script("/d1-docker", token("good"))
    fake.script(tag.path, for_whom_it_knows(manifest(images.manifest.read(), OCI_INDEX), wanted))
    pulled = docker.pull(f"127.0.0.1:{daemon.port}/{REGISTRY}/{repository}:v1")
    assert pulled.contents == images.images[0].unpacked
    assert len(fake.seen.requests("/d1-docker")) == 1


# D2: HEAD of the tag, then everything by digest, three layers at a time, each on a connection of its own.


def test_d2_docker_asks_as_recorded(docker: DockerEngine, images: Index) -> None:
    """Without the daemon: what the tests below send is what Docker sends."""
    (image,) = images.images
    with FakeUpstream() as alone:
        alone.publish("team/app", "v1", images)
        docker.pull(f"{alone.authority}/team/app:v1")
        requests = alone.seen.requests("/v2/")
    assert [(request.method, request.path) for request in requests[:4]] == [
        ("GET", "/v2/"),
        ("HEAD", "/v2/team/app/manifests/v1"),
        ("GET", f"/v2/team/app/manifests/{images.manifest.digest}"),
        ("GET", f"/v2/team/app/manifests/{image.manifest.digest}"),
    ]
    assert {request.path for request in requests[4:]} == {f"/v2/team/app/blobs/{one.digest}" for one in image.blobs}
    for request in requests:
        recorded = DOCKER.manifest if "manifests" in request.path else DOCKER.other
        assert sorted(request.values("Accept")) == sorted(value for name, value in recorded if name == "Accept")
        assert request.values("Connection") == ["close"]


def test_d2_the_recorded_pull_asks_upstream_for_each_thing_once(
    daemon: Daemon, fake: FakeUpstream, gate: Gate, images: Index, repository: str, tag: Place
) -> None:
    (image,) = images.images
    fake.publish(repository, "v1", images)
    layers = [Place(f"/v2/{repository}/blobs/{one.digest}") for one in image.layers]
    for one, place in zip(image.layers, layers, strict=True):
        fake.script(place.path, content(one.read(), fault=Stall(gate, at=1000)))

    header = ask(daemon.address, "HEAD", tag.through, *DOCKER.head)
    digest = header.headers["Docker-Content-Digest"]
    assert (header.status, digest) == (200, images.manifest.digest)
    for reference, expected in ((digest, images.manifest), (image.manifest.digest, image.manifest)):
        got = ask(daemon.address, "GET", manifest_place(reference, repository).through, *DOCKER.manifest)
        assert (got.status, got.body, got.headers["Content-Type"]) == (200, expected.read(), expected.media_type)
    config = blob(image.config.read(), repository)
    assert ask(daemon.address, "GET", config.through, *DOCKER.other).body == image.config.read()
    with ExitStack() as others:
        begun = [others.enter_context(exchange(daemon.address, "GET", it.through, *DOCKER.other)) for it in layers]
        first = [response.read(1000) for response in begun]
        gate.open()
        rest = [response.read() for response in begun]
    assert [one + other for one, other in zip(first, rest, strict=True)] == [one.read() for one in image.layers]

    by_digest = [manifest_place(one, repository) for one in (digest, image.manifest.digest)]
    assert asked(fake, f"/{repository}/")[0] == ("HEAD", tag.path)
    assert sorted(asked(fake, f"/{repository}/")[1:]) == sorted(
        ("GET", place.path) for place in (*by_digest, config, *layers)
    )


@pytest.mark.parametrize("kind", ["header", "manifest", "blob", "error"])
def test_d2_a_connection_is_closed_after_its_one_answer(
    daemon: Daemon, fake: FakeUpstream, kind: str, tag: Place, layer: Place, body: bytes
) -> None:
    fake.script(tag.path, manifest(BODY, OCI_MANIFEST))
    fake.script(layer.path, content(body))
    method, place, fields, end = {
        "header": ("HEAD", tag, DOCKER.head, b"\r\n\r\n"),
        "manifest": ("GET", tag, DOCKER.manifest, BODY),
        "blob": ("GET", layer, DOCKER.other, body),
        "error": ("GET", manifest_place("none", "team/none"), DOCKER.manifest, b'"detail": null}]}\n'),
    }[kind]
    with asking(daemon.address, method, place.through, *fields) as connection, connection.makefile("rb") as raw:
        assert raw.read().endswith(end)


@pytest.mark.parametrize("cache", [{}, {"tag_ttl": "1ms"}], ids=["fresh", "stale"])
def test_d2_get_does_where_upstream_knows_no_head(
    start: Start, fake: FakeUpstream, tag: Place, cache: dict[str, str]
) -> None:
    """What upstream does not know is asked by GET, so that Docker need not; also when the tag has been here a while."""
    fake.script(tag.path, manifest(BODY, OCI_MANIFEST))
    fake.script(tag.path, error(405, "UNSUPPORTED"), method="HEAD")
    daemon = start({REGISTRY: Upstream(fake.url)}, cache=cache)
    assert ask(daemon.address, "HEAD", tag.through, *DOCKER.head).status == 200
    for _ in range(2):
        reply = ask(daemon.address, "GET", tag.through, *DOCKER.manifest)
        assert (reply.status, reply.body) == (200, BODY)


@pytest.mark.parametrize("kind", ["manifest", "blob"])
def test_d2_get_does_where_upstream_knows_no_head_of_what_came_from_elsewhere(
    daemon: Daemon, fake: FakeUpstream, repository: str, kind: str
) -> None:
    """To another repository, what is here is served after a HEAD; where that says nothing, GET must."""
    document = json.dumps({"schemaVersion": 2, "layers": [], "of": repository}).encode()
    for name in (f"{repository}/one", f"{repository}/two"):
        place = manifest_place(sha256(document), name) if kind == "manifest" else blob(document, name)
        fake.script(place.path, manifest(document, OCI_MANIFEST))
        fake.script(place.path, error(405, "UNSUPPORTED"), method="HEAD")
        reply = ask(daemon.address, "GET", place.through, *DOCKER.manifest)
        assert (reply.status, reply.body) == (200, document)


# D3: library/ is there already where the daemon is a mirror, and not where it is a prefix.


def test_d3_docker_asks_by_prefix_without_library(
    daemon: Daemon, fake: FakeUpstream, docker: DockerEngine, images: Index
) -> None:
    fake.publish("library/d3", "v1", images)
    assert docker.pull(f"127.0.0.1:{daemon.port}/docker.io/d3:v1").contents == images.images[0].unpacked
    daemon.wait_for_log("HEAD /v2/docker.io/d3/manifests/v1 HTTP")
    assert {request.path.rpartition("/d3/")[0] for request in fake.seen.requests("/d3/")} == {"/v2/library"}


# D4: a resumed layer.


@pytest.mark.parametrize("state", ["cold", "warm"])
@pytest.mark.parametrize("reached", [1, 1_000_000, (3 << 20) - 1])
def test_d4_docker_takes_the_answer_to_its_resume(
    daemon: Daemon, fake: FakeUpstream, state: str, reached: int, repository: str
) -> None:
    """As its transport/http_reader.go looks at it: 206, and a Content-Range from N to the end, of the known size."""
    body = Filler(3 << 20, seed=next(_numbers))
    place = blob(body, repository)
    fake.script(place.path, ranged(body))
    if state == "warm":
        ask(daemon.address, "GET", place.through, *DOCKER.other)
        daemon.cache.wait_until_whole(body.digest)
    reply = ask(daemon.address, "GET", place.through, ("Range", f"bytes={reached}-"), *DOCKER.other)
    assert reply.status == 206
    matched = re.fullmatch(r"bytes ([0-9]+)-([0-9]+)/([0-9]+|\*)", reply.headers["Content-Range"])
    assert matched is not None
    assert (int(matched[1]), int(matched[2]), matched[3]) == (reached, body.size - 1, str(body.size))
    assert reply.body == b"".join(body.part(reached, body.size).pieces())


# D5: what passes is a 5xx.


def is_tried_again(reply: Reply) -> bool:
    assert 500 <= reply.status < 600, reply
    return reply.code not in FINAL


@pytest.mark.parametrize(
    "trouble",
    [
        error(500, "UNKNOWN"),
        error(500, "DENIED"),
        error(502, "NAME_UNKNOWN"),
        Answer(503, body=b"<html>"),
        error(504, "UNAUTHORIZED"),
        Answer(408),
        Answer(302),
    ],
    ids=["500", "500-denied", "502-unknown", "503-html", "504-unauthorized", "408", "nowhere"],
)
@pytest.mark.parametrize("part", [(), (("Range", "bytes=1000-"),)], ids=["whole", "resumed"])
def test_d5_a_passing_failure_of_a_blob_is_5xx(
    daemon: Daemon, fake: FakeUpstream, trouble: Answer, part: Fields, layer: Place, body: bytes
) -> None:
    fake.script(layer.path, trouble)
    assert is_tried_again(ask(daemon.address, "GET", layer.through, *part, *DOCKER.other))
    fake.script(layer.path, content(body))
    assert ask(daemon.address, "GET", layer.through, *DOCKER.other).body == body


def test_d5_a_blob_that_upstream_does_not_begin_is_5xx(
    daemon: Daemon, fake: FakeUpstream, gate: Gate, layer: Place
) -> None:
    fake.script(layer.path, Answer(fault=Stall(gate)))
    assert is_tried_again(ask(daemon.address, "GET", layer.through, *DOCKER.other))


def test_d5_a_blob_of_an_upstream_that_is_down_is_5xx(daemon: Daemon, body: bytes) -> None:
    assert is_tried_again(ask(daemon.address, "GET", blob(body, registry=DOWN).through, *DOCKER.other))


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
@pytest.mark.parametrize("where", ["token", "content"])
def test_d5_a_failure_behind_the_registry_is_5xx(
    daemon: Daemon, fake: FakeUpstream, where: str, status: int, repository: str, layer: Place
) -> None:
    """Its token service, or the store that it redirects to."""
    other = f"{fake.url}/d5-{where}-{status}"
    first = challenge(other, "registry", f"repository:{repository}:pull") if where == "token" else redirect(other)
    fake.script(layer.path, first)
    fake.script(f"/d5-{where}-{status}", Answer(status))
    assert is_tried_again(ask(daemon.address, "GET", layer.through, *DOCKER.other))
    assert fake.seen.requests(f"/d5-{where}-{status}")


def test_d5_docker_tries_again_and_gets_it(
    daemon: Daemon, fake: FakeUpstream, docker: DockerEngine, layout: Layout, repository: str
) -> None:
    image = layout.image()
    layer = Place(f"/v2/{repository}/blobs/{image.layers[0].digest}")
    fake.publish(repository, "v1", image)
    fake.script(layer.path, error(500, "UNKNOWN"), content(image.layers[0].read()))
    pulled = docker.pull(f"127.0.0.1:{daemon.port}/{REGISTRY}/{repository}:v1")
    assert pulled.contents == image.unpacked
    assert asked(fake, layer.path) == [("GET", layer.path)] * 2
