"""Rules that ask for a signature, with real cosign and real clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.parts.cosign import Cosign, Pair
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.images import Image, Index
from tests.parts.program import Failed
from tests.parts.registry import DockerRegistry
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.containerd import Containerd
    from tests.parts.docker_engine import DockerEngine
    from tests.parts.layouts import Layout
    from tests.parts.podman import Podman
    from tests.parts.skopeo import Skopeo

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

REGISTRY = "registry.example.org"
FORMS = pytest.mark.parametrize("form", ["former", "bundle"])


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with DockerRegistry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="module")
def cosign(tmp_path_factory: pytest.TempPathFactory) -> Cosign:
    return Cosign(tmp_path_factory.mktemp("cosign"))


@pytest.fixture(scope="module")
def alice(cosign: Cosign) -> Pair:
    return cosign.pair("alice")


@pytest.fixture(scope="module")
def mallory(cosign: Cosign) -> Pair:
    return cosign.pair("mallory")


@pytest.fixture(scope="module")
def daemon(
    workers: int, tmp_path_factory: pytest.TempPathFactory, upstream: DockerRegistry, alice: Pair
) -> Iterator[Daemon]:
    config = configuration({REGISTRY: Upstream(upstream.url)}, cache={"tag_ttl": "1s"})
    config += f'[[rules]]\nregistries = ["{REGISTRY}"]\nrequire = "cosign"\nkeys = ["{alice.public_file}"]\n'
    with Daemon(tmp_path_factory.mktemp("daemon"), config) as running:
        yield running


class Pushed:
    """An image in a repository of the test's own."""

    def __init__(self, daemon: Daemon, upstream: DockerRegistry, name: str, image: Image | Index) -> None:
        self.image = image
        self.by_tag = f"127.0.0.1:{daemon.port}/{REGISTRY}/{name}:v1"
        self.by_digest = f"127.0.0.1:{daemon.port}/{REGISTRY}/{name}@{image.manifest.digest}"
        self.upstream = f"{upstream.authority}/{name}@{image.manifest.digest}"


def push(
    request: pytest.FixtureRequest,
    daemon: Daemon,
    upstream: DockerRegistry,
    skopeo: Skopeo,
    layout: Layout,
    image: Image | Index,
) -> Pushed:
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name.lower()).strip("-")
    name = "-".join(filter(None, name.split("-")))
    skopeo.push(layout.source(image), upstream.authority, f"{name}:v1")
    return Pushed(daemon, upstream, name, image)


@pytest.fixture
def pushed(
    request: pytest.FixtureRequest, daemon: Daemon, upstream: DockerRegistry, skopeo: Skopeo, layout: Layout
) -> Pushed:
    return push(request, daemon, upstream, skopeo, layout, layout.image())


@FORMS
def test_what_is_signed_is_pulled_by_everybody(
    cosign: Cosign,
    alice: Pair,
    pushed: Pushed,
    docker: DockerEngine,
    containerd: Containerd,
    podman: Podman,
    form: str,
) -> None:
    assert isinstance(pushed.image, Image)
    cosign.sign(alice, pushed.upstream, form)
    for name in (pushed.by_tag, pushed.by_digest):
        assert docker.pull(name).pulled_as == pushed.image.manifest.digest
        assert containerd.pull(name) == pushed.image.digests
    assert podman.pull(pushed.by_tag) == pushed.image.unpacked | {pushed.image.manifest.digest}


@pytest.mark.security("S39")
def test_what_nobody_has_signed_is_refused_in_words(pushed: Pushed, docker: DockerEngine, skopeo: Skopeo) -> None:
    for name in (pushed.by_tag, pushed.by_digest):
        with pytest.raises(Failed, match="is not signed as this proxy asks, by 1 key: there is no signature of it"):
            docker.pull(name)
    with pytest.raises(Failed, match="is not signed as this proxy asks"):
        skopeo.pull(pushed.by_tag)


@pytest.mark.security("S39")
@FORMS
def test_what_somebody_else_has_signed_is_refused(
    cosign: Cosign, mallory: Pair, pushed: Pushed, docker: DockerEngine, form: str
) -> None:
    cosign.sign(mallory, pushed.upstream, form)
    with pytest.raises(Failed, match="a signature of it is by another key"):
        docker.pull(pushed.by_tag)


def test_a_signature_may_come_after_its_image(
    cosign: Cosign, alice: Pair, pushed: Pushed, docker: DockerEngine
) -> None:
    with pytest.raises(Failed, match="is not signed"):
        docker.pull(pushed.by_tag)
    cosign.sign(alice, pushed.upstream, "bundle")

    def is_pulled() -> bool:
        try:
            docker.pull(pushed.by_tag)
        except Failed:
            return False
        return True

    until(is_pulled)


@FORMS
def test_clients_have_the_images_of_an_index_that_is_signed(
    cosign: Cosign,
    alice: Pair,
    request: pytest.FixtureRequest,
    daemon: Daemon,
    upstream: DockerRegistry,
    skopeo: Skopeo,
    layout: Layout,
    docker: DockerEngine,
    form: str,
) -> None:
    index = layout.index("amd64", "arm64")
    pushed = push(request, daemon, upstream, skopeo, layout, index)
    cosign.sign(alice, pushed.upstream, form)
    assert docker.pull(pushed.by_tag).pulled_as == index.manifest.digest
    assert skopeo.pull(pushed.by_tag) == index.digests
