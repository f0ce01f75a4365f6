"""Clients that are sent to the object store for blobs (``[storage] redirect``): real clients, a real S3 server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.integration.test_fleet import is_in
from tests.integration.test_permissions import ANYBODY, LISTEN, PRIVILEGED
from tests.integration.test_private_content import DOCUMENT, LAYER, SECRET, guarded
from tests.parts.daemon import Daemon, Upstream
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.fleets import Fleet
from tests.parts.images import OCI_MANIFEST, sha256
from tests.parts.places import REGISTRY, blob, manifest_place
from tests.parts.raw_http import Reply, ask
from tests.parts.s3 import S3Server
from tests.parts.shapes import content, manifest, ranged
from tests.parts.waiting import until

if TYPE_CHECKING:
    from tests.parts.containerd import Containerd
    from tests.parts.docker_engine import DockerEngine
    from tests.parts.images import Image
    from tests.parts.layouts import Layout
    from tests.parts.podman import Podman
    from tests.parts.skopeo import Skopeo

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

REPOSITORY = "team/app"
REDIRECT = "redirect = true\n"
TTL_SECONDS = 2
TAG = manifest_place("v1", "private/app")


@pytest.fixture(scope="module")
def s3(workers: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The store: with another number of workers, another one, which has nothing of what the tests have put there."""
    with S3Server(tmp_path_factory.mktemp("s3")) as s3:
        yield s3


@pytest.fixture(scope="module")
def image(layout: Layout) -> Image:
    return layout.image()


@pytest.fixture(scope="module")
def upstream(image: Image) -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        upstream.publish(REPOSITORY, "v1", image)
        yield upstream


@pytest.fixture(scope="module")
def running(
    workers: int,
    tmp_path_factory: pytest.TempPathFactory,
    upstream: FakeUpstream,
    image: Image,
    s3: S3Server,
    skopeo: Skopeo,
) -> Iterator[Daemon]:
    """A node with an empty disk; another one has brought the image into the store."""
    directory = tmp_path_factory.mktemp("fleet")
    with Fleet(directory, {REGISTRY: Upstream(upstream.url)}, s3=s3, more=REDIRECT) as fleet:
        first = fleet.start()
        assert skopeo.pull(name(first)) == image.digests
        until(lambda: all(is_in(s3, digest) for digest in image.digests))
        yield fleet.start()


def name(daemon: Daemon) -> str:
    return f"127.0.0.1:{daemon.port}/{REGISTRY}/{REPOSITORY}:v1"


def follow(s3: S3Server, reply: Reply, *fields: tuple[str, str], method: str = "GET") -> Reply:
    """Ask the store by the URL that a reply has, as clients do."""
    url = urlsplit(reply.headers["Location"])
    assert (reply.status, url.port) == (307, s3.port)
    return ask(("127.0.0.1", s3.port), method, f"{url.path}?{url.query}", *fields)


@pytest.fixture
def from_the_store(daemon: Daemon, image: Image) -> Iterator[None]:
    """Fail if any blob has come through the node."""
    yield
    assert not {blob.digest for blob in image.blobs} & set(daemon.cache.whole())
    assert all(f'/blobs/{blob.digest} HTTP/1.1" 307 ' in daemon.log for blob in image.blobs)
    assert "X-Amz-Signature" not in daemon.log


@pytest.mark.usefixtures("from_the_store")
def test_skopeo_follows(daemon: Daemon, image: Image, skopeo: Skopeo) -> None:
    assert skopeo.pull(name(daemon)) == image.digests


@pytest.mark.usefixtures("from_the_store")
def test_docker_follows(daemon: Daemon, image: Image, docker: DockerEngine) -> None:
    assert docker.pull(name(daemon)).contents == image.unpacked


@pytest.mark.usefixtures("from_the_store")
def test_podman_follows(daemon: Daemon, image: Image, podman: Podman) -> None:
    assert podman.pull(name(daemon)) == image.unpacked | {image.manifest.digest}


@pytest.mark.usefixtures("from_the_store")
def test_containerd_follows(daemon: Daemon, image: Image, containerd: Containerd) -> None:
    assert containerd.pull(name(daemon), "--plain-http") == image.digests


def test_the_url_gives_the_whole_and_parts_of_it(daemon: Daemon, image: Image, s3: S3Server) -> None:
    layer = max(image.blobs, key=lambda each: len(each.read()))
    path = f"/v2/{REGISTRY}/{REPOSITORY}/blobs/{layer.digest}"
    reply = ask(daemon.address, "GET", path)
    assert (reply.headers["Cache-Control"], reply.headers["Docker-Content-Digest"]) == ("no-store", layer.digest)
    assert follow(s3, reply).body == layer.read()
    part = ("Range", "bytes=3-9")
    found = follow(s3, ask(daemon.address, "GET", path, part), part)
    assert (found.status, found.body) == (206, layer.read()[3:10])
    assert found.headers["Content-Range"] == f"bytes 3-9/{len(layer.read())}"


