from __future__ import annotations

import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from crproxy.admin import htpasswd_file
from crproxy.admin.htpasswd_file import edit_file, is_open_to_all
from crproxy.config.htpasswd import names_in, with_user


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "htpasswd"


def add(path: Path, name: str) -> bool:
    return edit_file(path, lambda text: with_user(text, name, "x"))


def test_one_that_is_made_is_its_owners_alone(path: Path) -> None:
    assert add(path, "alice")
    assert path.read_text() == "alice:x\n"
    assert path.stat().st_mode & 0o7777 == 0o600
    assert not is_open_to_all(path)
    assert list(path.parent.iterdir()) == [path]


def test_its_directory_is_made_where_nothing_else_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "crproxy" / "htpasswd"
    assert add(path, "alice")
    assert path.read_text() == "alice:x\n"
    with pytest.raises(FileNotFoundError):
        add(tmp_path / "crpoxy" / "config" / "htpasswd", "alice")
    assert not (tmp_path / "crpoxy").exists()


def test_its_owner_is_the_one_who_reads_it(path: Path) -> None:
    assert os.geteuid() == 0
    edit_file(path, lambda text: "alice:x\n", owner=12345)
    assert path.stat().st_uid == 12345


def test_one_that_is_there_stays_as_it_is(path: Path) -> None:
    path.write_text("# ours\r\nbob:x")
    path.chmod(0o644)
    os.chown(path, 12345, 12346)
    assert not add(path, "alice")
    state = path.stat()
    assert path.read_bytes() == b"# ours\r\nbob:x\r\nalice:x\r\n"
    assert (state.st_mode & 0o7777, state.st_uid, state.st_gid) == (0o644, 12345, 12346)
    assert is_open_to_all(path)


def test_a_link_stays_one(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    assert add(link, "alice")
    assert not add(link, "bob")
    assert link.is_symlink()
    assert path.read_text() == "alice:x\nbob:x\n"


@pytest.mark.parametrize("text", [None, "bob:x\n"])
def test_a_mistake_changes_nothing(path: Path, text: str | None) -> None:
    if text is not None:
        path.write_text(text)

    def fail(text: str) -> str:
        raise LookupError

    with pytest.raises(LookupError):
        edit_file(path, fail)
    assert (path.read_text() if path.exists() else None) == text
    assert list(path.parent.iterdir()) == ([] if text is None else [path])


def test_of_many_at_the_same_time_none_is_lost(path: Path) -> None:
    names = [f"user{number}" for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(lambda name: add(path, name), names)) == 1
    assert sorted(names_in(path.read_text())) == sorted(names)


def test_another_one_that_does_not_end_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(htpasswd_file, "_PATIENCE", 0.0)
    fd = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        with pytest.raises(BlockingIOError):
            add(path, "alice")
    finally:
        os.close(fd)
    assert add(path, "alice")
