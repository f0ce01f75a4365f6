"""podman, CRI-O, skopeo, buildah: what containers/image asks, and what it makes of the answers.

The rows are those of the project's table of how clients behave (P1, P2, P5, P6; P3 and P4 are in test_ranges.py).
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Answer
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import OCI_MANIFEST, sha256
from tests.parts.places import REGISTRY, Place, blob, manifest_place
from tests.parts.podman import Podman
from tests.parts.raw_http import ask
from tests.parts.recordings import PODMAN
from tests.parts.shapes import challenge, content, error, manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.images import Image
    from tests.parts.layouts import Layout

pytestmark = pytest.mark.integration

DOWN = "down.example.org"
_numbers = itertools.count(1)

_MIRRORS = """\
[[registry]]
prefix = "{registry}"
location = "127.0.0.1:9"
[[registry.mirror]]
location = "{mirror}/{registry}"
insecure = true
[[registry.mirror]]
location = "{second}"
insecure = true
"""


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def second() -> Iterator[FakeUpstream]:
    """Another mirror, which podman turns to where the daemon answers with an error."""
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, fake: FakeUpstream) -> Iterator[Daemon]:
    # Registries of their own for those that answer 429, which are left alone for a while.
    upstreams = {name: Upstream(fake.url) for name in (REGISTRY, *(f"quota-{n}.example.org" for n in range(8)))}
    config = configuration(upstreams | {DOWN: Upstream("http://127.0.0.1:9")})
    with Daemon(tmp_path_factory.mktemp("daemon"), config) as daemon:
        yield daemon


@pytest.fixture
def repository() -> str:
    """A repository that the daemon has never heard of."""
    return f"team/app-{next(_numbers)}"


@pytest.fixture
def tag(repository: str) -> Place:
    return manifest_place("v1", repository)


@pytest.fixture
def image(layout: Layout) -> Image:
    return layout.image()


@pytest.fixture
def mirrored(daemon: Daemon, second: FakeUpstream) -> Iterator[Podman]:
    """Podman with the daemon as the first mirror of a registry that cannot be reached."""
    mirrors = _MIRRORS.format(registry=REGISTRY, mirror=f"127.0.0.1:{daemon.port}", second=second.authority)
    with tempfile.TemporaryDirectory(prefix="podman-") as directory:
        registries = Path(directory) / "registries.conf"
        registries.write_text(mirrors)
        yield Podman(Path(directory), registries=registries)


def methods(fake: FakeUpstream, path: str) -> list[str]:
    return [request.method for request in fake.seen.requests(path)]


def kept(image: Image) -> frozenset[str]:
    """What podman has of an image that it pulled."""
    return image.unpacked | {image.manifest.digest}


# P1: a mirror whose ping is neither 200 nor 401 is passed over.


def test_p1_the_recorded_ping_is_200(daemon: Daemon, fake: FakeUpstream) -> None:
    fake.script("/v2/", challenge(f"{fake.url}/token", "registry", ""))
    before = len(fake.seen.requests())
    pong = ask(daemon.address, "GET", "/v2/", *PODMAN.other)
    assert (pong.status, pong.body, pong.headers["WWW-Authenticate"]) == (200, b"{}", None)
    assert len(fake.seen.requests()) == before


# P2: GET of the tag at once.


def test_p2_podman_asks_as_recorded(podman: Podman, image: Image) -> None:
    """Without the daemon: what the tests below send is what podman sends."""
    with FakeUpstream() as alone:
        alone.publish("team/app", "v1", image)
        podman.pull(f"{alone.authority}/team/app:v1")
        ping, first, *rest = alone.seen.requests()
    assert (ping.method, ping.target) == ("GET", "/v2/")
    assert (first.method, first.target) == ("GET", "/v2/team/app/manifests/v1")
    assert first.values("Accept") == [value for name, value in PODMAN.manifest if name == "Accept"]
    assert {(request.method, request.target) for request in rest} == {
        ("GET", f"/v2/team/app/blobs/{one.digest}") for one in image.blobs
    }


@pytest.mark.parametrize("by", ["tag", "digest"])
def test_p2_the_recorded_get_of_a_cold_manifest_is_one_get(
    daemon: Daemon, fake: FakeUpstream, by: str, image: Image, repository: str
) -> None:
    document = image.manifest.read()
    place = manifest_place("v1" if by == "tag" else image.manifest.digest, repository)
    fake.script(place.path, manifest(document, OCI_MANIFEST))
    reply = ask(daemon.address, "GET", place.through, *PODMAN.manifest)
    assert (reply.status, reply.body, reply.headers["Content-Type"]) == (200, document, OCI_MANIFEST)
    assert reply.headers["Docker-Content-Digest"] == sha256(document)
    assert methods(fake, place.path) == ["GET"]


def test_p2_podman_pulls_what_is_cold(
    daemon: Daemon, fake: FakeUpstream, podman: Podman, image: Image, repository: str
) -> None:
    fake.publish(repository, "v1", image)
    assert podman.pull(f"127.0.0.1:{daemon.port}/{REGISTRY}/{repository}:v1") == kept(image)
    assert set(methods(fake, f"/{repository}/")) == {"GET"}
    assert len(fake.seen.requests(f"/{repository}/")) == len(image.digests)


# P5: 429 says how long to wait.


@pytest.mark.parametrize(
    ("number", "said", "passed_on"), [(0, ("Retry-After", "7"), 7), (1, ("Retry-After", "90000"), 86400), (2, None, 60)]
)
@pytest.mark.parametrize("kind", ["manifests", "blobs"])
def test_p5_a_429_has_a_retry_after(
    daemon: Daemon,
    fake: FakeUpstream,
    kind: str,
    number: int,
    said: tuple[str, str] | None,
    passed_on: int,
    repository: str,
) -> None:
    registry = f"quota-{number if kind == 'manifests' else number + 3}.example.org"
    body = repository.encode()
    place = manifest_place("v1", repository, registry) if kind == "manifests" else blob(body, repository, registry)
    fake.script(place.path, error(429, "TOOMANYREQUESTS", "slow down", *([said] if said else [])))
    reply = ask(daemon.address, "GET", place.through, *PODMAN.manifest)
    assert (reply.status, reply.code, reply.headers["Retry-After"]) == (429, "TOOMANYREQUESTS", str(passed_on))


@pytest.mark.parametrize(("kind", "registry"), [("manifests", "quota-6.example.org"), ("blobs", "quota-7.example.org")])
def test_p5_podman_waits_as_long_and_gets_it(
    daemon: Daemon, fake: FakeUpstream, podman: Podman, kind: str, registry: str, image: Image, repository: str
) -> None:
    fake.publish(repository, "v1", image)
    layer = image.layers[0]
    path, good = {
        "manifests": (f"/v2/{repository}/manifests/v1", manifest(image.manifest.read(), OCI_MANIFEST)),
        "blobs": (f"/v2/{repository}/blobs/{layer.digest}", content(layer.read())),
    }[kind]
    fake.script(path, error(429, "TOOMANYREQUESTS", "slow down", ("Retry-After", "1")), good)
    before = len(daemon.log)
    assert podman.pull(f"127.0.0.1:{daemon.port}/{registry}/{repository}:v1") == kept(image)
    target = path.replace("/v2/", f"/v2/{registry}/")
    daemon.wait_for_log(f'"GET {target} HTTP/1.1" 200', after=before)
    said = daemon.log[before:]
    assert said.count(f'"GET {target} HTTP/1.1" 429') == said.count(f'"GET {target} HTTP/1.1" 200') == 1


# P6: the mirror that had the manifest is the one for the rest.


@pytest.mark.parametrize(
    "refusal",
    [
        error(404, "MANIFEST_UNKNOWN"),
        error(401, "UNAUTHORIZED", "who are you?", ("WWW-Authenticate", 'Basic realm="registry"')),
        error(403, "DENIED"),
        error(405, "UNSUPPORTED"),
        # No longer than its own test may the daemon leave the registry alone.
        error(429, "TOOMANYREQUESTS", "slow down", ("Retry-After", "0")),
        error(500, "UNKNOWN"),
        Answer(body=b"x" * ((4 << 20) + 1)),
    ],
    ids=["404", "401", "403", "405", "429", "500", "oversized"],
)
def test_p6_podman_turns_from_the_error_of_a_mirror_to_the_next(
    mirrored: Podman,
    fake: FakeUpstream,
    second: FakeUpstream,
    image: Image,
    refusal: Answer,
    repository: str,
    tag: Place,
) -> None:
    fake.script(tag.path, refusal)
    second.publish(repository, "v1", image)
    assert mirrored.pull(f"{REGISTRY}/{repository}:v1") == kept(image)
    assert set(methods(fake, tag.path)) == {"GET"}
    assert methods(second, tag.path) == ["GET"]


@pytest.mark.parametrize("registry", [REGISTRY, DOWN])
def test_p6_each_error_of_a_manifest_has_an_error_status(daemon: Daemon, repository: str, registry: str) -> None:
    for reference in ("v1", sha256(repository.encode())):
        reply = ask(daemon.address, "GET", manifest_place(reference, repository, registry).through, *PODMAN.manifest)
        assert reply.status == (404 if registry == REGISTRY else 503)
        assert reply.message


def test_p6_the_chosen_mirror_has_the_blobs_too(
    mirrored: Podman, fake: FakeUpstream, second: FakeUpstream, image: Image, repository: str
) -> None:
    fake.publish(repository, "v1", image)
    assert mirrored.pull(f"{REGISTRY}/{repository}:v1") == kept(image)
    assert {request.path for request in fake.seen.requests(f"/{repository}/blobs/")} == {
        f"/v2/{repository}/blobs/{one.digest}" for one in image.blobs
    }
    assert second.seen.requests(f"/{repository}/") == []
