"""Clients that are sent to a registry's own CDN for its blobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.raw_http import ask
from tests.parts.shapes import ranged, redirect

if TYPE_CHECKING:
    from tests.parts.containerd import Containerd
    from tests.parts.docker_engine import DockerEngine
    from tests.parts.images import Image
    from tests.parts.layouts import Layout
    from tests.parts.podman import Podman
    from tests.parts.skopeo import Skopeo

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

REGISTRY = "registry.example.org"
REPOSITORY = "team/app"


@pytest.fixture(scope="module")
def cdn() -> Iterator[FakeUpstream]:
    with FakeUpstream() as cdn:
        yield cdn


@pytest.fixture(scope="module")
def image(layout: Layout) -> Image:
    return layout.image()


@pytest.fixture(scope="module")
def upstream(image: Image, cdn: FakeUpstream) -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        upstream.publish(REPOSITORY, "v1", image)
        for blob in image.blobs:
            upstream.script(f"/v2/{REPOSITORY}/blobs/{blob.digest}", redirect(f"{cdn.url}/{blob.digest}?signature=1"))
            cdn.script(f"/{blob.digest}", ranged(blob.read()))
        yield upstream


@pytest.fixture(scope="module")
def running(workers: int, tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[Daemon]:
    config = configuration({REGISTRY: Upstream(upstream.url, redirect_blobs=True)})
    with Daemon(tmp_path_factory.mktemp("daemon"), config) as daemon:
        yield daemon


def name(daemon: Daemon) -> str:
    return f"127.0.0.1:{daemon.port}/{REGISTRY}/{REPOSITORY}:v1"


def gets(fake: FakeUpstream, image: Image) -> set[str]:
    """The blobs that were asked for there."""
    return {blob.digest for blob in image.blobs if fake.seen.requests(f"/{blob.digest}", "GET")}


@pytest.fixture(autouse=True)
def nothing_is_kept(daemon: Daemon, image: Image) -> Iterator[None]:
    yield
    assert not {blob.digest for blob in image.blobs} & set(daemon.cache.whole())


def test_skopeo_follows(daemon: Daemon, cdn: FakeUpstream, image: Image, skopeo: Skopeo) -> None:
    assert skopeo.pull(name(daemon)) == image.digests
    assert gets(cdn, image) == {blob.digest for blob in image.blobs}


def test_docker_follows(daemon: Daemon, image: Image, docker: DockerEngine) -> None:
    assert docker.pull(name(daemon)).contents == image.unpacked


def test_podman_follows(daemon: Daemon, image: Image, podman: Podman) -> None:
    assert podman.pull(name(daemon)) == image.unpacked | {image.manifest.digest}


def test_containerd_follows(daemon: Daemon, image: Image, containerd: Containerd) -> None:
    assert containerd.pull(name(daemon), "--plain-http") == image.digests


def test_what_is_said_of_it_is_right(daemon: Daemon, cdn: FakeUpstream, image: Image) -> None:
    blob = image.blobs[0]
    path = f"/v2/{REGISTRY}/{REPOSITORY}/blobs/{blob.digest}"
    reply = ask(daemon.address, "GET", path, ("Range", "bytes=1-2"))
    assert (reply.status, reply.headers["Location"]) == (307, f"{cdn.url}/{blob.digest}?signature=1")
    assert reply.headers["Cache-Control"] == "no-store"
    head = ask(daemon.address, "HEAD", path)
    assert (head.status, int(head.headers["Content-Length"])) == (200, len(blob.read()))
    assert "signature" not in daemon.log
