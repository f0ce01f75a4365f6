from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.objects.use_marks import UseMarks
from crproxy.oci.digests import Digest
from crproxy.policy.tier_eviction import TOLD_EVERY
from crproxy.sharing.bounding import KEPT
from crproxy.store.entries import Entry

A, B, C = (Entry(Digest.of(content)) for content in (b"a", b"b", b"c"))


class TestUseMarks:
    def setup_method(self) -> None:
        self.clock = Clock()
        self.told: list[Mapping[Entry, bool]] = []
        self.answers: list[Deferred[object]] = []
        self.marks = UseMarks(self.tell, self.clock)

    def tell(self, used: Mapping[Entry, bool]) -> Deferred[object]:
        self.told.append(used)
        self.answers.append(Deferred())
        return self.answers[-1]

    def pass_by(self, seconds: float) -> None:
        self.clock.advance(seconds)
        while self.answers:
            self.answers.pop(0).callback(None)
            self.clock.advance(1)

    def test_uses_are_told_together_within_a_second(self) -> None:
        self.marks.mark([A])
        self.marks.mark([B, A], on_disk=True)
        assert self.told == []
        self.clock.advance(1)
        assert self.told == [{A: False, B: True}]

    def test_a_use_is_told_once_in_half_an_hour(self) -> None:
        self.marks.mark([A])
        self.pass_by(1)
        self.marks.mark([A])
        self.pass_by(TOLD_EVERY - 10)
        self.marks.mark([A])
        self.pass_by(TOLD_EVERY)
        assert self.told == [{A: False}]
        self.marks.mark([A])
        self.pass_by(1)
        assert self.told == [{A: False}, {A: False}]

    def test_one_telling_follows_the_other(self) -> None:
        self.marks.mark([A])
        self.clock.advance(1)
        self.marks.mark([B])
        self.clock.advance(60)
        assert self.told == [{A: False}]
        self.answers.pop().callback(None)
        self.clock.advance(1)
        assert self.told == [{A: False}, {B: False}]

    def test_what_could_not_be_told_is_told_when_it_is_used_again(self) -> None:
        self.marks.mark([A])
        self.clock.advance(1)
        self.answers.pop().errback(OSError("the leader is gone"))
        self.clock.advance(1)
        self.marks.mark([A])
        self.clock.advance(1)
        assert self.told == [{A: False}, {A: False}]

    def test_there_is_a_bound_to_what_waits(self) -> None:
        many = [Entry(Digest("sha256", f"{number:064x}")) for number in range(KEPT + 100)]
        self.marks.mark(many)
        self.pass_by(1)
        self.pass_by(100)
        assert sum(map(len, self.told)) == KEPT
        assert max(map(len, self.told)) == 500

    def test_after_the_end_nothing_is_told(self) -> None:
        self.marks.mark([A])
        self.marks.stop()
        self.marks.mark([B])
        self.clock.advance(10)
        assert self.told == []
