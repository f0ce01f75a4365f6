"""What `crproxy setup` prints, given to the real clients as it is: they pull through a real daemon with it.

The clients know no names but the daemon's, so nothing can have come past it. Those that Debian has not (k3s, BuildKit,
Helm) have their files read by a parser, in tests/policy/setups.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.parts.buildah import Buildah
from tests.parts.certificates import Authority
from tests.parts.containerd import Containerd
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.docker_engine import DockerEngine
from tests.parts.node import Node
from tests.parts.podman import Podman
from tests.parts.process import clean_environment
from tests.parts.program import Program
from tests.parts.registry import PASSWORD, USERNAME, DockerRegistry, write_htpasswd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.images import Image
    from tests.parts.layouts import Layout
    from tests.parts.skopeo import Skopeo

pytestmark = pytest.mark.integration

DOMAIN, HUB_ALIAS = "cr.test", "docker.cr.test"
SHELVES = {"docker.io": "library/nginx:latest", "quay.io": "prometheus/busybox:latest"}


@dataclass(frozen=True, slots=True)
class Place:
    """A daemon, as clients name it, and where they run."""

    daemon: Daemon
    url: str
    node: Node

    @property
    def host(self) -> str:
        return self.url.partition("://")[2]

    def printed(self, directory: Path, client: str, *options: str, password: str | None = None) -> str:
        """What is printed for a client."""
        command = [
            str(Path(sys.executable).parent / "crproxy"),
            "setup",
            client,
            "--host",
            self.url,
            "--bare",
            *options,
        ]
        if password is None:
            return Program(command, directory).run().decode()
        return _with_input(command, directory, password)


def _with_input(command: list[str], directory: Path, text: str) -> str:
    done = subprocess.run(
        [*command, "--password-stdin"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
        cwd=directory,
        env=clean_environment(directory),
    )
    return done.stdout


@pytest.fixture(scope="module")
def image(layout: Layout) -> Image:
    return layout.image()


@pytest.fixture(scope="module")
def shelf(
    tmp_path_factory: pytest.TempPathFactory, skopeo: Skopeo, layout: Layout, image: Image
) -> Iterator[dict[str, Upstream]]:
    """One real registry in the place of both."""
    with DockerRegistry(tmp_path_factory.mktemp("registry")) as registry:
        for name in SHELVES.values():
            skopeo.push(layout.source(image), registry.authority, name)
        yield {name: Upstream(registry.url) for name in SHELVES}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Node:
    return Node.make(tmp_path_factory.mktemp("etc"), [DOMAIN, HUB_ALIAS], authority.file)


@pytest.fixture(scope="module")
def secure(
    tmp_path_factory: pytest.TempPathFactory, shelf: dict[str, Upstream], authority: Authority, node: Node
) -> Iterator[Place]:
    """A daemon with a domain and TLS."""
    certificate = authority.issue(DOMAIN, f"*.{DOMAIN}")
    config = configuration(shelf, domain=DOMAIN)
    with Daemon(tmp_path_factory.mktemp("daemon"), config, certificate=certificate) as daemon:
        yield Place(daemon, f"https://{DOMAIN}:{daemon.tls_port}", node)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, shelf: dict[str, Upstream]) -> Iterator[Place]:
    """A daemon without either, which its clients' own machine runs."""
    nowhere = Node.make(tmp_path_factory.mktemp("nowhere"), [])
    with Daemon(tmp_path_factory.mktemp("local"), configuration(shelf)) as daemon:
        yield Place(daemon, f"http://localhost:{daemon.port}", nowhere)


@pytest.fixture(scope="module")
def asking(
    tmp_path_factory: pytest.TempPathFactory, shelf: dict[str, Upstream], authority: Authority, node: Node
) -> Iterator[Place]:
    """A daemon that asks for a login."""
    directory = tmp_path_factory.mktemp("asking")
    write_htpasswd(directory / "htpasswd")
    config = configuration(shelf, domain=DOMAIN) + '[clients]\nhtpasswd = "htpasswd"\n'
    with Daemon(directory, config, certificate=authority.issue(f"*.{DOMAIN}", DOMAIN)) as daemon:
        yield Place(daemon, f"https://{DOMAIN}:{daemon.tls_port}", node)


