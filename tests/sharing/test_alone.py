from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from crproxy.sharing import SECRET_BYTES, Alone, Sharing, bounding
from tests.memory import ended, failure_of, not_yet


def test_it_leads_and_knows_that_there_are_no_others() -> None:
    alone: Sharing = Alone()
    assert (alone.slot, alone.leads, alone.is_alone) == (0, True, True)


def test_its_secret_is_its_own() -> None:
    one, other = Alone().secret, Alone().secret
    assert len(one) == len(other) == SECRET_BYTES
    assert one != other


# Numbers, levels and records


def test_what_is_kept_is_whose_who_asked_for_it() -> None:
    """Of each kind one part of the daemon asks, once."""
    alone = Alone()
    counts, levels, records = alone.count("a"), alone.levels("a"), alone.records("a")
    assert counts.add("x") == 1
    assert levels.level("x").fill(5, 1, 0) == 5
    records.put("x", "y")
    assert alone.count("a").of("x") == 0
    assert alone.levels("a").level("x").fill(0, 1, 0) == 0
    assert alone.records("a").get("x") is None


KEYS = st.one_of(st.text(max_size=2), st.tuples(st.integers(0, 3), st.none()))


@given(st.lists(st.tuples(KEYS, st.none() | st.integers())))
def test_a_record_is_what_was_put_last(changes: list[tuple[object, int | None]]) -> None:
    records, model = Alone().records("a"), dict[object, int]()
    for key, value in changes:
        if value is None:
            records.drop(key)
            model.pop(key, None)
        else:
            records.put(key, value)
            model[key] = value
        assert records.get(key) == model.get(key)
        assert records.all() == model


def test_so_many_records_are_kept_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounding, "KEPT", 3)
    records = Alone().records("a")
    for number in range(5):
        records.put(number, number)
    assert records.all() == {2: 2, 3: 3, 4: 4}


def test_all_records_are_those_of_that_moment() -> None:
    records = Alone().records("a")
    records.put(1, "x")
    found = records.all()
    records.drop(1)
    assert found == {1: "x"}


def test_a_claim_is_had_at_once_and_nobody_had_it_before() -> None:
    claims = Alone().claims("a")
    assert ended(claims.take("x")) is False
    assert ended(claims.take("x")) is False
    claims.give_back("x")


# What is told and asked


def test_what_is_told_reaches_nobody() -> None:
    alone, heard = Alone(), list[object]()
    alone.on("topic", heard.append)
    alone.tell("topic", 1)
    assert ended(alone.ask_all("topic", 2)) == []
    assert heard == []


def test_it_answers_itself_what_it_asks_the_leader() -> None:
    alone = Alone()
    alone.on("topic", lambda number: number + 1)
    assert ended(alone.ask_leader("topic", 1)) == 2
    alone.on("topic", lambda number: number + 2)
    assert ended(alone.ask_leader("topic", 1)) == 3


def test_an_answer_may_come_later() -> None:
    alone, later = Alone(), Deferred[int]()
    alone.on("topic", lambda _: later)
    asked = alone.ask_leader("topic")
    assert not_yet(asked)
    later.callback(5)
    assert ended(asked) == 5


def test_what_fails_there_fails_here() -> None:
    alone = Alone()
    alone.on("topic", lambda _: 1 / 0)
    failure_of(alone.ask_leader("topic"), ZeroDivisionError)