def test_head_says_all_of_it_here(daemon: Daemon, image: Image) -> None:
    for each in image.blobs:
        head = ask(daemon.address, "HEAD", f"/v2/{REGISTRY}/{REPOSITORY}/blobs/{each.digest}")
        assert (head.status, int(head.headers["Content-Length"])) == (200, len(each.read()))
        assert head.headers["Docker-Content-Digest"] == each.digest
        assert "X-Amz-Signature" not in str(head.headers)


def test_manifests_are_served_here(daemon: Daemon, image: Image) -> None:
    reply = ask(daemon.address, "GET", f"/v2/{REGISTRY}/{REPOSITORY}/manifests/{image.manifest.digest}")
    assert (reply.status, reply.body) == (200, image.manifest.read())


# Nodes of a test's own


@pytest.fixture
def fleet(workers: int, tmp_path: Path, fake: FakeUpstream, s3: S3Server) -> Iterator[Fleet]:
    more = f'{REDIRECT}redirect_ttl = "{TTL_SECONDS}s"\n[access]\ndeny = ["{REGISTRY}/secret/app"]\n{LISTEN}'
    upstream = Upstream(fake.url, "puller", "password")
    with Fleet(tmp_path, {REGISTRY: upstream}, s3=s3, more=more) as fleet:
        yield fleet


def test_what_the_store_does_not_have_comes_from_here(fleet: Fleet, fake: FakeUpstream, s3: S3Server) -> None:
    body = b"on its way\n" * 1000
    place = blob(body)
    fake.script(place.path, ranged(body))
    node = fleet.start()
    with s3.frozen():
        for _ in range(2):
            reply = ask(node.address, "GET", place.through)
            assert (reply.status, reply.body) == (200, body)
    until(lambda: is_in(s3, sha256(body)), 90)
    until(lambda: ask(node.address, "GET", place.through).status == 307)


def test_a_url_that_has_expired_is_refused_and_another_is_to_be_had(
    fleet: Fleet, fake: FakeUpstream, s3: S3Server
) -> None:
    body = b"for a short while\n" * 1000
    place = blob(body)
    fake.script(place.path, ranged(body))
    node = fleet.start()
    assert ask(node.address, "GET", place.through).body == body
    until(lambda: ask(node.address, "GET", place.through).status == 307)
    reply = ask(node.address, "GET", place.through)
    assert follow(s3, reply).body == body
    until(lambda: follow(s3, reply).status == 403)
    assert body not in follow(s3, reply).body
    assert follow(s3, ask(node.address, "GET", place.through)).body == body


def test_a_url_is_good_for_one_thing(fleet: Fleet, fake: FakeUpstream, s3: S3Server) -> None:
    bodies = [b"one\n" * 1000, b"another\n" * 1000]
    for body in bodies:
        fake.script(blob(body).path, ranged(body))
    node = fleet.start()
    for body in bodies:
        assert ask(node.address, "GET", blob(body).through).body == body
    until(lambda: ask(node.address, "GET", blob(bodies[1]).through).status == 307)
    until(lambda: ask(node.address, "GET", blob(bodies[0]).through).status == 307)
    reply = ask(node.address, "GET", blob(bodies[0]).through)
    for method in ("PUT", "DELETE"):
        assert follow(s3, reply, ("Content-Length", "0"), method=method).status == 403
    of_other = reply.headers["Location"].replace(
        sha256(bodies[0]).removeprefix("sha256:"), sha256(bodies[1]).removeprefix("sha256:")
    )
    url = urlsplit(of_other)
    assert ask(("127.0.0.1", s3.port), "GET", f"{url.path}?{url.query}").status == 403


def test_who_may_not_have_it_gets_no_url(fleet: Fleet, fake: FakeUpstream, s3: S3Server) -> None:
    fake.script(TAG.path, guarded(manifest(DOCUMENT, OCI_MANIFEST)))
    fake.script(LAYER.path, guarded(content(SECRET)))
    node = fleet.start()
    assert ask(node.address, "GET", TAG.through).body == DOCUMENT
    assert ask(node.address, "GET", LAYER.through).body == SECRET
    until(lambda: ask(node.address, "GET", LAYER.through).status == 307)
    second = fleet.start()
    assert ask(second.address, "GET", LAYER.through).status == 307
    for each in (node, second):
        # Another repository's name opens nothing.
        other = blob(SECRET, "public/app")
        for method in ("GET", "HEAD"):
            reply = ask(each.address, method, other.through)
            assert (reply.status, reply.headers["Location"], SECRET in reply.body) == (404, None, False)


def test_who_is_denied_it_gets_no_url(fleet: Fleet, fake: FakeUpstream, s3: S3Server) -> None:
    body = b"for some clients\n" * 1000
    place = blob(body, "secret/app")
    fake.script(place.path, ranged(body))
    nodes = [fleet.start(), fleet.start()]
    assert ask(nodes[0].address, "GET", place.through, PRIVILEGED).body == body
    for node in nodes:
        until(lambda node=node: ask(node.address, "GET", place.through, PRIVILEGED).status == 307)  # type: ignore[misc]
        reply = ask(node.address, "GET", place.through, ANYBODY)
        assert (reply.status, reply.headers["Location"], body in reply.body) == (403, None, False)
