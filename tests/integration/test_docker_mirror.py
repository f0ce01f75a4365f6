"""Docker Engine with the daemon as its mirror, and another mirror after it.

The rows are those of the project's table of how clients behave (D3, D6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Answer
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.docker_engine import DockerEngine
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.shapes import error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.layouts import Layout

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]


@pytest.fixture(scope="module")
def hub(workers: int) -> Iterator[FakeUpstream]:
    """What stands for Docker Hub behind the daemon that is a mirror."""
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def second(workers: int) -> Iterator[FakeUpstream]:
    """Another mirror, which an engine turns to where the daemon answers with an error."""
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def mirror(workers: int, tmp_path_factory: pytest.TempPathFactory, hub: FakeUpstream) -> Iterator[Daemon]:
    config = configuration({"docker.io": Upstream(hub.url)})
    with Daemon(tmp_path_factory.mktemp("mirror"), config) as running:
        yield running


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory, mirror: Daemon, second: FakeUpstream) -> Iterator[DockerEngine]:
    with DockerEngine(tmp_path_factory.mktemp("dkr"), mirrors=[mirror.url, second.url]) as engine:
        yield engine


def test_d3_docker_asks_its_mirror_with_library(
    mirrored: DockerEngine, mirror: Daemon, hub: FakeUpstream, second: FakeUpstream, layout: Layout
) -> None:
    image = layout.image()
    hub.publish("library/d3", "v1", image)
    assert mirrored.pull("d3:v1").contents == image.unpacked
    mirror.wait_for_log("HEAD /v2/library/d3/manifests/v1 HTTP")
    assert {request.path.rpartition("/d3/")[0] for request in hub.seen.requests("/d3/")} == {"/v2/library"}
    assert second.seen.requests("/d3/") == []


def test_d3_docker_asks_its_mirror_for_what_is_not_in_library(
    mirrored: DockerEngine, hub: FakeUpstream, second: FakeUpstream, layout: Layout
) -> None:
    image = layout.image()
    hub.publish("team/d3", "v1", image)
    assert mirrored.pull("team/d3:v1").contents == image.unpacked
    assert hub.seen.requests("/v2/team/d3/manifests/v1")
    assert second.seen.requests("/d3/") == []


REFUSALS = [
    error(404, "MANIFEST_UNKNOWN"),
    error(401, "UNAUTHORIZED", "who are you?", ("WWW-Authenticate", 'Basic realm="hub"')),
    error(403, "DENIED"),
    # No longer than its own test may the daemon leave the registry alone.
    error(429, "TOOMANYREQUESTS", "slow down", ("Retry-After", "0")),
    error(405, "UNSUPPORTED"),
    error(500, "UNKNOWN"),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda answer: str(answer.status))
def test_d6_docker_turns_from_a_mirrors_error_to_the_next(
    mirrored: DockerEngine, hub: FakeUpstream, second: FakeUpstream, layout: Layout, refusal: Answer
) -> None:
    image = layout.image()
    name = f"d6-manifest-{refusal.status}"
    hub.script(f"/v2/library/{name}/manifests/v1", refusal)
    second.publish(f"library/{name}", "v1", image)
    assert mirrored.pull(f"{name}:v1").contents == image.unpacked
    assert hub.seen.requests(f"/{name}/")


# Not 500: Docker asks the same mirror five times, for a minute, before it turns to another (D5).
@pytest.mark.parametrize("refusal", REFUSALS[:-1], ids=lambda answer: str(answer.status))
def test_d6_docker_turns_from_a_mirrors_error_in_mid_pull_to_the_next(
    mirrored: DockerEngine, hub: FakeUpstream, second: FakeUpstream, layout: Layout, refusal: Answer
) -> None:
    image = layout.image()
    name = f"d6-blob-{refusal.status}"
    for upstream in (hub, second):
        upstream.publish(f"library/{name}", "v1", image)
    hub.script(f"/v2/library/{name}/blobs/{image.layers[0].digest}", refusal)
    assert mirrored.pull(f"{name}:v1").contents == image.unpacked
    assert hub.seen.requests(f"/{name}/blobs/{image.layers[0].digest}")
    assert second.seen.requests(f"/{name}/blobs/{image.layers[0].digest}")
