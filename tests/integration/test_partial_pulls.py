"""podman pulls of a layer only the files that it has not: many ranges in one request (P4).

What it gets is what was built, whatever of it is kept here, and it is sent less than the layer.
"""

from __future__ import annotations

import json
import random
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.parts.chunked import ChunkedImages
from tests.parts.cutter import Cutter
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.images import sha256
from tests.parts.partial_podman import PartialPodman
from tests.parts.places import REGISTRY
from tests.parts.raw_http import ask, fetch
from tests.parts.registry import DockerRegistry
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

# Of these, each fifth is another in the second version: what is between two of those is not asked for with them.
_FILES, _CHANGED = 200, 5
_SIZES = (40_000, 80_000)
# Ranges of these take more than 16 KiB, the most that Twisted takes in a line.
_MANY, _MANY_SIZE = 1000, 20_000


@dataclass(frozen=True)
class Version:
    """An image with one layer.

    Arguments:
        repository: where it is, as ``v1``.
        files: what is in it.
        layer: its layer's digest, and
        size: that one's size.
    """

    repository: str
    files: Mapping[str, bytes]
    layer: str
    size: int

    @property
    def digests(self) -> dict[str, str]:
        return {name: sha256(content) for name, content in self.files.items()}

    @property
    def path(self) -> str:
        return f"/v2/{self.repository}/blobs/{self.layer}"

    @property
    def through(self) -> str:
        return f"/v2/{REGISTRY}/{self.repository}/blobs/{self.layer}"


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with DockerRegistry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="module")
def push(upstream: DockerRegistry) -> Iterator[Callable[[str, Mapping[str, bytes]], Version]]:
    with tempfile.TemporaryDirectory(prefix="chunked-") as directory:
        images = ChunkedImages(Path(directory))

        def push(repository: str, files: Mapping[str, bytes]) -> Version:
            images.push(files, upstream.authority, f"{repository}:v1")
            accept = ("Accept", "application/vnd.oci.image.manifest.v1+json")
            address = ("127.0.0.1", upstream.port)
            (layer,) = ask(address, "GET", f"/v2/{repository}/manifests/v1", accept).json()["layers"]
            assert "io.containers.zstd-chunked.manifest-checksum" in layer["annotations"]
            return Version(repository, files, layer["digest"], layer["size"])

        yield push


@pytest.fixture(scope="module")
def versions(push: Callable[[str, Mapping[str, bytes]], Version]) -> tuple[Version, Version]:
    """Two versions of an image: in the second one a fifth of the files are others."""
    source = random.Random(1)
    first = {f"file-{number:03}": source.randbytes(source.randint(*_SIZES)) for number in range(_FILES)}
    changed = {name: source.randbytes(len(first[name])) for name in list(first)[::_CHANGED]}
    return push("team/first", first), push("team/second", first | changed)


class Watched:
    """A daemon whose audit log is read, in front of which is a line that is listened in on."""

    def __init__(self, directory: Path, upstream: DockerRegistry) -> None:
        self._file = directory / "audit.log"
        self._upstream = upstream
        config = configuration({REGISTRY: Upstream(upstream.url)})
        config = "\n".join([config, "[audit]", f'file = "{self._file}"', 'format = "json"', ""])
        self.daemon = Daemon(directory, config)
        self.line = Cutter(self.daemon.address)
        self._before = len(upstream.log)

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self.line.__exit__()
        self.daemon.stop()

    def name(self, version: Version) -> str:
        return f"127.0.0.1:{self.line.address[1]}/{REGISTRY}/{version.repository}:v1"

    def sent(self, version: Version, count: int) -> list[dict[str, Any]]:
        """What was sent of the layer to the client, in so many answers, in the order in which they were asked for.

        As the audit log has it, to which each worker writes when an answer has ended.
        """

        def read() -> list[dict[str, Any]]:
            lines = self._file.read_text().splitlines() if self._file.exists() else []
            return [record for record in map(json.loads, lines) if record["path"] == version.through]

        until(lambda: len(read()) >= count, found=read)
        found = read()
        assert len(found) == count, found
        return sorted(found, key=itemgetter("time"))

    def several(self) -> list[int]:
        """How many ranges were asked for in each request that asked for more than one."""
        counts = [value.count(b",") + 1 for value in self.line.asked(b"Range")]
        return [count for count in counts if count > 1]

    def from_upstream(self, version: Version) -> list[int]:
        """The bytes of each answer of upstream's to a GET of the layer, as its own log has them."""
        pattern = rf'"GET {re.escape(version.path)} HTTP/1.1" 20[06] (\d+)'
        return [int(number) for number in re.findall(pattern, self._upstream.log[self._before :])]


