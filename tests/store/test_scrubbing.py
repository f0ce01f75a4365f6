from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.sharing import Alone
from crproxy.store.activity import Activity
from crproxy.store.checking import Checks
from crproxy.store.entries import Entry
from crproxy.store.notes import NEVER
from crproxy.store.scrubbing import Scrub, verify, verify_gently
from crproxy.store.store import Store
from tests.logs import Log
from tests.memory import ended, not_yet
from tests.store.test_checking import open_files
from tests.store.test_filling import Later
from tests.stores import make_store

DAY = 86400.0
PERIOD = 30 * DAY


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(1000 * DAY)
    return clock


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Store:
    return make_store(tmp_path, clock)


@pytest.fixture
def activity(clock: Clock) -> Activity:
    return Activity(Alone(), clock)


@pytest.fixture
def scrub(store: Store, activity: Activity, clock: Clock) -> Iterator[Scrub]:
    scrub = Scrub(store, PERIOD, activity, clock, now=clock.seconds)
    yield scrub
    scrub.stop()


def kept(store: Store, *contents: bytes) -> list[Entry]:
    entries = [Entry(Digest.of(content)) for content in contents]
    for entry, content in zip(entries, contents, strict=True):
        ended(store.keep(entry, content))
    return entries


def found(store: Store, content: bytes) -> Entry:
    """What was found on disk, and nobody has read."""
    entry = Entry(Digest.of(content))
    store.blobs.keep(entry).write_bytes(content)
    store.index.found(entry, len(content))
    return entry


def checked(store: Store, *entries: Entry) -> list[float]:
    """On which day each was checked."""
    rows = [store.index.kept(entry) for entry in entries]
    return [NEVER if row is None else row.checked / DAY for row in rows]


def pass_by(clock: Clock, seconds: float, step: float = 1000.0) -> None:
    """Let time go on in steps: what waits for less than one is done at its end."""
    for _ in range(int(seconds / step)):
        clock.advance(step)


def test_what_is_due_is_read_and_nothing_before(store: Store, scrub: Scrub, clock: Clock) -> None:
    (entry,) = kept(store, b"content")
    scrub.start()
    pass_by(clock, 14.9 * DAY)
    assert store.checks.number == 0
    pass_by(clock, 0.2 * DAY)
    assert store.checks.number == 1
    assert 1014.9 < checked(store, entry)[0] < 1015.1
    pass_by(clock, 60 * DAY)
    assert store.checks.number == 5


def test_what_came_at_once_is_spread_and_all_of_it_is_read_in_time(store: Store, scrub: Scrub, clock: Clock) -> None:
    entries = kept(store, *(bytes([number]) * 100 for number in range(10)))
    scrub.start()
    pass_by(clock, 15.1 * DAY)
    assert store.checks.number == 1
    pass_by(clock, 4 * DAY)
    assert store.checks.number == pytest.approx(6, abs=1)
    pass_by(clock, 4 * DAY)
    assert store.checks.number == 10
    assert max(checked(store, *entries)) <= 1000 + 22.6


def test_what_was_not_read_for_longest_is_first_and_the_unread_before_all(
    store: Store, scrub: Scrub, clock: Clock
) -> None:
    (old,) = kept(store, b"old")
    clock.advance(29 * DAY)
    (new,) = kept(store, b"new")
    unread = [found(store, b"unread"), found(store, b"unread, too")]
    scrub.start()
    assert sorted(checked(store, *unread)) == [NEVER / DAY, 1029]
    clock.advance(0.1)
    assert checked(store, *unread, old) == [pytest.approx(1029)] * 2 + [1000]
    clock.advance(0.1)
    assert checked(store, old, new) == [pytest.approx(1029), 1029]
    assert store.checks.number == 3


def test_what_is_found_while_it_waits_is_read_at_once(store: Store, scrub: Scrub, clock: Clock) -> None:
    kept(store, b"content")
    scrub.look()
    scrub.start()
    unread = found(store, b"unread")
    clock.advance(1)
    assert checked(store, unread) == [NEVER / DAY]
    scrub.look()
    assert checked(store, unread) == [pytest.approx(1000)]


