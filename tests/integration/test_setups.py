"""The files that the page shows, used: what each client makes of its own, word for word."""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.fronts import Front, front_of
from crproxy.policy.routing import Names
from crproxy.policy.setups import Client, File, setups_of
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.docker_engine import DockerEngine, DockerImage
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.podman import Podman

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.containerd import Containerd
    from tests.parts.images import Image
    from tests.parts.layouts import Layout

pytestmark = pytest.mark.integration

QUAY = Registry("quay.io")
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[Daemon]:
    upstreams = {registry.name: Upstream(upstream.url) for registry in (DOCKER_HUB, QUAY)}
    with Daemon(tmp_path_factory.mktemp("daemon"), configuration(upstreams)) as daemon:
        yield daemon


@pytest.fixture
def front(daemon: Daemon) -> Front:
    return front_of(Names(), f"127.0.0.1:{daemon.port}", secure=False)


@pytest.fixture
def repository() -> str:
    """A repository that the daemon has never heard of."""
    return f"org/app-{next(_numbers)}"


@pytest.fixture
def image(layout: Layout, upstream: FakeUpstream, repository: str) -> Image:
    image = layout.image()
    upstream.publish(repository, "v1", image)
    return image


def first_file(front: Front, client: Client) -> File:
    """What the page shows first for a client."""
    return {setup.client: setup.files for setup in setups_of(front, [DOCKER_HUB, QUAY])}[client][0]


def test_podman_pulls_by_the_names_that_images_have(front: Front, repository: str, image: Image) -> None:
    with tempfile.TemporaryDirectory(prefix="podman-") as directory:
        registries = Path(directory) / "registries.conf"
        registries.write_text(first_file(front, Client.PODMAN).text)
        podman = Podman(Path(directory), registries=registries)
        assert podman.pull(f"{QUAY}/{repository}:v1") == image.unpacked | {image.manifest.digest}


def test_containerd_pulls_by_the_names_that_images_have(
    front: Front, repository: str, image: Image, containerd: Containerd, tmp_path: Path
) -> None:
    file = first_file(front, Client.CONTAINERD)
    placed = tmp_path / Path(file.path).relative_to("/etc/containerd/certs.d")
    placed.parent.mkdir()
    placed.write_text(file.text)
    assert image.manifest.digest in containerd.pull(f"{QUAY}/{repository}:v1", f"--hosts-dir={tmp_path}")


def test_docker_pulls_from_its_mirror(
    front: Front, repository: str, image: Image, daemon: Daemon, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = json.loads(first_file(front, Client.DOCKER).text)
    assert set(settings) == {"registry-mirrors"}
    before = len(daemon.log)
    with DockerEngine(tmp_path_factory.mktemp("docker"), mirrors=settings["registry-mirrors"]) as docker:
        assert docker.pull(f"{repository}:v1") == DockerImage(image.manifest.digest, image.unpacked)
    daemon.wait_for_log(rf"GET /v2/{repository}/manifests/", after=before)
