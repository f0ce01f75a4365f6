from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from crproxy.fleet.identity import Secret
from crproxy.fleet.sealed_values import SealedValues, Value
from crproxy.fleet.valkey import Away
from tests.fleet.fake import FakeValkey
from tests.memory import ended, failure_of

SECRET = Secret(bytes(range(32)))
NOTHING = Value()
OTHER = Secret(bytes(range(1, 33)))


class TestSealedValues:
    def setup_method(self) -> None:
        self.fake = FakeValkey()
        self.values = SealedValues(self.fake.valkey, SECRET, "kind")

    def put(self, name: str, before: Value = NOTHING, seconds: float = 60) -> bytes:
        """What is asked to be put there."""
        putting = Deferred.fromCoroutine(self.values.replace(name, before, b"content of " + name.encode(), seconds))
        question = self.fake.next()
        _, key, changes, expected, sealed, milliseconds, told, _ = question.words
        assert (key, changes, told) == (f"fake:kind:{name}", "fake:kind", name)
        assert (expected, milliseconds) == (before.sealed or b"", seconds * 1000)
        question.answer(1)
        assert ended(putting) is True
        found: bytes = sealed
        return found

    def read(self, *answers: bytes | None) -> dict[str, Value]:
        names = [chr(ord("a") + number) for number in range(len(answers))]
        reading = Deferred.fromCoroutine(self.values.read(names))
        question = self.fake.next()
        assert question.words == ("MGET", *(f"fake:kind:{name}" for name in names))
        question.answer(list(answers))
        return ended(reading)

    def test_what_is_put_there_is_read_and_sealed(self) -> None:
        sealed = self.put("a")
        assert b"content" not in sealed
        assert self.read(sealed, None) == {"a": Value(sealed, b"content of a"), "b": Value()}

    def test_it_replaces_what_was_seen(self) -> None:
        self.put("a", Value(b"before", None))

    def test_what_another_has_put_there_meanwhile_stays(self) -> None:
        putting = Deferred.fromCoroutine(self.values.replace("a", Value(), b"x", 1))
        self.fake.next().answer(0)
        assert ended(putting) is False

    @pytest.mark.parametrize(
        "sealed",
        [
            b"",
            b"junk",
            bytes(28),
            bytes(300_000),
            SECRET.seal("kind b", b"x"),
            SECRET.seal("other a", b"x"),
            OTHER.seal("kind a", b"x"),
            SECRET.seal("kind a", b"x")[:-1],
        ],
        ids=["empty", "junk", "zeroes", "long", "other name", "other kind", "other secret", "cut"],
    )
    def test_what_was_not_sealed_for_it_is_strange(self, sealed: bytes) -> None:
        value = self.read(sealed)["a"]
        assert value == Value(sealed, None)
        assert value.is_strange
        assert not Value().is_strange

    def test_changes_are_told_once(self) -> None:
        for after, answer, names in (
            ("(0", [b"a", b"10", b"b", b"1.8e15"], ["a", "b"]),
            ("(1800000000000000", [], []),
            ("(1800000000000000", [b"\xff", b"1800000000000001"], ["\ufffd"]),
            ("(1800000000000001", [], []),
        ):
            asking = Deferred.fromCoroutine(self.values.changed())
            question = self.fake.next()
            assert question.words[:4] == ("ZRANGEBYSCORE", "fake:kind", after, "+inf")
            question.answer(answer)
            assert ended(asking) == names
        self.values.forget()
        Deferred.fromCoroutine(self.values.changed())
        assert self.fake.next().words[2] == "(0"

    def test_many_are_read_some_at_a_time(self) -> None:
        reading = Deferred.fromCoroutine(self.values.read([str(number) for number in range(250)]))
        for count in (100, 100, 50):
            question = self.fake.next()
            assert len(question.words) == 1 + count
            question.answer([None] * count)
        assert len(ended(reading)) == 250

    def test_it_is_kept_for_longer(self) -> None:
        touching = Deferred.fromCoroutine(self.values.touch("a", 1.5))
        question = self.fake.next()
        assert question.words == ("PEXPIRE", "fake:kind:a", 1500)
        question.answer(1)
        assert ended(touching) is None

    def test_where_valkey_is_away(self) -> None:
        self.fake.is_up = False
        for asking in (
            self.values.changed(),
            self.values.read(["a"]),
            self.values.replace("a", Value(), b"", 1),
            self.values.touch("a", 1),
        ):
            failure_of(Deferred.fromCoroutine(asking), Away)
