"""What monitoring sees of a fleet: real nodes, a real S3 server, a real Valkey; each worker's numbers in one sum."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.parts.answers import Filler, Gate, Stall
from tests.parts.daemon import Upstream
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.fleets import Fleet, metrics, together
from tests.parts.operator import Operator
from tests.parts.places import REGISTRY, blob
from tests.parts.raw_http import fetch
from tests.parts.s3 import S3Server
from tests.parts.shapes import ranged
from tests.parts.valkey import Valkey
from tests.parts.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

MIB = 1024 * 1024
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


def test_where_bytes_come_from_is_told_apart(fleet: Fleet, fake: FakeUpstream, gate: Gate) -> None:
    body = Filler(8 * MIB)
    size, place, at = len(body), blob(body), 3 * MIB
    fake.script(place.path, ranged(body, Stall(gate, at=at)))
    first, second = fleet.start(), fleet.start()
    with ThreadPoolExecutor(2) as clients:
        of_first = clients.submit(fetch, first.address, place.through)
        until(lambda: metrics(first)["crproxy_fleet_leases"] == 1)
        of_second = clients.submit(fetch, second.address, place.through)
        until(lambda: second.cache.partial().get(body.digest, -1) >= at)
        gate.open()
        assert of_first.result().digest == of_second.result().digest == body.digest
    until(lambda: metrics(first)["crproxy_fleet_given_bytes_total"] >= size)
    gave, took = metrics(first), metrics(second)
    assert gave["crproxy_received_bytes_total upstream"] == gave["crproxy_upstream_received_bytes_total"] == size
    assert gave["crproxy_received_bytes_total node"] == 0
    assert took["crproxy_received_bytes_total node"] == size
    assert took["crproxy_received_answers_total node"] == 1
    assert took["crproxy_received_bytes_total upstream"] == 0
    assert gave["crproxy_fleet_given_bytes_total"] == size
    for node in (first, second):
        until(lambda: metrics(node)["crproxy_storage_uploads_total done"] >= 2)  # noqa: B023 - it is over by then
        until(lambda: metrics(node)["crproxy_storage_waiting"] == 0)  # noqa: B023 - the same
    # Both keep it: whoever finds that the other was first sends nothing.
    assert sum(metrics(node)["crproxy_storage_uploaded_bytes_total"] for node in (first, second)) in (size, 2 * size)
    fake.stop()
    third = fleet.start()
    for fetched in together([third], place.through, 4):
        assert fetched.result().digest == body.digest
    took = metrics(third)
    assert took["crproxy_received_bytes_total store"] == size
    assert took["crproxy_received_answers_total store"] == 1
    assert took["crproxy_received_bytes_total node"] == took["crproxy_received_bytes_total upstream"] == 0


def test_who_is_there_and_what_is_up(fleet: Fleet, valkey: Valkey, tmp_path: Path) -> None:
    nodes = [fleet.start() for _ in range(3)]
    for node in nodes:
        until(lambda: metrics(node)["crproxy_fleet_nodes"] == 3)  # noqa: B023 - it is over by then
        found = metrics(node)
        assert found["crproxy_fleet_valkey_up"] == found["crproxy_storage_up"] == 1
        assert found["crproxy_fleet_leases"] == found["crproxy_storage_waiting"] == 0
        assert "crproxy_storage_size_bytes" not in found, "nobody bounds it"
    status = Operator.of(nodes[0], tmp_path).runs("fleet", "status")
    assert status.out.count("https://127.0.0.1:") == 3
    nodes[2].stop()
    until(lambda: metrics(nodes[0])["crproxy_fleet_nodes"] == 2)
    valkey.kill()
    until(lambda: metrics(nodes[0])["crproxy_fleet_valkey_up"] == 0)
    until(lambda: metrics(nodes[0])["crproxy_fleet_nodes"] == 1)
    valkey.again()
    until(lambda: metrics(nodes[0])["crproxy_fleet_valkey_up"] == 1)
    until(lambda: metrics(nodes[0])["crproxy_fleet_nodes"] == 2)


def test_a_store_that_is_away_and_comes_back_is_seen(fleet: Fleet, fake: FakeUpstream, s3: S3Server) -> None:
    body = Filler(MIB)
    place = blob(body)
    fake.script(place.path, ranged(body))
    node = fleet.start()
    s3.kill()
    assert fetch(node.address, place.through).digest == body.digest
    until(lambda: metrics(node)["crproxy_storage_up"] == 0)
    until(lambda: metrics(node)["crproxy_storage_waiting_bytes"] >= len(body))
    assert metrics(node)["crproxy_storage_errors_total"] >= 1
    s3.start_again()
    # Every worker finds out for itself, also where nobody asks it for anything.
    until(lambda: metrics(node)["crproxy_storage_up"] == 1)
    until(lambda: metrics(node)["crproxy_storage_waiting"] == 0)
    assert metrics(node)["crproxy_storage_uploaded_bytes_total"] == len(body)


def test_whoever_is_no_node_is_counted(fleet: Fleet) -> None:
    node = fleet.start()
    port = int(node.wait_for_log(r"other nodes may ask at \S+:(\d+)")[1])
    with pytest.raises(OSError, match=r".*"):
        fetch(("127.0.0.1", port), "/v1/node")
    until(lambda: metrics(node)["crproxy_fleet_refused_total"] >= 1)
