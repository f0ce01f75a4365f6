"""Several nodes with a real S3 server and a real Valkey: one cache, one fetch."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Filler, Gate, Stall
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.fleets import Fleet, is_in_common, together
from tests.parts.images import OCI_MANIFEST
from tests.parts.operator import Operator
from tests.parts.places import REGISTRY, blob, manifest_place
from tests.parts.raw_http import ask, fetch
from tests.parts.s3 import S3Server
from tests.parts.shapes import at_rate, manifest, ranged
from tests.parts.valkey import Valkey
from tests.parts.waiting import until

if TYPE_CHECKING:
    from tests.parts.layouts import Layout
    from tests.parts.skopeo import Skopeo

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

MIB = 1024 * 1024
# Fills may take their time: what is looked at here is who asks for what.
CACHE = {"patience": "30s"}


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3Server]:
    (tmp_path / "s3").mkdir()
    with S3Server(tmp_path / "s3") as s3:
        yield s3


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    with Valkey() as valkey:
        yield valkey


@pytest.fixture
def fleet(workers: int, tmp_path: Path, fake: FakeUpstream, s3: S3Server, valkey: Valkey) -> Iterator[Fleet]:
    with Fleet(tmp_path, {REGISTRY: Upstream(fake.url)}, s3=s3, valkey=valkey, cache=CACHE) as fleet:
        yield fleet


def asked_for(fake: FakeUpstream, path: str, size: int) -> int:
    """The bytes that upstream was asked for of a blob, be they cut or not."""
    total = 0
    for request in fake.seen.requests(path, "GET"):
        (wanted,) = request.values("Range") or ["bytes=0-"]
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        total += (int(last) + 1 if last else size) - int(first)
    return total


def is_in(s3: S3Server, digest: str) -> bool:
    return bool(keys_of(s3, digest))


def keys_of(s3: S3Server, digest: str) -> list[str]:
    """The names of the objects that have some content."""
    return [key for key in s3.names() if key.endswith(f"/{digest.partition(':')[2]}")]


def test_a_cold_blob_is_fetched_once_for_all_nodes(fleet: Fleet, fake: FakeUpstream) -> None:
    body = Filler(32 * MIB)
    place = blob(body)
    fake.script(place.path, at_rate(ranged(body), 16 * MIB))
    nodes = [fleet.start() for _ in range(3)]
    for future in together(nodes, place.through, 10):
        assert (future.result().size, future.result().digest) == (len(body), body.digest)
    assert asked_for(fake, place.path, len(body)) == len(body)
    for node in nodes:
        assert body.digest in node.cache.whole()


def test_a_new_node_serves_what_the_fleet_has_without_upstream(
    fleet: Fleet, fake: FakeUpstream, layout: Layout, skopeo: Skopeo, s3: S3Server
) -> None:
    image = layout.image()
    fake.publish("team/app", "v1", image)
    first = fleet.start()
    assert skopeo.pull(f"127.0.0.1:{first.port}/{REGISTRY}/team/app:v1") == image.digests
    until(lambda: all(is_in(s3, digest) for digest in image.digests))
    fake.stop()
    first.stop()
    second = fleet.start()
    assert skopeo.pull(f"127.0.0.1:{second.port}/{REGISTRY}/team/app:v1") == image.digests


def test_a_new_node_serves_what_another_has_just_fetched_without_upstream_and_store(
    workers: int, fake: FakeUpstream, layout: Layout, skopeo: Skopeo, valkey: Valkey, tmp_path: Path
) -> None:
    image = layout.image()
    fake.publish("team/app", "v1", image)
    with Fleet(tmp_path, {REGISTRY: Upstream(fake.url)}, valkey=valkey, cache=CACHE) as fleet:
        first = fleet.start()
        assert skopeo.pull(f"127.0.0.1:{first.port}/{REGISTRY}/team/app:v1") == image.digests
        fake.stop()
        second = fleet.start()
        assert skopeo.pull(f"127.0.0.1:{second.port}/{REGISTRY}/team/app:v1") == image.digests


@pytest.mark.parametrize("moment", range(10))
def test_where_the_filling_node_is_killed_another_goes_on(
    fleet: Fleet, fake: FakeUpstream, gate: Gate, moment: int
) -> None:
    body = Filler(24 * MIB, seed=moment)
    place, at = blob(body), moment * len(body) // 10
    fake.script(place.path, ranged(body, Stall(gate, at=at)))
    filling, *others = [fleet.start() for _ in range(3)]
    with ThreadPoolExecutor(9) as clients:
        of_first = [clients.submit(fetch, filling.address, place.through) for _ in range(3)]
        until(lambda: bool(fake.seen.requests(place.path, "GET")))
        of_others = [clients.submit(fetch, node.address, place.through) for node in others for _ in range(3)]
        # As much as there is has come to the others, too.
        until(lambda: all(node.cache.partial().get(body.digest, -1) >= at for node in others))
        filling.kill()
    for future in of_others:
        assert (future.result().size, future.result().digest) == (len(body), body.digest)
    for future in of_first:
        # Whole and right, or cut: never wrong.
        error = future.exception()
        assert error is None or isinstance(error, OSError | HTTPException)
        assert error is not None or future.result().digest == body.digest
    # Once, and what the dead one had not passed on.
    assert asked_for(fake, place.path, len(body)) <= 2 * len(body) - at
    for node in fleet.nodes:
        assert node.cache.damaged() == []


def test_where_the_filling_node_hangs_another_goes_on(fleet: Fleet, fake: FakeUpstream, gate: Gate) -> None:
    body = Filler(8 * MIB)
    place, at = blob(body), 4 * MIB
    fake.script(place.path, ranged(body, Stall(gate, at=at)))
    filling, other = fleet.start(), fleet.start()
    with ThreadPoolExecutor(2) as clients:
        clients.submit(fetch, filling.address, place.through)
        until(lambda: bool(fake.seen.requests(place.path, "GET")))
        of_other = clients.submit(fetch, other.address, place.through)
        until(lambda: other.cache.partial().get(body.digest, -1) >= at)
        with filling.frozen():
            assert of_other.result().digest == body.digest
        gate.open()
    assert asked_for(fake, place.path, len(body)) <= 2 * len(body)


def test_without_valkey_each_node_works_alone(fleet: Fleet, fake: FakeUpstream, valkey: Valkey) -> None:
    bodies = [Filler(4 * MIB, seed=number) for number in range(3)]
    for body in bodies:
        fake.script(blob(body).path, ranged(body))
    nodes = [fleet.start() for _ in range(2)]
    assert fetch(nodes[0].address, blob(bodies[0]).through).digest == bodies[0].digest
    valkey.kill()
    for node in nodes:
        assert fetch(node.address, blob(bodies[1]).through).digest == bodies[1].digest
        node.wait_for_log("goes on alone until it is back")
    valkey.again()
    for node in nodes:
        node.wait_for_log("is back after")
        # Each worker finds out by itself, and the first alone tells of it.
        until(functools.partial(is_in_common, node, len(nodes)))
    for future in together(nodes, blob(bodies[2]).through, 4):
        assert future.result().digest == bodies[2].digest
    assert len(fake.seen.requests(blob(bodies[2]).path, "GET")) == 1


def test_without_the_store_there_are_the_disk_and_upstream(fleet: Fleet, fake: FakeUpstream, s3: S3Server) -> None:
    body, other = Filler(4 * MIB), Filler(4 * MIB, seed=1)
    for each in (body, other):
        fake.script(blob(each).path, ranged(each))
    first, second = fleet.start(), fleet.start()
    assert fetch(first.address, blob(body).through).digest == body.digest
    until(lambda: is_in(s3, body.digest))
    s3.kill()
    assert fetch(first.address, blob(body).through).digest == body.digest
    for future in together([first, second], blob(other).through, 3):
        assert future.result().digest == other.digest
    assert asked_for(fake, blob(other).path, len(other)) == len(other)
    s3.start_again()
    until(lambda: is_in(s3, other.digest), 60)


def test_wrong_bytes_in_the_store_are_never_served(fleet: Fleet, fake: FakeUpstream, s3: S3Server) -> None:
    body = Filler(4 * MIB)
    place = blob(body)
    fake.script(place.path, ranged(body))
    first = fleet.start()
    fetch(first.address, place.through)
    until(lambda: is_in(s3, body.digest))
    (stored,) = keys_of(s3, body.digest)
    content = bytearray(s3.content(stored))
    content[len(content) // 2] ^= 1
    s3.write(stored, bytes(content))
    first.stop()
    second = fleet.start()
    with pytest.raises((OSError, HTTPException)):
        fetch(second.address, place.through)
    assert fetch(second.address, place.through).digest == body.digest


def test_a_tag_is_asked_for_by_one_node(fleet: Fleet, fake: FakeUpstream) -> None:
    place = manifest_place("v1")
    fake.script(place.path, manifest(b'{"schemaVersion": 2}', OCI_MANIFEST))
    nodes = [fleet.start() for _ in range(3)]
    for _ in range(3):
        for node in nodes:
            assert ask(node.address, "GET", place.through).status == 200
    assert len(fake.seen.requests(place.path)) == 1


def test_a_node_with_a_full_disk_moves_in(
    fleet: Fleet, fake: FakeUpstream, layout: Layout, skopeo: Skopeo, s3: S3Server, tmp_path: Path
) -> None:
    image = layout.image()
    fake.publish("team/app", "v1", image)
    (tmp_path / "alone").mkdir()
    data = tmp_path / "data"
    with Daemon(tmp_path / "alone", configuration({REGISTRY: Upstream(fake.url)}, cache=CACHE), data) as alone:
        assert skopeo.pull(f"127.0.0.1:{alone.port}/{REGISTRY}/team/app:v1") == image.digests
        refused = Operator.of(alone, tmp_path).runs("cache", "push")
        assert (refused.status, "there is no object store" in refused.err) == (1, True)
    first = fleet.start(data_dir=data)
    pushed = Operator.of(first, tmp_path).runs("cache", "push")
    assert (pushed.status, "could not be" in pushed.out) == (0, False)
    assert all(is_in(s3, digest) for digest in image.digests)
    fake.stop()
    first.stop()
    second = fleet.start()
    assert skopeo.pull(f"127.0.0.1:{second.port}/{REGISTRY}/team/app:v1") == image.digests


def test_nodes_tell_each_other_what_they_use_of_the_store(
    workers: int, tmp_path: Path, fake: FakeUpstream, s3: S3Server, valkey: Valkey
) -> None:
    body, other = Filler(4 * MIB), Filler(4 * MIB, seed=1)
    for each in (body, other):
        fake.script(blob(each).path, ranged(each))

    def used(filler: Filler) -> float:
        (key,) = keys_of(s3, filler.digest)
        return float(valkey.ask("ZSCORE", "crproxy:used", key.removeprefix("fleet/")) or 0.0)

    with Fleet(
        tmp_path, {REGISTRY: Upstream(fake.url)}, s3=s3, valkey=valkey, cache=CACHE, storage='size = "1G"'
    ) as fleet:
        first = fleet.start()
        for each in (body, other):
            assert fetch(first.address, blob(each).through).digest == each.digest
        until(lambda: is_in(s3, body.digest) and is_in(s3, other.digest))
        until(lambda: used(body) > 0 and used(other) > 0)
        before = used(body), used(other)
        # Whichever worker serves it, it is told by the one that leads.
        for future in together([fleet.start()], blob(body).through, 6):
            assert future.result().digest == body.digest
        until(lambda: used(body) > before[0])
        assert used(other) == before[1]
    assert len(fake.seen.requests(blob(body).path, "GET")) == 1


def test_the_operator_sees_who_is_there(fleet: Fleet, valkey: Valkey, tmp_path: Path) -> None:
    nodes = [fleet.start() for _ in range(2)]
    operator = Operator.of(nodes[0], tmp_path)

    def names() -> list[str]:
        return [node["name"] for node in operator.runs("fleet", "status", "--json").json()["fleet"]["nodes"]]

    until(lambda: sorted(names()) == ["node-1", "node-2"])
    seen = operator.runs("fleet", "status")
    assert (seen.status, "node-1 (this one)" in seen.out) == (0, True)
    assert "object store: s3://crproxy/fleet, up; 0 objects to be uploaded" in seen.out
    nodes[1].kill()
    until(lambda: names() == ["node-1"])
    valkey.kill()
    until(lambda: operator.runs("fleet", "status").status == 1)
    assert "away: this node goes on alone" in operator.runs("fleet", "status").out
