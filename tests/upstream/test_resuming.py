from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.upstream.relay import BodyBroke
from crproxy.upstream.resuming import RangeRefused, pour
from tests.memory import ended, failure_of, not_yet
from tests.sources import HandBody, HandSource
from tests.upstream.conftest import Consumer

CONTENT = bytes(range(100))
DOWN = RegistryError(ErrorCode.UNAVAILABLE, "down")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source(clock: Clock) -> HandSource:
    return HandSource(CONTENT, clock)


Pour = Callable[..., Deferred[None]]


@pytest.fixture
def poured(source: HandSource, consumer: Consumer, clock: Clock) -> Pour:
    def begin(start: int = 0, stop: int | None = None, **how: object) -> Deferred[None]:
        return Deferred.fromCoroutine(pour(source, consumer, start, stop, clock, **how))  # type: ignore[arg-type]

    return begin


def test_all_is_asked_for_and_written(source: HandSource, consumer: Consumer, poured: Pour) -> None:
    sizes: list[int | None] = []
    done = poured(on_size=sizes.append)
    assert source.asked == [(0, None)]
    body = source.answer()
    assert sizes == [100]
    body.send(CONTENT)
    assert not_yet(done)
    body.end()
    ended(done)
    assert consumer.content == CONTENT
    assert (consumer.registered, consumer.unregistered) == (1, 1)


def test_a_part_is_asked_for_and_the_size_is_that_of_the_whole(
    source: HandSource, consumer: Consumer, poured: Pour
) -> None:
    sizes: list[int | None] = []
    done = poured(10, 20, on_size=sizes.append)
    source.send_all()
    ended(done)
    assert (source.asked, sizes, consumer.content) == ([(10, 20)], [100], CONTENT[10:20])


def test_an_unknown_size_is_said_to_be_unknown(source: HandSource, poured: Pour) -> None:
    sizes: list[int | None] = []
    poured(on_size=sizes.append)
    source.answer(length=None)
    assert sizes == [None]


def test_what_was_asked_already_is_not_asked_again(
    source: HandSource, consumer: Consumer, poured: Pour, clock: Clock
) -> None:
    opening = Deferred.fromCoroutine(source.open(0, None))
    body = source.answer()
    done = poured(opened=ended(opening))
    body.send(CONTENT[:10])
    body.cut()
    clock.advance(1)
    assert source.asked == [(0, None), (10, None)]
    source.send_all()
    ended(done)
    assert consumer.content == CONTENT


def test_a_cut_is_resumed_at_the_byte_that_was_reached(
    source: HandSource, consumer: Consumer, poured: Pour, clock: Clock
) -> None:
    done = poured()
    body = source.answer()
    body.send(CONTENT[:30])
    body.cut()
    assert source.asked == [(0, None)]
    clock.advance(0.1)
    assert source.asked == [(0, None), (30, None)]
    source.send_all()
    ended(done)
    assert consumer.content == CONTENT


def test_the_whole_where_a_part_was_asked_for_is_skipped_to_it(
    source: HandSource, consumer: Consumer, poured: Pour
) -> None:
    done = poured(30, 40)
    body = source.answer(200)
    body.send(CONTENT[:20])
    assert consumer.pieces == []
    body.send(CONTENT[20:35])
    assert consumer.content == CONTENT[30:35]
    body.send(CONTENT[35:60])
    assert consumer.content == CONTENT[30:40]
    assert body.stopped, "the rest is not wanted"
    source.clock.advance(0)
    ended(done)


def test_a_whole_that_came_at_once_leaves_the_consumer_without_a_producer(
    source: HandSource, consumer: Consumer, poured: Pour
) -> None:
    """Stopped, upstream's answer may be at its end already: then nothing breaks, and nobody takes it off."""
    done = poured(30, 40)
    body = source.answer(200)
    body.send(CONTENT)
    assert (body.stopped, consumer.unregistered) == (True, 0)
    body.done.callback(None)
    ended(done)
    assert (consumer.content, consumer.registered, consumer.unregistered) == (CONTENT[30:40], 1, 1)


