from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from crproxy.config import Config, ConfigError
from crproxy.workers import channel
from crproxy.workers.channel import Channel, NoAnswer
from tests.logs import Log
from tests.memory import ended, failure_of, not_yet


class Pair:
    """Both ends of a connection; what was said arrives when the test says so, in pieces of a size."""

    def __init__(self, piece: int = 1 << 20) -> None:
        self.lost: list[str] = []
        self.first, self.worker = (Channel(partial(self.lost.append, name)) for name in ("first", "worker"))
        self._piece = piece
        self._wires = {end: StringTransport() for end in (self.first, self.worker)}
        for end, wire in self._wires.items():
            end.makeConnection(wire)

    def pump(self) -> None:
        """Let arrive what was said, and what is said to that."""
        while any(wire.value() for wire in self._wires.values()):
            self._carry(self.first, self.worker)
            self._carry(self.worker, self.first)

    def _carry(self, source: Channel, sink: Channel) -> None:
        data = self._wires[source].value()
        self._wires[source].clear()
        for begin in range(0, len(data), self._piece):
            sink.dataReceived(data[begin : begin + self._piece])

    def ask(self, topic: str, payload: Any = None) -> Deferred[Any]:
        """The first asks, and the worker may have answered."""
        asked = self.first.ask(topic, payload)
        self.pump()
        return asked

    def part(self) -> None:
        """The connection ends."""
        for end in (self.first, self.worker):
            end.connectionLost(Failure(ConnectionDone()))

    def is_closing(self, end: Channel) -> bool:
        return bool(self._wires[end].disconnecting)


@pytest.fixture
def pair() -> Pair:
    return Pair()


@pytest.fixture
def log() -> Iterator[Log]:
    with Log() as log:
        yield log


