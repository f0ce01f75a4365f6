from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from crproxy.limits.current_client import ask_for, asked_for
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.policy.parallel import Bounds
from crproxy.upstream.parallel import pour_in_parallel
from crproxy.upstream.resuming import RangeRefused
from crproxy.upstream.segments import Memory
from tests.memory import ended, failure_of, not_yet
from tests.sources import HandParallel, ManySource, Question
from tests.upstream.conftest import Consumer

# A hundred times the real ones would be too slow for a test: a thousand bytes stand for some MiB.
BOUNDS = Bounds(large=2000, left=1000, fast=10_000, least=100, most=800, held=3200)
CONTENT = Random(1).randbytes(10_000)
DOWN = RegistryError(ErrorCode.UNAVAILABLE, "down", retry_after=1)
TOO_MANY = RegistryError(ErrorCode.TOOMANYREQUESTS, "slow down", retry_after=5)


@dataclass
class Bed:
    """A transfer, and what is around it."""

    content: bytes = CONTENT
    memory: Memory = field(default_factory=lambda: Memory(10_000))
    is_wanted: bool = True
    clock: Clock = field(default_factory=Clock)
    consumer: Consumer = field(default_factory=Consumer)
    sizes: list[int | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.source = ManySource(self.content, self.clock)
        self.most = self.memory.free

    def pour(self, start: int = 0, stop: int | None = None, **how: Any) -> Deferred[None]:
        options: dict[str, Any] = {"on_size": self.sizes.append, "bounds": BOUNDS} | how
        pouring = pour_in_parallel(
            self.source,
            self.consumer,
            start,
            stop,
            self.clock,
            self.memory,
            is_wanted=lambda: self.is_wanted,
            **options,
        )
        return Deferred.fromCoroutine(pouring)

    def begin(self, rate: int = 400, **how: Any) -> Deferred[None]:
        """A transfer whose only connection has proved slow: after a second, at so many bytes per second."""
        done = self.pour(**how)
        self[0].answer()
        self.trickle(rate)
        return done

    def trickle(self, rate: int) -> None:
        for _ in range(2):
            for question in self.source.alive:
                if question.is_flowing:
                    question.send(rate // 2)
            self.clock.advance(0.5)

    def bring(self, size: int, *, looks: int) -> None:
        """Answer all, and bring so many bytes over each between two looks."""
        for _ in range(looks):
            for question in self.source.alive:
                if question.body is None:
                    question.answer()
                if question.is_flowing:
                    question.send(size)
            self.clock.advance(0.5)

    def __getitem__(self, number: int) -> Question:
        return self.source.questions[number]

    @property
    def live(self) -> int:
        return len(self.source.alive)

    @property
    def ranges(self) -> list[tuple[int, int | None]]:
        return self.source.ranges

    def finish(self, done: Deferred[None]) -> None:
        """Answer and send whatever is asked for until all is there."""
        for _ in range(1000):
            for question in self.source.alive:
                if question.body is None:
                    question.answer()
                question.send_all()
            if done.called:
                break
            self.clock.advance(0.1)
        ended(done)
        self.check_end()

    def check_end(self) -> None:
        assert self.clock.getDelayedCalls() == []
        assert self.memory.free == self.most
        assert self.live == 0
        assert self.consumer.registered == self.consumer.unregistered


@pytest.fixture
def bed() -> Bed:
    return Bed()


# As long as one connection is enough


def test_a_small_blob_is_asked_for_once() -> None:
    bed = Bed(CONTENT[:2000])
    done = bed.pour()
    bed[0].answer()
    assert bed.clock.getDelayedCalls() == [], "it is not even looked at"
    bed.trickle(50)
    assert bed.ranges == [(0, None)]
    bed.finish(done)
    assert bed.consumer.content == CONTENT[:2000]


def test_one_of_which_no_length_is_said_is_asked_for_once(bed: Bed) -> None:
    done = bed.pour()
    body = bed[0].answer()
    assert bed.sizes == [10_000]
    bed[0].cut()
    bed.clock.advance(1)
    assert (body.done.called, bed.ranges) == (True, [(0, None)] * 2)
    bed.finish(done)


def test_a_length_that_is_not_said_is_that_of_what_comes(bed: Bed) -> None:
    done = bed.pour()
    bed[0].answer().length = None
    bed.finish(done)
    assert bed.consumer.content == CONTENT


@pytest.mark.parametrize("rate", [2500, 20_000])
def test_a_fast_connection_stays_alone(bed: Bed, rate: int) -> None:
    """It is done soon, or fast."""
    done = bed.begin(rate)
    bed.clock.advance(0.5)
    assert bed.ranges == [(0, None)]
    bed.finish(done)
    assert bed.consumer.content == CONTENT


def test_one_on_its_way_up_is_waited_for(bed: Bed) -> None:
    done = bed.pour()
    bed[0].answer()
    for count in (50, 100, 200):
        bed[0].send(count)
        bed.clock.advance(0.5)
    assert bed.ranges == [(0, None)]
    bed[0].send(200)
    bed.clock.advance(0.5)
    assert bed.live == 4
    bed.finish(done)


def test_it_stays_alone_where_the_consumer_is_what_is_slow(bed: Bed) -> None:
    done = bed.pour()
    bed[0].answer()
    for _ in range(6):
        bed[0].send(100)
        bed.consumer.producer.pauseProducing()
        bed.consumer.producer.resumeProducing()
        bed.clock.advance(0.5)
    assert bed.ranges == [(0, None)]
    bed[0].send(100)
    bed.clock.advance(0.5)
    assert bed.ranges == [(0, None)]
    bed[0].send(100)
    bed.clock.advance(0.5)
    assert bed.live == 4, "two looks without a pause"
    bed.finish(done)


def test_it_stays_alone_where_nobody_takes_more(bed: Bed) -> None:
    bed.is_wanted = False
    done = bed.begin()
    assert bed.ranges == [(0, None)]
    bed.is_wanted = True
    bed.trickle(400)
    assert bed.live == 4
    bed.finish(done)


def test_it_stays_alone_where_there_may_be_one(bed: Bed) -> None:
    bed.source.parallel.connections = 1
    done = bed.begin()
    assert bed.ranges == [(0, None)]
    bed.finish(done)


def test_it_stays_alone_where_there_is_no_memory() -> None:
    bed = Bed(memory=Memory(BOUNDS.least - 1))
    done = bed.begin()
    assert bed.ranges == [(0, None)]
    bed.finish(done)


def test_it_stays_alone_where_upstream_says_that_it_takes_no_ranges(bed: Bed) -> None:
    done = bed.pour()
    bed[0].answer(accept_ranges="none")
    bed.trickle(400)
    assert bed.ranges == [(0, None)]
    bed.finish(done)


def test_it_stays_alone_where_the_source_knows_nothing_of_several(bed: Bed) -> None:
    bed.source.parallel = None  # type: ignore[assignment]
    done = bed.begin()
    assert bed.ranges == [(0, None)]
    bed.finish(done)


@pytest.mark.parametrize("error", [DOWN, TOO_MANY])
def test_a_refusal_of_the_first_question_is_final(bed: Bed, error: RegistryError) -> None:
    done = bed.pour()
    bed[0].refuse(error)
    assert failure_of(done, RegistryError) is error
    bed.check_end()


def test_a_size_that_is_not_welcome_ends_it(bed: Bed) -> None:
    def refuse(_: int | None) -> None:
        raise OSError(28, "No space left on device")

    done = bed.pour(on_size=refuse)
    assert bed[0].answer().abandoned
    failure_of(done, OSError)
    bed.check_end()


def test_a_cut_is_resumed_at_the_byte_that_was_reached(bed: Bed) -> None:
    done = bed.pour(500)
    bed[0].answer()
    bed[0].send(100)
    bed[0].cut()
    bed.clock.advance(0.1)
    assert bed.ranges == [(500, None), (600, None)]
    bed.finish(done)
    assert bed.consumer.content == CONTENT[500:]


# Parallel


def test_others_are_asked_for_what_comes_behind(bed: Bed) -> None:
    """The first connection goes on up to where the second began; segments are two seconds of a connection."""
    done = bed.begin(rate=400)
    assert bed.ranges == [(0, None), (1200, 2000), (2000, 2800), (2800, 3600)]
    for number in (3, 1, 2):
        bed[number].answer()
        bed[number].send_all()
    assert bed.consumer.content == CONTENT[:400], "in order"
    bed[0].send(500)
    assert bed.consumer.content == CONTENT[:900], "what comes of the first goes straight on"
    bed[0].send(300)
    assert bed[0].body is not None
    assert bed[0].body.stopped, "at the last byte that is its own, not with the next that comes"
    bed.clock.advance(0)
    assert bed.consumer.content == CONTENT[:3600]
    bed.finish(done)
    assert bed.consumer.content == CONTENT
    assert bed.source.parallel.refusals == 0


def test_no_two_ask_for_the_same_bytes(bed: Bed) -> None:
    done = bed.begin()
    bed.finish(done)
    _, *others = bed.ranges
    assert all(stop == start for (_, stop), (start, _) in pairwise(others))
    assert others[-1][1] == 10_000


def test_one_that_is_done_takes_the_next_part(bed: Bed) -> None:
    done = bed.begin()
    bed[2].answer()
    bed[2].send_all()
    assert bed.ranges[4:] == [(3600, 4400)]
    assert bed.live == 4
    bed.finish(done)


def test_a_part_of_the_whole_is_brought_by_several_too(bed: Bed) -> None:
    done = bed.begin(start=100, stop=5000)
    bed.finish(done)
    assert bed.consumer.content == CONTENT[100:5000]
    assert max(stop for _, stop in bed.ranges if stop is not None) == 5000


def test_they_ask_for_whom_the_first_asks(bed: Bed) -> None:
    """Timers know nobody: without this, whoever is slow would have connections that are not counted for anybody."""
    asked: list[str | None] = []
    open_ = bed.source.open

    async def noting(start: int, stop: int | None) -> Any:
        asked.append(asked_for())
        return await open_(start, stop)

    bed.source.open = noting  # type: ignore[method-assign]

    async def client() -> None:
        ask_for("192.0.2.1")
        await bed.pour()

    done = Deferred.fromCoroutine(client())
    bed[0].answer()
    bed.trickle(400)
    assert asked == ["192.0.2.1"] * 4
    bed.finish(done)


# Memory and pauses


def test_a_paused_consumer_stops_all_once_they_have_brought_their_parts(bed: Bed) -> None:
    done = bed.begin()
    bed.consumer.producer.pauseProducing()
    assert bed[0].body is not None
    assert bed[0].body.paused
    for number in (1, 2, 3):
        bed[number].answer()
        bed[number].send_all()
    assert (len(bed.ranges), bed.consumer.content) == (4, CONTENT[:400])
    assert bed.most - bed.memory.free == 2400
    bed.consumer.producer.resumeProducing()
    assert bed[0].is_flowing
    bed.finish(done)
    assert bed.consumer.content == CONTENT


def test_a_consumer_that_is_full_in_the_midst_of_what_was_kept_gets_the_rest_later(bed: Bed) -> None:
    bed.memory.free = bed.most = 10**6
    bed.content = bed.source.content = Random(2).randbytes(3_000_000)
    done = bed.begin(rate=80_000, bounds=Bounds(large=2000, left=1000, fast=1e6, least=100, most=150_000))
    bed[1].answer()
    bed[1].send_all()
    producer = bed.consumer.producer
    write = bed.consumer.write

    def write_and_pause(data: bytes | memoryview) -> None:
        write(data)
        producer.pauseProducing()

    bed.consumer.write = write_and_pause  # type: ignore[method-assign]
    while not (bed[0].body and bed[0].body.stopped):
        bed[0].send(150_000)
        producer.resumeProducing()
    bed.clock.advance(0)
    while len(bed.consumer.content) < 80_000 + 2 * 150_000:
        assert bed.consumer.content == bed.content[: len(bed.consumer.content)]
        written = len(bed.consumer.content)
        producer.resumeProducing()
        assert 0 < len(bed.consumer.content) - written <= 64 * 1024, "one piece, until it is full again"
    bed.consumer.write = write  # type: ignore[method-assign]
    producer.resumeProducing()
    bed.finish(done)
    assert bed.consumer.content == bed.content


def test_a_body_that_begins_while_the_consumer_is_full_is_held_back_twice(bed: Bed) -> None:
    """Twisted's client resumes its transport once a body has begun, whatever was said of it before."""
    done = bed.pour()
    bed[0].answer()
    bed[0].send(10)
    bed[0].cut()
    bed.consumer.producer.pauseProducing()
    bed.clock.advance(0.1)
    body = bed[1].answer()
    assert body.paused
    body.resumeProducing()
    bed[1].send(10)
    assert body.paused
    assert bed.consumer.content == CONTENT[:10], "what comes nevertheless is kept"
    bed.consumer.producer.resumeProducing()
    assert bed.consumer.content == CONTENT[:20]
    bed.finish(done)
    assert bed.consumer.content == CONTENT


def test_the_less_memory_there_is_the_smaller_are_the_parts(bed: Bed) -> None:
    """Others hold the rest: with parts as large as usual, one would have all, and the next transfer nothing."""
    bed.memory.free = 1000
    done = bed.begin()
    assert bed.ranges[1:] == [(650, 900), (900, 1150), (1150, 1400)]
    bed.most = 1000
    bed.finish(done)
    assert bed.consumer.content == CONTENT


def test_where_there_is_none_it_is_looked_for_from_time_to_time(bed: Bed) -> None:
    bed.memory.free = 150
    done = bed.begin()
    assert bed.ranges[1:] == [(500, 600)]
    bed.memory.free += 500
    bed.clock.advance(0.5)
    assert bed.ranges[2:] == [(600, 762), (762, 924)]
    bed.most = 650
    bed.finish(done)
    assert bed.consumer.content == CONTENT


def test_one_transfer_does_not_hold_all_that_there_is(bed: Bed) -> None:
    done = bed.begin()
    for number in (1, 2, 3, 4, 5):
        if number < len(bed.ranges):
            bed[number].answer()
            bed[number].send_all()
    assert bed.most - bed.memory.free == BOUNDS.held
    bed.finish(done)
    assert bed.consumer.content == CONTENT


def test_memory_is_given_back_when_it_is_cancelled(bed: Bed) -> None:
    done = bed.begin()
    bed[2].answer()
    bed[2].send(100)
    alive = bed.source.alive
    done.cancel()
    failure_of(done, CancelledError)
    assert all(question.is_over or (question.body is not None and question.body.stopped) for question in alive)
    bed.check_end()


def test_a_consumer_that_takes_no_more_ends_all(bed: Bed) -> None:
    done = bed.begin()
    bed.consumer.producer.stopProducing()
    failure_of(done, CancelledError)
    bed.check_end()


# What goes wrong


def test_a_cut_part_is_resumed_at_the_byte_that_was_reached(bed: Bed) -> None:
    done = bed.begin()
    bed[1].answer()
    bed[1].send(300)
    bed[1].cut()
    bed.clock.advance(0.1)
    assert bed.ranges[4:] == [(1500, 2000)]
    bed.finish(done)
    assert bed.consumer.content == CONTENT


def test_the_first_connection_too(bed: Bed) -> None:
    done = bed.begin()
    bed[0].cut()
    bed.clock.advance(0.1)
    assert bed.ranges[4:] == [(400, 1200)], "no further than where the second begins"
    bed.finish(done)
    assert bed.consumer.content == CONTENT


@pytest.mark.parametrize("status", [200, 416])
def test_an_upstream_without_ranges_goes_on_over_the_one_connection(bed: Bed, status: int) -> None:
    done = bed.begin()
    for number in (1, 2, 3):
        assert bed[number].answer(status).abandoned
    assert bed.source.parallel.refusals == 3
    bed[0].send_all()
    ended(done)
    assert bed.consumer.content == CONTENT
    assert len(bed.ranges) == 4
    bed.check_end()


@pytest.mark.parametrize("error", [DOWN, TOO_MANY, RegistryError(ErrorCode.DENIED, "no")])
def test_refused_others_leave_all_to_the_one_connection(bed: Bed, error: RegistryError) -> None:
    done = bed.begin()
    for number in (1, 2, 3):
        bed[number].refuse(error)
    bed[0].send_all()
    ended(done)
    assert bed.consumer.content == CONTENT
    assert len(bed.ranges) == 4
    assert bed.source.parallel.refusals == (3 if error is TOO_MANY else 0)
    bed.check_end()


def test_one_that_is_refused_leaves_its_part_to_the_others(bed: Bed) -> None:
    done = bed.begin()
    bed[1].refuse(DOWN)
    assert bed.live == 3
    bed[2].answer()
    bed[2].send_all()
    assert bed.ranges[4:] == [(1200, 2000)]
    bed.finish(done)
    assert bed.consumer.content == CONTENT


def test_one_that_breaks_again_and_again_leaves_the_rest_of_its_part(bed: Bed) -> None:
    done = bed.begin()
    bed[1].answer()
    bed[1].send(300)
    bed[1].cut()
    for number in range(4, 8):
        bed.clock.advance(2)
        bed[number].answer()
        bed[number].cut() if number < 7 else None
    bed.finish(done)
    assert bed.consumer.content == CONTENT


@pytest.mark.parametrize(
    ("size", "etag"), [(10_001, None), (9_999, None), (None, '"other"')], ids=["longer", "shorter", "etag"]
)
def test_a_part_of_something_else_is_not_taken(bed: Bed, size: int | None, etag: str | None) -> None:
    done = bed.pour()
    bed[0].answer(etag='"one"')
    bed.trickle(400)
    answer = bed[1].answer(size=size) if etag is None else bed[1].answer(etag=etag)
    assert answer.abandoned
    assert bed.source.parallel.refusals == 0
    assert bed.live == 3
    bed.finish(done)
    assert bed.consumer.content == CONTENT


@pytest.mark.parametrize("etag", ['"one"', 'W/"other"', ""])
def test_a_part_without_a_strong_validator_is(bed: Bed, etag: str) -> None:
    done = bed.pour()
    bed[0].answer(etag='"one"')
    bed.trickle(400)
    assert not bed[1].answer(etag=etag).abandoned
    bed.finish(done)
    assert bed.consumer.content == CONTENT


def alone(bed: Bed) -> Deferred[None]:
    """Parallel, of which one is left, that has not what comes next."""
    done = bed.begin()
    bed[0].send_all()
    bed.clock.advance(0)
    for question in bed.source.alive[1:]:
        question.refuse(DOWN)
    (left,) = bed.source.alive
    left.answer()
    left.send_all()
    # It has less than it is to bring now.
    bed.clock.advance(0.1)
    (last,) = bed.source.alive
    assert (last.start, last.stop) == (2000, 10_000)
    return done


def test_the_last_that_is_left_brings_all_by_itself(bed: Bed) -> None:
    done = alone(bed)
    bed.finish(done)
    assert bed.consumer.content == CONTENT


def test_the_last_may_have_the_whole_where_upstream_takes_no_ranges_any_more(bed: Bed) -> None:
    done = alone(bed)
    bed[-1].answer(200)
    bed.finish(done)
    assert bed.consumer.content == CONTENT


def test_the_last_is_patient(bed: Bed) -> None:
    """With a single connection, there would have been nothing to be asked, and so nothing to be refused."""
    done = alone(bed)
    for _ in range(4):
        asked = len(bed.ranges)
        bed[-1].refuse(TOO_MANY)
        bed.clock.advance(4.9)
        assert len(bed.ranges) == asked
        bed.clock.advance(0.1)
        assert len(bed.ranges) == asked + 1
    bed.finish(done)
    assert bed.consumer.content == CONTENT


@pytest.mark.parametrize(
    "error",
    [
        RegistryError(ErrorCode.TOOMANYREQUESTS, "come back tomorrow", retry_after=86_400),
        RegistryError(ErrorCode.DENIED, "no"),
        RegistryError(ErrorCode.BLOB_UNKNOWN, "gone"),
        RangeRefused(416),
        OSError(24, "too many open files"),
    ],
)
def test_not_for_ever(bed: Bed, error: Exception) -> None:
    done = alone(bed)
    bed[-1].refuse(error)
    assert failure_of(done, type(error)) is error
    bed.check_end()


def test_nor_again_and_again(bed: Bed) -> None:
    done = alone(bed)
    for _ in range(5):
        bed[-1].refuse(TOO_MANY)
        bed.clock.advance(5)
    assert failure_of(done, RegistryError) is TOO_MANY
    bed.check_end()


def test_a_size_that_changes_is_refused_to_the_last(bed: Bed) -> None:
    done = alone(bed)
    bed[-1].answer(size=10_001)
    failure_of(done, RangeRefused)
    bed.check_end()


def test_what_is_no_trouble_of_upstreams_ends_it(bed: Bed) -> None:
    done = bed.begin()
    bed[2].refuse(OSError(24, "too many open files"))
    failure_of(done, OSError)
    bed.check_end()


def test_one_that_all_others_wait_for_is_given_up(bed: Bed) -> None:
    """It may not even have answered: until it has to, half a minute goes by."""
    done = bed.begin()
    bed[0].send_all()
    for number in (2, 3):
        bed[number].answer()
    for _ in range(8):
        for number in (2, 3):
            if bed[number].is_flowing:
                bed[number].send(100)
        bed.clock.advance(0.5)
    assert bed[1].is_over
    (again,) = [question for question in bed.source.questions[2:] if question.start == 1200]
    assert again.stop == 2000
    bed.finish(done)
    assert bed.consumer.content == CONTENT


def test_if_that_goes_on_one_is_left_and_waited_for(bed: Bed) -> None:
    done = bed.begin()
    bed[0].send_all()
    for _ in range(60):
        for question in bed.source.alive:
            if question.body is None and question.start != 1200:
                question.answer()
        bed.trickle(400)
    waiting = [question for question in bed.source.questions if question.start == 1200]
    assert [question.is_over for question in waiting] == [True, True, True, False]
    assert bed.live == 1
    assert not_yet(done)
    bed.finish(done)
    assert bed.consumer.content == CONTENT


def test_others_that_bring_nothing_more_are_left_again() -> None:
    """The narrow place is elsewhere: the same 400 bytes a second, however many share them."""
    bed = Bed(CONTENT * 3)
    done = bed.begin(rate=400)
    bed.bring(50, looks=12)
    asked = len(bed.ranges)
    for _ in range(100):
        for question in bed.source.alive:
            if question.is_flowing:
                question.send(50)
        if bed.live == 1:
            break
        bed.clock.advance(0.5)
    (last,) = bed.source.alive
    assert len(bed.ranges) <= asked + 1
    bed.finish(done)
    assert (bed.consumer.content, last.stop) == (CONTENT * 3, 30_000)


def test_others_that_bring_more_stay() -> None:
    bed = Bed(CONTENT * 3)
    done = bed.begin(rate=400)
    bed.bring(200, looks=20)
    assert bed.live == 4
    bed.finish(done)
    assert bed.consumer.content == CONTENT * 3


# Whatever happens


@settings(max_examples=400)
@given(st.integers(0, 1 << 32), st.integers(1, 12_000), st.integers(0, 4000), st.integers(1, 6))
# The first connection breaks beside a second one, and what it asks for again is answered with the whole.
@example(256, 3001, 200, 3)
def test_the_bytes_come_in_order_whatever_happens(seed: int, size: int, memory: int, connections: int) -> None:
    random = Random(seed)
    bed = Bed(Random(size).randbytes(size), Memory(memory))
    bed.source.parallel = HandParallel(connections)
    start = random.choice([0, 0, random.randrange(size)])
    done = bed.pour(start)
    if size > 3000:
        # Or hardly anything would come of it.
        bed[0].answer()
        bed.trickle(random.choice([100, 300, 500]))
    steps = 0
    while not done.called:
        happen(bed, random, is_late=steps > 300)
        assert bed.content[start:].startswith(bed.consumer.content)
        assert 0 <= bed.memory.free <= memory
        assert received(bed, start) - len(bed.consumer.content) <= memory - bed.memory.free
        assert bed.live <= connections
        steps += 1
    ended(done)
    assert bed.consumer.content == bed.content[start:]
    bed.check_end()


def happen(bed: Bed, random: Random, *, is_late: bool) -> None:
    """One thing that may happen; late, only good ones do."""
    what = random.choice(["advance", "answer", "send", "send", "send", "send", "cut", "pause", "resume"])
    producer = bed.consumer.producer
    if what == "pause" and producer is not None and not is_late:
        producer.pauseProducing()
    elif what == "resume" and producer is not None:
        producer.resumeProducing()
    elif what == "advance" or not bed.source.alive:
        bed.clock.advance(random.choice([0.0, 0.1, 0.5, 2.0]))
    else:
        question = random.choice(bed.source.alive)
        if what == "answer" and question.body is None:
            # What ends a single connection is not looked at here.
            answer(question, "well" if is_late or bed.live == 1 else random.choice(ANSWERS))
        elif what == "send" and question.is_flowing:
            question.send(random.choice([1, 50, 300, 1000]))
        elif what == "cut" and question.is_flowing and not is_late and random.random() < 0.3:
            question.cut()


ANSWERS = ["well", "well", "well", "well", "whole", "refused", "too many", "other"]


def answer(question: Question, how: str) -> None:
    if how == "refused":
        question.refuse(DOWN)
    elif how == "too many":
        question.refuse(RegistryError(ErrorCode.TOOMANYREQUESTS, "slow down", retry_after=1))
    else:
        is_other = how == "other" and question.start
        question.answer(200 if how == "whole" else None, size=len(question.source.content) + 1 if is_other else None)


def received(bed: Bed, start: int) -> int:
    """Bytes that came and were wanted: of each answer those before what another was asked for."""
    starts = sorted({question.start for question in bed.source.questions} | {len(bed.content)})
    count = 0
    for question in bed.source.questions:
        if question.body is not None and not question.body.abandoned:
            stop = next(other for other in starts if other > question.start)
            count += max(0, min(question.position, stop) - max(question.start, start))
    return count
