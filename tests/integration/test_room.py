"""Room in the cache: for bytes that come, not for those that are promised; and what does not fit is shared."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import IncompleteRead
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Answer, Cut, Filler, Gate, Stall
from tests.parts.daemon import Daemon, Start, Upstream
from tests.parts.mounts import small_disk
from tests.parts.places import REGISTRY, blob
from tests.parts.raw_http import asking, exchange, fetch, hash_rest
from tests.parts.shapes import content, ranged

if TYPE_CHECKING:
    from pathlib import Path

    from tests.parts.fake_upstream import FakeUpstream

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

MIB = 1024 * 1024


def kept(daemon: Daemon, fake: FakeUpstream, many: int, size: int) -> list[Filler]:
    """Blobs that are in the cache."""
    blobs = [Filler(size, seed=1000 + number) for number in range(many)]
    for one in blobs:
        fake.script(blob(one).path, ranged(one))
        assert fetch(daemon.address, blob(one).through).digest == one.digest
        daemon.cache.wait_until_whole(one.digest)
    return blobs


def are_hits(daemon: Daemon, fake: FakeUpstream, blobs: list[Filler]) -> None:
    before = len(fake.seen.requests())
    for one in blobs:
        assert fetch(daemon.address, blob(one).through).digest == one.digest
    assert len(fake.seen.requests()) == before


@pytest.mark.security("S18", "S21")
def test_what_is_announced_and_does_not_come_drives_nothing_out(start: Start, fake: FakeUpstream, gate: Gate) -> None:
    daemon = start({REGISTRY: Upstream(fake.url)}, cache={"size": "64M"})
    blobs = kept(daemon, fake, 8, 7 * MIB)
    promised = Filler(63 * MIB, seed=1)
    fake.script(blob(promised).path, content(promised, fault=Stall(gate, at=0)))
    with asking(daemon.address, "GET", blob(promised).through):
        fake.seen.wait_for_request(blob(promised).path)
        are_hits(daemon, fake, blobs)
        # Nor does one of which a little comes: that takes what it has, and others are kept meanwhile.
        trickle = Filler(63 * MIB, seed=2)
        fake.script(blob(trickle).path, content(trickle, fault=Stall(gate, at=MIB)))
        with exchange(daemon.address, "GET", blob(trickle).through) as response:
            assert len(response.read(MIB // 2)) == MIB // 2
            are_hits(daemon, fake, blobs)
            are_hits(daemon, fake, kept(daemon, fake, 1, 3 * MIB))


@pytest.mark.security("S18")
def test_what_is_larger_than_the_cache_is_fetched_once_for_all(start: Start, fake: FakeUpstream, gate: Gate) -> None:
    """It fits into what is held of it: however slow one of them is, none asks upstream by itself."""
    clients, large = 20, Filler(8 * MIB, seed=3)
    daemon = start({REGISTRY: Upstream(fake.url)}, cache={"size": "6M"})
    blobs = kept(daemon, fake, 2, 2 * MIB)
    fake.script(blob(large).path, ranged(large, Stall(gate, at=MIB)))
    assert together(daemon, large, clients, gate) == {(large.digest, large.size)}
    assert [request.values("Range") for request in fake.seen.requests(blob(large).path, "GET")] == [[]]
    assert large.digest not in daemon.cache.whole()
    assert daemon.cache.partial() == {}
    are_hits(daemon, fake, blobs)


@pytest.mark.security("S18")
def test_what_is_larger_than_the_cache_takes_no_more_memory_than_is_held_of_it(
    start: Start, fake: FakeUpstream, gate: Gate
) -> None:
    clients, large = 20, Filler(80 * MIB, seed=3)
    daemon = start({REGISTRY: Upstream(fake.url)}, cache={"size": "64M"})
    blobs = kept(daemon, fake, 4, 4 * MIB)
    fake.script(blob(large).path, ranged(large, Stall(gate, at=MIB)))
    before = daemon.rss_bytes()
    assert together(daemon, large, clients, gate) == {(large.digest, large.size)}
    assert daemon.rss_bytes() - before < 96 * MIB
    are_hits(daemon, fake, blobs)


def together(daemon: Daemon, one: Filler, clients: int, gate: Gate) -> set[tuple[str, int]]:
    """The digests and sizes that so many clients get, of whom each has its header before much has come."""
    ready = threading.Barrier(clients + 1, timeout=60)

    def read() -> tuple[str, int]:
        with exchange(daemon.address, "GET", blob(one).through) as response:
            ready.wait()
            size, digest = hash_rest(response)
            return digest, size

    with ThreadPoolExecutor(clients) as pool:
        reads = [pool.submit(read) for _ in range(clients)]
        ready.wait()
        gate.open()
        return {each.result() for each in reads}


@pytest.mark.security("S18")
def test_fills_that_were_cut_stay_within_the_size_and_go_first(start: Start, fake: FakeUpstream) -> None:
    """25 of them left ten times the size, for a day; so many here would leave three times."""
    limit = 10 * MIB
    daemon = start({REGISTRY: Upstream(fake.url, retries=0)}, cache={"size": "10M"})
    for number in range(8):
        one = Filler(6 * MIB, seed=2000 + number)

        def cut(request: object, one: Filler = one) -> Answer:
            return content(one, fault=Cut(at=4 * MIB))

        fake.script(blob(one).path, cut)
        with pytest.raises((IncompleteRead, ConnectionError)):
            fetch(daemon.address, blob(one).through)
        assert sum(daemon.cache.partial().values()) <= limit
        assert daemon.cache.bytes_on_disk() <= limit + MIB // 2
    assert daemon.cache.partial() != {}
    are_hits(daemon, fake, kept(daemon, fake, 3, 3 * MIB))
    assert daemon.cache.bytes_on_disk() <= limit + MIB // 2


@pytest.mark.security("S18")
def test_a_full_disk_is_no_reason_to_ask_twice(start: Start, fake: FakeUpstream, gate: Gate, tmp_path: Path) -> None:
    # The disk takes 12 MiB, and what comes then fits into what is held of it.
    clients, large = 8, Filler(18 * MIB, seed=4)
    with small_disk(tmp_path / "disk", "16m") as disk:
        daemon = start({REGISTRY: Upstream(fake.url)}, data_dir=disk)
        fake.script(blob(large).path, content(large, fault=Stall(gate, at=MIB)))
        assert together(daemon, large, clients, gate) == {(large.digest, large.size)}
        assert len(fake.seen.requests(blob(large).path, "GET")) == 1
        assert (daemon.cache.whole(), daemon.cache.partial()) == ({}, {})
        daemon.stop()
