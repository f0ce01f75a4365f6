from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from crproxy.workers import ledger_directory
from crproxy.workers.ledger_directory import LedgerDirectory

SECONDS = 60
PROCESSES = multiprocessing.get_context("spawn")


def run(parent: str, told: Connection) -> None:
    """What a daemon's process does: it has a directory until it is killed."""
    told.send(LedgerDirectory(parent).path)
    signal.pause()


@contextmanager
def daemon(parent: Path) -> Iterator[Path]:
    """One that is killed in the end; its directory."""
    receiver, sender = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=run, args=(str(parent), sender))
    process.start()
    try:
        assert receiver.poll(SECONDS)
        yield receiver.recv()
    finally:
        process.kill()
        process.join(SECONDS)
        process.close()
        receiver.close()
        sender.close()


def made(parent: Path) -> set[Path]:
    return set(parent.iterdir())


def test_it_is_made_for_nobody_else_and_goes_with_all_that_is_in_it(tmp_path: Path) -> None:
    directory = LedgerDirectory(str(tmp_path))
    assert made(tmp_path) == {directory.path}
    assert directory.path.stat().st_mode & 0o777 == 0o700
    (directory.path / "data.mdb").write_bytes(b"x")
    directory.remove()
    assert made(tmp_path) == set()
    directory.remove()


def test_each_daemon_has_its_own(tmp_path: Path) -> None:
    one, other = LedgerDirectory(str(tmp_path)), LedgerDirectory(str(tmp_path))
    assert made(tmp_path) == {one.path, other.path}
    one.remove()
    assert made(tmp_path) == {other.path}
    other.remove()


def test_that_of_one_that_lives_stays_and_that_of_one_that_was_killed_goes(tmp_path: Path) -> None:
    with daemon(tmp_path) as path:
        (path / "data.mdb").write_bytes(b"x")
        first = LedgerDirectory(str(tmp_path))
        assert made(tmp_path) == {path, first.path}
        assert (path / "data.mdb").exists()
    assert made(tmp_path) == {path, first.path}
    second = LedgerDirectory(str(tmp_path))
    assert made(tmp_path) == {first.path, second.path}
    first.remove()
    second.remove()


def test_what_is_called_otherwise_stays(tmp_path: Path) -> None:
    others = [tmp_path / "else", tmp_path / "a-crproxy-ledger-x"]
    for path in others:
        path.mkdir()
    directory = LedgerDirectory(str(tmp_path))
    directory.remove()
    assert made(tmp_path) == set(others)


def test_nothing_is_removed_by_a_link_and_no_file(tmp_path: Path) -> None:
    parent, elsewhere = tmp_path / "shm", tmp_path / "elsewhere"
    for path in (parent, elsewhere):
        path.mkdir()
    (elsewhere / "kept").write_text("x")
    (parent / "crproxy-ledger-link").symlink_to(elsewhere)
    (parent / "crproxy-ledger-file").write_text("x")
    (parent / "crproxy-ledger-nowhere").symlink_to(tmp_path / "nowhere")
    LedgerDirectory(str(parent)).remove()
    assert len(made(parent)) == 3
    assert (elsewhere / "kept").exists()


def test_what_is_another_users_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "crproxy-ledger-x"
    path.mkdir()
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    LedgerDirectory(str(tmp_path)).remove()
    assert made(tmp_path) == {path}
    monkeypatch.setattr(os, "geteuid", lambda: user)
    LedgerDirectory(str(tmp_path)).remove()
    assert made(tmp_path) == set()


def test_it_is_in_memory_and_where_that_cannot_be_among_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, temporary = tmp_path / "shm", tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(ledger_directory, "_IN_MEMORY", str(memory))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    directory = LedgerDirectory()
    assert directory.path.parent == temporary
    directory.remove()
    memory.mkdir()
    directory = LedgerDirectory()
    assert directory.path.parent == memory
    directory.remove()


def test_where_none_can_be_made_that_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError):
        LedgerDirectory(str(tmp_path / "nowhere, too"))


def test_its_lock_is_not_what_its_processes_have(tmp_path: Path) -> None:
    """Which may live on for a while when it was killed."""
    directory = LedgerDirectory(str(tmp_path))
    assert directory._lock is not None
    assert not os.get_inheritable(directory._lock)
    directory.remove()


def test_two_that_begin_at_a_time_do_not_take_each_other_for_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others: list[LedgerDirectory] = []
    make = tempfile.mkdtemp

    def make_and_be_late(**arguments: Any) -> str:
        path: str = make(**arguments)
        if not others:
            monkeypatch.setattr(tempfile, "mkdtemp", make)
            others.append(LedgerDirectory(str(tmp_path)))
        return path

    monkeypatch.setattr(tempfile, "mkdtemp", make_and_be_late)
    directories = [LedgerDirectory(str(tmp_path)), *others]
    assert made(tmp_path) == {directory.path for directory in directories}
    for directory in directories:
        directory.remove()
