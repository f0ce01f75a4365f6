"""What rots on disk is found, told of and fetched anew, and what was found on disk is never served unread."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.integration.test_metrics import value
from tests.parts.admin_socket import tell
from tests.parts.daemon import Daemon, Start, Upstream
from tests.parts.images import OCI_MANIFEST, sha256
from tests.parts.operator import Operator
from tests.parts.places import REGISTRY, blob, manifest_place
from tests.parts.raw_http import ask
from tests.parts.shapes import content, manifest
from tests.parts.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.parts.fake_upstream import FakeUpstream

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

LAYER = b"a layer, and what is in it\n" * 400_000
OTHER = b"another layer\n" * 1000
DOCUMENT = b'{"schemaVersion": 2}'
PLACES = {sha256(LAYER): blob(LAYER), sha256(OTHER): blob(OTHER), sha256(DOCUMENT): manifest_place("v1")}
BODIES = {sha256(LAYER): LAYER, sha256(OTHER): OTHER, sha256(DOCUMENT): DOCUMENT}
IN_TIME = {"verify_every": "1s"}


@pytest.fixture
def upstream(fake: FakeUpstream) -> Upstream:
    fake.script(blob(LAYER).path, content(LAYER))
    fake.script(blob(OTHER).path, content(OTHER))
    fake.script(manifest_place("v1").path, manifest(DOCUMENT, OCI_MANIFEST))
    fake.script(manifest_place(sha256(DOCUMENT)).path, manifest(DOCUMENT, OCI_MANIFEST))
    return Upstream(fake.url)


def pulled(daemon: Daemon) -> None:
    """Has everything kept."""
    for digest, place in PLACES.items():
        assert ask(daemon.address, "GET", place.through).body == BODIES[digest]
        daemon.cache.wait_until_whole(digest)
    assert daemon.cache.is_agreed()


def flip(file: Path) -> None:
    """Change one bit in the middle, in place, as a disk does."""
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size // 2)
        byte = opened.read(1)
        opened.seek(-1, 1)
        opened.write(bytes([byte[0] ^ 4]))


def is_damaged(digest: str) -> str:
    return rf"#error\] {digest} was damaged on disk \(.*\): it was dropped, and is fetched anew when it is asked for"


def change_index(daemon: Daemon, statement: str) -> None:
    with closing(sqlite3.connect(daemon.cache.index)) as database:
        database.execute(statement)
        database.commit()


def when_checked(daemon: Daemon) -> dict[str, float]:
    with closing(sqlite3.connect(f"file:{daemon.cache.index}?mode=ro", uri=True)) as database:
        return dict(database.execute("SELECT digest, checked FROM blob"))


@pytest.mark.parametrize("digest", PLACES, ids=["large", "small", "manifest"])
def test_a_flipped_bit_is_found_and_what_it_was_in_comes_anew(
    start: Start, fake: FakeUpstream, upstream: Upstream, digest: str
) -> None:
    daemon = start({REGISTRY: upstream}, cache=IN_TIME)
    pulled(daemon)
    flip(daemon.cache.whole()[digest])
    daemon.wait_for_log(is_damaged(digest))
    assert daemon.cache.is_agreed()
    assert digest not in daemon.cache.whole()
    asked = len(fake.seen.requests())
    assert ask(daemon.address, "GET", PLACES[digest].through).body == BODIES[digest]
    if digest != sha256(DOCUMENT):
        # The permission to have it is what it was: nothing but the bytes are asked for. A manifest may be in memory.
        assert [request.method for request in fake.seen.requests()[asked:]] == ["GET"]
        daemon.cache.wait_until_whole(digest)
    assert daemon.cache.damaged() == []
    assert len(PLACES) - 1 <= len(daemon.cache.whole()) <= len(PLACES)
    seen = tell(daemon.data_dir / "admin.sock", "GET", "/metrics").body.decode()
    assert value(seen, "crproxy_cache_damaged_total") == 1
    assert value(seen, "crproxy_cache_checked_total") >= 1
    assert value(seen, "crproxy_cache_checked_bytes_total") >= len(BODIES[digest])


def test_who_reads_what_is_dropped_reads_on(start: Start, upstream: Upstream, workers: int) -> None:
    daemon = start({REGISTRY: upstream}, cache=IN_TIME)
    pulled(daemon)
    file = daemon.cache.whole()[sha256(LAYER)]
    with file.open("rb") as reader:
        flip(file)
        daemon.wait_for_log(is_damaged(sha256(LAYER)))
        assert len(reader.read()) == len(LAYER)
    # One worker looks, and finds it once.
    assert daemon.log.count("was damaged on disk") == 1


def test_what_was_not_read_for_too_long_is_read_after_a_restart(
    start: Start, upstream: Upstream, tmp_path: Path
) -> None:
    """With what is configured by default: what was read last year is not read again before."""
    first = start({REGISTRY: upstream}, data_dir=tmp_path / "kept")
    pulled(first)
    first.stop()
    change_index(first, f"UPDATE blob SET checked = {int(time.time()) - 365 * 86400} WHERE digest = '{sha256(OTHER)}'")
    flip(first.cache.whole()[sha256(OTHER)])
    before = when_checked(first)
    daemon = start({REGISTRY: upstream}, data_dir=tmp_path / "kept")
    daemon.wait_for_log(is_damaged(sha256(OTHER)))
    assert daemon.cache.is_agreed()
    after = when_checked(daemon)
    assert after == {digest: checked for digest, checked in before.items() if digest != sha256(OTHER)}


LOST = {
    "the index": lambda daemon: daemon.cache.index.write_bytes(b"no index" * 1000),
    "the rows": lambda daemon: change_index(daemon, "DELETE FROM blob"),
}


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("damage", ["flipped", "cut short", "empty"])
def test_damage_is_never_served_though_nothing_is_known_of_the_files(
    start: Start, upstream: Upstream, tmp_path: Path, lost: str, damage: str
) -> None:
    first = start({REGISTRY: upstream}, data_dir=tmp_path / "kept")
    pulled(first)
    first.stop()
    for file in first.cache.whole().values():
        if damage == "flipped":
            flip(file)
        else:
            file.write_bytes(file.read_bytes()[:-1] if damage == "cut short" else b"")
    LOST[lost](first)
    daemon = start({REGISTRY: upstream}, data_dir=tmp_path / "kept", cache={"verify_every": "off"})
    for _ in range(4):
        for digest, place in PLACES.items():
            head = ask(daemon.address, "HEAD", place.through)
            assert head.headers["Content-Length"] == str(len(BODIES[digest]))
            assert ask(daemon.address, "GET", place.through).body == BODIES[digest]
            part = ask(daemon.address, "GET", place.through, ("Range", "bytes=5-14"))
            assert part.body in (BODIES[digest][5:15], BODIES[digest])
    for digest in PLACES:
        if digest != sha256(DOCUMENT) or lost == "the rows":
            # A manifest that no tag leads to comes from upstream, and takes the place of what was there.
            daemon.wait_for_log(is_damaged(digest))
        daemon.cache.wait_until_whole(digest)
    assert daemon.cache.is_agreed()
    assert daemon.cache.damaged() == []


def test_what_was_found_on_disk_is_read_before_anything_else(
    start: Start, fake: FakeUpstream, upstream: Upstream, tmp_path: Path
) -> None:
    first = start({REGISTRY: upstream}, data_dir=tmp_path / "kept")
    pulled(first)
    first.stop()
    change_index(first, "DELETE FROM blob")
    flip(first.cache.whole()[sha256(LAYER)])
    began, asked = time.time(), len(fake.seen.requests())
    daemon = start({REGISTRY: upstream}, data_dir=tmp_path / "kept")
    daemon.wait_for_log(is_damaged(sha256(LAYER)))

    def are_checked() -> bool:
        checked = when_checked(daemon)
        return len(checked) == 2 and min(checked.values()) >= began - 1

    until(are_checked, found=lambda: when_checked(daemon))
    # What is right is served as if nothing had been.
    reply = ask(daemon.address, "GET", blob(OTHER).through)
    assert (reply.body, "; hit" in (reply.headers["Cache-Status"] or "")) == (OTHER, True)
    assert len(fake.seen.requests()) == asked


@pytest.mark.parametrize("through_the_daemon", [True, False])
def test_what_the_operator_has_read_counts_as_checked(
    start: Start, upstream: Upstream, tmp_path: Path, through_the_daemon: bool
) -> None:
    first = start({REGISTRY: upstream}, data_dir=tmp_path / "kept")
    pulled(first)
    first.stop()
    change_index(first, "UPDATE blob SET checked = 1000")
    daemon = start({REGISTRY: upstream}, data_dir=tmp_path / "kept", cache={"verify_every": "off"})
    assert set(when_checked(daemon).values()) == {1000.0}
    began = time.time()
    words = [] if through_the_daemon else ["--data-dir", str(daemon.data_dir)]
    assert Operator.of(daemon, tmp_path).runs("cache", "verify", *words).status == 0
    until(lambda: min(when_checked(daemon).values()) >= began - 1)


def test_what_cannot_be_read_at_all_comes_from_upstream(start: Start, upstream: Upstream) -> None:
    """A directory where the file was: it can be opened, and neither read nor removed as one."""
    daemon = start({REGISTRY: upstream}, cache=IN_TIME)
    pulled(daemon)
    file = daemon.cache.whole()[sha256(OTHER)]
    file.unlink()
    file.mkdir()
    for _ in range(3):
        assert ask(daemon.address, "GET", blob(OTHER).through).body == OTHER
        assert ask(daemon.address, "HEAD", blob(OTHER).through).headers["Content-Length"] == str(len(OTHER))
    assert ask(daemon.address, "GET", blob(LAYER).through).body == LAYER
    file.rmdir()
    assert ask(daemon.address, "GET", blob(OTHER).through).body == OTHER
    daemon.cache.wait_until_whole(sha256(OTHER))
