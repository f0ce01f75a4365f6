from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from pathlib import Path

import pytest

from crproxy.oci.digests import Digest
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.store.blobs import Blobs, Partial, PartialKey, WrongContent
from crproxy.store.entries import Entry
from tests.stores import filled

CONTENT = b"content of a layer"
ENTRY = Entry(Digest.of(CONTENT))
KEY = PartialKey(ENTRY)
PRIVATE = Entry(ENTRY.digest, Registry("quay.io"))


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    blobs = Blobs(tmp_path / "data" / "cache")
    blobs.prepare()
    return blobs


def begun(blobs: Blobs, entry: Entry = ENTRY) -> Partial:
    partial = blobs.begin(entry)
    assert partial is not None
    return partial


def stored(blobs: Blobs, entry: Entry = ENTRY, content: bytes = CONTENT) -> None:
    partial = begun(blobs, entry)
    partial.append([content])
    partial.verify()
    partial.commit()
    partial.close()


def read(blobs: Blobs, entry: Entry = ENTRY) -> bytes | None:
    fd = blobs.open(entry)
    if fd is None:
        return None
    with os.fdopen(fd, "rb") as file:
        return file.read()


def test_what_was_verified_is_whole_under_its_digest(blobs: Blobs, tmp_path: Path) -> None:
    stored(blobs)
    digest = ENTRY.digest
    path = tmp_path / "data" / "cache" / "sha256" / digest.hex[:2] / digest.hex
    assert path.read_bytes() == CONTENT
    assert (read(blobs), blobs.size(ENTRY)) == (CONTENT, len(CONTENT))
    assert list(blobs.partials()) == []


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_each_algorithm_has_its_place(blobs: Blobs, algorithm: str) -> None:
    entry = Entry(Digest.of(CONTENT, algorithm))
    stored(blobs, entry)
    assert read(blobs, entry) == CONTENT
    assert list(blobs.whole()) == [(entry, len(CONTENT))]


def test_what_is_not_here_is_none(blobs: Blobs) -> None:
    assert (blobs.open(ENTRY), blobs.size(ENTRY), blobs.open_partial(ENTRY)) == (None, None, None)


def test_nothing_is_whole_before_its_commit(blobs: Blobs) -> None:
    partial = begun(blobs)
    partial.append([CONTENT])
    partial.verify()
    assert read(blobs) is None
    partial.close()
    assert [(key, size) for key, size, _ in blobs.partials()] == [(KEY, len(CONTENT))]


def test_one_at_a_time_has_the_lock(blobs: Blobs) -> None:
    partial = begun(blobs)
    assert blobs.begin(ENTRY) is None
    begun(blobs, PRIVATE).close()
    partial.close()
    begun(blobs).close()