def test_it_goes_on_where_it_was(store: Store, scrub: Scrub, activity: Activity, clock: Clock, tmp_path: Path) -> None:
    a, b = kept(store, b"a", b"b")
    clock.advance(25 * DAY)
    scrub.start()
    assert store.checks.number == 1
    scrub.stop()
    again = make_store(tmp_path, clock)
    assert sorted(checked(again, a, b)) == [1000, 1025]
    other = Scrub(again, PERIOD, activity, clock, now=clock.seconds)
    other.start()
    assert (again.checks.number, checked(again, a, b)) == (1, [1025, 1025])
    other.stop()


def test_a_clock_that_was_set_back_keeps_nothing_from_being_read(store: Store, scrub: Scrub, clock: Clock) -> None:
    clock.advance(100 * DAY)
    (ahead,) = kept(store, b"ahead")
    clock.rightNow -= 100 * DAY
    (now,) = kept(store, b"now")
    scrub.start()
    assert checked(store, ahead, now) == [1100, 1000]
    assert store.checks.number == 1
    # What it was is later still; once it was written, it is as any other.
    store.index.dropped(ahead)
    pass_by(clock, 16 * DAY)
    assert store.checks.number == 2


def test_what_is_damaged_is_dropped_and_the_rest_goes_on(store: Store, scrub: Scrub, clock: Clock, log: Log) -> None:
    a, b, c = kept(store, b"aaaa", b"bbbb", b"cccc")
    store.blobs.keep(b).write_bytes(b"bbbx")
    clock.advance(40 * DAY)
    scrub.start()
    pass_by(clock, 60, 1)
    assert [store.index.size(entry) for entry in (a, b, c)] == [4, None, 4]
    assert (store.checks.number, store.checks.bytes, store.checks.damaged) == (3, 12, 1)
    assert len(log.complaints) == 1


def test_what_is_gone_from_disk_is_forgotten(store: Store, scrub: Scrub, clock: Clock, log: Log) -> None:
    a, b = kept(store, b"a", b"b")
    store.blobs.remove(a)
    store.blobs.remove(b)
    clock.advance(40 * DAY)
    scrub.start()
    pass_by(clock, 10, 1)
    assert [store.index.size(entry) for entry in (a, b)] == [None, None]
    assert log.complaints == []


