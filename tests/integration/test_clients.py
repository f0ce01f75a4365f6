"""Real clients pull through the daemon by prefix, and get what was pushed, byte for byte.

As far as each client lets us see: skopeo and containerd keep everything as it came, podman the manifests and the
configuration, Docker the configuration; podman and Docker keep layers only unpacked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.images import Image, Index
from tests.parts.registry import DockerRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.containerd import Containerd
    from tests.parts.docker_engine import DockerEngine
    from tests.parts.layouts import Layout
    from tests.parts.podman import Podman
    from tests.parts.skopeo import Skopeo

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

REGISTRY = "registry.example.org"


@dataclass(frozen=True, slots=True)
class Pushed:
    """An image in the upstream registry.

    Arguments:
        repository: where it is, under the tag v1.
        image: what it is.
    """

    repository: str
    image: Image | Index

    @property
    def here(self) -> Image:
        """The image for this platform."""
        return self.image if isinstance(self.image, Image) else self.image.images[0]

    def through(self, host: str, by: str) -> str:
        """Return its name behind ``host``, by tag or by digest."""
        reference = {"tag": ":v1", "digest": f"@{self.image.manifest.digest}"}[by]
        return f"{host}/{REGISTRY}/{self.repository}{reference}"


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with DockerRegistry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="module")
def daemon(workers: int, tmp_path_factory: pytest.TempPathFactory, upstream: DockerRegistry) -> Iterator[Daemon]:
    config = configuration({REGISTRY: Upstream(upstream.url)})
    with Daemon(tmp_path_factory.mktemp("daemon"), config) as running:
        yield running


@pytest.fixture(scope="module")
def images(upstream: DockerRegistry, layout: Layout, skopeo: Skopeo) -> dict[str, Pushed]:
    pushed = {
        "single": Pushed("team/single", layout.image()),
        "multi": Pushed("team/multi", layout.index("amd64", "arm64")),
        "docker": Pushed("team/docker", layout.docker_image()),
    }
    for one in pushed.values():
        skopeo.push(layout.source(one.image), upstream.authority, f"{one.repository}:v1")
    return pushed


@pytest.fixture(params=["single", "multi", "docker"])
def pushed(images: dict[str, Pushed], request: pytest.FixtureRequest) -> Pushed:
    return images[request.param]


@pytest.fixture(params=["tag", "digest"])
def by(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def host(daemon: Daemon) -> str:
    return f"127.0.0.1:{daemon.port}"


def test_skopeo_copies_what_was_pushed(skopeo: Skopeo, host: str, pushed: Pushed, by: str) -> None:
    assert skopeo.pull(pushed.through(host, by)) == pushed.image.digests


def test_skopeo_inspects_the_manifest_that_was_pushed(skopeo: Skopeo, host: str, pushed: Pushed, by: str) -> None:
    assert skopeo.raw_manifest(pushed.through(host, by)) == pushed.image.manifest.read()


def test_podman_pulls_what_was_pushed(podman: Podman, host: str, pushed: Pushed, by: str) -> None:
    manifests = {pushed.image.manifest.digest, pushed.here.manifest.digest}
    assert podman.pull(pushed.through(host, by)) == pushed.here.unpacked | manifests


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_docker_pulls_what_was_pushed(docker: DockerEngine, daemon: Daemon, pushed: Pushed, by: str, name: str) -> None:
    pulled = docker.pull(pushed.through(f"{name}:{daemon.port}", by))
    assert pulled.pulled_as == pushed.image.manifest.digest
    assert pulled.contents == pushed.here.unpacked


def test_containerd_pulls_what_was_pushed(containerd: Containerd, host: str, pushed: Pushed, by: str) -> None:
    expected = pushed.here.digests | {pushed.image.manifest.digest}
    assert containerd.pull(pushed.through(host, by), "--platform=linux/amd64") == expected


def test_containerd_pulls_all_platforms(containerd: Containerd, host: str, images: dict[str, Pushed]) -> None:
    multi = images["multi"]
    assert containerd.pull(multi.through(host, "tag"), "--all-platforms") == multi.image.digests


def test_skopeo_copies_an_empty_and_a_large_layer(
    skopeo: Skopeo, upstream: DockerRegistry, layout: Layout, host: str
) -> None:
    image = layout.image(layout.large_layer(512 << 20), layout.add(b"", "application/vnd.oci.image.layer.v1.tar"))
    skopeo.push(layout.source(image), upstream.authority, "team/large:v1")
    assert skopeo.pull(Pushed("team/large", image).through(host, "tag")) == image.digests


def test_skopeo_copies_an_artifact(skopeo: Skopeo, upstream: DockerRegistry, layout: Layout, host: str) -> None:
    subject = layout.image()
    artifact = layout.artifact(subject.manifest, "application/vnd.example.sbom")
    skopeo.push(layout.source(artifact), upstream.authority, "team/artifact:v1")
    assert skopeo.pull(Pushed("team/artifact", artifact).through(host, "tag")) == artifact.digests
