"""Parts of blobs: before anything is here, while it is on its way, and once it is whole.

The rows are those of the project's table of how clients behave (C4, D4, P3 and so on) and of its answers (R8).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import IncompleteRead
from typing import TYPE_CHECKING

import pytest

from tests.multiparts import parts_to_the_letter
from tests.parts.answers import Cut, Filler, Gate, Stall
from tests.parts.cutter import Cutter
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import sha256
from tests.parts.places import REGISTRY, Place, blob
from tests.parts.raw_http import ask, exchange, fetch, hash_rest
from tests.parts.registry import DockerRegistry
from tests.parts.shapes import content, ranged

if TYPE_CHECKING:
    from tests.parts.containerd import Containerd
    from tests.parts.daemon import Start
    from tests.parts.docker_engine import DockerEngine
    from tests.parts.layouts import Layout
    from tests.parts.skopeo import Skopeo

pytestmark = pytest.mark.integration

MEBIBYTE = 1 << 20
SIZE = 16 * MEBIBYTE
_seeds = itertools.count(1)
# Where upstream stands still while the blob is filling.
REACHED = MEBIBYTE


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, fake: FakeUpstream) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("daemon"), configuration({REGISTRY: Upstream(fake.url)})) as daemon:
        yield daemon


@pytest.fixture
def body() -> Filler:
    """A blob that the daemon has never heard of."""
    return Filler(SIZE, seed=next(_seeds))


@pytest.fixture
def place(body: Filler) -> Place:
    return blob(body)


@contextmanager
def cold(daemon: Daemon, fake: FakeUpstream, body: Filler) -> Iterator[Callable[[], None]]:
    fake.script(blob(body).path, ranged(body))
    yield lambda: None


@contextmanager
def filling(daemon: Daemon, fake: FakeUpstream, body: Filler) -> Iterator[Callable[[], None]]:
    """Somebody else is getting it, and upstream stands still until the range was begun to be answered."""
    with Gate() as gate:
        fake.script(blob(body).path, ranged(body, Stall(gate, at=REACHED)))
        with exchange(daemon.address, "GET", blob(body).through) as other:
            begun = other.read(REACHED)
            yield gate.open
            gate.open()
            assert hash_rest(other, begun) == (SIZE, body.digest)


@contextmanager
def warm(daemon: Daemon, fake: FakeUpstream, body: Filler) -> Iterator[Callable[[], None]]:
    fake.script(blob(body).path, content(body))
    fetch(daemon.address, blob(body).through)
    daemon.cache.wait_until_whole(body.digest)
    yield lambda: None
    assert len(fake.seen.requests(blob(body).path)) == 1


@pytest.fixture(params=[cold, filling, warm], ids=lambda state: state.__name__)
def go_on(
    request: pytest.FixtureRequest, daemon: Daemon, fake: FakeUpstream, body: Filler
) -> Iterator[Callable[[], None]]:
    """Puts the blob in each state; called, it lets upstream go on."""
    with request.param(daemon, fake, body) as release:
        yield release


@pytest.mark.parametrize(
    ("asked", "first", "stop"),
    [
        ("0-0", 0, 1),
        ("0-", 0, SIZE),
        ("100-199", 100, 200),
        ("1000000-2000000", 1_000_000, 2_000_001),
        (f"{REACHED}-", REACHED, SIZE),
        ("-500", SIZE - 500, SIZE),
        (f"-{2 * SIZE}", 0, SIZE),
        (f"{SIZE - 1}-", SIZE - 1, SIZE),
        (f"{SIZE - 100}-{SIZE + 100}", SIZE - 100, SIZE),
    ],
)
def test_r8_a_range_is_answered_206_and_exact(
    daemon: Daemon, go_on: Callable[[], None], asked: str, first: int, stop: int, body: Filler, place: Place
) -> None:
    with exchange(daemon.address, "GET", place.through, ("Range", f"bytes={asked}")) as response:
        go_on()
        assert response.status == 206
        assert response.headers["Content-Range"] == f"bytes {first}-{stop - 1}/{SIZE}"
        assert response.headers["Content-Length"] == str(stop - first)
        assert response.headers["Docker-Content-Digest"] == body.digest
        assert hash_rest(response) == (stop - first, body.part(first, stop).digest)


@pytest.mark.parametrize("asked", [f"{SIZE}-", f"{SIZE + 1}-{SIZE + 2}", "-0"])
def test_r8_a_range_past_the_end_is_416(daemon: Daemon, go_on: Callable[[], None], asked: str, place: Place) -> None:
    reply = ask(daemon.address, "GET", place.through, ("Range", f"bytes={asked}"))
    assert (reply.status, reply.headers["Content-Range"]) == (416, f"bytes */{SIZE}")


def test_r8_a_range_far_ahead_of_the_fill_does_not_wait_for_it(
    daemon: Daemon, fake: FakeUpstream, body: Filler, place: Place
) -> None:
    with filling(daemon, fake, body):
        # A fill that was fast until now is taken to go on so.
        fake.seen.wait_until_still(window=1)
        reply = fetch(daemon.address, place.through, ("Range", f"bytes={SIZE - MEBIBYTE}-"))
        assert (reply.status, reply.digest) == (206, body.part(SIZE - MEBIBYTE, SIZE).digest)
    assert len(fake.seen.requests(place.path, "GET")) == 2


def test_r8_a_range_of_the_start_fills_the_cache(
    daemon: Daemon, fake: FakeUpstream, body: Filler, place: Place
) -> None:
    fake.script(place.path, ranged(body))
    fetch(daemon.address, place.through, ("Range", "bytes=0-"))
    daemon.cache.wait_until_whole(body.digest)
    assert len(fake.seen.requests(place.path, "GET")) == 1


@pytest.mark.parametrize("asked", ["items=0-1", "bytes=5-2", "bytes=a-b", "bytes=", "bytes=-"])
def test_r8_what_is_no_range_is_not_minded(
    daemon: Daemon, go_on: Callable[[], None], asked: str, body: Filler, place: Place
) -> None:
    with exchange(daemon.address, "GET", place.through, ("Range", asked)) as response:
        go_on()
        assert response.status == 200
        assert hash_rest(response) == (SIZE, body.digest)


def test_r8_a_range_is_exact_where_upstream_knows_none(
    daemon: Daemon, fake: FakeUpstream, body: Filler, place: Place
) -> None:
    fake.script(place.path, content(body))
    for asked, start, stop in (("1000-", 1000, SIZE), ("5-9", 5, 10), ("-7", SIZE - 7, SIZE)):
        reply = fetch(daemon.address, place.through, ("Range", f"bytes={asked}"))
        assert (reply.status, reply.headers["Content-Range"]) == (206, f"bytes {start}-{stop - 1}/{SIZE}")
        assert reply.digest == body.part(start, stop).digest
    past = ask(daemon.address, "GET", place.through, ("Range", f"bytes={SIZE}-"))
    assert (past.status, past.headers["Content-Range"]) == (416, f"bytes */{SIZE}")


# Near the beginning, where the fill stands, far ahead of it, and at the end; as podman asks, and as others may.
SEVERAL = [
    [(0, 10), (10, 20), (REACHED - 10, REACHED + 10), (8 * MEBIBYTE, 9 * MEBIBYTE), (SIZE - 5, SIZE)],
    [(100, 200), (300, 400)],
    [(SIZE - 5, SIZE), (0, 1000)],
    [(0, 9 * MEBIBYTE), (10 * MEBIBYTE, SIZE)],
]


@pytest.mark.parametrize("spans", SEVERAL, ids=["apart", "near", "back", "nearly-all"])
def test_p4_several_ranges_are_parts_of_one_body(
    daemon: Daemon, go_on: Callable[[], None], spans: list[tuple[int, int]], body: Filler, place: Place
) -> None:
    asked = ",".join(f"{start}-{stop - 1}" for start, stop in spans)
    with exchange(daemon.address, "GET", place.through, ("Range", f"bytes={asked}")) as response:
        go_on()
        assert (response.status, response.headers["Content-Range"]) == (206, None)
        assert response.headers["Docker-Content-Digest"] == body.digest
        content_type, length = response.headers["Content-Type"], response.headers["Content-Length"]
        received = response.read()
    assert len(received) == int(length)
    found = parts_to_the_letter(content_type, received)
    assert [(part.first, part.last + 1, part.size) for part in found] == [(*span, SIZE) for span in spans]
    for part, span in zip(found, spans, strict=True):
        assert sha256(part.content) == body.part(*span).digest


@pytest.mark.parametrize("asked", ["0-,-5", "9-9,7-7,5-5,3-3,1-1", ",".join(["0-0"] * 1025)])
def test_s19_p4_too_many_ranges_are_answered_with_the_whole(
    daemon: Daemon, go_on: Callable[[], None], asked: str, body: Filler, place: Place
) -> None:
    with exchange(daemon.address, "GET", place.through, ("Range", f"bytes={asked}")) as response:
        go_on()
        assert response.status == 200
        assert hash_rest(response) == (SIZE, body.digest)


def test_p4_ranges_of_which_one_is_left_are_one(daemon: Daemon, go_on: Callable[[], None], place: Place) -> None:
    reply = ask(daemon.address, "GET", place.through, ("Range", f"bytes={SIZE}-,10-19"))
    assert (reply.status, reply.headers["Content-Range"]) == (206, f"bytes 10-19/{SIZE}")
    none = ask(daemon.address, "GET", place.through, ("Range", f"bytes={SIZE}-,-0"))
    assert (none.status, none.headers["Content-Range"]) == (416, f"bytes */{SIZE}")


def test_p4_of_what_is_not_here_no_more_is_fetched_than_was_asked_for(
    daemon: Daemon, fake: FakeUpstream, body: Filler, place: Place
) -> None:
    fake.script(place.path, ranged(body))
    value = f"bytes=1000-1999,{MEBIBYTE}-{MEBIBYTE + 9},{MEBIBYTE + 20}-{MEBIBYTE + 29},-10"
    reply = ask(daemon.address, "GET", place.through, ("Range", value))
    assert len(parts_to_the_letter(reply.headers["Content-Type"], reply.body)) == 4
    asked = [request.values("Range") for request in fake.seen.requests(place.path, "GET")]
    assert asked == [
        ["bytes=1000-1999"],
        [f"bytes={MEBIBYTE}-{MEBIBYTE + 29}"],
        [f"bytes={SIZE - 10}-{SIZE - 1}"],
    ]
    assert daemon.cache.partial() == {}


def test_p4_several_ranges_are_exact_where_upstream_knows_none(
    daemon: Daemon, fake: FakeUpstream, body: Filler, place: Place
) -> None:
    fake.script(place.path, content(body))
    reply = ask(daemon.address, "GET", place.through, ("Range", "bytes=1000-1999,2000000-2000009"))
    found = parts_to_the_letter(reply.headers["Content-Type"], reply.body)
    assert [sha256(part.content) for part in found] == [
        body.part(1000, 2000).digest,
        body.part(2_000_000, 2_000_010).digest,
    ]
    assert len(fake.seen.requests(place.path, "GET")) == 1


def test_p4_a_client_that_reads_slowly_has_its_parts_wait_on_the_disk(daemon: Daemon, fake: FakeUpstream) -> None:
    """Nothing is collected for it: of many large parts no more is in memory than of one body."""
    large = Filler(256 * MEBIBYTE, seed=3)
    place = blob(large)
    fake.script(place.path, content(large))
    fetch(daemon.address, place.through)
    daemon.cache.wait_until_whole(large.digest)
    before = daemon.rss_bytes()
    spans = [(start * MEBIBYTE, start * MEBIBYTE + MEBIBYTE - 1) for start in range(256)]
    asked = ("Range", "bytes=" + ",".join(f"{start}-{stop - 1}" for start, stop in spans))
    with ExitStack() as readers:
        for _ in range(8):
            reader = readers.enter_context(exchange(daemon.address, "GET", place.through, asked))
            assert reader.status == 206
            assert len(reader.read(1000)) == 1000
        assert daemon.rss_bytes() - before < 32 * MEBIBYTE


@pytest.mark.parametrize("value", ["10-19", "10-19,30-39"])
def test_if_range_is_minded_in_every_state(
    daemon: Daemon, go_on: Callable[[], None], value: str, body: Filler, place: Place
) -> None:
    ranges = ("Range", f"bytes={value}")
    with exchange(daemon.address, "GET", place.through, ranges, ("If-Range", f'"{body.digest}"')) as response:
        assert response.status == 206
    with exchange(daemon.address, "GET", place.through, ranges, ("If-Range", f'W/"{body.digest}"')) as response:
        go_on()
        assert response.status == 200
        assert hash_rest(response) == (SIZE, body.digest)


def test_c4_containerds_parallel_fetch_neither_ends_the_fill_nor_multiplies_it(
    daemon: Daemon, fake: FakeUpstream, gate: Gate
) -> None:
    """containerd asks for the whole with bytes=0-, then from several K on, and hangs up on each after one chunk."""
    size, chunk = 128 * MEBIBYTE, 4 * MEBIBYTE
    large = Filler(size, seed=2)
    place = blob(large)
    fake.script(place.path, ranged(large, Stall(gate, at=chunk)))
    with ExitStack() as others:
        first = others.enter_context(exchange(daemon.address, "GET", place.through, ("Range", "bytes=0-")))
        assert (first.status, first.headers["Content-Range"]) == (206, f"bytes 0-{size - 1}/{size}")
        begun = first.read(MEBIBYTE)
        fake.seen.wait_until_still(window=1)
        for start in (32 * MEBIBYTE, 64 * MEBIBYTE, 96 * MEBIBYTE):
            with exchange(daemon.address, "GET", place.through, ("Range", f"bytes={start}-")) as response:
                assert (response.status, response.headers["Content-Range"]) == (
                    206,
                    f"bytes {start}-{size - 1}/{size}",
                )
                assert response.read(chunk) == b"".join(large.part(start, start + chunk).pieces())
        for request in fake.seen.requests(place.path, "GET")[1:]:
            fake.seen.wait_until_closed(request.connection)
        # Each took its chunk, and what sockets and buffers on the way had room for.
        assert fake.seen.sent(place.path) < chunk + 3 * (chunk + 24 * MEBIBYTE)
        gate.open()
        assert hash_rest(first, begun) == (size, large.digest)
    daemon.cache.wait_until_whole(large.digest)


def test_c4_an_early_close_of_a_near_range_does_not_end_the_fill(
    daemon: Daemon, fake: FakeUpstream, body: Filler, place: Place
) -> None:
    with (
        filling(daemon, fake, body) as go_on,
        exchange(daemon.address, "GET", place.through, ("Range", f"bytes={2 * MEBIBYTE}-")) as near,
    ):
        assert near.status == 206
        go_on()
        assert near.read(1000) == b"".join(body.part(2 * MEBIBYTE, 2 * MEBIBYTE + 1000).pieces())
    assert len(fake.seen.requests(place.path, "GET")) == 1


def test_c5_what_cannot_be_finished_is_aborted_and_resumed_by_the_client(
    daemon: Daemon, fake: FakeUpstream, body: Filler, place: Place
) -> None:
    fake.script(place.path, ranged(body, Cut(5 * MEBIBYTE), faulty=True))
    with exchange(daemon.address, "GET", place.through) as response:
        begun = response.read(4 * MEBIBYTE)
        with pytest.raises((IncompleteRead, ConnectionResetError)):
            response.read()
    fake.script(place.path, ranged(body))
    with exchange(daemon.address, "GET", place.through, ("Range", f"bytes={len(begun)}-")) as response:
        assert (response.status, response.headers["Content-Range"]) == (
            206,
            f"bytes {len(begun)}-{SIZE - 1}/{SIZE}",
        )
        assert hash_rest(response, begun) == (SIZE, body.digest)


@pytest.mark.parametrize("reached", [MEBIBYTE + 1, 5 * MEBIBYTE, SIZE - 1])
def test_d4_p3_a_resumed_pull_is_206_from_there_to_the_end(
    daemon: Daemon, go_on: Callable[[], None], reached: int, body: Filler, place: Place
) -> None:
    with exchange(daemon.address, "GET", place.through, ("Range", f"bytes={reached}-")) as response:
        go_on()
        assert response.status == 206
        assert response.headers["Content-Range"] == f"bytes {reached}-{SIZE - 1}/{SIZE}"
        assert hash_rest(response) == (SIZE - reached, body.part(reached, SIZE).digest)


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with DockerRegistry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.mark.parametrize("client", ["docker", "containerd"])
def test_d4_c5_a_client_whose_line_breaks_gets_all_of_it(
    start: Start,
    upstream: DockerRegistry,
    layout: Layout,
    skopeo: Skopeo,
    docker: DockerEngine,
    containerd: Containerd,
    client: str,
) -> None:
    """The clients of Debian 12 that resume; its podman fails instead, whatever the registry."""
    image = layout.image(layout.large_layer(24 * MEBIBYTE))
    skopeo.push(layout.source(image), upstream.authority, f"team/{client}:v1")
    daemon = start({REGISTRY: Upstream(upstream.url)})
    with Cutter(daemon.address, 8 * MEBIBYTE) as line:
        name = f"127.0.0.1:{line.address[1]}/{REGISTRY}/team/{client}:v1"
        if client == "docker":
            assert docker.pull(name).contents == image.unpacked
        else:
            assert containerd.pull(name) == image.digests
        assert line.has_cut
    resumed = f'{image.layers[0].digest} HTTP/1.1" 206'
    daemon.wait_for_log(resumed)
    assert daemon.log.count(resumed) == 1
