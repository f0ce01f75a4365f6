"""Real clients pull an image through the daemon, and pull it again, from empty stores, while the registry is down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.images import Image, Index
from tests.parts.places import REGISTRY, blob, manifest_place
from tests.parts.raw_http import ask
from tests.parts.registry import DockerRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.containerd import Containerd
    from tests.parts.docker_engine import DockerEngine
    from tests.parts.layouts import Layout
    from tests.parts.podman import Podman
    from tests.parts.skopeo import Skopeo

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]


@dataclass(frozen=True, slots=True)
class Gone:
    """An image that was pulled by tag once, from a registry that has been stopped since."""

    daemon: Daemon
    image: Index

    @property
    def here(self) -> Image:
        return self.image.images[0]

    def named(self, by: str) -> str:
        reference = {"tag": ":v1", "digest": f"@{self.image.manifest.digest}"}[by]
        return f"127.0.0.1:{self.daemon.port}/{REGISTRY}/team/app{reference}"


@pytest.fixture(scope="module")
def gone(workers: int, tmp_path_factory: pytest.TempPathFactory, layout: Layout, skopeo: Skopeo) -> Iterator[Gone]:
    image = layout.index("amd64", "arm64")
    with DockerRegistry(tmp_path_factory.mktemp("registry")) as registry:
        skopeo.push(layout.source(image), registry.authority, "team/app:v1")
        config = configuration({REGISTRY: Upstream(registry.url)}, cache={"tag_ttl": "1ms"})
        with Daemon(tmp_path_factory.mktemp("daemon"), config) as daemon:
            pulled = Gone(daemon, image)
            # Skopeo takes all platforms with all that they refer to.
            assert skopeo.pull(pulled.named("tag")) == image.digests
            fresh = ask(daemon.address, "GET", manifest_place("v1").through)
            assert "Warning" not in fresh.headers
            registry.stop()
            yield pulled


@pytest.fixture(params=["tag", "digest"])
def by(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_skopeo_pulls_again(skopeo: Skopeo, gone: Gone, by: str) -> None:
    assert skopeo.pull(gone.named(by)) == gone.image.digests


def test_podman_pulls_again(podman: Podman, gone: Gone, by: str) -> None:
    manifests = {gone.image.manifest.digest, gone.here.manifest.digest}
    assert podman.pull(gone.named(by)) == gone.here.unpacked | manifests


def test_docker_pulls_again(docker: DockerEngine, gone: Gone, by: str) -> None:
    pulled = docker.pull(gone.named(by))
    assert (pulled.pulled_as, pulled.contents) == (gone.image.manifest.digest, gone.here.unpacked)


def test_containerd_pulls_again(containerd: Containerd, gone: Gone, by: str) -> None:
    expected = gone.here.digests | {gone.image.manifest.digest}
    assert containerd.pull(gone.named(by), "--platform=linux/amd64") == expected


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_stale_tag_says_so(gone: Gone, method: str) -> None:
    reply = ask(gone.daemon.address, method, manifest_place("v1").through)
    assert reply.status == 200
    assert reply.headers["Warning"].startswith('299 crproxy "')
    assert REGISTRY in reply.headers["Warning"]
    assert reply.headers["Cache-Status"].startswith("crproxy; hit; fwd=stale")
    assert reply.headers["Docker-Content-Digest"] == gone.image.manifest.digest
    assert reply.headers["Content-Type"] == gone.image.manifest.media_type
    assert reply.headers["Content-Length"] == str(gone.image.manifest.size)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_r4_what_is_named_by_digest_is_never_stale(gone: Gone, method: str) -> None:
    layer = gone.here.layers[0]
    for place, digest in (
        (manifest_place(gone.image.manifest.digest), gone.image.manifest.digest),
        (blob(layer.read()), layer.digest),
    ):
        reply = ask(gone.daemon.address, method, place.through)
        assert reply.status == 200
        assert "Warning" not in reply.headers
        assert reply.headers["Cache-Status"] == "crproxy; hit"
        assert reply.headers["ETag"] == f'"{digest}"'


def test_every_client_fills_the_cache_for_the_others(
    tmp_path_factory: pytest.TempPathFactory,
    layout: Layout,
    skopeo: Skopeo,
    podman: Podman,
    docker: DockerEngine,
    containerd: Containerd,
) -> None:
    """Each client pulls an image of its own; when the registry is gone, skopeo gets all of them."""
    images = {client: layout.image() for client in ("docker", "containerd", "podman")}
    with DockerRegistry(tmp_path_factory.mktemp("registry")) as registry:
        for client, image in images.items():
            skopeo.push(layout.source(image), registry.authority, f"team/{client}:v1")
        config = configuration({REGISTRY: Upstream(registry.url)})
        with Daemon(tmp_path_factory.mktemp("daemon"), config) as daemon:
            names = {client: f"127.0.0.1:{daemon.port}/{REGISTRY}/team/{client}:v1" for client in images}
            docker.pull(names["docker"])
            containerd.pull(names["containerd"])
            podman.pull(names["podman"])
            registry.stop()
            assert {client: skopeo.pull(names[client]) for client in images} == {
                client: image.digests for client, image in images.items()
            }
