from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from crproxy.login.keys import KEY_BYTES, load_key
from tests.logs import Log

OTHERWISE = b"otherwise" + bytes(KEY_BYTES - 9)


@pytest.fixture
def log() -> Iterator[Log]:
    with Log() as log:
        yield log


def test_a_key_is_made_once(tmp_path: Path, log: Log) -> None:
    key = load_key(tmp_path, OTHERWISE)
    assert len(key) == KEY_BYTES == 64
    assert key != OTHERWISE
    assert load_key(tmp_path, OTHERWISE) == key == (tmp_path / "login.key").read_bytes()
    assert log.complaints == []


def test_two_directories_have_two_keys(tmp_path: Path) -> None:
    assert load_key(tmp_path / "a", OTHERWISE) != load_key(tmp_path / "b", OTHERWISE)


def test_s23_nobody_else_may_read_it_whatever_the_umask_is(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        load_key(tmp_path, OTHERWISE)
    finally:
        os.umask(umask)
    assert (tmp_path / "login.key").stat().st_mode & 0o777 == 0o600


def test_nothing_is_left_beside_it(tmp_path: Path) -> None:
    load_key(tmp_path, OTHERWISE)
    assert [path.name for path in tmp_path.iterdir()] == ["login.key"]


def test_a_directory_that_is_not_there_is_made(tmp_path: Path) -> None:
    key = load_key(tmp_path / "a" / "b", OTHERWISE)
    assert load_key(tmp_path / "a" / "b", OTHERWISE) == key != OTHERWISE


def test_of_two_that_make_it_at_once_both_take_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever links second finds the file there, and it is whole."""
    link, theirs = os.link, bytes(range(64))

    def overtaken(source: Path, target: Path) -> None:
        target.write_bytes(theirs)
        link(source, target)

    monkeypatch.setattr(os, "link", overtaken)
    assert load_key(tmp_path, OTHERWISE) == theirs
    assert [path.name for path in tmp_path.iterdir()] == ["login.key"]


def test_it_is_whole_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    link = os.link

    def looked_at(source: Path, target: Path) -> None:
        assert not target.exists()
        sizes.append(source.stat().st_size)
        link(source, target)

    monkeypatch.setattr(os, "link", looked_at)
    load_key(tmp_path, OTHERWISE)
    assert sizes == [KEY_BYTES]


@pytest.mark.parametrize("content", [b"", b"short", bytes(63), bytes(65), bytes(32)])
def test_a_file_of_another_size_is_no_key_and_stays(tmp_path: Path, log: Log, content: bytes) -> None:
    file = tmp_path / "login.key"
    file.write_bytes(content)
    assert load_key(tmp_path, OTHERWISE) == OTHERWISE
    assert file.read_bytes() == content
    assert len(log.complaints) == 1
    assert f"{file}: it has not 64 bytes: remove it" in log.complaints[0]


def test_one_that_cannot_be_read_is_told(tmp_path: Path, log: Log) -> None:
    (tmp_path / "login.key").mkdir()
    assert load_key(tmp_path, OTHERWISE) == OTHERWISE
    (complaint,) = log.complaints
    assert complaint.endswith("Until then they end with the daemon")


def test_so_is_one_that_cannot_be_written(tmp_path: Path, log: Log) -> None:
    (tmp_path / "file").touch()
    assert load_key(tmp_path / "file", OTHERWISE) == OTHERWISE
    assert len(log.complaints) == 1


def test_a_disk_that_is_full_leaves_nothing_behind(tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert load_key(tmp_path, OTHERWISE) == OTHERWISE
    assert list(tmp_path.iterdir()) == []
    assert "No space left on device" in log.complaints[0]


def test_the_key_is_in_no_line_of_the_log(tmp_path: Path, log: Log) -> None:
    """S26."""
    (tmp_path / "login.key").write_bytes(b"secret")
    load_key(tmp_path, OTHERWISE)
    assert "secret" not in " ".join(log.lines)
    assert "otherwise" not in " ".join(log.lines)
