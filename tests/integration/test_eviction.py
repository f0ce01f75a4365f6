"""The cache stays within its size: what was not used for longest goes, and nobody who reads it notices."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Filler
from tests.parts.daemon import Upstream
from tests.parts.places import REGISTRY, blob
from tests.parts.raw_http import exchange, fetch, hash_rest
from tests.parts.registry import DockerRegistry
from tests.parts.shapes import ranged

if TYPE_CHECKING:
    from tests.parts.daemon import Start
    from tests.parts.fake_upstream import FakeUpstream
    from tests.parts.layouts import Layout
    from tests.parts.skopeo import Skopeo

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

MEBIBYTE = 1 << 20


def test_ten_times_its_size_leaves_no_more_than_the_size(start: Start, fake: FakeUpstream) -> None:
    blobs = [Filler(16 * MEBIBYTE + number, seed=number) for number in range(32)]
    places = {one.digest: blob(one) for one in blobs}
    for one in blobs:
        fake.script(blob(one).path, ranged(one))
    daemon = start({REGISTRY: Upstream(fake.url)}, cache={"size": "50M"})
    first, *others = places.items()
    # What the sockets between hold is far less than the blob: the rest is read from a file that has been removed.
    with exchange(daemon.address, "GET", first[1].through, receive_buffer=64 * 1024, seconds=60) as slow:
        begun = slow.read(MEBIBYTE)
        daemon.cache.wait_until_whole(first[0])
        most = 0
        with ThreadPoolExecutor(3) as clients:
            for (digest, _), fetched in zip(
                others, clients.map(lambda item: fetch(daemon.address, item[1].through), others), strict=True
            ):
                assert fetched.digest == digest
                most = max(most, daemon.cache.bytes_on_disk())
        assert first[0] not in daemon.cache.whole()
        assert hash_rest(slow, begun) == (len(blobs[0]), first[0])
    # Three were on their way at once, and count as well.
    assert most <= 50 * MEBIBYTE
    daemon.stop()
    assert 16 * MEBIBYTE < daemon.cache.bytes_on_disk() <= 50 * MEBIBYTE
    assert daemon.cache.is_agreed()
    assert daemon.cache.damaged() == []


def test_what_was_used_lately_stays(start: Start, fake: FakeUpstream) -> None:
    blobs = [Filler(3 * MEBIBYTE, seed=number) for number in range(6)]
    for one in blobs:
        fake.script(blob(one).path, ranged(one))
    daemon = start({REGISTRY: Upstream(fake.url)}, cache={"size": "10M"})
    favourite, *others = blobs
    for one in others:
        for wanted in (favourite, one):
            assert fetch(daemon.address, blob(wanted).through).digest == wanted.digest
            daemon.cache.wait_until_whole(wanted.digest)
    assert len(fake.seen.requests(blob(favourite).path, "GET")) == 1
    assert set(daemon.cache.whole()) <= {favourite.digest, others[-1].digest, others[-2].digest}


@pytest.mark.security("S18")
def test_a_blob_larger_than_the_size_is_passed_on(start: Start, fake: FakeUpstream) -> None:
    small, large = Filler(MEBIBYTE, seed=1), Filler(20 * MEBIBYTE, seed=2)
    for one in (small, large):
        fake.script(blob(one).path, ranged(one))
    daemon = start({REGISTRY: Upstream(fake.url)}, cache={"size": "10M"})
    for one in (small, large):
        assert fetch(daemon.address, blob(one).through).digest == one.digest
    daemon.cache.wait_until_whole(small.digest)
    assert set(daemon.cache.whole()) == {small.digest}
    daemon.wait_for_log(f"{large.digest} is passed on but not kept")


def test_images_that_were_evicted_are_pulled_again(
    start: Start, tmp_path_factory: pytest.TempPathFactory, layout: Layout, skopeo: Skopeo
) -> None:
    images = [layout.image(layout.large_layer(20 * MEBIBYTE + number)) for number in range(4)]
    with DockerRegistry(tmp_path_factory.mktemp("registry")) as registry:
        for number, image in enumerate(images):
            skopeo.push(layout.source(image), registry.authority, f"team/app:v{number}")
        daemon = start({REGISTRY: Upstream(registry.url)}, cache={"size": "50M"})
        for _ in range(2):
            for number, image in enumerate(images):
                assert skopeo.pull(f"127.0.0.1:{daemon.port}/{REGISTRY}/team/app:v{number}") == image.digests
        daemon.stop()
    assert daemon.cache.bytes_on_disk() <= 50 * MEBIBYTE
    assert daemon.cache.is_agreed()


def test_a_cache_that_was_made_smaller_is_cut_down_at_the_start(
    start: Start, fake: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> None:
    kept = tmp_path_factory.mktemp("kept")
    blobs = [Filler(MEBIBYTE, seed=number) for number in range(10)]
    first = start({REGISTRY: Upstream(fake.url)}, data_dir=kept)
    for one in blobs:
        fake.script(blob(one).path, ranged(one))
        fetch(first.address, blob(one).through)
        first.cache.wait_until_whole(one.digest)
    first.stop()
    second = start({REGISTRY: Upstream(fake.url)}, data_dir=kept, cache={"size": "5M"})
    second.wait_for_log("blobs were dropped to make room")
    second.stop()
    # Each file counts with a block beyond its own bytes: five of a fifth do not fit.
    assert set(second.cache.whole()) == {one.digest for one in blobs[6:]}
    assert second.cache.is_agreed()
