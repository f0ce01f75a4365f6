from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from crproxy.flights import Flight, Flights, NotKept, Reader, Shared, Told
from crproxy.flights.window import Windows
from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import Registry
from crproxy.policy.ranges import Slice
from crproxy.sharing import Alone
from crproxy.store.activity import Activity
from crproxy.store.blobs import AlreadyStored, Partial, WrongContent
from crproxy.store.entries import Entry
from crproxy.store.store import Store
from crproxy.upstream.relay import BodyBroke
from tests.flights.conftest import reading, whole
from tests.logs import Log
from tests.memory import ended, failure_of, not_yet
from tests.sources import HandBody, HandSource
from tests.stores import MIB, filled, make_dependencies, make_store

pytestmark = pytest.mark.usefixtures("nothing_is_left_open")

CONTENT = bytes(range(10)) * 10
ENTRY = Entry(Digest.of(CONTENT))
SIZE = len(CONTENT)
DOWN = RegistryError(ErrorCode.UNAVAILABLE, "down")
GONE = RegistryError(ErrorCode.BLOB_UNKNOWN, "not there")


@pytest.fixture
def source(clock: Clock) -> HandSource:
    return HandSource(CONTENT, clock)


@pytest.fixture
def log() -> Iterator[Log]:
    with Log() as log:
        yield log


def known(flight: Flight) -> Deferred[int | None]:
    return Deferred.fromCoroutine(flight.known())


def begun(flights: Flights, source: HandSource) -> tuple[Flight, HandBody]:
    """A flight whose header is there."""
    flight = flights.begin(ENTRY, source)
    return flight, source.answer()


def partial_bytes(store: Store) -> list[int]:
    return [size for _, size, _ in store.blobs.partials()]


# One fetch, many readers


def test_the_size_is_known_before_the_first_byte(flights: Flights, source: HandSource) -> None:
    flight = flights.begin(ENTRY, source)
    asking = known(flight)
    assert not_yet(asking)
    source.answer()
    assert ended(asking) == SIZE
    assert ended(known(flight)) == SIZE
    reader = flight.reader(None)
    assert reader.length == SIZE
    assert repr(flight) == f"<Flight {ENTRY} 0/{SIZE} readers=1>"
    reader.abandon()


@pytest.mark.security("S21")
def test_many_readers_share_one_request(flights: Flights, source: HandSource, store: Store) -> None:
    flight, body = begun(flights, source)
    assert flights.get(ENTRY) is flight
    first, first_done = reading(flight)
    body.send(CONTENT[:40])
    second, second_done = reading(flight)
    assert first.content == second.content == CONTENT[:40]
    body.send(CONTENT[40:])
    body.end()
    ended(first_done)
    ended(second_done)
    assert first.content == second.content == CONTENT
    assert source.asked == [(0, None)]
    assert (source.sized, flights.get(ENTRY)) == (0, None)
    assert (whole(store, ENTRY), store.index.size(ENTRY), partial_bytes(store)) == (CONTENT, SIZE, [])


@pytest.mark.security("S20")
def test_a_slow_reader_stalls_neither_the_fill_nor_another(flights: Flights, source: HandSource) -> None:
    flight, body = begun(flights, source)
    slow, slow_done = reading(flight)
    slow.producer.pauseProducing()
    fast, fast_done = reading(flight)
    body.send(CONTENT)
    body.end()
    ended(fast_done)
    assert (fast.content, slow.content, body.paused) == (CONTENT, b"", False)
    slow.producer.resumeProducing()
    ended(slow_done)
    assert slow.content == CONTENT


@pytest.mark.security("S9")
def test_the_last_byte_waits_until_all_is_verified(flights: Flights, source: HandSource) -> None:
    flight, body = begun(flights, source)
    consumer, done = reading(flight)
    body.send(CONTENT)
    assert consumer.content == CONTENT[:-1]
    assert not_yet(done)
    body.end()
    ended(done)
    assert consumer.content == CONTENT


@pytest.mark.security("S9")
@pytest.mark.parametrize("sent", [CONTENT[:-1] + b"x", b"x" + CONTENT[1:]])
def test_wrong_content_fails_readers_and_keeps_nothing(
    flights: Flights, source: HandSource, store: Store, sent: bytes
) -> None:
    flight, body = begun(flights, source)
    consumer, done = reading(flight)
    body.send(sent)
    body.end()
    failure_of(done, WrongContent)
    assert source.blamed == 1
    assert consumer.content == sent[:-1]
    assert (whole(store, ENTRY), store.index.size(ENTRY), partial_bytes(store)) == (None, None, [])


