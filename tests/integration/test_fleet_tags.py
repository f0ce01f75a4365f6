"""Real nodes that meet at a real Valkey: what a tag is answered is the same on each, whoever saw it first."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.parts.admin_socket import tell
from tests.parts.daemon import Daemon, Upstream
from tests.parts.fleets import Fleet, is_in_common
from tests.parts.images import OCI_MANIFEST, sha256
from tests.parts.places import REGISTRY, manifest_place
from tests.parts.raw_http import Reply, ask
from tests.parts.shapes import manifest
from tests.parts.valkey import Valkey
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.parts.fake_upstream import FakeUpstream

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

TAG = manifest_place("v1")
FORMER, NEW = (b'{"schemaVersion": 2, "layers": [], "is": "%s"}' % name for name in (b"former", b"new"))
DAY = 86400.0
AGED = f"""
[[rules]]
images = ["{REGISTRY}/*"]
minimum_age = "72h"
"""
# Upstream is asked each time.
CACHE = {"tag_ttl": "1ms"}


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    with Valkey() as valkey:
        yield valkey


@pytest.fixture
def fleet(workers: int, tmp_path: Path, fake: FakeUpstream, valkey: Valkey) -> Iterator[Fleet]:
    with Fleet(tmp_path, {REGISTRY: Upstream(fake.url)}, valkey=valkey, cache=CACHE, more=AGED) as fleet:
        yield fleet


def publish(fake: FakeUpstream, body: bytes) -> None:
    for reference in ("v1", sha256(body)):
        fake.script(manifest_place(reference).path, manifest(body, OCI_MANIFEST))


def asked(node: Daemon) -> Reply:
    return ask(node.address, "GET", TAG.through)


def write(node: Daemon, statement: str, *values: object) -> None:
    """Change the index of a node that does not run."""
    with closing(sqlite3.connect(node.data_dir / "index.sqlite")) as database, database:
        database.execute(statement, values)


def read(node: Daemon, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(node.data_dir / "index.sqlite", timeout=30)) as database:
        return database.execute(statement).fetchall()


def pin(node: Daemon, body: bytes | None) -> None:
    digest = "" if body is None else sha256(body)
    row = REGISTRY, "team/app", "v1", digest, time.time()
    write(node, "INSERT OR REPLACE INTO tag_pin VALUES (?, ?, ?, ?, ?)", *row)


def grow_old(node: Daemon, seconds: float) -> None:
    """Have all that a node has seen be seen earlier, as if so long had passed since."""
    write(node, "UPDATE sighting SET seen = seen - ?", seconds)
    write(node, "UPDATE tag_change SET seen = seen - ?, last = last - ?", seconds, seconds)
    write(node, "UPDATE tag SET checked = checked - ?", seconds)


def again(fleet: Fleet, node: Daemon) -> Daemon:
    """Start a node that was stopped; with the same disk."""
    started = fleet.start(data_dir=node.data_dir)
    until(lambda: is_in_common(started, 1))
    return started


def test_a_new_node_goes_on_answering_the_former_digest(fleet: Fleet, fake: FakeUpstream, valkey: Valkey) -> None:
    publish(fake, FORMER)
    first = fleet.start()
    assert asked(first).status == 403
    first.stop()
    grow_old(first, 4 * DAY)
    # Whatever of it lies there is not as old.
    valkey.again()
    first = again(fleet, first)
    assert (asked(first).status, asked(first).body) == (200, FORMER)
    until(lambda: valkey.ask("KEYS", "*:history:*") and valkey.ask("KEYS", "*:sighting:*"))
    publish(fake, NEW)
    # The new one is asked first, then the one that knows the tag.
    second = fleet.start()
    until(lambda: is_in_common(second, 2))
    for node in (second, first):
        answer = asked(node)
        assert (answer.status, answer.body) == (200, FORMER)
        assert f"points to {sha256(NEW)}" in answer.headers["Warning"]
    changes = "SELECT digest, seen FROM tag_change ORDER BY number"
    until(lambda: len(read(first, changes)) == len(read(second, changes)) == 2)
    assert [digest for digest, _ in read(second, changes)] == [sha256(FORMER), sha256(NEW)]
    # As old as where it was seen first, to the millisecond.
    sightings = "SELECT digest, CAST(round(seen * 1000) AS INTEGER) FROM sighting ORDER BY digest"
    until(lambda: read(first, sightings) == read(second, sightings))
    assert len(read(first, sightings)) == 2
    # Four days later, on both.
    for node in (first, second):
        node.stop()
        grow_old(node, 4 * DAY)
    valkey.again()
    for node in (again(fleet, first), again(fleet, second)):
        answer = asked(node)
        assert (answer.status, answer.body, answer.headers["Warning"]) == (200, NEW, None)


def test_a_pin_of_the_operator_counts_on_all_nodes_until_it_is_taken_away(fleet: Fleet, fake: FakeUpstream) -> None:
    publish(fake, FORMER)
    first, second = fleet.start(), fleet.start()
    until(lambda: is_in_common(second, 2))
    image = quote(f"{REGISTRY}/team/app:v1")
    pinned = tell(first.data_dir / "admin.sock", "POST", f"/tags/pins?image={image}&digest={sha256(FORMER)}")
    assert pinned.status == 200, pinned.body
    publish(fake, NEW)
    for node in (first, second):
        until(lambda node=node: asked(node).status == 200)  # type: ignore[misc]
        assert asked(node).body == FORMER
    unpinned = tell(second.data_dir / "admin.sock", "DELETE", f"/tags/pins?image={image}")
    assert unpinned.status == 200, unpinned.body
    for node in (second, first):
        # By the rule it is too young, whatever it is.
        until(lambda node=node: asked(node).status == 403)  # type: ignore[misc]


def test_a_pin_counts_on_all_nodes_and_outlives_valkey(fleet: Fleet, fake: FakeUpstream, valkey: Valkey) -> None:
    publish(fake, FORMER)
    first = fleet.start()
    asked(first)
    first.stop()
    grow_old(first, 4 * DAY)
    pin(first, FORMER)
    publish(fake, NEW)
    second = fleet.start()
    until(lambda: is_in_common(second, 1))
    first = fleet.start(data_dir=first.data_dir)
    for node in (first, second):
        until(lambda node=node: "is pinned" in (asked(node).headers["Warning"] or ""))  # type: ignore[misc]
        assert asked(node).body == FORMER
    first.stop()
    # What had the pin first is gone, and so is what lay in Valkey.
    valkey.again()
    late = fleet.start()
    until(lambda: "is pinned" in (asked(late).headers["Warning"] or ""))
    late.stop()
    pin(late, None)
    fleet.start(data_dir=late.data_dir)
    until(lambda: "is pinned" not in (asked(second).headers["Warning"] or ""))
