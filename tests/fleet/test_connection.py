from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from crproxy.config import ValkeyAddress
from crproxy.fleet.connection import Connection, endpoint_of
from crproxy.upstream.errors import RefusedAddress


class FakeProtocol:
    """A connection that a test ends."""

    def __init__(self) -> None:
        self.lost: Deferred[None] = Deferred()
        self.aborted = 0
        self.transport = self

    def abortConnection(self) -> None:
        self.aborted += 1


class TestConnection:
    def setup_method(self) -> None:
        self.clock = Clock()
        self.attempts: list[Deferred[FakeProtocol]] = []
        self.greeting: list[Deferred[None]] = []
        self.looks: list[Deferred[None]] = []
        self.told: list[str] = []
        endpoint: Any = self
        self.connection = Connection(endpoint, FakeProtocol, self.greet, self.look, self.tell, self.clock)
        self.connection.start()

    def connect(self, _: Any) -> Deferred[FakeProtocol]:
        self.attempts.append(Deferred())
        return self.attempts[-1]

    async def greet(self, _: FakeProtocol) -> None:
        self.greeting.append(Deferred())
        await self.greeting[-1]

    async def look(self, _: FakeProtocol) -> None:
        self.looks.append(Deferred())
        await self.looks[-1]

    def tell(self, error: Exception | None) -> None:
        self.told.append("up" if error is None else str(error))

    def made(self) -> FakeProtocol:
        """Have it stand."""
        protocol = FakeProtocol()
        self.attempts[-1].callback(protocol)
        self.greeting[-1].callback(None)
        assert self.used() is protocol
        return protocol

    def used(self) -> FakeProtocol | None:
        """What can be asked now."""
        found: FakeProtocol | None = self.connection.protocol
        return found

    def fail(self, deferred: Deferred[Any], why: str) -> None:
        deferred.errback(Failure(OSError(why)))

    def test_it_is_used_once_it_was_greeted(self) -> None:
        self.attempts[-1].callback(FakeProtocol())
        assert self.used() is None
        self.greeting[-1].callback(None)
        assert self.used() is not None
        assert self.told == ["up"]

    def test_what_fails_is_tried_again_each_time_later_but_not_for_ever_later(self) -> None:
        pauses = []
        for _ in range(12):
            self.fail(self.attempts[-1], "no")
            number, waited = len(self.attempts), 0.0
            while len(self.attempts) == number:
                self.clock.advance(0.01)
                waited += 0.01
            pauses.append(waited)
        assert 0.1 <= pauses[0] <= 0.22
        assert max(pauses) <= 2.02
        assert min(pauses[6:]) >= 1
        assert self.told == ["no"] * 12

    def test_one_that_stood_is_made_again_soon(self) -> None:
        protocol = self.made()
        protocol.lost.callback(None)
        assert self.used() is None
        self.clock.advance(0.1)
        assert len(self.attempts) == 2
        self.made()
        assert self.told == ["up", "the connection has ended", "up"]

    def test_a_greeting_that_fails_ends_it(self) -> None:
        protocol = FakeProtocol()
        self.attempts[-1].callback(protocol)
        self.fail(self.greeting[-1], "wrong password")
        assert (protocol.aborted, self.told) == (1, ["wrong password"])
        self.clock.advance(0.2)
        assert len(self.attempts) == 2

    def test_who_does_not_answer_a_call_is_given_up(self) -> None:
        self.clock.advance(5)
        assert len(self.told) == 1
        self.clock.advance(0.2)
        assert len(self.attempts) == 2

    def test_it_is_looked_at_each_second(self) -> None:
        self.made()
        for number in range(1, 4):
            self.clock.advance(1)
            assert len(self.looks) == number
            self.looks[-1].callback(None)
        self.clock.advance(1)
        # Not again before that has an answer.
        self.clock.advance(5)
        assert len(self.looks) == 4

    def test_a_look_that_fails_ends_it(self) -> None:
        protocol = self.made()
        self.clock.advance(1)
        self.fail(self.looks[-1], "silent")
        assert (protocol.aborted, self.used(), self.told) == (1, None, ["up", "silent"])
        protocol.lost.callback(None)
        self.clock.advance(0.1)
        self.made()
        assert self.told == ["up", "silent", "up"]

    def test_it_is_dropped_once(self) -> None:
        protocol = self.made()
        for _ in range(3):
            self.connection.drop(protocol, OSError("late"))
        self.connection.drop(None, OSError("none"))
        assert (protocol.aborted, self.told) == (1, ["up", "late"])

    def test_a_late_word_on_an_earlier_one_does_not_end_it(self) -> None:
        first = self.made()
        self.clock.advance(1)
        first.lost.callback(None)
        self.clock.advance(0.2)
        second = self.made()
        self.fail(self.looks[0], "late")
        assert self.used() is second

    @pytest.mark.parametrize("when", ["connecting", "greeting", "standing", "pausing"])
    def test_stopped_it_leaves_nothing(self, when: str) -> None:
        protocol = FakeProtocol()
        if when == "pausing":
            self.fail(self.attempts[-1], "no")
        elif when == "greeting":
            self.attempts[-1].callback(protocol)
        elif when == "standing":
            protocol = self.made()
        self.connection.stop()
        self.connection.stop()
        assert self.used() is None
        assert self.clock.getDelayedCalls() == []
        assert protocol.aborted == (when in ("greeting", "standing"))
        assert "the connection has ended" not in self.told


def test_a_name_that_no_certificate_can_be_for_is_refused() -> None:
    with pytest.raises(RefusedAddress):
        endpoint_of(ValkeyAddress("a_b", 1, tls=True), MemoryReactorClock())
