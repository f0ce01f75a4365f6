"""``crproxy cache``: what is kept, as its operator sees it, and what goes when they say so."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from crproxy.policy.units import format_size
from tests.parts.answers import Filler
from tests.parts.daemon import Daemon, Upstream
from tests.parts.operator import Operator
from tests.parts.places import REGISTRY, blob
from tests.parts.raw_http import exchange, hash_rest
from tests.parts.registry import DockerRegistry
from tests.parts.shapes import ranged
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.parts.daemon import Start
    from tests.parts.fake_upstream import FakeUpstream
    from tests.parts.images import Image, Index
    from tests.parts.layouts import Layout
    from tests.parts.skopeo import Skopeo

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

MEBIBYTE = 1 << 20
WEEKS = 15 * 86400


@dataclass(frozen=True, slots=True)
class Kept:
    """A daemon that has pulled an image under two tags, another one beside it, and an index."""

    daemon: Daemon
    operator: Operator
    app: Image
    index: Index
    other: Image

    def images(self, *words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.operator.runs("cache", "list", "--json", *words).json()
        return found

    def names(self, *words: str) -> list[str]:
        return [image["image"].removeprefix(f"{REGISTRY}/") for image in self.images(*words)]

    def removed(self, image: str) -> int:
        said = self.operator.runs("cache", "remove", f"{REGISTRY}/{image}", "--json")
        assert said.status == 0
        freed: int = said.json()["freed_bytes"]
        return freed


def size(*images: Image) -> int:
    return sum(blob.size for image in images for blob in (image.manifest, *image.blobs))


@pytest.fixture
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with DockerRegistry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture
def kept(start: Start, upstream: DockerRegistry, skopeo: Skopeo, layout: Layout, tmp_path: Path) -> Kept:
    app, index, other = layout.image(), layout.index("amd64", "arm64"), layout.image()
    for image, names in ((app, ("team/app:v1", "team/app:v2")), (index, ("team/index:v1",)), (other, ("team/app:v3",))):
        for name in names:
            skopeo.push(layout.source(image), upstream.authority, name)
    daemon = start({REGISTRY: Upstream(upstream.url)})
    operator = Operator.of(daemon, tmp_path)
    warmed = [f"{REGISTRY}/team/{name}" for name in ("app:v1", "app:v2", "app:v3", "index:v1")]
    assert operator.runs("warm", *warmed).status == 0
    return Kept(daemon, operator, app, index, other)


def test_what_is_kept_is_counted_and_listed(kept: Kept) -> None:
    total = size(kept.app, kept.other, *kept.index.images) + kept.index.manifest.size
    stats = kept.operator.runs("cache", "stats", "--json").json()
    assert (stats["bytes"], stats["unlinked"], stats["partial_files"]) == (total, 0, 0)
    assert stats["by_registry"] == {REGISTRY: total}
    assert stats["budget"] == 20 << 30
    assert abs(stats["oldest_use"] - time.time()) < 600
    assert kept.names() == ["team/app:v1", "team/app:v2", "team/app:v3", "team/index:v1"]
    assert kept.names("--sort", "size")[0] == "team/index:v1"
    assert kept.names("--reverse", "index") == ["team/index:v1"]
    assert kept.names(f"{REGISTRY}/team/app") == ["team/app:v1", "team/app:v2", "team/app:v3"]
    assert kept.names("*:v[23]") == ["team/app:v2", "team/app:v3"]
    (index,) = kept.images("index")
    assert (index["digest"], index["complete"]) == (kept.index.manifest.digest, True)
    assert index["platforms"] == ["linux/amd64", "linux/arm64"]
    assert [image["bytes"] for image in kept.images("app:v1")] == [size(kept.app)]
    table = kept.operator.runs("cache", "list").out.splitlines()
    assert table[0].split() == ["IMAGE", "DIGEST", "SIZE", "USED", "KEPT"]
    assert table[1].startswith(f"{REGISTRY}/team/app:v1  ")
    assert table[1].endswith("complete")
    listed = sum(image["bytes"] for image in kept.images())
    assert table[-1] == f"4 images, {format_size(listed)}; the cache has {format_size(total)} on disk"
    assert kept.operator.runs("cache", "stats").out.splitlines()[1].startswith("kept")


def test_a_list_fits_its_terminal_and_is_whole_in_a_pipe(kept: Kept) -> None:
    for width in (120, 80, 60, 40):
        shown = "".join(kept.operator.watches("cache", "list", width=width)).splitlines()
        assert len(shown) == 6
        assert all(len(re.sub("\x1b\\[[0-9;]*m", "", line)) <= width for line in shown[:-1]), shown
    assert f"{REGISTRY}/team/index:v1" in kept.operator.runs("cache", "list").out


def test_hit_rates_are_told(kept: Kept, skopeo: Skopeo) -> None:
    before = kept.operator.runs("cache", "stats", "--json").json()["served"]
    assert abs(before["since"] - time.time()) < 600
    assert before["upstream_bytes"] >= size(kept.app, kept.other)
    skopeo.pull(f"127.0.0.1:{kept.daemon.port}/{REGISTRY}/team/app:v1")

    def after() -> dict[str, Any]:
        found: dict[str, Any] = kept.operator.runs("cache", "stats", "--json").json()["served"]
        return found

    # A request counts when its last byte is gone, which its client may be told before.
    until(lambda: after()["hit_bytes"] >= size(kept.app))
    served = after()
    assert served["hits"] > before["hits"]
    assert served["by_registry"][REGISTRY]["hits"] == served["hits"]
    assert served["hit_bytes"] <= served["bytes"]
    lines = kept.operator.runs("cache", "stats").out
    assert re.search(r"^answered from the cache +\d+ % of \d+ requests$", lines, re.MULTILINE)
    assert re.search(r"^sent from the cache +\d+ % of [\d.]+ [KM]iB$", lines, re.MULTILINE)


def test_an_image_goes_and_what_others_need_stays(kept: Kept, upstream: DockerRegistry, skopeo: Skopeo) -> None:
    before = kept.daemon.cache.bytes_on_disk()
    assert kept.removed("team/app:v2") == 0
    assert kept.names() == ["team/app:v1", "team/app:v3", "team/index:v1"]
    assert kept.removed("team/app:v1") == size(kept.app)
    assert before - kept.daemon.cache.bytes_on_disk() >= size(kept.app)
    assert kept.app.digests.isdisjoint(kept.daemon.cache.whole())
    arm = kept.index.images[1]
    assert kept.removed(f"team/index@{arm.manifest.digest}") == size(arm)
    (index,) = kept.images("index")
    assert (index["complete"], index["platforms"]) == (False, ["linux/amd64"])
    assert kept.daemon.cache.is_agreed()
    # What is gone is fetched again.
    assert skopeo.pull(f"127.0.0.1:{kept.daemon.port}/{REGISTRY}/team/index:v1") == kept.index.digests
    assert skopeo.pull(f"127.0.0.1:{kept.daemon.port}/{REGISTRY}/team/app:v1") == kept.app.digests
    assert kept.removed("team/app") == size(kept.app, kept.other)
    assert kept.names() == ["team/index:v1"]
    said = kept.operator.runs("cache", "remove", f"{REGISTRY}/team/app:v1")
    assert said.status == 1
    assert "is not in the cache" in said.err
    upstream.stop()
    assert skopeo.pull(f"127.0.0.1:{kept.daemon.port}/{REGISTRY}/team/index:v1") == kept.index.digests


def test_who_is_reading_it_reads_on(start: Start, fake: FakeUpstream, tmp_path: Path) -> None:
    large = Filler(24 * MEBIBYTE)
    fake.script(blob(large).path, ranged(large))
    daemon = start({REGISTRY: Upstream(fake.url)})
    operator = Operator.of(daemon, tmp_path)
    for _ in range(2):
        # The first is read from a flight, the second from the store.
        with exchange(daemon.address, "GET", blob(large).through, receive_buffer=64 * 1024, seconds=60) as slow:
            begun = slow.read(MEBIBYTE)
            daemon.cache.wait_until_whole(large.digest)
            said = operator.runs("cache", "remove", f"{REGISTRY}/team/app", "--json")
            assert said.json()["freed_bytes"] == len(large)
            assert daemon.cache.whole() == {}
            assert hash_rest(slow, begun) == (len(large), large.digest)


def test_what_nothing_needs_goes(kept: Kept) -> None:
    assert kept.operator.runs("cache", "gc", "--json").json()["bytes"] == 0
    orphan = kept.other.layers[0]
    with closing(sqlite3.connect(kept.daemon.cache.index, timeout=20)) as database, database:
        database.execute("DELETE FROM link WHERE digest = ?", (orphan.digest,))
        database.execute("UPDATE blob SET used = used - ? WHERE digest = ?", (WEEKS, orphan.digest))
    partial = kept.daemon.cache.directory / "partial" / "quay.io" / f"sha256-{'0' * 64}"
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.write_bytes(b"begun")
    long_ago = time.time() - WEEKS
    os.utime(partial, (long_ago, long_ago))
    said = kept.operator.runs("cache", "gc", "--dry-run", "--json").json()
    assert said == {
        "dry_run": True,
        "evicted": [],
        "orphans": [{"content": orphan.digest, "bytes": orphan.size}],
        "partials": [{"content": f"sha256:{'0' * 64}", "bytes": 5}],
        "bytes": orphan.size + 5,
    }
    assert partial.exists()
    said = kept.operator.runs("cache", "gc")
    assert f"of no repository: {orphan.digest}" in said.out
    assert said.out.splitlines()[-1].endswith(f"freed ({orphan.size + 5} bytes)")
    assert not partial.exists()
    assert orphan.digest not in kept.daemon.cache.whole()
    assert kept.daemon.cache.is_agreed()


@pytest.mark.parametrize("how", ["daemon", "directory"])
def test_what_is_damaged_is_found(kept: Kept, how: str) -> None:
    words = ["cache", "verify", *(["--data-dir", str(kept.daemon.data_dir)] if how == "directory" else [])]
    total = sum(file.stat().st_size for file in kept.daemon.cache.whole().values())
    said = kept.operator.runs(*words)
    assert (said.status, said.out) == (0, f"{format_size(total)} read ({total} bytes), 0 contents dropped\n")
    damaged = kept.app.layers[0]
    file = kept.daemon.cache.whole()[damaged.digest]
    file.write_bytes(b"x" * damaged.size)
    said = kept.operator.runs(*words, "--json")
    assert (said.status, said.json()) == (1, {"read": total, "dropped": [damaged.digest]})
    assert damaged.digest not in kept.daemon.cache.whole()
    assert kept.operator.runs(*words).status == 0


def test_what_is_damaged_of_one_image_is_found(kept: Kept) -> None:
    ours, others = kept.app.layers[0], kept.other.layers[0]
    files = kept.daemon.cache.whole()
    for damaged in (ours, others):
        files[damaged.digest].write_bytes(b"x" * damaged.size)
    said = kept.operator.runs("cache", "verify", f"{REGISTRY}/team/app:v1", "--json")
    assert (said.status, said.json()) == (1, {"read": size(kept.app), "dropped": [ours.digest]})
    assert others.digest in kept.daemon.cache.whole()
    said = kept.operator.runs("cache", "verify", f"{REGISTRY}/team/none:v1")
    assert (said.status, "is not in the cache" in said.err) == (1, True)


def test_everything_that_prints_data_prints_json(kept: Kept) -> None:
    for words in (
        ["alias", "list"],
        ["cache", "stats"],
        ["cache", "list"],
        ["cache", "gc"],
        ["cache", "verify"],
        ["cache", "remove", f"{REGISTRY}/team/app"],
    ):
        said = kept.operator.runs(*words, "--json")
        assert said.status == 0
        said.json()
    assert kept.operator.runs("warm", f"{REGISTRY}/team/app:v1", "--json").lines()[-1] == {"warmed": 1, "failed": 0}
