from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crproxy.admin.doctor.disk import check_disk
from crproxy.admin.doctor.filesystem import FileSystem
from crproxy.admin.doctor.findings import Finding
from crproxy.config import Audit, Cache, Config
from crproxy.oci.digests import Digest
from crproxy.store.entries import Entry
from crproxy.store.opening import open_store
from tests.admin.doctor.conftest import told
from tests.memory import ended

PLENTY = FileSystem(free=2 * 1024**3, mount="/dev/sdb1 at /data, ext4")


def check(directory: Path, size: int = 1024**3, disk: FileSystem = PLENTY) -> list[Finding]:
    return check_disk(Config(data_dir=str(directory), cache=Cache(size)), lambda _: disk)


def test_what_is_kept_is_counted_and_nothing_is_left_behind(tmp_path: Path) -> None:
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
def test_room_is_measured_against_what_the_cache_may_take(tmp_path: Path, free: int, outcome: str) -> None:
    assert told(check(tmp_path, disk=FileSystem(free=free)))[str(tmp_path)] == outcome


def test_a_small_cache_needs_little_room(tmp_path: Path) -> None:
    assert told(check(tmp_path, 10 * 1024**2, FileSystem(free=20 * 1024**2)))[str(tmp_path)] == "ok"


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


@pytest.mark.parametrize(
    ("disk", "said", "advised"),
    [
        (replace(PLENTY, read_only=True), "the disk is read-only (/dev/sdb1 at /data, ext4)", "remount,rw"),
        (replace(PLENTY, free=0), "the disk is full (/dev/sdb1 at /data, ext4)", "Make room"),
        (replace(PLENTY, files=0), "it takes no more files (df -i)", "inodes"),
        (replace(PLENTY, files=999), "its disk takes 999 more files", "inodes"),
        (FileSystem(read_only=True), "the disk is read-only: images are passed on", "dmesg"),
    ],
)
def test_what_the_file_system_says_of_itself(tmp_path: Path, disk: FileSystem, said: str, advised: str) -> None:
    found = check(tmp_path, disk=disk)[0]
    assert (found.subject, found.outcome.value) == (str(tmp_path), "failed")
    assert said in found.text
    assert advised in found.advice


def test_enough_files_are_no_matter(tmp_path: Path) -> None:
    assert told(check(tmp_path, disk=replace(PLENTY, files=1000)))[str(tmp_path)] == "ok"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EROFS, "the disk is read-only"),
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "used up (quota)"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_what_only_an_attempt_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str) -> None:
    def refuse(_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.fsync", refuse)
    found = check(tmp_path)[0]
    assert found.outcome.value == "failed"
    assert said in found.text


def test_the_disk_of_the_audit_log_is_looked_at_if_it_is_another(tmp_path: Path) -> None:
    config = Config(data_dir=str(tmp_path), cache=Cache(1024**3), audit=Audit(file="/var/log/crproxy.log"))
    logs = FileSystem(read_only=True, mount="/dev/sdc1 at /var/log, ext4")
    found = check_disk(config, lambda directory: PLENTY if directory == tmp_path else logs)
    assert told(found)["/var/log/crproxy.log"] == "failed"
    assert "no line is added" in found[-1].text
    found = check_disk(config, lambda _: replace(PLENTY, read_only=True))
    assert "/var/log/crproxy.log" not in told(found)