def test_nothing_after_the_stop_is_written(source: HandSource, consumer: Consumer, poured: Pour) -> None:
    done = poured(30, 40)
    body = source.answer()
    body.send(CONTENT[30:])
    body.send(CONTENT[30:])
    assert body.stopped
    source.clock.advance(0)
    ended(done)
    assert consumer.content == CONTENT[30:40]


def test_an_answer_with_less_than_was_asked_for_is_gone_on_from(
    source: HandSource, consumer: Consumer, poured: Pour, clock: Clock
) -> None:
    done = poured(10)
    body = source.answer(206, content_range="bytes 10-19/100")
    body.send(CONTENT[10:20])
    body.end()
    clock.advance(1)
    assert source.asked == [(10, None), (20, None)]
    source.send_all()
    ended(done)
    assert consumer.content == CONTENT[10:]


@pytest.mark.parametrize(
    ("status", "content_range"),
    [
        (416, "bytes */100"),
        (206, "bytes 20-99/100"),
        (206, "bytes 0-99/100"),
        (206, "nonsense"),
        (206, "bytes 30-99/*"),
    ],
)
def test_bytes_that_were_not_asked_for_are_refused(
    source: HandSource, consumer: Consumer, poured: Pour, status: int, content_range: str
) -> None:
    done = poured(30)
    body = source.answer(status, content_range=content_range)
    error = failure_of(done, RangeRefused)
    assert isinstance(error, RegistryError)
    assert (error.status, error.retry_after) == (503, 10)
    assert body.abandoned
    assert consumer.pieces == []


@pytest.mark.security("S9")
def test_nothing_beyond_what_was_announced_is_written(source: HandSource, consumer: Consumer, poured: Pour) -> None:
    """Whoever reads has told its client the size, and would end cleanly after so many bytes."""
    sizes: list[int | None] = []
    done = poured(10, on_size=sizes.append)
    body = source.answer(206, content_range="bytes 10-19/20", length=None)
    body.send(CONTENT[10:15])
    body.send(CONTENT[15:])
    assert body.stopped
    source.clock.advance(0)
    ended(done)
    assert (sizes, consumer.content) == ([20], CONTENT[10:20])
    assert consumer.registered == consumer.unregistered


def test_a_part_that_is_longer_than_it_says_is_gone_on_from_where_it_should_end(
    source: HandSource, consumer: Consumer, poured: Pour, clock: Clock
) -> None:
    done = poured(10)
    body = source.answer(206, content_range="bytes 10-19/100", length=None)
    body.send(CONTENT[10:30])
    assert body.stopped
    clock.advance(0)
    clock.advance(1)
    assert source.asked == [(10, None), (20, None)]
    source.send_all()
    ended(done)
    assert consumer.content == CONTENT[10:]
    assert consumer.registered == consumer.unregistered


@pytest.mark.security("S9")
@pytest.mark.parametrize(
    ("status", "content_range", "length"),
    [(200, "", 101), (206, "bytes 10-49/50", 40), (206, "bytes 10-199/200", 190)],
)
def test_a_size_that_changes_is_refused(
    source: HandSource, poured: Pour, clock: Clock, status: int, content_range: str, length: int
) -> None:
    sizes: list[int | None] = []
    done = poured(on_size=sizes.append)
    body = source.answer()
    body.send(CONTENT[:10])
    body.cut()
    clock.advance(1)
    body = source.answer(status, content_range=content_range, length=length)
    failure_of(done, RangeRefused)
    assert body.abandoned
    assert sizes == [100]


def test_one_that_is_not_said_again_still_counts(
    source: HandSource, consumer: Consumer, poured: Pour, clock: Clock
) -> None:
    done = poured()
    body = source.answer()
    body.cut()
    clock.advance(1)
    body = source.answer(200, length=None)
    body.send(CONTENT + b"more")
    assert body.stopped
    clock.advance(0)
    ended(done)
    assert consumer.content == CONTENT


def test_a_size_that_is_not_welcome_ends_it(source: HandSource, poured: Pour) -> None:
    def refuse(_: int | None) -> None:
        raise OSError(28, "No space left on device")

    done = poured(on_size=refuse)
    body = source.answer()
    failure_of(done, OSError)
    assert body.abandoned


