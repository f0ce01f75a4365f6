from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.sharing.levels import OwnLevel, OwnLevels, drained


@dataclass(frozen=True)
class Fill:
    """What is put in, so many seconds after the one before."""

    after: float
    amount: float
    rate: float | None
    most: float = math.inf


# Whole ones, of which a float has each.
SECONDS = st.integers(0, 100)
AMOUNTS = st.integers(0, 10_000)
RATES = st.none() | st.integers(1, 1000)
FILLS = st.builds(Fill, SECONDS, AMOUNTS, RATES, st.just(math.inf) | AMOUNTS)


class Model:
    """Drops, each of which is let out in the order in which they came."""

    def __init__(self) -> None:
        self.drops: list[float] = []

    def drain(self, amount: float) -> None:
        while self.drops and amount > 0:
            out = min(amount, self.drops[0])
            amount -= out
            self.drops[0] -= out
            if not self.drops[0]:
                del self.drops[0]

    def fill(self, fill: Fill) -> float:
        self.drain(math.inf if fill.rate is None else fill.after * fill.rate)
        there_would_be = sum(self.drops) + fill.amount
        if there_would_be <= fill.most:
            self.drops.append(fill.amount)
        return there_would_be


@given(st.integers(0, 10**9), st.lists(FILLS))
def test_it_is_what_was_put_in_and_has_not_drained(began: int, fills: list[Fill]) -> None:
    level, model, now = OwnLevel(), Model(), float(began)
    for fill in fills:
        now += fill.after
        assert level.fill(fill.amount, fill.rate, now, fill.most) == model.fill(fill)


def test_it_drains_until_it_is_empty_and_no_further() -> None:
    level = OwnLevel()
    level.fill(10, 2, 100)
    assert [level.fill(0, 2, 100 + seconds) for seconds in (0, 1, 4.5, 5, 60)] == [10, 8, 1, 0, 0]
    assert level.fill(10, 2, 161) == 10


def test_without_a_rate_all_that_was_there_has_drained() -> None:
    level = OwnLevel()
    assert level.fill(10, None, 1) == 10
    assert level.fill(5, None, 1) == 5
    assert level.fill(0, None, 1) == 0


def test_where_it_would_be_too_much_nothing_is_added_and_how_much_it_would_be_is_told() -> None:
    level = OwnLevel()
    assert level.fill(8, 1, 0, 10) == 8
    assert level.fill(5, 1, 1, 10) == 12
    assert level.fill(0, 1, 1) == 7
    # Just as much as there may be.
    assert level.fill(3, 1, 1, 10) == 10
    assert level.fill(0, 1, 1) == 10


def test_where_it_would_be_too_much_it_has_drained_all_the_same() -> None:
    level = OwnLevel()
    level.fill(10, 1, 0)
    assert level.fill(10, 4, 2, 10) == 12
    assert level.fill(0, 1, 3) == 1


@given(*[st.floats(0, 1000)] * 4)
def test_to_look_in_between_changes_nothing(amount: float, rate: float, first: float, then: float) -> None:
    looked_at, left_alone = OwnLevel(), OwnLevel()
    for level in (looked_at, left_alone):
        level.fill(amount, rate, 0)
    looked_at.fill(0, rate, first)
    now = first + then
    assert looked_at.fill(0, rate, now) == pytest.approx(left_alone.fill(0, rate, now), rel=1e-6, abs=0.01)


@pytest.mark.parametrize(
    ("content", "rate", "seconds", "left"),
    [(10, 2, 3, 4), (10, 2, 5, 0), (10, 2, 100, 0), (10, 2, 0, 10), (10, None, 0, 0), (0, 5, 5, 0)],
)
def test_what_drains_in_so_many_seconds(content: float, rate: float | None, seconds: float, left: float) -> None:
    assert drained(content, rate, seconds) == left


def test_each_that_is_asked_for_is_empty() -> None:
    levels = OwnLevels()
    assert levels.level("a").fill(3, 1, 0) == 3
    assert levels.level("a").fill(2, 1, 0) == 2
