"""One daemon, the four ways to ask it: real clients over TLS, real registries behind it, every digest compared.

The clients have a hosts file of their own with the domain and its aliases, trust the daemon's authority alone, and
can resolve nothing else: what they get can only have come through the daemon.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts.buildah import Buildah
from tests.parts.certificates import Authority
from tests.parts.containerd import Containerd
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.docker_engine import DockerEngine, DockerImage
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import Image, Index
from tests.parts.node import Node
from tests.parts.podman import Podman
from tests.parts.program import Failed
from tests.parts.raw_http import ask
from tests.parts.registry import DockerRegistry
from tests.parts.skopeo import Skopeo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.parts.layouts import Layout

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

DOMAIN = "cr.test"
BUILT_IN = {
    "l5d": "cr.l5d.io",
    "elastic": "docker.elastic.co",
    "docker": "docker.io",
    "gcr": "gcr.io",
    "ghcr": "ghcr.io",
    "k8s-gcr": "k8s.gcr.io",
    "k8s": "registry.k8s.io",
    "mcr": "mcr.microsoft.com",
    "nvcr": "nvcr.io",
    "quay": "quay.io",
    "jujucharms": "registry.jujucharms.com",
}
LABELS = {registry: label for label, registry in BUILT_IN.items()}
HUB = "docker.io"
SHELVES = {
    HUB: ("library/mysql", "5.7"),
    "quay.io": ("prometheus/busybox", "latest"),
    "ghcr.io": ("org/app", "v1"),
    "k8s.gcr.io": ("coredns/coredns", "v1.8.6"),
    "registry.k8s.io": ("pause", "3.9"),
}


@dataclass(frozen=True, slots=True)
class Pushed:
    """An image in a registry: where it is, and what it is."""

    registry: str
    repository: str
    tag: str
    image: Image | Index

    @property
    def here(self) -> Image:
        """The image for this platform."""
        return self.image if isinstance(self.image, Image) else self.image.images[0]

    @property
    def short(self) -> str:
        """What people write: Docker Hub's official images without library/."""
        return f"{self.repository.removeprefix('library/')}:{self.tag}"

    @property
    def name(self) -> str:
        return f"{self.registry}/{self.repository}:{self.tag}"

    @property
    def by_digest(self) -> str:
        return f"{self.registry}/{self.repository}@{self.image.manifest.digest}"

    @property
    def kept_unpacked(self) -> frozenset[str]:
        """What podman and buildah keep of it."""
        return self.here.unpacked | {self.image.manifest.digest, self.here.manifest.digest}

    @property
    def kept_packed(self) -> frozenset[str]:
        """What containerd keeps of it, asked for one platform."""
        return self.here.digests | {self.image.manifest.digest}

    @property
    def in_docker(self) -> DockerImage:
        return DockerImage(self.image.manifest.digest, self.here.unpacked)


@dataclass(frozen=True, slots=True)
class Proxy:
    """The daemon, as its clients name it."""

    daemon: Daemon

    @property
    def base(self) -> str:
        return f"{DOMAIN}:{self.daemon.tls_port}"

    def alias(self, label: str) -> str:
        return f"{label}.{self.base}"

    def by_prefix(self, pushed: Pushed) -> str:
        return f"{self.base}/{pushed.registry}/{pushed.short}"

    def by_alias(self, pushed: Pushed) -> str:
        return f"{self.alias(LABELS[pushed.registry])}/{pushed.short}"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Upstream]]:
    """A real registry in place of each; ``images`` are what is in them."""
    with ExitStack() as running:
        yield {
            name: Upstream(running.enter_context(DockerRegistry(tmp_path_factory.mktemp("registry"))).url)
            for name in SHELVES
        }


@pytest.fixture(scope="module")
def images(shelf: Mapping[str, Upstream], skopeo: Skopeo, layout: Layout) -> dict[str, Pushed]:
    kinds: dict[str, Image | Index] = {HUB: layout.index("amd64", "arm64"), "quay.io": layout.docker_image()}
    pushed = {name: Pushed(name, *place, kinds.get(name) or layout.image()) for name, place in SHELVES.items()}
    for name, one in pushed.items():
        authority = shelf[name].endpoint.removeprefix("http://")
        skopeo.push(layout.source(one.image), authority, f"{one.repository}:{one.tag}")
    return pushed


@pytest.fixture(params=SHELVES)
def pushed(images: dict[str, Pushed], request: pytest.FixtureRequest) -> Pushed:
    return images[request.param]


@pytest.fixture(scope="module")
def proxy(
    workers: int, tmp_path_factory: pytest.TempPathFactory, shelf: Mapping[str, Upstream], authority: Authority
) -> Iterator[Proxy]:
    certificate = authority.issue(DOMAIN, f"*.{DOMAIN}")
    config = configuration(shelf, domain=DOMAIN)
    with Daemon(tmp_path_factory.mktemp("daemon"), config, certificate=certificate) as daemon:
        yield Proxy(daemon)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Node:
    names = [DOMAIN, *(f"{label}.{DOMAIN}" for label in BUILT_IN)]
    return Node.make(tmp_path_factory.mktemp("etc"), names, authority.file)