def test_a_part_is_read_as_far_as_it_goes(flights: Flights, source: HandSource) -> None:
    flight, body = begun(flights, source)
    consumer, done = reading(flight, Slice(20, 30, SIZE))
    body.send(CONTENT[:25])
    assert consumer.content == CONTENT[20:25]
    body.send(CONTENT[25:50])
    ended(done)
    assert consumer.content == CONTENT[20:30]


def test_a_body_of_unknown_length_is_whole_at_its_end(flights: Flights, source: HandSource, store: Store) -> None:
    flight = flights.begin(ENTRY, source)
    body = source.answer(length=None)
    assert ended(known(flight)) is None
    consumer, done = reading(flight)
    body.send(CONTENT)
    body.end()
    ended(done)
    assert consumer.content == whole(store, ENTRY) == CONTENT


def test_nothing_at_all_is_a_blob_too(flights: Flights, store: Store, clock: Clock) -> None:
    source = HandSource(b"", clock)
    entry = Entry(source.digest)
    flight = flights.begin(entry, source)
    body = source.answer()
    consumer, done = reading(flight)
    body.end()
    ended(done)
    assert (consumer.content, whole(store, entry)) == (b"", b"")


@pytest.mark.security("S10", "S11")
def test_what_is_private_is_kept_apart(flights: Flights, source: HandSource, store: Store) -> None:
    entry = Entry(ENTRY.digest, Registry("quay.io"))
    flights.begin(entry, source)
    source.send_all()
    assert (whole(store, entry), whole(store, ENTRY)) == (CONTENT, None)


def test_a_refusal_reaches_all_who_wait_and_the_next_may_try(flights: Flights, source: HandSource) -> None:
    flight = flights.begin(ENTRY, source)
    waiting = [known(flight), known(flight)]
    source.refuse(GONE)
    assert [failure_of(asking, RegistryError) for asking in waiting] == [GONE, GONE]
    assert flight.is_over
    assert flights.get(ENTRY) is None


def test_who_is_refused_may_begin_another_at_once(flights: Flights, source: HandSource) -> None:
    flight = flights.begin(ENTRY, source)
    others: list[Flight | None] = []

    def again(_: Any) -> None:
        others.append(flights.get(ENTRY))
        others.append(flights.begin(ENTRY, source))

    known(flight).addErrback(again)
    source.refuse(GONE)
    assert others[0] is None
    assert flights.get(ENTRY) is others[1] is not None
    source.send_all()
    assert flights.get(ENTRY) is None


