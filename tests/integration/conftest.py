"""The parts that integration tests share: clients and built images live for the whole session."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Gate
from tests.parts.certificates import Authority
from tests.parts.containerd import Containerd
from tests.parts.daemon import Daemon, Start, Upstream, configuration
from tests.parts.docker_engine import DockerEngine
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.layouts import Layout
from tests.parts.podman import Podman
from tests.parts.skopeo import Skopeo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.parts.node import Node


@pytest.fixture(scope="session")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerEngine]:
    with DockerEngine(tmp_path_factory.mktemp("docker")) as engine:
        yield engine


@pytest.fixture(scope="session")
def containerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containerd]:
    with Containerd(tmp_path_factory.mktemp("ctrd")) as daemon:
        yield daemon


@pytest.fixture
def podman() -> Iterator[Podman]:
    with tempfile.TemporaryDirectory(prefix="podman-") as directory:
        yield Podman(Path(directory))


@pytest.fixture(scope="session")
def skopeo(tmp_path_factory: pytest.TempPathFactory) -> Skopeo:
    return Skopeo(tmp_path_factory.mktemp("skopeo"))


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def workers(request: pytest.FixtureRequest) -> Iterator[int]:
    """How many processes serve clients, in every daemon of a module that asks for it: first one, then two."""
    number: int = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Daemon, "workers", number)
        yield number


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One that only those of a module's programs trust that are told to."""
    return Authority(tmp_path_factory.mktemp("authority"))


# Clients on a module's own fixture ``node``.


@pytest.fixture(scope="module")
def docker_there(tmp_path_factory: pytest.TempPathFactory, node: Node) -> Iterator[DockerEngine]:
    with DockerEngine(tmp_path_factory.mktemp("dockt"), node) as engine:
        yield engine


@pytest.fixture(scope="module")
def containerd_there(tmp_path_factory: pytest.TempPathFactory, node: Node) -> Iterator[Containerd]:
    with Containerd(tmp_path_factory.mktemp("ctrdt"), node) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def skopeo_there(tmp_path_factory: pytest.TempPathFactory, node: Node) -> Skopeo:
    return Skopeo(tmp_path_factory.mktemp("skopeot"), node)


@pytest.fixture
def podman_there(node: Node) -> Iterator[Podman]:
    with tempfile.TemporaryDirectory(prefix="podmt-") as directory:
        yield Podman(Path(directory), node)


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    with ExitStack() as running:

        def start(
            upstreams: Mapping[str, Upstream],
            *,
            cache: Mapping[str, str] | None = None,
            data_dir: Path | None = None,
            **timeouts: str,
        ) -> Daemon:
            config = configuration(upstreams, timeouts=timeouts, cache=cache)
            return running.enter_context(Daemon(tmp_path_factory.mktemp("daemon"), config, data_dir))

        yield start


@pytest.fixture
def daemon(running: Daemon) -> Iterator[Daemon]:
    """The daemon of a module that has a fixture ``running``; what it logs during a test counts for that test."""
    before = len(running.log)
    yield running
    running.assert_calm(after=before)


@pytest.fixture
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture
def gate() -> Iterator[Gate]:
    with Gate() as shut:
        yield shut


@pytest.fixture(scope="session")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return Layout(tmp_path_factory.mktemp("images") / "layout")