def test_what_cannot_be_read_now_keeps_nobody_from_being_read(
    store: Store, scrub: Scrub, clock: Clock, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = kept(store, b"a", b"b")
    clock.advance(40 * DAY)
    first = min((a, b), key=str)
    real = store.blobs.open

    def refuse(entry: Entry) -> int | None:
        if entry == first:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(entry)

    with monkeypatch.context() as refused:
        refused.setattr(store.blobs, "open", refuse)
        scrub.start()
        pass_by(clock, 30, 1)
    assert checked(store, first) == [1000]
    assert store.checks.number == 1
    assert log.complaints == [f"{first} cannot be read: [Errno 13] Permission denied"]
    pass_by(clock, 3700, 10)
    assert store.checks.number == 2


def test_an_error_that_nobody_foresaw_is_told_and_it_goes_on(
    store: Store, scrub: Scrub, clock: Clock, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(store, b"a")
    clock.advance(40 * DAY)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as failing:
        failing.setattr(store.index, "longest_unchecked", fail)
        scrub.start()
    assert log.failures == [ZeroDivisionError]
    clock.advance(60)
    assert store.checks.number == 1


# While others use the disk


def test_nothing_is_read_while_others_use_the_disk(
    store: Store, scrub: Scrub, activity: Activity, clock: Clock
) -> None:
    kept(store, b"content")
    clock.advance(20 * DAY)
    activity.begin()
    scrub.start()
    pass_by(clock, 9 * DAY)
    assert store.checks.number == 0
    activity.end()
    pass_by(clock, 10, 1)
    assert store.checks.number == 1


def test_what_is_overdue_is_read_beside_others_and_takes_longer_rests(
    store: Store, activity: Activity, clock: Clock
) -> None:
    content = b"x" * 20 * 1024 * 1024
    (entry,) = kept(store, content)
    clock.advance(31 * DAY)
    later = Later()
    store.checks = Checks(store.blobs, store.index, later, store._drop)
    activity.begin()
    scrub = Scrub(store, PERIOD, activity, clock, now=clock.seconds)
    scrub.start()
    later.work()
    began = clock.seconds()
    for _ in range(5):
        clock.advance(1)
        later.work()
        assert later.waiting == []
        clock.advance(48.9)
        assert later.waiting == []
        clock.advance(0.1)
    # The last looks whether there is more.
    later.work()
    assert clock.seconds() - began == pytest.approx(5 * 50)
    assert store.checks.number == 1
    assert checked(store, entry) == [pytest.approx(1031, abs=0.01)]
    scrub.stop()
    activity.stop()


def test_it_waits_in_the_midst_of_a_content_when_others_come(store: Store, activity: Activity, clock: Clock) -> None:
    kept(store, b"x" * 20 * 1024 * 1024)
    clock.advance(20 * DAY)
    later = Later()
    store.checks = Checks(store.blobs, store.index, later, store._drop)
    scrub = Scrub(store, PERIOD, activity, clock, now=clock.seconds)
    scrub.start()
    later.work()
    clock.advance(1)
    later.work()
    activity.begin()
    pass_by(clock, 60, 1)
    assert later.waiting == []
    activity.end()
    pass_by(clock, 4, 1)
    assert len(later.waiting) == 1
    scrub.stop()
    activity.stop()
    later.work()
    assert store.checks.number == 0
    assert clock.getDelayedCalls() == []


# Stopping


def test_it_stops_while_it_waits_and_while_a_thread_reads(store: Store, activity: Activity, clock: Clock) -> None:
    Scrub(store, PERIOD, activity, clock, now=clock.seconds).stop()
    kept(store, b"content")
    clock.advance(20 * DAY)
    later = Later()
    store.checks = Checks(store.blobs, store.index, later, store._drop)
    scrub = Scrub(store, PERIOD, activity, clock, now=clock.seconds)
    scrub.start()
    before = open_files()
    later.work()
    scrub.stop()
    assert open_files() == before + 1
    later.work()
    assert open_files() == before
    assert clock.getDelayedCalls() == []


# Because the operator says so


@pytest.mark.parametrize("gently", [False, True])
def test_verifying_drops_what_is_damaged_or_gone(store: Store, clock: Clock, gently: bool) -> None:
    sound, damaged, gone = kept(store, b"sound", b"damaged", b"gone")
    clock.advance(DAY)
    store.blobs.keep(damaged).write_bytes(b"Damaged")
    store.blobs.remove(gone)
    seen: set[tuple[Entry, int, bool]] = set()
    if gently:
        ended_in_time(Deferred.fromCoroutine(verify_gently(store, clock, 10, lambda *one: seen.add(one))), clock)
    else:
        seen = set(verify(store))
    assert seen == {(sound, 5, True), (damaged, 7, False), (gone, 4, False)}
    assert [store.index.size(entry) for entry in (sound, damaged, gone)] == [5, None, None]
    assert store.blobs.size(damaged) is None
    # What was read counts as checked.
    assert checked(store, sound) == [pytest.approx(1001)]


def ended_in_time(work: Deferred[None], clock: Clock) -> None:
    not_yet(work)
    pass_by(clock, 10, 0.1)
    ended(work)


@pytest.mark.parametrize("gently", [False, True])
def test_verifying_drops_nothing_that_cannot_be_read_now(
    store: Store, clock: Clock, log: Log, monkeypatch: pytest.MonkeyPatch, gently: bool
) -> None:
    (entry,) = kept(store, b"content")

    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    seen: list[object] = []
    with monkeypatch.context() as failing:
        failing.setattr(store.blobs, "open", fail)
        if gently:
            ended_in_time(Deferred.fromCoroutine(verify_gently(store, clock, 10, lambda *one: seen.append(one))), clock)
            assert log.complaints == [f"{entry} cannot be read: [Errno 24] Too many open files"]
        else:
            with pytest.raises(OSError, match="Too many"):
                list(verify(store))
    assert (seen, store.index.size(entry)) == ([], 7)
