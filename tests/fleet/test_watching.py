from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock

from crproxy.fleet.valkey import Away
from crproxy.fleet.watching import Watching
from tests.fleet.fake import FakeValkey
from tests.memory import ended, failure_of, not_yet


class TestWatching:
    def setup_method(self) -> None:
        self.clock, self.fake = Clock(), FakeValkey()
        self.watching = Watching(self.fake.valkey, self.clock)

    def test_who_waits_is_told_what_is_there_instead(self) -> None:
        waiting = self.watching.changed("k", b"old")
        for found in (b"old", b"old", b"new"):
            assert not_yet(waiting)
            self.clock.advance(0.1)
            question = self.fake.next()
            assert question.words == ("MGET", "k")
            question.answer([found])
        assert ended(waiting) == b"new"

    def test_or_that_nothing_is(self) -> None:
        waiting = self.watching.changed("k", b"old")
        self.clock.advance(0.1)
        self.fake.next().answer([None])
        assert ended(waiting) is None

    def test_all_are_served_by_one_look(self) -> None:
        waiting = [self.watching.changed(key, b"old") for key in ("a", "b", "a")]
        self.clock.advance(0.1)
        question = self.fake.next()
        assert question.words == ("MGET", "a", "b")
        question.answer([b"new", b"old"])
        assert [each.called for each in waiting] == [True, False, True]

    def test_it_does_not_look_again_before_it_has_seen_anything(self) -> None:
        self.watching.changed("k", b"old")
        self.clock.pump([0.1] * 5)
        assert len(self.fake.questions) == 1

    def test_where_nobody_waits_nothing_is_asked(self) -> None:
        waiting = self.watching.changed("k", b"old")
        failure_of(_cancelled(waiting), CancelledError)
        assert self.clock.getDelayedCalls() == []

    def test_who_goes_while_it_looks_is_not_told(self) -> None:
        waiting = self.watching.changed("k", b"old")
        self.clock.advance(0.1)
        failure_of(_cancelled(waiting), CancelledError)
        self.fake.next().answer([b"new"])
        assert len(self.watching) == 0

    def test_all_are_told_that_it_is_away(self) -> None:
        waiting = [self.watching.changed("k", b"old") for _ in range(2)]
        self.fake.is_up = False
        self.clock.advance(0.1)
        for each in waiting:
            failure_of(each, Away)
        assert self.clock.getDelayedCalls() == []

    def test_and_that_this_node_stops(self) -> None:
        waiting = self.watching.changed("k", b"old")
        self.watching.stop()
        failure_of(waiting, Away)
        assert self.clock.getDelayedCalls() == []


def _cancelled(waiting):  # type: ignore[no-untyped-def]
    waiting.cancel()
    return waiting
