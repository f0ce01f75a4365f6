from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from crproxy.fleet.claims import FleetClaims
from crproxy.fleet.messages import Sender
from crproxy.fleet.watching import Watching
from crproxy.sharing import Alone
from tests.fleet.fake import FakeValkey, Question
from tests.memory import ended, failure_of, not_yet
from tests.sharing.crew import Crew


class TestClaims:
    def setup_method(self) -> None:
        self.clock, self.fake = Clock(), FakeValkey()
        self.claims = self.of(Alone().claims("manifests"))

    def of(self, inside: object, slot: int = 0) -> FleetClaims:
        watching = Watching(self.fake.valkey, self.clock)
        return FleetClaims(inside, "manifests", self.fake.valkey, watching, Sender("run", slot), self.clock)  # type: ignore[arg-type]

    def taken(self) -> str:
        """Have it, and return its value."""
        taking = self.claims.take("x")
        question = self.fake.next()
        question.answer(b"")
        assert ended(taking) is False
        value: str = question.words[-2]
        return value

    def given_back(self) -> Question:
        question = self.fake.next()
        assert "DEL" in question.words[0].text
        return question

    def test_who_is_first_has_it_and_gives_it_back(self) -> None:
        value = self.taken()
        self.claims.give_back("x")
        assert self.given_back().words[-1] == value

    def test_each_has_another_value(self) -> None:
        first = self.taken()
        self.claims.give_back("x")
        self.given_back().answer(1)
        assert self.taken() != first

    def test_names_are_told_apart_however_long_they_are(self) -> None:
        keys = set()
        for name in ("x" * 5000, "x" * 5001, "\udcff"):
            self.claims.take(name)
            keys.add(self.fake.next().words[1])
        assert len(keys) == 3
        assert all(key.startswith("fake:claim:manifests:") and len(key) < 100 for key in keys)

    def test_who_comes_second_waits_and_knows_that_another_had_it(self) -> None:
        taking = self.claims.take("x")
        self.fake.next().answer(b"another's")
        assert not_yet(taking)
        self.clock.advance(0.1)
        self.fake.next().answer([None])
        self.fake.next().answer(b"")
        assert ended(taking) is True

    def test_who_has_it_for_too_long_is_not_waited_for(self) -> None:
        taking = self.claims.take("x")
        self.fake.next().answer(b"another's")
        for _ in range(49):
            self.clock.advance(0.1)
            self.fake.next().answer([b"another's"])
        assert not_yet(taking)
        self.clock.advance(0.2)
        question = self.fake.next()
        if question.words[0] == "MGET":
            question = self.fake.next()
        question.answer(b"another's")
        assert ended(taking) is True
        # And has nothing to give back.
        self.claims.give_back("x")
        assert [each for each in self.fake.questions if each.words[0] != "MGET"] == []

    def test_where_valkey_is_away_it_is_this_nodes_alone(self) -> None:
        self.fake.is_up = False
        assert ended(self.claims.take("x")) is False
        self.claims.give_back("x")

    def test_where_it_goes_away_meanwhile_too(self) -> None:
        taking = self.claims.take("x")
        self.fake.next().answer(b"another's")
        self.fake.is_up = False
        self.clock.advance(0.1)
        assert ended(taking) is True
        self.claims.give_back("x")
        failing = self.claims.take("y")
        assert ended(failing) is False

    def test_in_one_worker_it_is_had_as_often_as_it_is_taken(self) -> None:
        first, second = (self.claims.take("x") for _ in range(2))
        self.fake.next().answer(b"")
        third = self.claims.take("x")
        assert [ended(each) for each in (first, second, third)] == [False] * 3
        for _ in range(2):
            self.claims.give_back("x")
        assert self.fake.questions == []
        self.claims.give_back("x")
        self.given_back()

    def test_who_goes_away_has_it_not(self) -> None:
        taking = self.claims.take("x")
        taking.cancel()
        failure_of(taking, CancelledError)
        question = self.fake.next()
        question.answer(b"")
        assert self.given_back().words[-1] == question.words[-2]

    def test_another_that_waits_has_it_then(self) -> None:
        first, second = (self.claims.take("x") for _ in range(2))
        first.cancel()
        failure_of(first, CancelledError)
        self.fake.next().answer(b"")
        assert ended(second) is False
        assert self.fake.questions == []

    def test_workers_of_one_node_have_their_turns_before_nodes_do(self) -> None:
        crew = Crew()
        workers = [self.of(crew.member(slot).claims("manifests"), slot) for slot in range(2)]
        first: Deferred[bool] = workers[0].take("x")
        self.fake.next().answer(b"")
        assert ended(first) is False
        second: Deferred[bool] = workers[1].take("x")
        assert self.fake.questions == []
        workers[0].give_back("x")
        self.given_back().answer(1)
        self.fake.next().answer(b"")
        assert ended(second) is True