def test_who_only_looks_at_it_keeps_nobody_from_it(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(blobs, ENTRY, b"abc")
    looker = os.open(blobs.partial_path(KEY), os.O_RDWR)
    fcntl.flock(looker, fcntl.LOCK_SH)
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            os.close(looker)

    monkeypatch.setattr("time.sleep", sleep)
    with contextlib.closing(begun(blobs)):
        assert len(waited) == 3
        assert not blobs.is_abandoned(KEY)
    assert blobs.is_abandoned(KEY)


def test_who_looks_at_it_for_good_is_taken_for_who_fills_it(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(blobs, ENTRY, b"abc")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    looker = os.open(blobs.partial_path(KEY), os.O_RDWR)
    fcntl.flock(looker, fcntl.LOCK_SH)
    assert blobs.begin(ENTRY) is None
    os.close(looker)


def test_a_duplicate_of_the_descriptor_does_not_hold_the_lock(blobs: Blobs) -> None:
    partial = begun(blobs)
    reader = os.dup(partial.fd)
    partial.close()
    begun(blobs).close()
    os.close(reader)


def test_everybody_may_read_what_grows(blobs: Blobs) -> None:
    partial = begun(blobs)
    partial.append([CONTENT[:5]])
    fd = blobs.open_partial(ENTRY)
    assert fd is not None
    partial.append([CONTENT[5:7], CONTENT[7:]])
    assert os.pread(fd, 100, 0) == CONTENT
    os.close(fd)
    partial.close()


def test_a_lock_on_a_file_that_was_renamed_meanwhile_is_not_taken(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, raced = fcntl.flock, list[int]()

    def race(fd: int, how: int) -> None:
        if not raced:
            raced.append(fd)
            blobs.partial_path(KEY).unlink()
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", race)
    partial = begun(blobs)
    assert os.fstat(partial.fd).st_ino == blobs.partial_path(KEY).stat().st_ino
    partial.close()


def test_a_refused_lock_leaves_no_descriptor_open(blobs: Blobs) -> None:
    partial = begun(blobs)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    assert blobs.begin(ENTRY) is None
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    partial.close()


def test_what_an_earlier_fill_left_is_hashed_again(blobs: Blobs) -> None:
    filled(blobs, ENTRY, CONTENT[:7])
    partial = begun(blobs)
    assert partial.filled == 0
    partial.rehash()
    assert partial.filled == 7
    partial.append([CONTENT[7:]])
    partial.verify()
    partial.commit()
    partial.close()
    assert read(blobs) == CONTENT


@pytest.mark.security("S9")
def test_wrong_content_is_removed(blobs: Blobs) -> None:
    partial = begun(blobs)
    partial.append([b"other"])
    with pytest.raises(WrongContent, match=str(ENTRY)):
        partial.verify()
    partial.close()
    assert [*blobs.partials(), *blobs.whole()] == []


def test_one_can_begin_again(blobs: Blobs) -> None:
    filled(blobs, ENTRY, b"garbage that is longer than the content")
    partial = begun(blobs)
    partial.rehash()
    partial.reset()
    assert partial.filled == 0
    partial.append([CONTENT])
    partial.verify()
    partial.commit()
    partial.close()
    assert read(blobs) == CONTENT


def test_what_could_be_written_before_the_disk_was_full_counts(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite

    def small_disk(fd: int, data: bytes, offset: int) -> int:
        if offset >= 10:
            raise OSError(28, "No space left on device")
        return pwrite(fd, data[: min(4, 10 - offset)], offset)

    partial = begun(blobs)
    monkeypatch.setattr(os, "pwrite", small_disk)
    with pytest.raises(OSError, match="No space"):
        partial.append([CONTENT])
    monkeypatch.undo()
    assert (partial.filled, partial.verifier.seen) == (10, 10)
    partial.append([CONTENT[10:]])
    partial.verify()
    partial.close()


def test_private_content_is_kept_apart(blobs: Blobs, tmp_path: Path) -> None:
    stored(blobs, PRIVATE)
    assert (read(blobs, PRIVATE), read(blobs)) == (CONTENT, None)
    assert (tmp_path / "data" / "cache" / "private" / "quay.io" / "sha256").is_dir()


def test_all_pools_are_listed(blobs: Blobs) -> None:
    entries = {ENTRY, PRIVATE, Entry(Digest.of(b"x"), DOCKER_HUB), Entry(Digest.of(b"x"), Registry("localhost:5000"))}
    for entry in entries:
        stored(blobs, entry, CONTENT if entry.digest == ENTRY.digest else b"x")
        for origin in (None, DOCKER_HUB):
            filled(blobs, entry, b"left", origin)
    assert {entry for entry, _ in blobs.whole()} == entries
    partials = {(key, size) for key, size, _ in blobs.partials()}
    assert partials == {(PartialKey(entry, origin), 4) for entry in entries for origin in (None, DOCKER_HUB)}


def test_s11_what_two_registries_send_is_two_files(blobs: Blobs) -> None:
    filled(blobs, ENTRY, b"left", DOCKER_HUB)
    other = blobs.begin(ENTRY, Registry("evil.example.org"))
    assert other is not None
    assert os.fstat(other.fd).st_size == 0
    assert blobs.open_partial(ENTRY) is None
    other.close()


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_nobody_else_may_look_into_it(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        blobs = Blobs(tmp_path / "data" / "cache")
        blobs.prepare()
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data", tmp_path / "data" / "cache")] == [
        0o700
    ] * 2


@pytest.mark.security("S13")
def test_what_others_put_there_is_no_content(blobs: Blobs, tmp_path: Path) -> None:
    root = tmp_path / "data" / "cache"
    for path in (
        "sha256/ab/README",
        "sha256/README",
        "partial/x",
        "partial/y/z",
        "partial/-/z",
        "private/not a registry/sha256/ab/x",
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")
    assert [*blobs.partials(), *blobs.whole()] == []


def test_who_is_reading_what_is_removed_reads_on(blobs: Blobs) -> None:
    stored(blobs)
    fd = blobs.open(ENTRY)
    assert fd is not None
    blobs.remove(ENTRY)
    blobs.remove(ENTRY)
    assert read(blobs) is None
    assert os.read(fd, 100) == CONTENT
    os.close(fd)


def test_it_is_known_which_file_is_in_its_place(blobs: Blobs) -> None:
    stored(blobs)
    fd = blobs.open(ENTRY)
    assert fd is not None
    assert blobs.is_the_one(ENTRY, fd)
    blobs.remove(ENTRY)
    assert not blobs.is_the_one(ENTRY, fd)
    stored(blobs)
    assert not blobs.is_the_one(ENTRY, fd)
    os.close(fd)


def test_there_is_room_for_a_little_and_not_for_everything(blobs: Blobs, tmp_path: Path) -> None:
    assert blobs.room_for(0)
    assert not blobs.room_for(10**18)
    assert not Blobs(tmp_path / "missing").room_for(0)
