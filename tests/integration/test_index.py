"""The index under stress: what it holds is bounded, and whoever else holds its file makes nobody wait."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from contextlib import closing
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest

from tests.parts.daemon import Daemon, Start, Upstream
from tests.parts.images import OCI_MANIFEST, sha256
from tests.parts.places import REGISTRY, Place, blob, manifest_place
from tests.parts.raw_http import ask
from tests.parts.shapes import content, manifest

if TYPE_CHECKING:
    from tests.parts.answers import Answer, Request
    from tests.parts.fake_upstream import FakeUpstream

pytestmark = pytest.mark.integration

MIB = 1024 * 1024
LAYER = b"a layer\n" * 1000
TAG = manifest_place("v1")
DOCUMENT = b'{"schemaVersion": 2}'


def rows(daemon: Daemon, table: str) -> int:
    with closing(sqlite3.connect(f"file:{daemon.cache.index}?mode=ro", uri=True)) as database:
        ((count,),) = database.execute(f"SELECT count(*) FROM {table}")
        return int(count)


def bytes_of_index(daemon: Daemon) -> int:
    return sum(file.stat().st_size for file in daemon.data_dir.glob("index.sqlite*"))


def naming(many: int, seed: int) -> bytes:
    """A manifest that names so many layers."""
    digests = (hashlib.sha256(f"{seed} {number}".encode()).hexdigest() for number in range(many))
    layers = [{"mediaType": "x", "digest": f"sha256:{one}", "size": 1} for one in digests]
    return json.dumps({"schemaVersion": 2, "layers": layers}).encode()


def test_a_manifest_with_ten_thousand_references_is_one_row(start: Start, fake: FakeUpstream) -> None:
    daemon = start({REGISTRY: Upstream(fake.url)}, cache={"size": "20M"})
    for number in range(12):
        place = manifest_place(f"v{number}")
        fake.script(place.path, manifest(naming(10_000, number), OCI_MANIFEST))
        assert ask(daemon.address, "GET", place.through).status == 200
    fake.script(blob(LAYER).path, content(LAYER))
    ask(daemon.address, "GET", blob(LAYER).through)
    daemon.cache.wait_until_whole(sha256(LAYER))
    assert daemon.cache.is_agreed()
    assert (rows(daemon, "link"), rows(daemon, "tag")) == (13, 12)
    assert bytes_of_index(daemon) < MIB


def test_tags_that_a_head_alone_brought_have_a_bound(start: Start, fake: FakeUpstream) -> None:
    """And what was pulled is known longer than what was only looked at."""
    asked, limit = 2000, MIB
    repository = "/".join(["team", "x" * 100, "y" * 100])

    def describe(request: Request) -> Answer:
        return manifest(
            request.target.encode(), OCI_MANIFEST, ("Docker-Content-Digest", sha256(request.target.encode()))
        )

    fake.script(TAG.path, manifest(DOCUMENT, OCI_MANIFEST))
    # The least that rows may take: a sixteenth of this is less.
    daemon = start({REGISTRY: Upstream(fake.url)}, cache={"size": "8M"})
    assert ask(daemon.address, "GET", TAG.through).body == DOCUMENT
    daemon.cache.wait_until_whole(sha256(DOCUMENT))
    connection = HTTPConnection(*daemon.address, timeout=30)
    for number in range(asked):
        place = manifest_place(f"{'t' * 120}{number}", repository)
        fake.script(place.path, describe)
        connection.request("HEAD", place.through)
        response = connection.getresponse()
        response.read()
        assert response.status == 200
    connection.close()
    assert bytes_of_index(daemon) < 8 * limit
    assert 0 < rows(daemon, "tag") < asked
    fake.stop()
    assert ask(daemon.address, "GET", TAG.through).body == DOCUMENT


@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
def test_who_holds_its_file_holds_up_nobody(start: Start, fake: FakeUpstream, lock: str) -> None:
    """Manifests took 14.8 s then, and the reactor stood still."""
    warm = blob(b"warm" * 1000)
    fake.script(warm.path, content(b"warm" * 1000))
    fake.script(TAG.path, manifest(DOCUMENT, OCI_MANIFEST))
    fake.script(blob(LAYER).path, content(LAYER))
    daemon = start({REGISTRY: Upstream(fake.url)})
    assert ask(daemon.address, "GET", warm.through).status == 200
    daemon.cache.wait_until_whole(sha256(b"warm" * 1000))
    assert daemon.cache.is_agreed()
    with closing(sqlite3.connect(daemon.cache.index, isolation_level=None, timeout=20)) as holder:
        holder.execute(f"BEGIN {lock}")
        began = time.monotonic()
        for _ in range(2):
            assert ask(daemon.address, "GET", TAG.through).body == DOCUMENT
            assert ask(daemon.address, "GET", blob(LAYER).through).body == LAYER
            assert ask(daemon.address, "GET", warm.through).status == 200
        # SQLite gives up after 5 s: nobody has waited for that.
        assert time.monotonic() - began < 4
        daemon.cache.wait_until_whole(sha256(LAYER))
        holder.execute("ROLLBACK")
    assert len(fake.seen.requests()) == 3
    # Whatever is noted next brings the others along.
    other: Place = manifest_place("v2")
    fake.script(other.path, manifest(DOCUMENT + b"\n", OCI_MANIFEST))
    assert ask(daemon.address, "GET", other.through).status == 200
    assert daemon.cache.is_agreed(20)


def test_what_waits_for_a_held_file_is_no_reason_not_to_stop(start: Start, fake: FakeUpstream) -> None:
    fake.script(TAG.path, manifest(DOCUMENT, OCI_MANIFEST))
    daemon = start({REGISTRY: Upstream(fake.url)})
    with closing(sqlite3.connect(daemon.cache.index, isolation_level=None, timeout=20)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        assert ask(daemon.address, "GET", TAG.through).body == DOCUMENT
        daemon.stop()
        holder.execute("ROLLBACK")