class TwoWords(Exception):
    """Can be written, and not read: it is made of two."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} {other}")


# Telling


def test_what_is_told_is_heard_in_its_order(pair: Pair) -> None:
    heard: list[Any] = []
    pair.worker.on("a", heard.append)
    pair.worker.on("b", heard.append)
    for number in range(5):
        pair.first.tell("ab"[number % 2], number)
    assert heard == []
    pair.pump()
    assert heard == [0, 1, 2, 3, 4]


def test_both_ends_may_tell(pair: Pair) -> None:
    heard: list[Any] = []
    pair.first.on("a", lambda payload: heard.append(("first", payload)))
    pair.worker.on("a", lambda payload: heard.append(("worker", payload)))
    pair.worker.tell("a", 1)
    pair.first.tell("a")
    pair.pump()
    assert sorted(heard) == [("first", 1), ("worker", None)]


def test_a_configuration_arrives_as_it_is(pair: Pair) -> None:
    heard: list[Any] = []
    pair.worker.on("configuration", heard.append)
    pair.first.tell("configuration", Config(data_dir="/x"))
    pair.pump()
    assert heard == [Config(data_dir="/x")]


@given(st.lists(st.binary(max_size=300) | st.text() | st.none(), max_size=5), st.integers(1, 50))
def test_in_whatever_pieces_it_comes_it_is_the_same(payloads: list[Any], piece: int) -> None:
    pair, heard = Pair(piece), list[Any]()
    pair.worker.on("a", heard.append)
    for payload in payloads:
        pair.first.tell("a", payload)
    pair.pump()
    assert heard == payloads


def test_what_nobody_listens_to_is_nobodys(pair: Pair, log: Log) -> None:
    pair.first.tell("a", 1)
    pair.pump()
    assert log.complaints == []


def test_what_goes_wrong_with_what_was_told_is_logged_there(pair: Pair, log: Log) -> None:
    heard: list[Any] = []
    pair.worker.on("a", lambda _: 1 / 0)
    pair.worker.on("b", heard.append)
    pair.first.tell("a")
    pair.first.tell("b", 2)
    pair.pump()
    assert log.complaints == ["a could not be dealt with"]
    assert log.failures == [ZeroDivisionError]
    assert heard == [2]


# Asking


def test_what_is_asked_is_answered(pair: Pair) -> None:
    pair.worker.on("double", lambda number: 2 * number)
    assert ended(pair.ask("double", 21)) == 42
    assert ended(pair.ask("double", "x")) == "xx"


def test_nothing_is_an_answer(pair: Pair) -> None:
    pair.worker.on("alive", lambda _: None)
    assert ended(pair.ask("alive")) is None


def test_each_has_its_own_answer_in_whatever_order_they_come(pair: Pair) -> None:
    waiting: dict[int, Deferred[str]] = {}

    def later(number: int) -> Deferred[str]:
        waiting[number] = Deferred()
        return waiting[number]

    pair.worker.on("later", later)
    asked = [pair.ask("later", number) for number in range(3)]
    for number in (1, 2, 0):
        assert not_yet(asked[number])
        waiting[number].callback(f"answer {number}")
        pair.pump()
    assert [ended(each) for each in asked] == ["answer 0", "answer 1", "answer 2"]


def test_both_may_ask_and_be_asked_at_a_time(pair: Pair) -> None:
    pair.first.on("add", lambda number: number + 1)
    pair.worker.on("add", lambda number: pair.worker.ask("add", number).addCallback(lambda found: found + 10))
    assert ended(pair.ask("add", 100)) == 111


def test_another_answers_from_then_on(pair: Pair) -> None:
    pair.worker.on("who", lambda _: "one")
    pair.worker.on("who", lambda _: "other")
    assert ended(pair.ask("who")) == "other"


# Answers that fail


def test_what_fails_there_fails_here(pair: Pair, log: Log) -> None:
    def mistaken(_: object) -> None:
        raise ConfigError("alias.hub: no")

    pair.worker.on("alias", mistaken)
    assert str(failure_of(pair.ask("alias"), ConfigError)) == "alias.hub: no"
    assert log.complaints == []


def test_what_fails_later_fails_here(pair: Pair) -> None:
    waiting: Deferred[None] = Deferred()
    pair.worker.on("later", lambda _: waiting)
    asked = pair.ask("later")
    waiting.errback(KeyError("x"))
    pair.pump()
    failure_of(asked, KeyError)


def test_what_nobody_answers_fails(pair: Pair, log: Log) -> None:
    failure_of(pair.ask("nothing"), NoAnswer)
    assert log.complaints == []


class Held(Exception):
    """Has something with it that cannot be sent."""

    def __init__(self) -> None:
        super().__init__("held")
        self.held = lambda: None


@pytest.mark.parametrize(
    ("error", "said"),
    [(Held(), "Held: held"), (TwoWords("not", "readable"), "TwoWords: not readable"), (SystemExit("enough"), "enough")],
)
def test_a_failure_that_cannot_be_sent_is_told_in_words(pair: Pair, error: BaseException, said: str) -> None:
    def broken(_: object) -> None:
        raise error

    pair.worker.on("a", broken)
    assert str(failure_of(pair.ask("a"), NoAnswer)) == said
    # And all goes on.
    pair.worker.on("a", lambda _: 1)
    assert ended(pair.ask("a")) == 1


def test_what_cannot_be_sent_as_an_answer_is_logged_and_all_goes_on(pair: Pair, log: Log) -> None:
    pair.worker.on("a", lambda _: lambda: None)
    failure_of(pair.ask("a"), TypeError)
    assert log.complaints == ["a could not be dealt with"]
    pair.worker.on("a", lambda _: 1)
    assert ended(pair.ask("a")) == 1


# The end


def test_what_was_asked_fails_when_the_other_end_is_gone(pair: Pair) -> None:
    pair.worker.on("later", lambda _: Deferred())
    asked = [pair.ask("later") for _ in range(3)]
    pair.part()
    for each in asked:
        failure_of(each, NoAnswer)
    assert pair.lost == ["first", "worker"]


def test_to_one_that_is_gone_nothing_is_said(pair: Pair, log: Log) -> None:
    pair.part()
    pair.first.tell("a")
    failure_of(pair.first.ask("a"), NoAnswer)
    assert log.complaints == []


def test_to_one_that_is_not_there_yet_nothing_is_said() -> None:
    end = Channel()
    end.tell("a")
    failure_of(end.ask("a"), NoAnswer)


def test_what_is_answered_too_late_is_not_sent(pair: Pair, log: Log) -> None:
    waiting: Deferred[int] = Deferred()
    pair.worker.on("later", lambda _: waiting)
    asked = pair.ask("later")
    pair.part()
    waiting.callback(1)
    failure_of(asked, NoAnswer)
    assert log.complaints == []


def test_who_is_told_of_the_end_may_ask_again_in_vain(pair: Pair) -> None:
    pair.worker.on("later", lambda _: Deferred())
    asked = pair.ask("later").addErrback(lambda _: pair.first.ask("later"))
    pair.part()
    failure_of(asked, NoAnswer)


# Who does not wait for the answer


def test_what_is_not_waited_for_is_forgotten(pair: Pair, log: Log) -> None:
    clock, waiting = Clock(), Deferred[int]()
    pair.worker.on("later", lambda _: waiting)
    asked = pair.ask("later").addTimeout(2, clock)
    clock.advance(2)
    failure_of(asked, defer.TimeoutError)
    waiting.callback(1)
    pair.pump()
    cancelled = pair.ask("later")
    assert ended(cancelled) is None
    assert log.complaints == []


def test_who_cancels_is_not_answered_any_more(pair: Pair, log: Log) -> None:
    waiting: Deferred[int] = Deferred()
    pair.worker.on("later", lambda _: waiting)
    asked = pair.ask("later")
    asked.cancel()
    failure_of(asked, CancelledError)
    waiting.callback(1)
    pair.pump()
    pair.part()
    assert log.complaints == []


def test_a_message_that_is_too_long_ends_it_and_is_logged(pair: Pair, log: Log) -> None:
    assert Channel.MAX_LENGTH == channel._LONGEST
    pair.worker.dataReceived(struct.pack("!I", channel._LONGEST + 1))
    assert pair.is_closing(pair.worker)
    assert log.complaints == [f"a message of {channel._LONGEST + 1} bytes is too long: the connection is closed"]