def test_what_another_brought_meanwhile_is_not_given_unasked(
    flights: Flights, source: HandSource, store: Store
) -> None:
    store.blobs.keep(ENTRY).write_bytes(CONTENT)
    # With threads that do their work at once, all is over before anybody can read; with others it is not.
    waiting: list[tuple[Any, ...]] = []

    def later(work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        waiting.append((done, work, *args))
        return done

    flight = Flights(replace(make_dependencies(store, source.clock), threads=later)).begin(ENTRY, source)
    asking = known(flight)
    done, begin, *args = waiting.pop()
    done.callback(begin(*args))
    failure_of(asking, AlreadyStored)
    assert (source.asked, partial_bytes(store), flight.has_arrived) == ([], [], False)


def test_a_flight_that_nobody_waits_for_finds_it_without_a_word(
    flights: Flights, source: HandSource, store: Store, log: Log
) -> None:
    store.blobs.keep(ENTRY).write_bytes(CONTENT)
    flights.begin(ENTRY, source)
    assert flights.get(ENTRY) is None
    assert log.complaints == []


# Cuts and leftovers


def test_a_cut_is_resumed_by_range_and_no_reader_notices(
    flights: Flights, source: HandSource, clock: Clock, store: Store
) -> None:
    flight, body = begun(flights, source)
    consumer, done = reading(flight)
    body.send(CONTENT[:33])
    body.cut()
    clock.advance(1)
    source.send_all()
    ended(done)
    assert source.asked == [(0, None), (33, None)]
    assert consumer.content == whole(store, ENTRY) == CONTENT


def test_cuts_without_end_fail_readers_and_leave_what_came(
    flights: Flights, source: HandSource, clock: Clock, store: Store
) -> None:
    flight, body = begun(flights, source)
    consumer, done = reading(flight)
    body.send(CONTENT[:33])
    body.cut()
    while not done.called:
        clock.advance(2)
        source.answer().cut()
    failure_of(done, BodyBroke)
    assert (consumer.content, partial_bytes(store)) == (CONTENT[:33], [33])


def test_what_an_earlier_fill_left_is_resumed(flights: Flights, source: HandSource, store: Store) -> None:
    filled(store.blobs, ENTRY, CONTENT[:60])
    flight = flights.begin(ENTRY, source)
    assert source.asked == [(60, None)]
    body = source.answer()
    consumer, done = reading(flight)
    assert consumer.content == CONTENT[:60]
    body.send(CONTENT[60:])
    body.end()
    ended(done)
    assert consumer.content == whole(store, ENTRY) == CONTENT


def test_an_upstream_that_ignores_the_range_is_read_from_the_start(
    flights: Flights, source: HandSource, store: Store
) -> None:
    filled(store.blobs, ENTRY, CONTENT[:60])
    flights.begin(ENTRY, source)
    body = source.answer(200)
    body.send(CONTENT)
    body.end()
    assert whole(store, ENTRY) == CONTENT


def test_what_was_left_whole_is_only_verified(flights: Flights, source: HandSource, store: Store) -> None:
    filled(store.blobs, ENTRY, CONTENT)
    flights.begin(ENTRY, source)
    assert (source.asked, whole(store, ENTRY), store.index.size(ENTRY)) == ([], CONTENT, SIZE)


@pytest.mark.parametrize("left", [b"x" * SIZE, CONTENT + b"more"], ids=["garbage", "larger"])
def test_what_cannot_be_resumed_is_fetched_anew(
    flights: Flights, source: HandSource, store: Store, left: bytes
) -> None:
    filled(store.blobs, ENTRY, left)
    flight = flights.begin(ENTRY, source)
    assert source.asked == [(len(left), None)]
    refused = source.answer(416, content_range=f"bytes */{SIZE}")
    assert refused.abandoned
    assert source.asked[1:] == [(0, None)]
    body = source.answer()
    consumer, done = reading(flight)
    body.send(CONTENT)
    body.end()
    ended(done)
    assert consumer.content == whole(store, ENTRY) == CONTENT


def test_a_wrong_beginning_is_found_out_at_the_end(flights: Flights, source: HandSource, store: Store) -> None:
    filled(store.blobs, ENTRY, b"x" * 60)
    flight = flights.begin(ENTRY, source)
    body = source.answer()
    _, done = reading(flight)
    body.send(CONTENT[60:])
    body.end()
    failure_of(done, WrongContent)
    assert (whole(store, ENTRY), partial_bytes(store)) == (None, [])


# Disks


def full_after(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Let the disk be full when a file has `size` bytes."""
    append = Partial.append

    def limited(self: Partial, pieces: list[bytes]) -> None:
        content = b"".join(pieces)
        append(self, [content[: size - self.filled]])
        if self.filled == size:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Partial, "append", limited)


@pytest.mark.security("S18")
def test_when_the_disk_is_full_readers_share_what_comes(
    flights: Flights, source: HandSource, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_after(monkeypatch, 30)
    flight, body = begun(flights, source)
    consumer, done = reading(flight)
    slow, slow_done = reading(flight)
    slow.producer.pauseProducing()
    body.send(CONTENT[:40])
    assert (consumer.content, partial_bytes(store), store.partial_bytes) == (CONTENT[:40], [], 0)
    late, late_done = reading(flight, Slice(35, SIZE, SIZE))
    assert not flight.has(10)
    body.send(CONTENT[40:])
    assert consumer.content == CONTENT[:-1], "the last byte waits"
    body.end()
    ended(done)
    ended(late_done)
    slow.producer.resumeProducing()
    ended(slow_done)
    assert (consumer.content, late.content, slow.content) == (CONTENT, CONTENT[35:], CONTENT)
    assert source.asked == [(0, None)]
    assert (whole(store, ENTRY), partial_bytes(store), store.index.size(ENTRY)) == (None, [], None)


def test_wrong_content_is_found_out_there_too(
    flights: Flights, source: HandSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_after(monkeypatch, 30)
    flight, body = begun(flights, source)
    consumer, done = reading(flight)
    body.send(CONTENT[:40] + b"x" * 60)
    body.end()
    failure_of(done, WrongContent)
    assert source.blamed == 1
    assert len(consumer.content) == SIZE - 1
    assert not flight.has_arrived


def test_what_never_was_to_be_kept_goes_through_unseen_and_proves_nothing(
    flights: Flights, source: HandSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_after(monkeypatch, 0)
    arrived: list[Shared] = []
    flight = flights.begin(ENTRY, source, told=Told(arrived=arrived.append))
    body = source.answer()
    consumer, done = reading(flight)
    wrong = CONTENT[:40] + b"x" * 60
    body.send(wrong)
    body.end()
    ended(done)
    assert consumer.content == wrong
    assert arrived == []


def test_a_cut_is_resumed_there_too(
    flights: Flights, source: HandSource, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_after(monkeypatch, 30)
    flight, body = begun(flights, source)
    consumer, done = reading(flight)
    body.send(CONTENT[:40])
    body.cut()
    clock.advance(1)
    assert source.asked == [(0, None), (40, None)]
    source.send_all()
    ended(done)
    assert consumer.content == CONTENT


def test_what_the_disk_does_not_take_is_not_fetched_for_nobody(
    flights: Flights, source: HandSource, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_after(monkeypatch, 30)
    _, body = begun(flights, source)
    body.send(CONTENT[:40])
    clock.advance(0.9)
    assert flights.get(ENTRY) is not None
    clock.advance(0.1)
    assert body.stopped
    clock.advance(60)
    assert source.asked == [(0, None)]
    assert flights.get(ENTRY) is None


def test_who_wants_it_kept_is_told(flights: Flights, source: HandSource, monkeypatch: pytest.MonkeyPatch) -> None:
    full_after(monkeypatch, 30)
    flight, body = begun(flights, source)
    before = Deferred.fromCoroutine(flight.finished())
    reads = reading(flight)
    body.send(CONTENT[:40])
    failure_of(before, NotKept)
    body.send(CONTENT[40:])
    body.end()
    ended(reads[1])
    failure_of(Deferred.fromCoroutine(flight.finished()), NotKept)


@pytest.mark.security("S18")
def test_what_is_larger_than_the_cache_is_shared_without_the_disk(
    tmp_path: Path, clock: Clock, source: HandSource
) -> None:
    store = make_store(tmp_path, clock, budget=SIZE - 1)
    flight = Flights(make_dependencies(store, clock)).begin(ENTRY, source)
    asking = [known(flight) for _ in range(3)]
    body = source.answer()
    assert [ended(one) for one in asking] == [SIZE] * 3
    reads = [reading(flight) for _ in asking]
    body.send(CONTENT[:50])
    assert partial_bytes(store) == []
    body.send(CONTENT[50:])
    body.end()
    for consumer, done in reads:
        ended(done)
        assert consumer.content == CONTENT
    assert source.asked == [(0, None)]


@pytest.mark.security("S18")
def test_a_directory_that_cannot_be_written_is_no_outage(
    flights: Flights, source: HandSource, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(store.blobs, "begin", refuse)
    flight = flights.begin(ENTRY, source)
    body = source.answer()
    reads = [reading(flight) for _ in range(2)]
    body.send(CONTENT)
    body.end()
    for consumer, done in reads:
        ended(done)
        assert consumer.content == CONTENT


def test_where_there_are_windows_enough_each_asks_by_itself(
    store: Store, source: HandSource, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_after(monkeypatch, 30)
    flights = Flights(replace(make_dependencies(store, clock), windows=Windows(0)))
    flight, body = begun(flights, source)
    consumer, done = reading(flight)
    body.send(CONTENT[:40])
    clock.advance(0)
    assert body.stopped
    assert source.asked == [(0, None), (40, None)]
    source.send_all()
    ended(done)
    assert consumer.content == CONTENT


def test_and_blames_who_gave_the_rest_where_it_is_wrong(
    store: Store, source: HandSource, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_after(monkeypatch, 30)
    flights = Flights(replace(make_dependencies(store, clock), windows=Windows(0)))
    flight, body = begun(flights, source)
    consumer, done = reading(flight)
    body.send(CONTENT[:40])
    clock.advance(0)
    rest = source.answer()
    rest.send(b"x" * (SIZE - 40))
    rest.end()
    failure_of(done, WrongContent)
    assert (source.blamed, len(consumer.content)) == (1, SIZE - 1)


def test_a_window_is_free_again_when_its_last_reader_is_gone(
    store: Store, source: HandSource, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_after(monkeypatch, 0)
    windows = Windows(1)
    flights = Flights(replace(make_dependencies(store, clock), windows=windows))
    for _ in range(3):
        flight, body = begun(flights, source)
        assert windows.free == 0 or flight.window is None
        _, done = reading(flight)
        body.send(CONTENT)
        body.end()
        ended(done)
        assert windows.free == 1


def test_who_falls_out_of_the_window_asks_by_itself(tmp_path: Path, clock: Clock) -> None:
    """And the fastest sets the pace."""
    content = bytes(range(256)) * 4096
    source, chunk = HandSource(content, clock), 64 * 1024
    store = make_store(tmp_path, clock, budget=chunk)
    flights = Flights(replace(make_dependencies(store, clock), windows=Windows(8, 2 * chunk)))
    flight = flights.begin(Entry(source.digest), source)
    body = source.answer()
    fast, fast_done = reading(flight)
    slow, slow_done = reading(flight)
    slow.producer.pauseProducing()
    for start in range(0, len(content), chunk):
        assert not body.paused
        body.send(content[start : start + chunk])
    assert not slow_done.called
    body.end()
    ended(fast_done)
    assert fast.content == content
    assert source.asked == [(0, None)]
    slow.producer.resumeProducing()
    assert source.asked[1:] == [(len(slow.content), None)]
    source.send_all()
    ended(slow_done)
    assert slow.content == content


def waits(body: HandBody) -> bool:
    """Whether upstream is held back."""
    return body.paused


def test_where_nobody_takes_it_upstream_waits(tmp_path: Path, clock: Clock) -> None:
    content = bytes(range(256)) * 4096
    source, chunk = HandSource(content, clock), 64 * 1024
    store = make_store(tmp_path, clock, budget=chunk)
    flights = Flights(replace(make_dependencies(store, clock), windows=Windows(8, 8 * chunk)))
    flight = flights.begin(Entry(source.digest), source)
    body = source.answer()
    readers = [reading(flight) for _ in range(2)]
    for consumer, _ in readers:
        consumer.producer.pauseProducing()
    (leaver, _), (stayer, done) = readers
    body.send(content[:chunk])
    assert not waits(body)
    body.send(content[chunk : 2 * chunk])
    assert waits(body)
    leaver.producer.stopProducing()
    assert waits(body), "the other has not taken it either"
    stayer.producer.resumeProducing()
    assert not waits(body)
    stayer.producer.pauseProducing()
    body.send(content[2 * chunk : 4 * chunk])
    assert waits(body)
    stayer.producer.resumeProducing()
    for start in range(4 * chunk, len(content), chunk):
        body.send(content[start : start + chunk])
    body.end()
    ended(done)
    assert stayer.content == content


# Readers that leave


def large(flights: Flights, clock: Clock, size: int) -> tuple[Flight, HandSource, HandBody]:
    source = HandSource(CONTENT, clock)
    flight = flights.begin(ENTRY, source)
    return flight, source, source.answer(length=size)


def read_and_left(flight: Flight) -> None:
    consumer, done = reading(flight)
    assert consumer.producer is not None
    done.addErrback(lambda _: None)
    done.cancel()


def test_a_fill_that_is_nearly_done_goes_on_without_readers(
    flights: Flights, source: HandSource, store: Store, clock: Clock
) -> None:
    flight, body = begun(flights, source)
    read_and_left(flight)
    clock.advance(3600)
    body.send(CONTENT)
    body.end()
    assert whole(store, ENTRY) == CONTENT


def test_a_fill_that_is_half_done_goes_on_without_readers(flights: Flights, clock: Clock) -> None:
    flight, _, body = large(flights, clock, 200 * MIB)
    for _ in range(100):
        body.send(bytes(MIB))
    read_and_left(flight)
    clock.advance(3600)
    assert not body.stopped
    assert not flight.is_over


@pytest.mark.security("S21")
def test_another_is_stopped_after_thirty_seconds_and_what_came_stays(
    flights: Flights, clock: Clock, store: Store
) -> None:
    flight, source, body = large(flights, clock, 200 * MIB)
    body.send(CONTENT[:50])
    read_and_left(flight)
    clock.advance(29.9)
    assert [body.stopped] == [False]
    clock.advance(0.1)
    assert body.stopped
    assert flights.get(ENTRY) is None
    assert partial_bytes(store) == [50]
    flights.begin(ENTRY, source)
    assert source.asked == [(0, None), (50, None)]
    source.send_all()
    assert whole(store, ENTRY) == CONTENT


def test_a_reader_that_comes_in_time_keeps_it(flights: Flights, clock: Clock) -> None:
    flight, _, body = large(flights, clock, 200 * MIB)
    read_and_left(flight)
    clock.advance(20)
    reading(flight)[1].addErrback(lambda _: None)
    clock.advance(3600)
    assert not body.stopped


def test_who_only_waited_for_the_header_counts_as_a_reader(flights: Flights, clock: Clock, source: HandSource) -> None:
    flight = flights.begin(ENTRY, source)
    asking = known(flight)
    asking.addErrback(lambda _: None)
    clock.advance(60)
    assert source.cancelled == 0
    asking.cancel()
    clock.advance(30)
    assert source.cancelled == 1
    assert flight.is_over


def test_who_turned_elsewhere_after_the_header_keeps_nothing_going(flights: Flights, clock: Clock) -> None:
    source = HandSource(CONTENT, clock)
    flight = flights.begin(ENTRY, source)
    asking = known(flight)
    body = source.answer(length=200 * MIB)
    ended(asking)
    clock.advance(30)
    assert body.stopped


def test_a_reader_that_is_abandoned_unread_has_left(flights: Flights, clock: Clock) -> None:
    flight, _, body = large(flights, clock, 200 * MIB)
    flight.reader(None).abandon()
    clock.advance(30)
    assert body.stopped


# Passengers: who wants it here, and does not read it


def finished(flight: Flight) -> Deferred[None]:
    return Deferred.fromCoroutine(flight.finished())


def test_who_waits_for_the_landing_keeps_it_up_and_is_told(flights: Flights, clock: Clock, store: Store) -> None:
    source = HandSource(CONTENT, clock)
    flight = flights.begin(ENTRY, source)
    first, second = finished(flight), finished(flight)
    body = source.answer()
    clock.advance(3600)
    assert not body.stopped
    body.send(CONTENT)
    assert not_yet(first)
    body.end()
    ended(first)
    ended(second)
    assert whole(store, ENTRY) == CONTENT
    ended(finished(flight))


def test_who_does_not_wait_any_more_keeps_nothing_up(flights: Flights, clock: Clock) -> None:
    flight, _, body = large(flights, clock, 200 * MIB)
    waiting = finished(flight)
    clock.advance(60)
    waiting.cancel()
    failure_of(waiting, CancelledError)
    assert not body.stopped
    clock.advance(30)
    assert body.stopped


@pytest.mark.parametrize("error", [GONE, DOWN])
def test_who_waits_is_told_of_a_failure(flights: Flights, source: HandSource, error: RegistryError) -> None:
    flight = flights.begin(ENTRY, source)
    waiting = finished(flight)
    source.refuse(error)
    assert failure_of(waiting, RegistryError) is error
    failure_of(finished(flight), RegistryError)


def test_wrong_bytes_do_not_land(flights: Flights, source: HandSource, store: Store) -> None:
    flight, body = begun(flights, source)
    waiting = finished(flight)
    body.send(b"x" * SIZE)
    body.end()
    failure_of(waiting, WrongContent)
    assert whole(store, ENTRY) is None


# Stopping


def test_stopping_keeps_what_came(flights: Flights, source: HandSource, store: Store) -> None:
    flight, body = begun(flights, source)
    consumer, done = reading(flight)
    body.send(CONTENT[:70])
    ended(flights.stop())
    assert body.stopped
    failure_of(done, RegistryError)
    assert (consumer.content, partial_bytes(store)) == (CONTENT[:70], [70])


def test_stopping_before_the_header_ends_the_request(flights: Flights, source: HandSource) -> None:
    flight = flights.begin(ENTRY, source)
    asking = known(flight)
    ended(flights.stop())
    assert source.cancelled == 1
    failure_of(asking, RegistryError)


def test_with_nothing_under_way_stopping_is_done(flights: Flights) -> None:
    assert ended(flights.stop()) == []


def test_the_rate_is_what_came_since_the_fill_began(flights: Flights, source: HandSource, clock: Clock) -> None:
    flight, body = begun(flights, source)
    clock.advance(2)
    body.send(CONTENT)
    assert flight.rate == SIZE / 2


# Another process


@pytest.fixture
def other(tmp_path: Path, clock: Clock) -> Flights:
    """Flights over the same directory, as another process has them."""
    return Flights(make_dependencies(make_store(tmp_path, clock), clock))


def test_what_another_process_fetches_is_followed(
    flights: Flights, other: Flights, source: HandSource, clock: Clock
) -> None:
    _, body = begun(flights, source)
    follows = other.begin(ENTRY, source)
    assert ended(known(follows)) == SIZE
    consumer, done = reading(follows)
    body.send(CONTENT[:40])
    clock.advance(0.02)
    assert consumer.content == CONTENT[:40]
    body.send(CONTENT[40:])
    clock.advance(0.02)
    assert consumer.content == CONTENT[:-1], "the last byte waits here, too"
    body.end()
    clock.advance(0.02)
    ended(done)
    assert consumer.content == CONTENT
    assert (source.asked, source.sized) == ([(0, None)], 1)


def test_where_the_other_process_ends_this_one_takes_over(
    flights: Flights, other: Flights, source: HandSource, clock: Clock, store: Store
) -> None:
    _, body = begun(flights, source)
    follows = other.begin(ENTRY, source)
    consumer, done = reading(follows)
    body.send(CONTENT[:40])
    ended(flights.stop())
    clock.advance(0.02)
    assert source.asked == [(0, None), (40, None)]
    source.send_all()
    ended(done)
    assert consumer.content == whole(store, ENTRY) == CONTENT


def test_what_the_other_process_found_wrong_is_not_gone_on_with(
    flights: Flights, other: Flights, source: HandSource, clock: Clock, store: Store
) -> None:
    _, body = begun(flights, source)
    follows = other.begin(ENTRY, source)
    consumer, done = reading(follows)
    body.send(b"x" * SIZE)
    clock.advance(0.02)
    body.end()
    clock.advance(0.02)
    failure_of(done, WrongContent)
    assert len(consumer.content) < SIZE
    source.send_all()
    assert whole(store, ENTRY) == CONTENT


def test_who_follows_is_refused_what_upstream_refuses(flights: Flights, other: Flights, source: HandSource) -> None:
    begun(flights, source)
    source.size_error = DOWN
    assert failure_of(known(other.begin(ENTRY, source)), RegistryError) is DOWN


def test_who_follows_can_be_stopped(flights: Flights, other: Flights, source: HandSource, clock: Clock) -> None:
    begun(flights, source)
    follows = other.begin(ENTRY, source)
    _, done = reading(follows)
    stopped = other.stop()
    clock.advance(0.02)
    ended(stopped)
    failure_of(done, RegistryError)


def test_a_reader_knows_its_length(flights: Flights, source: HandSource) -> None:
    flight, _ = begun(flights, source)
    reader: Reader = flight.reader(Slice(5, 8, SIZE))
    assert reader.length == 3
    reader.abandon()


def test_flights_are_counted_by_how_they_end(flights: Flights, source: HandSource) -> None:
    _, body = begun(flights, source)
    assert (flights.number, flights.begun, flights.finished, flights.failed) == (1, 1, 0, 0)
    body.send(CONTENT)
    body.end()
    assert (flights.number, flights.begun, flights.finished, flights.failed) == (0, 1, 1, 0)
    other = HandSource(b"x", Clock())
    flight = flights.begin(Entry(Digest.of(b"x")), other)
    other.answer()
    ended(flight.stop())
    assert (flights.number, flights.begun, flights.finished, flights.failed) == (0, 2, 1, 1)


def test_a_flight_counts_as_a_use_of_the_disk(store: Store, source: HandSource, clock: Clock) -> None:
    activity = Activity(Alone(), clock)
    flights = Flights(replace(make_dependencies(store, clock), activity=activity))
    seen = [activity.is_idle]
    flight = flights.begin(ENTRY, source)
    reader = Deferred.fromCoroutine(flight.finished())
    clock.advance(10)
    seen.append(activity.is_idle)
    body = source.answer()
    body.send(CONTENT)
    body.end()
    ended(reader)
    clock.pump([2, 2])
    assert [*seen, activity.is_idle] == [True, False, True]
