"""One fetch, many readers: what upstream is asked, and what everybody gets, while a blob is on its way.

The rows are those of the project's table of answers (R6 and so on).
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import IncompleteRead
from random import Random
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Answer, Cut, Filler, Framing, Gate, Stall
from tests.parts.daemon import Upstream
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import OCI_MANIFEST, sha256
from tests.parts.places import REGISTRY, Place, blob, manifest_place
from tests.parts.raw_http import Address, ask, asking, exchange, fetch, hash_rest
from tests.parts.shapes import content, error, manifest, ranged, redirect

if TYPE_CHECKING:
    from pathlib import Path

    from tests.parts.daemon import Start

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

MEBIBYTE = 1 << 20
CUT_SHORT = (IncompleteRead, ConnectionResetError)


def upstream_of(fake: FakeUpstream) -> dict[str, Upstream]:
    return {REGISTRY: Upstream(fake.url)}


def read_after_the_first(address: Address, place: Place, all_have_begun: Barrier) -> tuple[int, str]:
    """GET a blob, wait with its first byte in hand until everybody has theirs, and read the rest."""
    with exchange(address, "GET", place.through, seconds=60) as response:
        assert response.status == 200
        first = response.read(1)
        all_have_begun.wait(60)
        return hash_rest(response, first)


@pytest.mark.security("S21")
@pytest.mark.parametrize(("daemons", "size"), [(1, 64 * MEBIBYTE), (2, 32 * MEBIBYTE)])
def test_r6_50_clients_of_a_cold_blob_are_one_fetch(
    start: Start, fake: FakeUpstream, gate: Gate, tmp_path: Path, daemons: int, size: int
) -> None:
    """Upstream stands still at half until each client has its first byte: so nobody waits for the whole."""
    large = Filler(size, seed=1)
    place = blob(large)
    fake.script(place.path, ranged(large, Stall(gate, at=size // 2)))
    addresses = [start(upstream_of(fake), data_dir=tmp_path / "shared").address for _ in range(daemons)]
    all_have_begun = Barrier(50, action=gate.open)
    with ThreadPoolExecutor(50) as clients:
        reading = [
            clients.submit(read_after_the_first, addresses[number % daemons], place, all_have_begun)
            for number in range(50)
        ]
        assert [one.result() for one in reading] == [(size, large.digest)] * 50
    assert len(fake.seen.requests(place.path, "GET")) == 1
    assert fake.seen.all_sent(place.path, size) == size


def test_r6_a_daemon_takes_over_what_another_leaves_unfinished(
    start: Start, fake: FakeUpstream, gate: Gate, tmp_path: Path
) -> None:
    large = Filler(16 * MEBIBYTE, seed=2)
    place = blob(large)
    fake.script(place.path, ranged(large, Stall(gate, at=4 * MEBIBYTE)))
    first = start(upstream_of(fake), data_dir=tmp_path / "shared")
    second = start(upstream_of(fake), data_dir=tmp_path / "shared")
    with (
        exchange(first.address, "GET", place.through) as dies,
        exchange(second.address, "GET", place.through) as lives,
    ):
        assert len(dies.read(MEBIBYTE)) == MEBIBYTE
        begun = lives.read(MEBIBYTE)
        assert len(fake.seen.requests(place.path, "GET")) == 1
        first.kill()
        assert hash_rest(lives, begun) == (len(large), large.digest)
    _, resumed = fake.seen.requests(place.path, "GET")
    assert range_start(resumed.values("Range")) > 0


def range_start(values: list[str]) -> int:
    (value,) = values
    match = re.fullmatch(r"bytes=(\d+)-", value)
    assert match is not None, value
    return int(match[1])


def test_r7_a_fill_with_little_to_go_is_finished_when_its_client_leaves(
    start: Start, fake: FakeUpstream, gate: Gate
) -> None:
    large = Filler(32 * MEBIBYTE, seed=3)
    place = blob(large)
    fake.script(place.path, ranged(large, Stall(gate, at=4 * MEBIBYTE)))
    daemon = start(upstream_of(fake))
    with exchange(daemon.address, "GET", place.through) as response:
        response.read(MEBIBYTE)
    assert daemon.cache.whole() == {}
    gate.open()
    daemon.cache.wait_until_whole(large.digest)
    assert fetch(daemon.address, place.through).digest == large.digest
    assert len(fake.seen.requests(place.path, "GET")) == 1
    assert fake.seen.all_sent(place.path, len(large)) == len(large)


def test_r7_what_a_stopped_daemon_had_is_resumed_by_the_next(
    start: Start, fake: FakeUpstream, gate: Gate, tmp_path: Path
) -> None:
    large = Filler(100 * MEBIBYTE, seed=4)
    place = blob(large)
    fake.script(place.path, ranged(large, Stall(gate, at=20 * MEBIBYTE)))
    first = start(upstream_of(fake), data_dir=tmp_path / "kept")
    with exchange(first.address, "GET", place.through) as response:
        assert len(response.read(19 * MEBIBYTE)) == 19 * MEBIBYTE
        first.stop()
    assert first.cache.whole() == {}
    kept = first.cache.partial()[large.digest]
    assert kept >= 19 * MEBIBYTE
    second = start(upstream_of(fake), data_dir=tmp_path / "kept")
    assert fetch(second.address, place.through).digest == large.digest
    _, resumed = fake.seen.requests(place.path, "GET")
    assert range_start(resumed.values("Range")) == kept
    second.cache.wait_until_whole(large.digest)
    assert second.cache.partial() == {}


@pytest.mark.security("S9")
@pytest.mark.parametrize("leftover", [b"\0" * 1000, b"\0" * 200_000], ids=["shorter", "longer than the blob"])
def test_r7_a_leftover_that_is_not_the_blobs_is_never_served_as_it(
    start: Start, fake: FakeUpstream, tmp_path: Path, leftover: bytes
) -> None:
    body = b"the right bytes\n" * 10_000
    place = blob(body)
    fake.script(place.path, ranged(body))
    partial = tmp_path / "kept" / "cache" / "partial" / REGISTRY / sha256(body).replace(":", "-")
    partial.parent.mkdir(parents=True)
    partial.write_bytes(leftover)
    daemon = start(upstream_of(fake), data_dir=tmp_path / "kept")
    if len(leftover) < len(body):
        # Upstream gives the rest, and only the whole tells that its beginning is another's.
        with pytest.raises(CUT_SHORT):
            fetch(daemon.address, place.through)
        assert not daemon.cache.whole()
        assert not daemon.cache.partial()
    assert fetch(daemon.address, place.through).digest == sha256(body)
    assert daemon.cache.damaged() == []


RIGHT = b"all of it\n" * 20_000


@pytest.mark.security("S9")
@pytest.mark.parametrize("framing", list(Framing))
@pytest.mark.parametrize("wrong", [RIGHT[:-1] + b"!", RIGHT[:-1], RIGHT + b"!"], ids=["other", "shorter", "longer"])
def test_r9_wrong_bytes_are_never_ended_cleanly_nor_kept(
    start: Start, fake: FakeUpstream, framing: Framing, wrong: bytes
) -> None:
    place = blob(RIGHT)
    fake.script(place.path, Answer(body=wrong, framing=framing), Answer(body=RIGHT, framing=framing))
    daemon = start(upstream_of(fake))
    with pytest.raises(CUT_SHORT):
        fetch(daemon.address, place.through)
    assert not daemon.cache.whole()
    assert not daemon.cache.partial()
    for _ in range(2):
        assert fetch(daemon.address, place.through).digest == sha256(RIGHT)
    assert len(fake.seen.requests(place.path, "GET")) == 2


def test_upstream_cut_at_200_random_offsets_is_not_noticed(start: Start, fake: FakeUpstream) -> None:
    random = Random(200)
    bodies = [Filler(MEBIBYTE + random.randrange(1000), seed=number) for number in range(40)]
    for body in bodies:
        offsets = sorted(random.randrange(1, len(body)) for _ in range(5))
        faults = [Cut(at, reset=random.random() < 0.5) for at in offsets]
        fake.script(blob(body).path, ranged(body, *faults))
    daemon = start(upstream_of(fake))
    with ThreadPoolExecutor(40) as clients:
        fetched = clients.map(lambda body: fetch(daemon.address, blob(body).through), bodies)
        assert [one.digest for one in fetched] == [body.digest for body in bodies]
    assert len(fake.seen.requests(method="GET")) == 40 + 200
    assert set(daemon.cache.whole()) == {body.digest for body in bodies}
    assert daemon.cache.damaged() == []


def test_upstream_that_stalls_at_random_offsets_is_not_noticed(start: Start, fake: FakeUpstream, gate: Gate) -> None:
    random = Random(20)
    bodies = [Filler(MEBIBYTE, seed=number) for number in range(10)]
    for body in bodies:
        faults = [Stall(gate, at=at) for at in sorted(random.randrange(1, MEBIBYTE) for _ in range(3))]
        fake.script(blob(body).path, ranged(body, *faults))
    daemon = start(upstream_of(fake), idle="300ms")
    with ThreadPoolExecutor(10) as clients:
        fetched = clients.map(lambda body: fetch(daemon.address, blob(body).through), bodies)
        assert [one.digest for one in fetched] == [body.digest for body in bodies]
    assert len(fake.seen.requests(method="GET")) == 10 + 30


def test_an_upstream_without_ranges_that_cuts_is_not_noticed(start: Start, fake: FakeUpstream) -> None:
    place = blob(RIGHT)
    fake.script(place.path, content(RIGHT, fault=Cut(150_000)), content(RIGHT))
    daemon = start(upstream_of(fake))
    assert fetch(daemon.address, place.through).digest == sha256(RIGHT)


def test_a_cut_is_resumed_through_a_fresh_redirect(start: Start, fake: FakeUpstream) -> None:
    place = blob(RIGHT)
    with FakeUpstream() as elsewhere:
        fake.script(place.path, redirect(f"{elsewhere.url}/signed?1"), redirect(f"{elsewhere.url}/signed?2"))
        elsewhere.script("/signed", ranged(RIGHT, Cut(100_000)))
        daemon = start(upstream_of(fake))
        assert fetch(daemon.address, place.through).digest == sha256(RIGHT)
        first, second = elsewhere.seen.requests("/signed")
    assert (first.target, second.target) == ("/signed?1", "/signed?2")
    assert range_start(second.values("Range")) == 100_000


@pytest.mark.security("S20")
def test_200_slow_readers_of_a_filling_blob_cost_little_memory(start: Start, fake: FakeUpstream, gate: Gate) -> None:
    large = Filler(1024 * MEBIBYTE, seed=5)
    place = blob(large)
    fake.script(place.path, ranged(large, Stall(gate, at=len(large) - MEBIBYTE)))
    daemon = start(upstream_of(fake))
    before = daemon.rss_bytes()
    with ExitStack() as reading:
        slow = [
            reading.enter_context(exchange(daemon.address, "GET", place.through, receive_buffer=16 * 1024))
            for _ in range(200)
        ]
        for response in slow:
            assert len(response.read(64 * 1024)) == 64 * 1024
        # They read nothing meanwhile: none of them holds the fill up.
        fake.seen.wait_for(lambda: fake.seen.sent(place.path) == len(large) - MEBIBYTE, seconds=60)
        for response in slow:
            assert len(response.read(64 * 1024)) == 64 * 1024
        used = daemon.rss_bytes() - before
        assert used < 96 * MEBIBYTE, f"{used / MEBIBYTE:.0f} MiB"
    assert len(fake.seen.requests(place.path, "GET")) == 1


def test_a_linked_repository_gets_its_blob_where_the_one_that_began_the_fetch_is_refused(
    start: Start, fake: FakeUpstream, gate: Gate
) -> None:
    """Both want one digest at once. The refusal is the first one's own; the second's manifest refers to the blob."""
    refused, linked = blob(RIGHT, "team/refused"), blob(RIGHT, "team/linked")
    document = b'{"schemaVersion": 2, "layers": [{"mediaType": "a/b", "digest": "%s", "size": %d}]}' % (
        sha256(RIGHT).encode(),
        len(RIGHT),
    )
    tag = manifest_place("v1", "team/linked")
    fake.script(tag.path, manifest(document, OCI_MANIFEST))
    fake.script(linked.path, content(RIGHT))
    denied = error(403, "DENIED")
    fake.script(refused.path, Answer(403, denied.headers, denied.body, fault=Stall(gate)))
    daemon = start(upstream_of(fake))
    assert ask(daemon.address, "GET", tag.through).status == 200
    with (
        asking(daemon.address, "GET", refused.through),
        ThreadPoolExecutor(1) as other,
    ):
        fake.seen.wait_for_request(refused.path)
        waiting = other.submit(fetch, daemon.address, linked.through)
        # It is answered at once after this one, so the other has been waiting by then.
        assert ask(daemon.address, "GET", "/v2/").status == 200
        gate.open()
        assert waiting.result().digest == sha256(RIGHT)


def test_a_daemon_that_is_stopped_ends_calmly_whatever_is_under_way(
    start: Start, fake: FakeUpstream, gate: Gate
) -> None:
    unanswered, filling = Filler(MEBIBYTE, seed=6), Filler(MEBIBYTE, seed=7)
    fake.script(blob(unanswered).path, Answer(fault=Stall(gate)))
    fake.script(blob(filling).path, ranged(filling, Stall(gate, at=1000)))
    daemon = start(upstream_of(fake))
    with (
        asking(daemon.address, "GET", blob(unanswered).through),
        exchange(daemon.address, "GET", blob(filling).through) as response,
    ):
        response.read(1)
        fake.seen.wait_for_request(blob(unanswered).path)
        daemon.stop()
