from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from crproxy.fleet.leases import Holder, Lease, Leases
from crproxy.fleet.watching import Watching
from tests.fleet.fake import FakeValkey
from tests.logs import Log
from tests.memory import ended, failure_of, not_yet
from tests.outcomes import outcome

OTHERS = b'{"node": "b", "url": "https://b:1", "token": 7}'


def ours(lease: Lease) -> bool:
    """Whether it is now."""
    return lease.is_ours


class TestLeases:
    def setup_method(self) -> None:
        self.clock, self.fake = Clock(), FakeValkey()
        self.watching = Watching(self.fake.valkey, self.clock)
        self.leases = Leases(self.fake.valkey, self.watching, "a", "https://a:1", self.clock)

    def take(self) -> Deferred[Lease | Holder | None]:
        return Deferred.fromCoroutine(self.leases.take("x"))

    def lease(self) -> Lease:
        taking = self.take()
        self.fake.next().answer([b"5", b"4000"])
        found = ended(taking)
        assert isinstance(found, Lease)
        return found

    def test_it_is_ours(self) -> None:
        taking = self.take()
        question = self.fake.next()
        _, *keys, value, milliseconds = question.words
        assert keys == ["fake:x", "fake:token"]
        assert milliseconds == 3000
        assert json.loads(f"{value}5}}") == {"node": "a", "url": "https://a:1", "token": 5}
        question.answer([b"5", b"4000"])
        lease = ended(taking)
        assert isinstance(lease, Lease)
        assert (lease.token, lease.name, lease.is_ours, len(self.leases)) == (5, "x", True, 1)

    def test_it_is_anothers(self) -> None:
        taking = self.take()
        self.fake.next().answer([OTHERS])
        assert ended(taking) == Holder("b", "https://b:1", 7, OTHERS)

    def test_where_valkey_is_away_each_is_alone_at_once(self) -> None:
        self.fake.is_up = False
        assert ended(self.take()) is None

    def test_where_it_goes_away_meanwhile_too(self) -> None:
        taking = self.take()
        self.fake.next().fail()
        assert ended(taking) is None

    def test_what_cannot_be_read_leaves_each_alone_and_is_said_once(self) -> None:
        with Log() as log:
            for _ in range(2):
                taking = self.take()
                self.fake.next().answer([b"another version's"])
                assert ended(taking) is None
        assert len(log.complaints) == 1

    def test_it_is_renewed_each_second(self) -> None:
        lease = self.lease()
        for second in range(1, 10):
            self.clock.advance(1)
            question = self.fake.next()
            assert question.words[-3:-1] == (self.value(), 3000)
            question.answer(b"%d" % (4000 + 1000 * second))
            assert ours(lease)
        self.clock.advance(1)
        assert self.fake.next().words[-1] == b"13000"
        assert not_yet(lease.lost)

    def value(self) -> bytes:
        return b'{"node": "a", "url": "https://a:1", "token": 5}'

    def test_it_is_lost_where_it_is_anothers(self) -> None:
        lease = self.lease()
        self.clock.advance(1)
        self.fake.next().answer(b"")
        ended(lease.lost)
        assert not ours(lease)
        assert self.clock.getDelayedCalls() == []
        assert len(self.leases) == 0

    def test_it_is_lost_where_its_time_is_over_and_no_answer_came(self) -> None:
        lease = self.lease()
        self.clock.pump([0.5] * 5)
        assert ours(lease)
        assert not_yet(lease.lost)
        self.clock.advance(0.5)
        assert not ours(lease)
        ended(lease.lost)
        # The answer that comes then changes nothing.
        self.fake.next().answer(b"9000")
        assert not ours(lease)
        assert self.clock.getDelayedCalls() == []

    def test_while_valkey_is_away_it_is_tried_again_until_its_time_is_over(self) -> None:
        lease = self.lease()
        self.fake.is_up = False
        self.clock.pump([0.1] * 25)
        self.fake.is_up = True
        self.clock.advance(0.2)
        self.fake.next().answer(b"7000")
        self.clock.advance(0.8)
        assert ours(lease)
        self.fake.is_up = False
        self.clock.pump([0.1] * 25)
        ended(lease.lost)

    def test_its_time_begins_when_it_was_asked_for(self) -> None:
        taking = self.take()
        self.clock.advance(2.9)
        self.fake.next().answer([b"5", b"4000"])
        lease = ended(taking)
        assert isinstance(lease, Lease)
        assert ours(lease)
        self.clock.advance(0.1)
        assert not ours(lease)
        ended(lease.lost)

    def test_what_came_too_late_is_lost_at_once(self) -> None:
        taking = self.take()
        self.clock.advance(3.5)
        self.fake.next().answer([b"5", b"4000"])
        lease = ended(taking)
        assert isinstance(lease, Lease)
        assert not ours(lease)
        self.clock.advance(0)
        ended(lease.lost)

    def test_a_late_timer_makes_nobody_believe(self) -> None:
        lease = self.lease()
        self.clock.rightNow += 5
        assert not ours(lease)

    def test_given_back_it_is_not_renewed(self) -> None:
        lease = self.lease()
        giving = Deferred.fromCoroutine(lease.give_back())
        assert not ours(lease)
        question = self.fake.next()
        assert question.words[1:] == ("fake:x", self.value())
        question.answer(1)
        ended(giving)
        assert self.clock.getDelayedCalls() == []
        assert not_yet(lease.lost)
        # And once is enough.
        ended(Deferred.fromCoroutine(lease.give_back()))
        assert self.fake.questions == []

    def test_given_back_while_it_is_renewed(self) -> None:
        lease = self.lease()
        self.clock.advance(1)
        giving = Deferred.fromCoroutine(lease.give_back())
        for _ in range(2):
            self.fake.next().answer(b"5000")
        ended(giving)
        assert self.clock.getDelayedCalls() == []
        assert not_yet(lease.lost)

    def test_what_is_lost_is_not_given_back(self) -> None:
        lease = self.lease()
        self.clock.advance(1)
        self.fake.next().answer(b"")
        ended(Deferred.fromCoroutine(lease.give_back()))
        assert self.fake.questions == []

    def test_who_does_not_want_it_any_more_has_it_not(self) -> None:
        taking = self.take()
        taking.cancel()
        failure_of(taking, CancelledError)
        self.fake.next().answer([b"5", b"4000"])
        question = self.fake.next()
        assert question.words[1:] == ("fake:x", self.value())
        question.answer(1)
        assert len(self.leases) == 0
        assert self.clock.getDelayedCalls() == []

    def test_at_the_end_all_are_given_back(self) -> None:
        for _ in range(2):
            self.lease()
        stopping = Deferred.fromCoroutine(self.leases.stop())
        for _ in range(2):
            self.fake.next().answer(1)
        ended(stopping)
        assert len(self.leases) == 0

    @pytest.mark.parametrize("now", [None, b'{"node": "c", "url": "https://c:1", "token": 8}', b"nonsense"])
    def test_who_follows_learns_who_has_it_next(self, now: bytes | None) -> None:
        waiting = Deferred.fromCoroutine(self.leases.wait_free("x", Holder.parse(OTHERS)))
        self.clock.advance(0.1)
        self.fake.next().answer([OTHERS])
        assert not_yet(waiting)
        self.clock.advance(0.1)
        self.fake.next().answer([now])
        found = ended(waiting)
        assert (found and found.node) == ("c" if now and now.startswith(b"{") else None)

    def test_who_follows_is_alone_where_valkey_is_away(self) -> None:
        self.fake.is_up = False
        waiting = Deferred.fromCoroutine(self.leases.wait_free("x", Holder.parse(OTHERS)))
        self.clock.advance(0.1)
        assert ended(waiting) is None


