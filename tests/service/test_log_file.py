from __future__ import annotations

import errno
import os
import resource
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from crproxy.service.log_file import LogFile, Written
from tests.logs import Log
from tests.memory import ended, not_yet


class Threads:
    """Does at once what is to be done in a thread, or when the test says so."""

    def __init__(self) -> None:
        self.busy = False
        self._work: list[tuple[Callable[[], Written], Deferred[Written]]] = []

    def __call__(self, work: Callable[[], Written], /) -> Deferred[Written]:
        if not self.busy:
            return succeed(work())
        done: Deferred[Written] = Deferred()
        self._work.append((work, done))
        return done

    def do_one(self) -> None:
        work, done = self._work.pop(0)
        done.callback(work())

    @property
    def waiting(self) -> int:
        return len(self._work)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def threads() -> Threads:
    return Threads()


@pytest.fixture
def log() -> Iterator[Log]:
    with Log() as log:
        yield log


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


@pytest.fixture
def lines(path: Path, clock: Clock, threads: Threads) -> LogFile:
    return LogFile(str(path), clock, threads, most=100)


def test_lines_are_written_soon_and_together(lines: LogFile, path: Path, clock: Clock) -> None:
    lines.add("one")
    lines.add("two")
    assert not path.exists()
    clock.advance(0.5)
    assert path.read_text() == "one\ntwo\n"
    assert clock.getDelayedCalls() == []


def test_they_are_added_to_what_is_there(lines: LogFile, path: Path, clock: Clock) -> None:
    path.write_text("before\n")
    lines.add("one")
    clock.advance(0.5)
    assert path.read_text() == "before\none\n"


def test_the_file_is_its_groups_to_read_whatever_the_umask(lines: LogFile, path: Path) -> None:
    before = os.umask(0o077)
    try:
        lines.open(str(path))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_the_mode_of_a_file_that_is_there_is_left_alone(lines: LogFile, path: Path) -> None:
    path.touch(0o600)
    lines.open(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_was_moved_gets_what_waits_and_a_new_one_the_rest(lines: LogFile, path: Path, clock: Clock) -> None:
    lines.add("one")
    clock.advance(0.5)
    moved = path.rename(path.with_suffix(".1"))
    lines.add("two")
    lines.open(str(path))
    lines.add("three")
    clock.advance(0.5)
    assert (moved.read_text(), path.read_text()) == ("one\ntwo\n", "three\n")


def test_a_reopening_waits_for_what_is_being_written(
    lines: LogFile, path: Path, clock: Clock, threads: Threads
) -> None:
    threads.busy = True
    lines.add("one")
    clock.advance(0.5)
    other = path.with_name("other.log")
    lines.open(str(other))
    lines.add("two")
    assert threads.waiting == 1, "one at a time"
    threads.do_one()
    threads.do_one()
    lines.add("three")
    clock.advance(0.5)
    threads.do_one()
    assert (path.read_text(), other.read_text()) == ("one\ntwo\n", "three\n")


def test_nobody_waits_for_a_disk_that_stands_still(
    lines: LogFile, path: Path, clock: Clock, threads: Threads, log: Log
) -> None:
    threads.busy = True
    for number in range(40):
        lines.add(f"line {number:02}")
        clock.advance(0.1)
    assert log.lines == [f"{path} does not take its lines: they are lost from now on"]
    threads.busy = False
    threads.do_one()
    clock.advance(0.5)
    assert path.read_text().splitlines() == [f"line {number:02}" for number in range(12)]
    assert log.lines[1:] == [f"lines are added to {path} again; 28 were lost"]


def test_a_directory_that_is_missing_is_told_once_and_lines_wait_for_it(
    lines: LogFile, path: Path, clock: Clock, log: Log
) -> None:
    other = path.parent / "missing" / "audit.log"
    lines.open(str(other))
    lines.add("one")
    for _ in range(5):
        clock.advance(0.5)
    assert log.lines == [f"lines cannot be added to {other}: [Errno 2] No such file or directory: '{other}'"]
    other.parent.mkdir()
    clock.advance(0.5)
    assert other.read_text() == "one\n"
    assert log.lines[1:] == [f"lines are added to {other} again; 0 were lost"]


def test_a_full_disk_costs_lines_is_told_once_and_tears_no_line(
    lines: LogFile, path: Path, clock: Clock, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, free = os.write, 10

    def full(descriptor: int, data: bytes) -> int:
        nonlocal free
        if not free:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = write(descriptor, data[:free])
        free -= count
        return count

    monkeypatch.setattr(os, "write", full)
    for number in range(30):
        lines.add(f"line {number:02}")
        clock.advance(0.5)
    assert path.read_text() == "line 00\nli"
    monkeypatch.undo()
    clock.advance(0.5)
    written = path.read_text().splitlines()
    assert written == [f"line {number:02}" for number in range(len(written))]
    assert [line.partition(str(path))[0] for line in log.lines] == [
        "lines cannot be added to ",
        "",
        "lines are added to ",
    ]
    assert log.lines[-1].endswith(f"again; {30 - len(written)} were lost")


def test_a_file_of_its_greatest_size_is_a_full_disk(path: Path, clock: Clock, threads: Threads, log: Log) -> None:
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, before[1]))
    try:
        lines = LogFile(str(path), clock, threads)
        lines.add("x" * 20)
        clock.advance(0.5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_text() == "x" * 16
    assert log.lines == [f"lines cannot be added to {path}: [Errno 27] File too large"]
    clock.advance(0.5)
    assert path.read_text() == "x" * 20 + "\n"


def test_closing_writes_what_waits_and_what_still_comes(lines: LogFile, path: Path, clock: Clock) -> None:
    lines.add("one")
    ended(lines.close())
    assert path.read_text() == "one\n"
    lines.add("two")
    assert path.read_text() == "one\ntwo\n"
    assert clock.getDelayedCalls() == []


def test_closing_waits_for_what_is_being_written(lines: LogFile, path: Path, clock: Clock, threads: Threads) -> None:
    threads.busy = True
    lines.add("one")
    clock.advance(0.5)
    lines.add("two")
    closed = lines.close()
    lines.add("three")
    assert not_yet(closed)
    threads.do_one()
    ended(closed)
    assert path.read_text() == "one\ntwo\nthree\n"


def test_closing_what_never_had_a_line_makes_no_file(lines: LogFile, path: Path) -> None:
    ended(lines.close())
    assert not path.exists()