@pytest.fixture(scope="module")
def docker_there(tmp_path_factory: pytest.TempPathFactory, node: Node, proxy: Proxy) -> Iterator[DockerEngine]:
    """Docker with the daemon's alias of Docker Hub as its mirror."""
    with DockerEngine(tmp_path_factory.mktemp("dockm"), node, [f"https://{proxy.alias('docker')}"]) as engine:
        yield engine


@pytest.fixture
def short_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ways-") as directory:
        yield Path(directory)


def hosts_toml(file: Path, *lines: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_text("\n".join([*lines, ""]))


# Docker


def test_docker_pulls_by_alias(docker_there: DockerEngine, proxy: Proxy, pushed: Pushed) -> None:
    assert docker_there.pull(proxy.by_alias(pushed)) == pushed.in_docker


def test_docker_pulls_by_prefix(docker_there: DockerEngine, proxy: Proxy, pushed: Pushed) -> None:
    assert docker_there.pull(proxy.by_prefix(pushed)) == pushed.in_docker


def test_docker_pulls_by_the_base_domain_what_names_no_registry(
    docker_there: DockerEngine, proxy: Proxy, images: dict[str, Pushed]
) -> None:
    assert docker_there.pull(f"{proxy.base}/mysql:5.7") == images[HUB].in_docker


@pytest.mark.parametrize("name", ["mysql:5.7", "docker.io/library/mysql:5.7"])
def test_docker_pulls_by_its_mirror(docker_there: DockerEngine, images: dict[str, Pushed], name: str) -> None:
    assert docker_there.pull(name) == images[HUB].in_docker


def test_docker_pulls_by_its_mirror_and_digest(docker_there: DockerEngine, images: dict[str, Pushed]) -> None:
    assert docker_there.pull(images[HUB].by_digest) == images[HUB].in_docker


def test_docker_asks_its_mirror_first_and_docker_hub_for_what_is_not_there(
    docker_there: DockerEngine, proxy: Proxy
) -> None:
    hub = "https://registry-1.docker.io"
    with pytest.raises(Failed):
        docker_there.pull("absent:1")
    assert docker_there.tried("absent", hub) == [f"https://{proxy.alias('docker')}", hub]


def test_docker_goes_on_from_a_mirror_that_is_down_to_the_base_domain(
    tmp_path_factory: pytest.TempPathFactory, node: Node, proxy: Proxy, images: dict[str, Pushed]
) -> None:
    mirrors = ["https://down.test", f"https://{proxy.base}"]
    with DockerEngine(tmp_path_factory.mktemp("dockb"), node, mirrors) as engine:
        assert engine.pull("mysql:5.7") == images[HUB].in_docker
        assert engine.tried("mysql", mirrors[1]) == mirrors


# containerd


def test_containerd_pulls_from_every_registry_with_one_file(
    containerd_there: Containerd, proxy: Proxy, images: dict[str, Pushed], tmp_path: Path
) -> None:
    hosts_toml(
        tmp_path / "_default" / "hosts.toml", f'[host."https://{proxy.base}"]', 'capabilities = ["pull", "resolve"]'
    )
    options = (f"--hosts-dir={tmp_path}", "--platform=linux/amd64")
    for registry, pushed in images.items():
        assert containerd_there.pull(pushed.name, *options) == pushed.kept_packed
        assert containerd_there.pull(pushed.by_digest, *options) == pushed.kept_packed
        assert f"/v2/{pushed.repository}/manifests/{pushed.tag}?ns={registry} " in proxy.daemon.log


def test_containerd_pulls_with_override_path(
    containerd_there: Containerd, proxy: Proxy, pushed: Pushed, tmp_path: Path
) -> None:
    hosts_toml(
        tmp_path / pushed.registry / "hosts.toml",
        f'[host."https://{proxy.base}/v2/{pushed.registry}"]',
        'capabilities = ["pull", "resolve"]',
        "override_path = true",
    )
    options = (f"--hosts-dir={tmp_path}", "--platform=linux/amd64")
    assert containerd_there.pull(pushed.name, *options) == pushed.kept_packed
    path = f"/v2/{pushed.registry}/{pushed.repository}/manifests/{pushed.tag}?ns={pushed.registry} "
    assert path in proxy.daemon.log


def test_containerd_pulls_by_an_alias_of_the_same_registry(
    containerd_there: Containerd, proxy: Proxy, pushed: Pushed, tmp_path: Path
) -> None:
    host = proxy.alias(LABELS[pushed.registry])
    hosts_toml(
        tmp_path / pushed.registry / "hosts.toml", f'[host."https://{host}"]', 'capabilities = ["pull", "resolve"]'
    )
    options = (f"--hosts-dir={tmp_path}", "--platform=linux/amd64")
    assert containerd_there.pull(pushed.name, *options) == pushed.kept_packed


# podman, skopeo, buildah


def test_podman_pulls_by_its_mirrors(
    short_path: Path, node: Node, proxy: Proxy, images: dict[str, Pushed], tmp_path: Path
) -> None:
    prefixes = {name: f"{proxy.base}/{name}" for name in ("quay.io", "ghcr.io", "registry.k8s.io")}
    aliases = {name: proxy.alias(LABELS[name]) for name in (HUB, "k8s.gcr.io")}
    registries = tmp_path / "registries.conf"
    registries.write_text(
        "".join(
            f'[[registry]]\nlocation = "{name}"\n[[registry.mirror]]\nlocation = "{mirror}"\n'
            for name, mirror in {**prefixes, **aliases}.items()
        )
    )
    podman = Podman(short_path, node, registries)
    for pushed in images.values():
        assert podman.pull(pushed.name) == pushed.kept_unpacked


def test_podman_pulls_by_alias(short_path: Path, node: Node, proxy: Proxy, images: dict[str, Pushed]) -> None:
    assert Podman(short_path, node).pull(proxy.by_alias(images[HUB])) == images[HUB].kept_unpacked


def test_skopeo_copies_by_alias(skopeo_there: Skopeo, proxy: Proxy, pushed: Pushed) -> None:
    assert skopeo_there.pull(proxy.by_alias(pushed)) == pushed.image.digests


def test_buildah_pulls_by_alias(short_path: Path, node: Node, proxy: Proxy, images: dict[str, Pushed]) -> None:
    buildah = Buildah(short_path, node)
    for pushed in images.values():
        assert buildah.pull(proxy.by_alias(pushed)) == pushed.kept_unpacked


def test_clients_that_do_not_trust_the_authority_are_not_served(
    tmp_path: Path, node: Node, proxy: Proxy, images: dict[str, Pushed]
) -> None:
    """Otherwise the tests above would show nothing of TLS."""
    strange = Node(node.etc, Authority(tmp_path).file)
    with pytest.raises(Failed, match="certificate signed by unknown authority"):
        Skopeo(tmp_path, strange).pull(proxy.by_alias(images["quay.io"]))


# The aliases that need no configuration


@dataclass(frozen=True, slots=True)
class Known:
    """A daemon whose configuration says nothing of aliases, in front of one scripted registry for each of them."""

    proxy: Proxy
    registries: Mapping[str, FakeUpstream]


@pytest.fixture(scope="module")
def known(workers: int, tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Known]:
    with ExitStack() as running:
        registries = {name: running.enter_context(FakeUpstream()) for name in BUILT_IN.values()}
        config = configuration({name: Upstream(fake.url) for name, fake in registries.items()}, domain=DOMAIN)
        certificate = authority.issue(f"*.{DOMAIN}", DOMAIN)
        directory = tmp_path_factory.mktemp("daemon")
        yield Known(Proxy(running.enter_context(Daemon(directory, config, certificate=certificate))), registries)


@pytest.mark.parametrize("label", BUILT_IN)
def test_an_alias_that_nobody_configured_stands_for_its_registry(
    skopeo_there: Skopeo, known: Known, layout: Layout, label: str
) -> None:
    image = layout.image()
    known.registries[BUILT_IN[label]].publish("org/app", "v1", image)
    assert skopeo_there.pull(f"{known.proxy.alias(label)}/org/app:v1") == image.digests


def test_a_label_that_is_none_is_misdirected(known: Known) -> None:
    answer = ask(known.proxy.daemon.address, "GET", "/v2/org/app/manifests/v1", ("Host", f"k8sgcr.{DOMAIN}"))
    assert (answer.status, answer.code) == (421, "DENIED")
    assert f"k8s-gcr.{DOMAIN}" in answer.message


def test_an_image_by_alias_and_by_prefix_is_one(skopeo_there: Skopeo, known: Known, layout: Layout) -> None:
    image = layout.index("amd64", "arm64")
    upstream = known.registries["k8s.gcr.io"]
    upstream.publish("coredns/coredns", "v1.8.6", image)
    assert skopeo_there.pull(f"{known.proxy.alias('k8s-gcr')}/coredns/coredns:v1.8.6") == image.digests
    assert skopeo_there.pull(f"{known.proxy.base}/k8s.gcr.io/coredns/coredns:v1.8.6") == image.digests
    asked = sorted(request.path for request in upstream.seen.requests("/v2/coredns/coredns/"))
    blobs = [f"blobs/{blob.digest}" for child in image.images for blob in child.blobs]
    manifests = ["manifests/v1.8.6", *(f"manifests/{child.manifest.digest}" for child in image.images)]
    assert asked == sorted(f"/v2/coredns/coredns/{what}" for what in (*blobs, *manifests))