class TestHolder:
    @pytest.mark.parametrize(
        "value",
        [
            b"",
            b"[]",
            b"{",
            b"null",
            b"\xff",
            b"{}",
            b'{"node": 1, "url": "https://b:1", "token": 1}',
            b'{"node": "b", "url": "http://b:1", "token": 1}',
            b'{"node": "b", "url": 1, "token": 1}',
            b'{"node": "b", "url": "https://b:1", "token": "1"}',
            b'{"node": "b", "url": "https://b:1", "token": true}',
            b'{"node": "b", "url": "https://b:1", "token": 0}',
            b'{"node": "b", "url": "https://b:1", "token": 1.5}',
            b'{"node": "b", "url": "https://b:1"}',
        ],
    )
    def test_what_is_none_is_not_read(self, value: bytes) -> None:
        with pytest.raises(ValueError, match="it "):
            Holder.parse(value)

    def test_what_a_later_version_adds_does_no_harm(self) -> None:
        value = b'{"more": [], "node": "b", "url": "https://b:1", "token": 7}'
        assert Holder.parse(value) == Holder("b", "https://b:1", 7, value)

    @given(st.binary() | st.recursive(st.none() | st.text(), st.lists).map(lambda said: json.dumps(said).encode()))
    def test_anything_is_read_or_refused(self, value: bytes) -> None:
        assert isinstance(outcome(ValueError, Holder.parse, value), Holder | ValueError)
