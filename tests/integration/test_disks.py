"""Disks that are full, cannot be written, or lie: the cache becomes a pass-through, not an outage."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Answer, Filler, Framing
from tests.parts.daemon import Upstream
from tests.parts.images import OCI_MANIFEST, sha256
from tests.parts.mounts import fill_up, make_read_only, small_disk
from tests.parts.places import REGISTRY, blob, manifest_place
from tests.parts.raw_http import ask, fetch
from tests.parts.shapes import content, manifest, ranged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.daemon import Daemon, Start
    from tests.parts.fake_upstream import FakeUpstream

pytestmark = pytest.mark.integration

MEBIBYTE = 1 << 20
SMALL = b"a small blob\n" * 1000
DOCUMENT = b'{"schemaVersion": 2, "layers": []}'
TAG = manifest_place("v1")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "16m") as mounted:
        yield mounted


@pytest.mark.security("S18")
@pytest.mark.parametrize("framing", [Framing.LENGTH, Framing.CHUNKED])
def test_a_blob_larger_than_the_disk_reaches_the_client_whole(
    start: Start, fake: FakeUpstream, disk: Path, framing: Framing
) -> None:
    """With a length it is known beforehand that there is no room; in chunks it is found out on the way."""
    large = Filler(64 * MEBIBYTE, seed=1)
    fake.script(blob(large).path, Answer(body=large, framing=framing))
    fake.script(blob(SMALL).path, content(SMALL))
    daemon = start({REGISTRY: Upstream(fake.url)}, data_dir=disk)
    for _ in range(2):
        assert fetch(daemon.address, blob(large).through).digest == large.digest
    with ThreadPoolExecutor(8) as clients:
        fetched = clients.map(lambda _: fetch(daemon.address, blob(large).through), range(8))
        assert [one.digest for one in fetched] == [large.digest] * 8
    daemon.wait_for_log(f"{large.digest} is passed on but not kept")
    assert daemon.cache.partial() == {}
    # What there is room for is kept.
    fetch(daemon.address, blob(SMALL).through)
    daemon.cache.wait_until_whole(sha256(SMALL))


def test_ranges_of_a_blob_larger_than_the_disk_are_exact(start: Start, fake: FakeUpstream, disk: Path) -> None:
    large = Filler(64 * MEBIBYTE, seed=2)
    fake.script(blob(large).path, ranged(large))
    daemon = start({REGISTRY: Upstream(fake.url)}, data_dir=disk)
    for asked, first, stop in (
        ("0-", 0, len(large)),
        ("0-99", 0, 100),
        (f"{40 * MEBIBYTE}-", 40 * MEBIBYTE, len(large)),
    ):
        reply = fetch(daemon.address, blob(large).through, ("Range", f"bytes={asked}"))
        assert (reply.status, reply.digest) == (206, large.part(first, stop).digest)


@pytest.mark.security("S18")
def test_a_disk_that_fills_up_under_the_index_breaks_nothing(start: Start, fake: FakeUpstream, disk: Path) -> None:
    fake.script(TAG.path, manifest(DOCUMENT, OCI_MANIFEST))
    blobs = [Filler(MEBIBYTE, seed=number) for number in range(20)]
    for one in blobs:
        fake.script(blob(one).path, ranged(one))
    fake.script(blob(SMALL).path, content(SMALL))
    daemon = start({REGISTRY: Upstream(fake.url)}, data_dir=disk, cache={"tag_ttl": "1ms"})
    fetch(daemon.address, blob(SMALL).through)
    daemon.cache.wait_until_whole(sha256(SMALL))
    fill_up(disk)
    for one in blobs:
        assert fetch(daemon.address, blob(one).through).digest == one.digest
        assert ask(daemon.address, "HEAD", blob(one).through).status == 200
        assert ask(daemon.address, "GET", TAG.through).body == DOCUMENT
    assert fetch(daemon.address, blob(SMALL).through).digest == sha256(SMALL)
    (disk / "junk").unlink()
    fetch(daemon.address, blob(blobs[0]).through)
    daemon.cache.wait_until_whole(blobs[0].digest)


@pytest.mark.parametrize("used_before", [True, False])
def test_a_read_only_directory_is_served_from_and_not_written_to(
    start: Start, fake: FakeUpstream, disk: Path, used_before: bool
) -> None:
    fake.script(TAG.path, manifest(DOCUMENT, OCI_MANIFEST))
    fake.script(blob(SMALL).path, content(SMALL))
    other = Filler(MEBIBYTE, seed=3)
    fake.script(blob(other).path, ranged(other))
    kept = {}
    if used_before:
        first = start({REGISTRY: Upstream(fake.url)}, data_dir=disk)
        fetch(first.address, blob(SMALL).through)
        first.cache.wait_until_whole(sha256(SMALL))
        kept = first.cache.whole()
        first.stop()
    make_read_only(disk)
    daemon = start({REGISTRY: Upstream(fake.url)}, data_dir=disk)
    before = len(fake.seen.requests(blob(SMALL).path, "GET"))
    for _ in range(2):
        assert fetch(daemon.address, blob(SMALL).through).digest == sha256(SMALL)
        assert fetch(daemon.address, blob(other).through).digest == other.digest
        assert ask(daemon.address, "GET", TAG.through).body == DOCUMENT
    if used_before:
        assert len(fake.seen.requests(blob(SMALL).path, "GET")) == before
    assert daemon.cache.whole() == kept
    refused = rf"{other.digest} is passed on but not kept: \[Errno 30\] Read-only file system"
    daemon.wait_for_log(rf"{refused}(?s:.*){refused}")


def test_a_damaged_index_is_set_aside_and_built_anew(start: Start, fake: FakeUpstream, tmp_path: Path) -> None:
    blobs = [Filler(100_000, seed=number) for number in range(10)]
    for one in blobs:
        fake.script(blob(one).path, ranged(one))
    first = start({REGISTRY: Upstream(fake.url)}, data_dir=tmp_path / "kept")
    for one in blobs:
        fetch(first.address, blob(one).through)
        first.cache.wait_until_whole(one.digest)
    first.stop()
    garbage = os.urandom(first.cache.index.stat().st_size)
    first.cache.index.write_bytes(garbage)
    daemon = start({REGISTRY: Upstream(fake.url)}, data_dir=tmp_path / "kept")
    daemon.wait_for_log(r"#error\] the index \S+ is damaged \(.*\): it was set aside as index.damaged-\d+")
    daemon.wait_for_log("10 blobs were found on disk and taken up")
    assert daemon.cache.is_agreed()
    (aside,) = (tmp_path / "kept").glob("index.damaged-*")
    assert aside.read_bytes() == garbage
    for _ in range(2):
        for one in blobs:
            assert fetch(daemon.address, blob(one).through).digest == one.digest
    # Who gave them is forgotten: they are sent once more for their permission, and then are hits.
    assert [request.method for request in fake.seen.requests()] == ["GET"] * 20


def verify(data_dir: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "crproxy"), "cache", "verify", "--data-dir", str(data_dir)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("running", [True, False])
def test_verify_finds_and_drops_what_the_disk_has_changed(
    start: Start, fake: FakeUpstream, tmp_path: Path, running: bool
) -> None:
    blobs = [Filler(100_000, seed=number) for number in range(5)]
    for one in blobs:
        fake.script(blob(one).path, ranged(one))
    daemon: Daemon = start({REGISTRY: Upstream(fake.url)}, data_dir=tmp_path / "kept")
    for one in blobs:
        fetch(daemon.address, blob(one).through)
        daemon.cache.wait_until_whole(one.digest)
    if not running:
        daemon.stop()
    sound = verify(tmp_path / "kept")
    assert (sound.returncode, sound.stdout) == (0, "488 KiB read (500000 bytes), 0 contents dropped\n")
    bad = blobs[2]
    with daemon.cache.whole()[bad.digest].open("r+b") as file:
        file.seek(50_000)
        file.write(b"!")
    found = verify(tmp_path / "kept")
    assert found.returncode == 1
    assert f"damaged, dropped: {bad.digest}" in found.stdout
    assert bad.digest not in daemon.cache.whole()
    assert daemon.cache.is_agreed()
    if not running:
        daemon = start({REGISTRY: Upstream(fake.url)}, data_dir=tmp_path / "kept")
    assert fetch(daemon.address, blob(bad).through).digest == bad.digest
    assert len(fake.seen.requests(blob(bad).path, "GET")) == 2