def test_nothing_gained_again_and_again_is_the_end(
    source: HandSource, consumer: Consumer, poured: Pour, clock: Clock
) -> None:
    done = poured()
    for attempt in range(1, 6):
        assert (len(source.asked), not_yet(done)) == (attempt, True)
        source.answer().cut()
        clock.advance(2)
    failure_of(done, BodyBroke)
    assert len(source.asked) == 5


def test_each_byte_gained_gives_new_patience(
    source: HandSource, consumer: Consumer, poured: Pour, clock: Clock
) -> None:
    done = poured()
    for position in range(99):
        source.answer().cut()
        clock.advance(2)
        body = source.answer()
        body.send(CONTENT[position : position + 1])
        body.cut()
        clock.advance(2)
    source.send_all()
    ended(done)
    assert consumer.content == CONTENT


@pytest.mark.parametrize("error", [DOWN, RegistryError(ErrorCode.TOOMANYREQUESTS, "slow down")])
def test_a_refusal_of_the_first_question_is_final(source: HandSource, poured: Pour, error: RegistryError) -> None:
    done = poured(10)
    source.refuse(error)
    assert failure_of(done, RegistryError) is error


def test_an_upstream_that_is_away_for_a_while_is_asked_again(
    source: HandSource, consumer: Consumer, poured: Pour, clock: Clock
) -> None:
    done = poured()
    body = source.answer()
    body.send(CONTENT[:30])
    body.cut()
    for _ in range(3):
        clock.advance(2)
        source.refuse(DOWN)
    clock.advance(2)
    source.send_all()
    ended(done)
    assert consumer.content == CONTENT


@pytest.mark.parametrize("code", [ErrorCode.DENIED, ErrorCode.BLOB_UNKNOWN, ErrorCode.TOOMANYREQUESTS])
def test_an_upstream_that_refuses_to_go_on_is_believed(
    source: HandSource, poured: Pour, clock: Clock, code: ErrorCode
) -> None:
    done = poured()
    body = source.answer()
    body.send(CONTENT[:30])
    body.cut()
    clock.advance(2)
    source.refuse(RegistryError(code, "no"))
    failure_of(done, RegistryError)


def test_a_cut_behind_the_last_byte_that_was_wanted_is_none(source: HandSource, poured: Pour) -> None:
    done = poured(10, 20)
    body = source.answer(200)
    body.send(CONTENT[:20])
    body.cut()
    ended(done)


def test_the_producer_is_handed_through(source: HandSource, consumer: Consumer, poured: Pour) -> None:
    poured()
    body: HandBody = source.answer()
    assert (consumer.producer, consumer.streaming) == (body, True)


def test_cancelling_ends_the_body(source: HandSource, poured: Pour) -> None:
    done = poured()
    body = source.answer()
    done.cancel()
    failure_of(done, CancelledError)
    assert body.stopped


def test_cancelling_between_two_attempts_leaves_no_timer(source: HandSource, poured: Pour, clock: Clock) -> None:
    done = poured()
    source.answer().cut()
    done.cancel()
    failure_of(done, CancelledError)
    assert clock.getDelayedCalls() == []


@given(st.data(), st.integers(0, 100), st.integers(0, 100))
def test_however_it_is_cut_the_same_bytes_come(data: st.DataObject, start: int, length: int) -> None:
    clock, consumer = Clock(), Consumer()
    source = HandSource(CONTENT, clock)
    stop = data.draw(st.sampled_from([None, min(start + length, 100)])) if length > 0 and start < 100 else None
    start = min(start, 99)
    stop = None if stop is None else max(stop, start + 1)
    done = Deferred.fromCoroutine(pour(source, consumer, start, stop, clock))
    while not done.called:
        asked, _ = source.asked[-1]
        ignores_range = data.draw(st.booleans(), "ignores Range")
        body = source.answer(200 if ignores_range else None)
        first = 0 if ignores_range else asked
        last = 100 if ignores_range or stop is None else stop
        cut = data.draw(st.integers(asked + 1, max(last, asked + 1)), "cut at")
        for piece in range(first, min(cut, last), 7):
            if not body.stopped:
                body.send(CONTENT[piece : min(piece + 7, cut, last)])
        if body.stopped:
            clock.advance(0)
        elif cut >= last:
            body.end()
        else:
            body.cut()
        clock.advance(2)
    ended(done)
    assert consumer.content == CONTENT[start:stop]
