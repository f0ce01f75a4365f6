from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.objects.errors import TierFailed
from crproxy.objects.uses import Noted, Uses
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.store.entries import Entry
from tests.logs import Log
from tests.memory import ended

A, B, C = (Entry(Digest.of(content)) for content in (b"a", b"b", b"c"))
PRIVATE = Entry(A.digest, Registry("quay.io"))


class Others:
    """What all nodes know (CommonUses), which can be lost, or out of reach."""

    def __init__(self) -> None:
        self.known: dict[Entry, float] = {}
        self.begun = 1
        self.is_away = False

    def look(self) -> None:
        if self.is_away:
            raise TierFailed("away")

    def lose(self) -> None:
        self.known.clear()
        self.begun += 1

    async def note(self, used: Mapping[Entry, float]) -> Noted:
        self.look()
        unknown = [entry for entry in used if entry not in self.known]
        self.known.update(used)
        return Noted(unknown, self.begun)

    async def last_used(self, entries: Sequence[Entry]) -> Mapping[Entry, float]:
        self.look()
        return {entry: self.known[entry] for entry in entries if entry in self.known}

    async def forget(self, entries: Sequence[Entry]) -> None:
        self.look()
        for entry in entries:
            self.known.pop(entry, None)


def run(work: Coroutine[Deferred[Any], Any, Any]) -> Any:
    return ended(Deferred.fromCoroutine(work))


class TestUses:
    def setup_method(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.others = Others()
        self.missing: list[Entry] = []
        self.written: dict[Entry, float] = {}

    async def own(self, entries: Sequence[Entry]) -> Mapping[Entry, float]:
        return {entry: self.written[entry] for entry in entries if entry in self.written}

    def uses(self, *, alone: bool = False) -> Uses:
        common = None if alone else self.others
        return Uses(self.own, common, self.missing.extend, self.clock, self.clock.seconds)

    def test_the_latest_of_all_that_is_known_counts(self) -> None:
        uses = self.uses()
        run(uses.told({A: False}))
        self.clock.advance(10)
        self.others.known |= {A: 900.0, B: 950.0}
        self.written = {A: 5.0, B: 960.0, C: 7.0}
        assert run(uses.last_used([A, B, C, PRIVATE])) == {A: 1000.0, B: 960.0, C: 7.0}

    def test_a_node_alone_has_its_own(self) -> None:
        uses = self.uses(alone=True)
        uses.start()
        self.written = {B: 5.0}
        run(uses.told({A: True}))
        assert run(uses.last_used([A, B, C])) == {A: 1000.0, B: 5.0}
        assert self.clock.getDelayedCalls() == []
        uses.stop()

    @pytest.mark.parametrize("alone", [False, True])
    def test_what_is_on_disk_and_was_unknown_may_be_missing(self, alone: bool) -> None:
        uses = self.uses(alone=alone)
        run(uses.told({A: True, B: False}))
        assert self.missing == [A]
        run(uses.told({A: True}))
        assert self.missing == [A]
        run(uses.forget([A]))
        assert run(uses.last_used([A])) == {}
        run(uses.told({A: True}))
        assert self.missing == [A, A]

    def test_what_another_node_knows_is_not_missing(self) -> None:
        self.others.known[A] = 5.0
        run(self.uses().told({A: True}))
        assert self.missing == []

    def test_where_others_cannot_be_asked_nobody_can_say(self) -> None:
        uses = self.uses()
        self.others.is_away = True
        with pytest.raises(TierFailed):
            run(uses.last_used([A]))
        run(uses.forget([A]))

    def test_what_could_not_be_told_is_told_later(self) -> None:
        uses = self.uses()
        uses.start()
        self.others.is_away = True
        run(uses.told({A: True}))
        assert (self.others.known, self.missing) == ({}, [])
        self.others.is_away = False
        self.clock.advance(60)
        assert self.others.known == {A: 1000.0}
        uses.stop()

    def test_what_was_lost_is_told_again(self) -> None:
        uses = self.uses()
        uses.start()
        run(uses.told({A: True, B: False}))
        self.others.lose()
        self.clock.advance(60)
        assert self.others.known == {A: 1000.0, B: 1000.0}
        # Once, as long as it stays there.
        self.others.known.clear()
        self.clock.advance(60)
        assert self.others.known == {}
        uses.stop()
        self.others.lose()
        self.clock.advance(600)
        assert self.others.known == {}

    def test_where_they_go_away_in_the_midst_of_telling_again_that_is_done_later(self) -> None:
        uses = self.uses()
        run(uses.told({A: True}))
        self.others.lose()
        note = self.others.note

        async def once(used: Mapping[Entry, float]) -> Noted:
            noted = await note(used)
            self.others.is_away = True
            return noted

        self.others.note = once  # type: ignore[method-assign]
        run(uses.told({B: True}))
        self.others.note, self.others.is_away = note, False  # type: ignore[method-assign]
        assert self.others.known == {B: 1000.0}
        run(uses.told({}))
        assert self.others.known == {A: 1000.0, B: 1000.0}

    def test_a_fault_is_told_and_no_end(self) -> None:
        uses = self.uses()

        async def breaks(used: Mapping[Entry, float]) -> Noted:
            raise RuntimeError("a fault")

        note, self.others.note = self.others.note, breaks  # type: ignore[method-assign]
        with Log() as log:
            uses.start()
        assert log.complaints == ["what was used could not be told to other nodes"]
        self.others.note = note  # type: ignore[method-assign]
        run(uses.told({A: True}))
        uses.stop()

    def test_there_is_a_bound_to_what_is_remembered(self) -> None:
        uses = self.uses(alone=True)
        many = [Entry(Digest("sha256", f"{number:064x}")) for number in range(50_001)]
        run(uses.told(dict.fromkeys(many, False)))
        assert len(run(uses.last_used(many))) == 50_000
        assert run(uses.last_used(many[:1])) == {}
