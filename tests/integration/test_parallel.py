"""A large blob from an upstream that is slow on each connection: what that is asked, and over how many."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Answer, Filler, Gate, Request, Script, Stall
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.places import REGISTRY, Place, blob
from tests.parts.raw_http import exchange, fetch
from tests.parts.shapes import content, error, ranged, redirect

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from pathlib import Path

    from tests.parts.daemon import Start
    from tests.parts.fake_upstream import FakeUpstream

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

MEBIBYTE = 1 << 20
# More than 64 MiB, and more than four seconds of one connection when that has been looked at for one.
SIZE = 68 * MEBIBYTE
RATE = 12 * MEBIBYTE


def slowly(script: Script, rate: int = RATE) -> Script:
    """The same, at so many bytes a second on each connection."""

    def answer(request: Request) -> Answer:
        return replace(script if isinstance(script, Answer) else script(request), rate=rate)

    return answer


def upstream_of(fake: FakeUpstream, connections: int | None = None) -> dict[str, Upstream]:
    return {REGISTRY: Upstream(fake.url, connections=connections)}


def large(seed: int) -> tuple[Filler, Place]:
    body = Filler(SIZE, seed=seed)
    return body, blob(body)


def asked(fake: FakeUpstream, place: Place) -> list[tuple[int, int | None]]:
    """The ranges that were asked for, in the order of their bytes; (0, None) is the whole."""
    ranges = []
    for request in fake.seen.requests(place.path, "GET"):
        values = request.values("Range")
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", values[0]) if values else None
        ranges.append((int(match[1]), int(match[2]) + 1 if match[2] else None) if match else (0, None))
    return sorted(ranges, key=lambda one: (one[0], one[1] or 0))


def read_until_there_are_four(response: HTTPResponse, fake: FakeUpstream, place: Place) -> None:
    while fake.seen.most_at_once(place.path) < 4:
        assert response.read(MEBIBYTE), "all of it came over fewer"


def test_a_blob_comes_over_several_connections_each_of_which_brings_a_part(start: Start, fake: FakeUpstream) -> None:
    body, place = large(1)
    fake.script(place.path, slowly(ranged(body), 8 * MEBIBYTE))
    daemon = start(upstream_of(fake))
    assert fetch(daemon.address, place.through).digest == body.digest
    daemon.cache.wait_until_whole(body.digest)
    whole, *parts = asked(fake, place)
    assert whole == (0, None)
    assert len(parts) >= 3
    assert all(stop == start for (_, stop), (start, _) in pairwise(parts))
    assert parts[-1][1] == SIZE
    # One more than four where it is not yet noticed that the first was closed at the second's first byte.
    assert 4 <= fake.seen.most_at_once(place.path) <= 5
    # What the first connection sent beyond that is lost: what was on its way.
    assert SIZE <= fake.seen.sent(place.path) < SIZE + 16 * MEBIBYTE


def test_one_connection_is_one(start: Start, fake: FakeUpstream) -> None:
    body, place = large(2)
    fake.script(place.path, slowly(ranged(body)))
    daemon = start(upstream_of(fake, connections=1))
    assert fetch(daemon.address, place.through).digest == body.digest
    assert asked(fake, place) == [(0, None)]


def test_a_fast_one_stays_alone(start: Start, fake: FakeUpstream) -> None:
    body, place = large(3)
    fake.script(place.path, ranged(body))
    daemon = start(upstream_of(fake))
    assert fetch(daemon.address, place.through).digest == body.digest
    assert asked(fake, place) == [(0, None)]


def test_so_does_one_that_our_own_limit_holds_back(
    fake: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> None:
    body, place = large(4)
    fake.script(place.path, ranged(body))
    text = configuration(upstream_of(fake)) + f'[limits]\nupstream = "{RATE // MEBIBYTE}M/s"\n'
    with Daemon(tmp_path_factory.mktemp("daemon"), text) as daemon:
        assert fetch(daemon.address, place.through).digest == body.digest
    assert asked(fake, place) == [(0, None)]


def test_an_upstream_without_ranges_is_asked_for_parts_once(start: Start, fake: FakeUpstream) -> None:
    (first, its_place), (second, other_place) = large(5), large(6)
    fake.script(its_place.path, slowly(content(first)))
    fake.script(other_place.path, slowly(content(second)))
    daemon = start(upstream_of(fake))
    assert fetch(daemon.address, its_place.through).digest == first.digest
    assert len(asked(fake, its_place)) == 4
    assert fake.seen.sent(its_place.path) < SIZE + 16 * MEBIBYTE
    assert fetch(daemon.address, other_place.through).digest == second.digest
    assert asked(fake, other_place) == [(0, None)]


def test_each_part_is_asked_for_at_the_registry_which_may_refuse_some(start: Start, fake: FakeUpstream) -> None:
    """It redirects, as most do, and refuses one of the four: the others go on."""
    body, place = large(7)
    there = f"{place.path}/there"
    fake.script(there, slowly(ranged(body), 8 * MEBIBYTE))
    onward, refused = redirect(f"{fake.url}{there}"), error(503, "UNAVAILABLE", "no", ("Retry-After", "1"))
    fake.script(place.path, onward, onward, onward, refused, onward)
    daemon = start(upstream_of(fake))
    assert fetch(daemon.address, place.through).digest == body.digest
    assert len(fake.seen.requests(place.path, "GET")) >= 5
    assert fake.seen.most_at_once(there) >= 2


def test_one_that_stands_still_is_given_up(start: Start, fake: FakeUpstream, gate: Gate) -> None:
    """The second connection gets no answer; that takes three seconds, not the thirty that an answer may take."""
    body, place = large(8)
    answers = slowly(ranged(body), 8 * MEBIBYTE)
    assert not isinstance(answers, Answer)
    count = 0

    def answer(request: Request) -> Answer:
        nonlocal count
        count += 1
        answered = answers(request)
        return replace(answered, fault=Stall(gate)) if count == 2 else answered

    fake.script(place.path, answer)
    daemon = start(upstream_of(fake), headers="600s")
    assert fetch(daemon.address, place.through).digest == body.digest


def test_what_waited_in_memory_is_asked_for_again_after_a_crash(
    start: Start, fake: FakeUpstream, tmp_path: Path
) -> None:
    """Nothing is on disk but what is in order."""
    body, place = large(9)
    fake.script(place.path, slowly(ranged(body), 8 * MEBIBYTE))
    first = start(upstream_of(fake), data_dir=tmp_path / "kept")
    with exchange(first.address, "GET", place.through) as response:
        read_until_there_are_four(response, fake, place)
        first.kill()
    second = start(upstream_of(fake), data_dir=tmp_path / "kept")
    assert fetch(second.address, place.through).digest == body.digest
    second.cache.wait_until_whole(body.digest)


def test_who_leaves_takes_all_connections_along(start: Start, fake: FakeUpstream, tmp_path: Path) -> None:
    """Once nobody has read it for long enough; stopping is the same, and sooner."""
    body, place = large(10)
    fake.script(place.path, slowly(ranged(body), 8 * MEBIBYTE))
    daemon = start(upstream_of(fake), data_dir=tmp_path / "kept")
    with exchange(daemon.address, "GET", place.through) as response:
        read_until_there_are_four(response, fake, place)
    daemon.stop()
    fake.seen.wait_for(lambda: fake.seen.open_connections == 0)
    kept = daemon.cache.partial().get(body.digest, 0)
    with (tmp_path / "kept" / "cache" / "partial" / REGISTRY / body.digest.replace(":", "-")).open("rb") as partial:
        assert partial.read() == b"".join(body.part(0, kept).pieces())