@pytest.fixture
def watched(workers: int, tmp_path: Path, upstream: DockerRegistry) -> Iterator[Watched]:
    with Watched(tmp_path, upstream) as watched:
        yield watched


@pytest.fixture
def podmans() -> Iterator[Callable[..., PartialPodman]]:
    """Makes clients."""
    with ExitStack() as directories:

        def make(**options: bool) -> PartialPodman:
            directory = directories.enter_context(tempfile.TemporaryDirectory(prefix="pp-"))
            return PartialPodman(Path(directory), **options)

        yield make


def test_p4_podman_pulls_in_parts_what_is_cold(
    watched: Watched, podmans: Callable[..., PartialPodman], versions: tuple[Version, Version]
) -> None:
    first, second = versions
    podman = podmans()
    assert podman.files(podman.pull(watched.name(first))) == first.digests
    # The list of files, in one range, and then all of them: that is fetched for all, once.
    toc, parts = watched.sent(first, 2)
    assert (toc["status"], toc["cache"], parts["status"], parts["cache"]) == (206, "miss", 206, "stored")
    assert watched.several() == [_FILES]
    assert watched.from_upstream(first) == [toc["bytes"], first.size]
    watched.daemon.cache.wait_until_whole(first.layer)

    assert podman.files(podman.pull(watched.name(second))) == second.digests
    toc, parts = watched.sent(second, 2)
    assert (toc["status"], toc["cache"], parts["status"], parts["cache"]) == (206, "miss", 206, "miss")
    assert watched.several() == [_FILES, _FILES // _CHANGED]
    assert parts["bytes"] < second.size / 4
    # Each part was asked for by itself, and nothing else.
    asked = watched.from_upstream(second)
    assert len(asked) == 1 + _FILES // _CHANGED
    assert sum(asked) < toc["bytes"] + parts["bytes"]
    assert second.layer not in watched.daemon.cache.whole()


def test_p4_podman_pulls_in_parts_what_is_warm(
    watched: Watched, podmans: Callable[..., PartialPodman], versions: tuple[Version, Version]
) -> None:
    first, second = versions
    for version in versions:
        fetch(watched.daemon.address, version.through)
        watched.daemon.cache.wait_until_whole(version.layer)
    podman = podmans()
    for version in versions:
        assert podman.files(podman.pull(watched.name(version))) == version.digests
    assert watched.several() == [_FILES, _FILES // _CHANGED]
    for version in versions:
        assert watched.from_upstream(version) == [version.size]
        _, toc, parts = watched.sent(version, 3)
        assert [(record["status"], record["cache"]) for record in (toc, parts)] == [(206, "hit")] * 2
    assert parts["bytes"] < second.size / 4
    assert watched.sent(first, 3)[2]["bytes"] < first.size + 200 * _FILES


def test_p4_podman_that_may_not_pull_in_parts_pulls_the_whole(
    watched: Watched, podmans: Callable[..., PartialPodman], versions: tuple[Version, Version]
) -> None:
    """What the others are compared with."""
    podman = podmans(partial=False)
    for version in versions:
        assert podman.files(podman.pull(watched.name(version))) == version.digests
        # The list of files it asks for nevertheless (4.3).
        *_, whole = watched.sent(version, 2)
        assert (whole["status"], whole["bytes"]) == (200, version.size)
    assert watched.several() == []


def test_p4_podman_asks_for_half_as_many_where_they_are_too_many_for_a_header(
    watched: Watched,
    podmans: Callable[..., PartialPodman],
    push: Callable[[str, Mapping[str, bytes]], Version],
) -> None:
    source = random.Random(2)
    many = push("team/many", {f"file-{number:04}": source.randbytes(_MANY_SIZE) for number in range(_MANY)})
    podman = podmans()
    assert podman.files(podman.pull(watched.name(many))) == many.digests
    asked = watched.several()
    # The first of them is not in the audit log: it never was a request.
    assert (len(asked), asked[0]) == (2, _MANY)
    assert asked[1] <= _MANY / 2
    assert [record["status"] for record in watched.sent(many, 2)] == [206, 206]
