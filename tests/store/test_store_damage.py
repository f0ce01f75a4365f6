from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.sharing import Alone
from crproxy.store.activity import Activity
from crproxy.store.blobs import PartialKey
from crproxy.store.entries import Entry
from crproxy.store.store import Store
from tests.logs import Log
from tests.memory import ended, failure_of
from tests.store.test_store import kept, there
from tests.stores import make_store, threads
from tests.upstream.conftest import Consumer

# What nobody has read since it was found on disk


def on_disk(store: Store, content: bytes, damaged: bytes | None = None) -> Entry:
    entry = Entry(Digest.of(content))
    store.blobs.keep(entry).write_bytes(content if damaged is None else damaged)
    return entry


@pytest.mark.parametrize("taken_up", [False, True])
def test_what_was_found_on_disk_is_read_before_it_is_served(store: Store, taken_up: bool) -> None:
    entry = on_disk(store, b"content")
    if taken_up:
        store.index.found(entry, 7)
    opened = store.open(entry)
    assert opened is not None
    assert (opened.is_unread, store.is_unread(entry)) == (True, True)
    with pytest.raises(ValueError, match="unread"):
        opened.flow(0, 7)
    opened.close()
    assert ended(Deferred.fromCoroutine(store.read_first(entry))) is True
    opened = store.open(entry)
    assert opened is not None
    assert not opened.is_unread
    opened.flow(0, 7).abandon()


@pytest.mark.parametrize("taken_up", [False, True])
@pytest.mark.parametrize("damaged", [b"", b"conten", b"Content"])
def test_what_was_found_and_is_damaged_is_served_by_nobody(
    store: Store, log: Log, taken_up: bool, damaged: bytes
) -> None:
    entry = on_disk(store, b"content", damaged)
    if taken_up:
        store.index.found(entry, len(damaged))
    assert ended(Deferred.fromCoroutine(store.read_first(entry))) is True
    assert (store.open(entry), store.size(entry), store.read(entry)) == (None, None, None)
    assert (len(log.complaints), store.checks.damaged) == (1, 1)


def test_what_is_being_filled_here_was_verified_before_it_is_in_its_place(store: Store) -> None:
    """Though it is in the index only a moment later."""
    entry = on_disk(store, b"content")
    assert store.reserve(PartialKey(entry, Registry("quay.io")), 7)
    assert not store.is_unread(entry)
    store.release(PartialKey(entry, Registry("quay.io")))
    assert store.is_unread(entry)


def test_what_cannot_be_read_first_is_not_to_be_had_from_here(
    store: Store, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = on_disk(store, b"content")

    def fail(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as broken:
        broken.setattr(store.blobs, "open", fail)
        assert ended(Deferred.fromCoroutine(store.read_first(entry))) is False
    assert log.complaints == [f"{entry} cannot be read: [Errno 24] Too many open files"]
    assert store.is_unread(entry)


def test_what_is_damaged_and_cannot_be_removed_is_not_to_be_had_from_here(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = on_disk(store, b"content", b"Content")

    def fail(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(store.blobs, "remove", fail)
    assert ended(Deferred.fromCoroutine(store.read_first(entry))) is False
    assert (store.is_unread(entry), store.read(entry)) == (True, None)


# Damage that is found when something is read


@pytest.mark.parametrize("damaged", [b"Content", b"contenT"])
def test_small_content_is_checked_each_time_it_comes_from_disk(
    store: Store, clock: Clock, log: Log, damaged: bytes
) -> None:
    (entry,) = kept(store, clock, b"content")
    store._memory.forget(entry)
    store.blobs.keep(entry).write_bytes(damaged)
    assert store.read(entry) is None
    assert (store.blobs.size(entry), store.index.size(entry), store.checks.damaged) == (None, None, 1)
    assert "was damaged on disk" in log.complaints[0]
    ended(store.keep(entry, b"content"))
    store._memory.forget(entry)
    assert store.read(entry) == b"content"


def test_small_content_that_was_found_on_disk_is_known_once_it_was_read(store: Store) -> None:
    entry = on_disk(store, b"content")
    assert store.read(entry) == b"content"
    assert not store.is_unread(entry)
    assert store.index.size(entry) == 7


@pytest.mark.parametrize(("number", "stays"), [(errno.EIO, False), (errno.ENOMEM, True)])
def test_small_content_that_the_disk_has_lost_is_dropped(
    store: Store, clock: Clock, log: Log, monkeypatch: pytest.MonkeyPatch, number: int, stays: bool
) -> None:
    (entry,) = kept(store, clock, b"content")
    store._memory.forget(entry)

    def fdopen(fd: int, mode: str) -> object:
        class Broken(io.FileIO):
            def read(self, size: int | None = -1, /) -> bytes:
                raise OSError(number, os.strerror(number))

        return Broken(fd, mode)

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdopen", fdopen)
        assert store.read(entry) is None
    assert (store.index.size(entry) is not None, store.blobs.size(entry) is not None) == (stays, stays)
    assert len(log.complaints) == 1


def test_what_the_disk_cannot_open_twice_is_dropped(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    (entry,) = kept(store, clock, b"content")

    def fail(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(store.blobs, "open", fail)
        assert store.open(entry) is None
    assert there(store, [entry]) == [False]


def test_what_the_disk_could_not_open_for_once_stays(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    (entry,) = kept(store, clock, b"content")
    real, failures = store.blobs.open, [OSError(errno.EIO, "Input/output error")]

    def fail_once(entry: Entry) -> int | None:
        if failures:
            raise failures.pop()
        return real(entry)

    monkeypatch.setattr(store.blobs, "open", fail_once)
    assert store.open(entry) is None
    assert there(store, [entry]) == [True]


@pytest.mark.parametrize(
    ("error", "stays"),
    [(OSError(errno.EIO, "Input/output error"), False), (OSError(errno.EPIPE, "x"), True), (EOFError("x"), True)],
)
def test_content_that_breaks_while_it_is_served_is_dropped_where_the_disk_did_it(
    store: Store, clock: Clock, error: Exception, stays: bool
) -> None:
    (entry,) = kept(store, clock, b"content")
    opened = store.open(entry)
    assert opened is not None

    class Broken(Consumer):
        def send_file(self, *_: object) -> int:
            raise error

    failure_of(opened.flow(0, 7).join(Broken()), type(error))
    assert there(store, [entry]) == [stays]


@pytest.mark.parametrize("taken", [True, False])
def test_what_is_served_from_disk_counts_until_its_end(tmp_path: Path, clock: Clock, taken: bool) -> None:
    plain = make_store(tmp_path, clock)
    activity = Activity(Alone(), clock)
    store = Store(plain.blobs, plain.index, 1000, threads, activity=activity)
    (entry,) = kept(store, clock, b"content")
    opened = store.open(entry)
    assert opened is not None
    assert is_idle(activity)
    flow = opened.flow(0, 7)
    clock.advance(10)
    assert not is_idle(activity)
    if taken:
        ended(flow.join(Consumer()))
    flow.abandon()
    flow.abandon()
    clock.pump([2, 2])
    assert is_idle(activity)
    assert clock.getDelayedCalls() == []


def is_idle(activity: Activity) -> bool:
    return activity.is_idle
