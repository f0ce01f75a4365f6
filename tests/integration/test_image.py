"""The container image, built by the Dockerfile and run as it is meant to be run.

Its base is made of this machine's own files, because there is nobody here to fetch one from: so what is shown is the
recipe and what it adds, not the base that it names.
"""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from crproxy import __version__
from tests.parts.base_image import make_base
from tests.parts.ports import reserve_port
from tests.parts.program import Failed, Program
from tests.parts.raw_http import ask
from tests.parts.requirements import need, need_root

if TYPE_CHECKING:
    from collections.abc import Iterator

# What the image installs comes from wherever this machine gets its packages.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parent.parent.parent
_LIMIT = 4096
HEALTH = ("python", "-m", "crproxy.admin.health", "/data/admin.sock")


def _limits() -> Iterator[str]:
    """Options that lower limits: buildah's own, different from one version to the next, may be higher than allowed."""
    for name, number in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)):
        most = min([_LIMIT, *(limit for limit in resource.getrlimit(number) if limit != resource.RLIM_INFINITY)])
        yield f"--ulimit={name}={most}:{most}"


class Images:
    """buildah and podman, with storage of their own."""

    def __init__(self, directory: Path) -> None:
        need_root("vfs storage")
        storage = ["--storage-driver=vfs", f"--root={directory / 'root'}", f"--runroot={directory / 'run'}"]
        self._buildah = Program([need("buildah"), *storage], directory)
        # crun knows no mixed hierarchies of control groups, which machines like this one still have.
        engine = [need("podman"), *storage, "--cgroup-manager=cgroupfs", f"--runtime={need('runc')}"]
        self._podman = Program(engine, directory)

    def build(self, context: Path, tag: str, *options: str) -> None:
        command = ["build", "--format=docker", "--isolation=chroot", "--network=host", f"--tag={tag}", *_limits()]
        self._buildah.run(*command, *options, str(context), seconds=900)

    def image(self, tag: str) -> dict[str, Any]:
        (found,) = json.loads(self._podman.run("image", "inspect", tag))
        assert isinstance(found, dict)
        return found

    def run(self, *words: str) -> str:
        return self._podman.run(*words).decode()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """With crproxy's image, as localhost/crproxy."""
    directory = tmp_path_factory.mktemp("img")
    made = Images(directory)
    make_base(directory / "base")
    made.build(directory / "base", "localhost/base")
    made.build(ROOT, "localhost/crproxy", "--build-arg=BASE=localhost/base")
    return made


@pytest.fixture(scope="module")
def port() -> int:
    return reserve_port()


@pytest.fixture(scope="module")
def container(images: Images, port: int) -> Iterator[str]:
    """One that runs with as little as compose.yaml and the manifests give it."""
    restricted = ["--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--network=host"]
    # Without these two, runc asks for more than a machine may let it have.
    limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096"]
    # Of one address alone, whose port is ours.
    listen = f"--http=tcp:{port}:interface=127.0.0.1"
    # Its timer is systemd's, which need not run here.
    name = images.run(
        "run",
        "--detach",
        "--no-healthcheck",
        *restricted,
        *limits,
        "localhost/crproxy",
        listen,
    ).strip()
    try:
        yield name
    finally:
        images.run("rm", "--force", name)


def wait_until_healthy(images: Images, container: str) -> None:
    for _ in range(100):
        try:
            images.run("exec", container, *HEALTH)
        except Failed:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(images.run("logs", container))


def test_its_configuration_is_what_the_dockerfile_says(images: Images) -> None:
    config = images.image("localhost/crproxy")["Config"]
    assert config["User"] == "65532:65532"
    assert set(config["ExposedPorts"]) == {"5000/tcp", "80/tcp", "443/tcp"}
    assert set(config["Volumes"]) == {"/data"}
    assert config["Entrypoint"] == ["twistd", "--nodaemon", "--pidfile=", "crproxy"]
    assert images.image("localhost/crproxy")["Healthcheck"]["Test"] == ["CMD", *HEALTH]


def test_its_labels_say_what_it_is(images: Images) -> None:
    labels = images.image("localhost/crproxy")["Config"]["Labels"]
    prefix = "org.opencontainers.image."
    assert {name.removeprefix(prefix): text for name, text in labels.items() if name.startswith(prefix)} == {
        "title": "crproxy",
        "description": "A private mirror proxy for every container registry",
        "version": __version__,
        "licenses": "MIT",
        "base.name": "localhost/base",
    }


def test_it_has_what_a_system_takes(images: Images, container: str) -> None:
    """As a wheel has it: the manual page, completion, units, rules for alerts."""
    share = "/opt/crproxy/share"
    assert "crproxy.1" in images.run("exec", container, "ls", f"{share}/man/man1")
    found = set(images.run("exec", container, "ls", f"{share}/crproxy").split())
    assert found == {"crproxy.tac", "grafana-dashboard.json", "prometheus", "systemd"}


def test_it_serves_and_is_healthy(images: Images, container: str, port: int) -> None:
    wait_until_healthy(images, container)
    assert ask(("127.0.0.1", port), "GET", "/v2/").status == 200


def test_it_is_not_root_and_its_data_are_its_own(images: Images, container: str) -> None:
    assert images.run("exec", container, "id", "-u").strip() == "65532"
    assert images.run("exec", container, "id", "-g").strip() == "65532"
    wait_until_healthy(images, container)
    assert {"admin.sock", "index.sqlite"} <= set(images.run("exec", container, "ls", "/data").split())


def test_nothing_is_left_of_the_build(images: Images, container: str) -> None:
    programs = images.run("exec", container, "ls", "/opt/crproxy/bin").split()
    assert {"crproxy", "twistd"} <= set(programs)
    assert not [program for program in programs if program.startswith("pip")]
    assert "source" not in images.run("exec", container, "ls", "/").split()


def test_the_commands_are_there(images: Images, container: str) -> None:
    assert "crproxy" in images.run("exec", container, "crproxy", "--version")


def test_without_its_daemon_it_is_not_healthy(images: Images, container: str) -> None:
    with pytest.raises(Failed):
        images.run("exec", container, *HEALTH[:-1], "/data/nobody.sock")


def test_it_stops_when_it_is_told_to(images: Images, container: str) -> None:
    """Comes last. As the first process of its namespace no signal ends it that it does not handle."""
    wait_until_healthy(images, container)
    began = time.monotonic()
    images.run("stop", "--time=60", container)
    assert time.monotonic() - began < 30
    assert images.run("inspect", "--format={{.State.ExitCode}}", container).strip() in ("0", "143")
