from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.store import checking
from crproxy.store.checking import Checks, Reading
from crproxy.store.entries import Entry, View
from crproxy.store.store import Store
from tests.logs import Log
from tests.memory import ended, failure_of, not_yet
from tests.store.test_filling import Later
from tests.stores import make_store

CONTENT = b"content of an image" * 1000
ENTRY = Entry(Digest.of(CONTENT))
VIEW = View(Registry("quay.io").repository("org/name"))
DAY = 86400.0


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(100 * DAY)
    return clock


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Store:
    return make_store(tmp_path, clock)


@pytest.fixture
def kept(store: Store) -> Path:
    """The file of what is stored, and linked."""
    ended(store.keep(ENTRY, CONTENT))
    store.index.link(VIEW, ENTRY.digest, size=len(CONTENT))
    return store.blobs.keep(ENTRY)


def check(store: Store, pause: Callable[[], Awaitable[None]] | None = None) -> Deferred[bool | None]:
    async def checking() -> bool | None:
        return await store.checks.check(ENTRY, pause)

    return Deferred.fromCoroutine(checking())


async def go_on() -> None:
    """Pauses for nothing."""


def flip(path: Path, position: int = 0) -> None:
    """Change a byte, and nothing else that can be seen."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def counts(store: Store) -> tuple[int, int, int]:
    return store.checks.number, store.checks.bytes, store.checks.damaged


@pytest.mark.parametrize("pause", [None, go_on])
def test_what_is_right_is_noted_as_checked(
    store: Store, clock: Clock, kept: Path, pause: Callable[[], Awaitable[None]] | None
) -> None:
    clock.advance(DAY)
    assert ended(check(store, pause)) is True
    found = store.index.kept(ENTRY)
    assert found is not None
    assert (found.size, found.used, found.checked) == (len(CONTENT), 100 * DAY, 101 * DAY)
    assert counts(store) == (1, len(CONTENT), 0)


@given(position=st.integers(min_value=0, max_value=len(CONTENT) - 1))
def test_a_flipped_byte_is_found_wherever_it_is(tmp_path_factory: pytest.TempPathFactory, position: int) -> None:
    store = make_store(tmp_path_factory.mktemp("store"), Clock())
    ended(store.keep(ENTRY, CONTENT))
    flip(store.blobs.keep(ENTRY), position)
    assert ended(check(store)) is False
    assert (store.blobs.size(ENTRY), store.index.size(ENTRY)) == (None, None)


@pytest.mark.parametrize("damage", [b"", CONTENT[:-1], CONTENT + b"x"], ids=["empty", "cut short", "longer"])
def test_what_is_damaged_is_dropped_and_its_permission_stays(store: Store, kept: Path, log: Log, damage: bytes) -> None:
    kept.write_bytes(damage)
    assert ended(check(store)) is False
    assert (store.blobs.size(ENTRY), store.index.size(ENTRY), store.index.bytes_stored()) == (None, None, 0)
    assert store.index.linked(VIEW, ENTRY.digest) is not None
    # Nor is it given from memory: who asks next has it from upstream.
    assert store.read(ENTRY) is None
    assert log.complaints == [
        f"{ENTRY} was damaged on disk (its bytes are not those that its digest names): "
        "it was dropped, and is fetched anew when it is asked for"
    ]
    assert counts(store) == (1, len(damage), 1)


def test_what_is_stored_anew_counts_with_its_own_size(store: Store, kept: Path, tmp_path: Path, clock: Clock) -> None:
    """Also where the row of what was cut short is not gone before."""
    store.index.dropped(ENTRY)
    kept.write_bytes(CONTENT[:5])
    store.index.found(ENTRY, 5)
    later = Later()
    slow = make_store(tmp_path, clock, indexing=later)
    assert ended(check(slow)) is False
    ended(slow.keep(ENTRY, CONTENT))
    while later.waiting:
        later.work()
    assert make_store(tmp_path, clock).index.size(ENTRY) == len(CONTENT)
    assert slow.index.bytes_stored() == make_store(tmp_path, clock).index.bytes_stored() == len(CONTENT)


def test_who_reads_what_is_dropped_reads_on(store: Store, kept: Path) -> None:
    fd = store.blobs.open(ENTRY)
    assert fd is not None
    flip(kept)
    assert ended(check(store)) is False
    assert os.pread(fd, 5, 1) == CONTENT[1:6]
    os.close(fd)


def test_what_is_not_here_is_none(store: Store, log: Log) -> None:
    assert ended(check(store)) is None
    assert (counts(store), log.complaints) == ((0, 0, 0), [])


def test_what_is_on_disk_alone_is_taken_up_where_it_is_right(store: Store) -> None:
    store.blobs.keep(ENTRY).write_bytes(CONTENT)
    assert store.is_unread(ENTRY)
    assert ended(check(store)) is True
    assert (store.index.size(ENTRY), store.is_unread(ENTRY)) == (len(CONTENT), False)


def test_a_row_that_is_wrong_is_put_right_by_what_was_read(store: Store, kept: Path) -> None:
    store.index.dropped(ENTRY)
    store.index.found(ENTRY, 5)
    assert ended(check(store)) is True
    assert store.index.size(ENTRY) == store.index.bytes_stored() == len(CONTENT)


@pytest.mark.parametrize("again", [False, True], ids=["dropped", "dropped and stored anew"])
def test_nothing_is_said_of_what_has_come_in_the_place_of_what_was_read(
    store: Store, kept: Path, log: Log, again: bool
) -> None:
    kept.write_bytes(b"damaged" * 1_000_000)
    pausing: Deferred[None] = Deferred()

    async def pause() -> None:
        await pausing

    checked = check(store, pause)
    not_yet(checked)
    store.blobs.remove(ENTRY)
    if again:
        ended(store.keep(ENTRY, CONTENT))
    pausing.callback(None)
    assert ended(checked) is None
    assert store.blobs.size(ENTRY) == (len(CONTENT) if again else None)
    assert (counts(store), log.complaints) == ((0, 0, 0), [])


def failing(number: int, calls: int = 0) -> Callable[..., int]:
    """Fails after so many calls."""
    left, real = [calls], os.preadv

    def preadv(fd: int, buffers: list[memoryview], offset: int, flags: int = 0) -> int:
        if flags:
            raise BlockingIOError
        if left[0] == 0:
            raise OSError(number, os.strerror(number))
        left[0] -= 1
        return real(fd, buffers, offset)

    return preadv


@pytest.mark.parametrize("calls", [0, 1])
@pytest.mark.parametrize("number", [errno.EIO, errno.EUCLEAN])
def test_what_the_disk_cannot_read_is_damaged(
    store: Store, kept: Path, log: Log, monkeypatch: pytest.MonkeyPatch, number: int, calls: int
) -> None:
    monkeypatch.setattr(os, "preadv", failing(number, calls))
    assert ended(check(store)) is False
    assert (store.blobs.size(ENTRY), store.index.size(ENTRY)) == (None, None)
    assert [os.strerror(number) in line for line in log.complaints] == [True]
    assert counts(store) == (0, 0, 1)


@pytest.mark.parametrize("number", [errno.ENOMEM, errno.EACCES])
def test_what_cannot_be_read_now_stays(
    store: Store, kept: Path, log: Log, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "preadv", failing(number))
    error = failure_of(check(store), OSError)
    assert isinstance(error, OSError)
    assert error.errno == number
    assert (kept.read_bytes(), store.index.size(ENTRY)) == (CONTENT, len(CONTENT))
    assert (counts(store), log.complaints) == ((0, 0, 0), [])


@pytest.mark.parametrize(("number", "stays"), [(errno.EIO, False), (errno.EMFILE, True)])
def test_what_cannot_be_opened_is_damaged_where_the_disk_says_so(
    store: Store, kept: Path, monkeypatch: pytest.MonkeyPatch, number: int, stays: bool
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(store.blobs, "open", fail)
    if stays:
        failure_of(check(store), OSError)
    else:
        assert ended(check(store)) is False
    assert (kept.exists(), store.index.size(ENTRY) is not None) == (stays, stays)


def test_what_cannot_be_removed_is_not_here_all_the_same(
    store: Store, kept: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    flip(kept)
    monkeypatch.setattr(store.blobs, "remove", fail)
    assert ended(check(store)) is False
    assert store.index.size(ENTRY) is None
    assert store.is_unread(ENTRY)
    assert "what was dropped cannot be removed: [Errno 30] Read-only file system" in log.complaints


# Threads, and who waits


def slow_checks(store: Store, later: Later) -> Checks:
    return Checks(store.blobs, store.index, later, store._drop)


def test_those_who_wait_for_the_same_share_a_reading(store: Store, kept: Path) -> None:
    later = Later()
    checks = slow_checks(store, later)
    waiting = [Deferred.fromCoroutine(_awaited(checks.check(ENTRY))) for _ in range(3)]
    waiting[0].cancel()
    failure_of(waiting[0], CancelledError)
    while later.waiting:
        later.work()
    assert [ended(one) for one in waiting[1:]] == [True, True]
    assert checks.number == 1


def test_who_leaves_does_not_close_what_a_thread_reads(store: Store, kept: Path) -> None:
    later = Later()
    checks = slow_checks(store, later)
    waiting = Deferred.fromCoroutine(_awaited(checks.check(ENTRY)))
    later.work()
    before = open_files()
    waiting.cancel()
    failure_of(waiting, CancelledError)
    assert open_files() == before
    later.work()
    assert checks.number == 1
    assert open_files() == before - 1


def test_a_client_does_not_wait_for_a_reading_that_takes_its_time(store: Store, kept: Path) -> None:
    kept.write_bytes(CONTENT * 500)
    never: Deferred[None] = Deferred()

    async def pause() -> None:
        await never

    slow = check(store, pause)
    not_yet(slow)
    assert ended(check(store)) is False
    never.callback(None)
    assert ended(slow) is None


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def test_few_read_at_the_same_time(store: Store) -> None:
    later = Later()
    checks = slow_checks(store, later)
    entries = []
    for number in range(5):
        content = bytes([number]) * 5 * 1024 * 1024
        entries.append(Entry(Digest.of(content)))
        store.blobs.keep(entries[-1]).write_bytes(content)
    waiting = [Deferred.fromCoroutine(_awaited(checks.check(entry))) for entry in entries]
    for _ in entries:
        later.work()
    steps = 0
    while later.waiting:
        assert len(later.waiting) <= 2
        later.work()
        steps += 1
    assert [ended(one) for one in waiting] == [True] * 5
    # Two for each: the others have a turn between them.
    assert steps == 10


# The page cache


def test_a_file_is_read_in_pieces(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "_READ", 10)
    monkeypatch.setattr(checking, "_PIECE", 30)
    content = b"x" * 65
    entry = Entry(Digest.of(content))
    store.blobs.keep(entry).write_bytes(content)
    fd = store.blobs.open(entry)
    assert fd is not None
    reading = Reading(entry, fd, spares_cache=False)
    assert [reading.step() for _ in range(3)] == [True, True, False]
    assert (reading.size, reading.matches()) == (65, True)
    reading.close()


@pytest.mark.parametrize(
    ("spares_cache", "cached", "advised"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_what_the_page_cache_did_not_have_is_not_left_there(
    store: Store, kept: Path, monkeypatch: pytest.MonkeyPatch, spares_cache: bool, cached: bool, advised: bool
) -> None:
    said: list[tuple[int, int]] = []
    real = os.preadv

    def preadv(fd: int, buffers: list[Any], offset: int, flags: int = 0) -> int:
        if flags == os.RWF_NOWAIT and not cached:
            raise BlockingIOError
        return real(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(os, "posix_fadvise", lambda _, start, length, advice: said.append((start, length)))
    fd = store.blobs.open(ENTRY)
    assert fd is not None
    reading = Reading(ENTRY, fd, spares_cache=spares_cache)
    while reading.step():
        pass
    reading.close()
    assert bool(said) is advised


def test_a_file_system_that_cannot_tell_what_it_has_cached_is_read_all_the_same(
    store: Store, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.preadv

    def preadv(fd: int, buffers: list[Any], offset: int, flags: int = 0) -> int:
        if flags:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return real(fd, buffers, offset)

    def fadvise(*_: object) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(os, "posix_fadvise", fadvise)
    assert ended(check(store, go_on)) is True