@pytest.fixture(params=["secure", "local"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def short_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="set-") as directory:
        yield Path(directory)


def kept_unpacked(image: Image) -> frozenset[str]:
    return image.unpacked | {image.manifest.digest}


def test_docker_pulls_with_its_file(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, place: Place, image: Image
) -> None:
    file = place.printed(tmp_path, "docker")
    with DockerEngine(tmp_path_factory.mktemp("dks"), place.node, settings=json.loads(file)) as engine:
        for name in ("nginx:latest", f"{place.host}/quay.io/{SHELVES['quay.io']}"):
            assert engine.pull(name).contents == image.unpacked


@pytest.mark.parametrize("options", [(), ("--registry", "quay.io")], ids=["every", "one"])
def test_containerd_pulls_with_its_file(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, place: Place, image: Image, options: tuple[str, ...]
) -> None:
    directory = tmp_path / "certs.d" / (options[1] if options else "_default")
    directory.mkdir(parents=True)
    (directory / "hosts.toml").write_text(place.printed(tmp_path, "containerd", *options))
    # The file says itself what is asked in the clear.
    node = Node(place.node.etc, place.node.authority or Path("/etc/ssl/certs/ca-certificates.crt"))
    with Containerd(tmp_path_factory.mktemp("cts"), node) as containerd:
        found = containerd.pull(f"quay.io/{SHELVES['quay.io']}", f"--hosts-dir={tmp_path / 'certs.d'}")
    assert found == image.digests


@pytest.mark.parametrize("client", ["podman", "cri-o"])
def test_podman_pulls_with_its_file(tmp_path: Path, short_path: Path, place: Place, image: Image, client: str) -> None:
    file = tmp_path / "crproxy.conf"
    file.write_text(place.printed(tmp_path, client))
    podman = Podman(short_path, place.node, file, tls_by_file=True)
    for registry, name in SHELVES.items():
        assert podman.pull(f"{registry}/{name}") == kept_unpacked(image)


def test_buildah_pulls_with_the_same_file(tmp_path: Path, short_path: Path, place: Place, image: Image) -> None:
    file = tmp_path / "crproxy.conf"
    file.write_text(place.printed(tmp_path, "podman"))
    buildah = Buildah(short_path, place.node, file)
    for registry, name in SHELVES.items():
        assert buildah.pull(f"{registry}/{name}") == kept_unpacked(image)


def merge(engine: DockerEngine, printed: str) -> None:
    """Run the printed command on an engine's own file, and reload it."""
    command = json.loads(printed)["merge"].replace("/etc/docker/daemon.json", str(engine.file))
    subprocess.run(["sh", "-c", command], check=True, timeout=60)
    engine.reload()


def test_docker_takes_up_what_is_merged_by_a_reload(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, place: Place, image: Image
) -> None:
    printed = place.printed(tmp_path, "docker", "--json")
    with DockerEngine(tmp_path_factory.mktemp("dkm"), place.node, settings={"labels": ["ours=1"]}) as engine:
        merge(engine, printed)
        assert json.loads(engine.file.read_text())["labels"] == ["ours=1"]
        for name in ("nginx:latest", f"{place.host}/quay.io/{SHELVES['quay.io']}"):
            assert engine.pull(name).contents == image.unpacked


def test_docker_stays_logged_in(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, asking: Place, image: Image
) -> None:
    with DockerEngine(tmp_path_factory.mktemp("dkl"), asking.node) as engine:
        engine.log_in(asking.host, USERNAME, PASSWORD)
        before = engine.logins
        merge(engine, asking.printed(tmp_path, "docker", "--json"))
        assert engine.logins == before
        assert engine.pull(f"{asking.host}/quay.io/{SHELVES['quay.io']}").contents == image.unpacked


# With a login


def test_containerd_pulls_with_a_login(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, asking: Place, image: Image
) -> None:
    directory = tmp_path / "certs.d" / "_default"
    directory.mkdir(parents=True)
    printed = asking.printed(tmp_path, "containerd", "--login", USERNAME, password=PASSWORD)
    (directory / "hosts.toml").write_text(printed)
    with Containerd(tmp_path_factory.mktemp("ctl"), asking.node) as containerd:
        found = containerd.pull(f"quay.io/{SHELVES['quay.io']}", f"--hosts-dir={tmp_path / 'certs.d'}")
    assert found == image.digests


def test_podman_pulls_with_a_login(tmp_path: Path, short_path: Path, asking: Place, image: Image) -> None:
    file = tmp_path / "crproxy.conf"
    file.write_text(asking.printed(tmp_path, "podman", "--login", USERNAME))
    podman = Podman(short_path, asking.node, file)
    podman.log_in(asking.host, USERNAME, PASSWORD)
    assert podman.pull(f"quay.io/{SHELVES['quay.io']}") == kept_unpacked(image)


def test_podman_reads_the_secret_of_kubernetes(tmp_path: Path, short_path: Path, asking: Place, image: Image) -> None:
    """It is the file in which clients keep their logins."""
    printed = asking.printed(tmp_path, "kubernetes", "--login", USERNAME, password=PASSWORD)
    secret = json.loads(yaml.safe_load(printed)["stringData"][".dockerconfigjson"])
    podman = Podman(short_path, asking.node, logins=secret)
    assert podman.pull(f"{asking.host}/quay.io/{SHELVES['quay.io']}") == kept_unpacked(image)
