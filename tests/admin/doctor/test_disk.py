from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from crproxy.admin.doctor.disk import check_disk
from crproxy.admin.doctor.findings import Finding
from crproxy.config import Cache, Config
from crproxy.oci.digests import Digest
from crproxy.store.entries import Entry
from crproxy.store.opening import open_store
from tests.admin.doctor.conftest import told
from tests.memory import ended


@dataclass
class Usage:
    free: int


@pytest.fixture
def leave(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets a disk have so many bytes left."""
    return lambda free: monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free))


def check(directory: Path, size: int = 1024**3) -> list[Finding]:
    return check_disk(Config(data_dir=str(directory), cache=Cache(size)))


def test_what_is_kept_is_counted_and_nothing_is_left_behind(tmp_path: Path, leave: Callable[[int], None]) -> None:
    leave(2 * 1024**3)
    store = open_store(tmp_path)
    store.blobs.prepare()
    ended(store.keep(Entry(Digest.of(b"one")), b"one"))
    store.index.close()
    before = sorted(path.name for path in tmp_path.iterdir() if "-" not in path.name)
    room, index = check(tmp_path)
    assert (room.outcome.value, room.text) == ("ok", "2.0 GiB free; of 1.0 GiB the cache has 3 B")
    assert (index.outcome.value, index.text) == ("ok", "opens, with 1 contents")
    assert sorted(path.name for path in tmp_path.iterdir() if "-" not in path.name) == before


@pytest.mark.parametrize(("free", "outcome"), [(500 * 1024**2, "warning"), (1024**2, "failed"), (2 * 1024**3, "ok")])
def test_room_is_measured_against_what_the_cache_may_take(
    tmp_path: Path, leave: Callable[[int], None], free: int, outcome: str
) -> None:
    leave(free)
    assert told(check(tmp_path))[str(tmp_path)] == outcome


def test_a_small_cache_needs_little_room(tmp_path: Path, leave: Callable[[int], None]) -> None:
    leave(20 * 1024**2)
    assert told(check(tmp_path, size=10 * 1024**2))[str(tmp_path)] == "ok"


def test_a_damaged_index_is_told_and_left_alone(tmp_path: Path) -> None:
    damaged = tmp_path / "index.sqlite"
    damaged.write_bytes(b"no database" * 1000)
    assert told(check(tmp_path, size=1))[str(damaged)] == "failed"
    assert damaged.read_bytes().startswith(b"no database")
    assert list(tmp_path.iterdir()) == [damaged]


def test_a_directory_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    directory = tmp_path / "not" / "yet"
    assert set(told(check(directory, size=1)).values()) == {"ok"}
    assert not directory.parent.exists()
