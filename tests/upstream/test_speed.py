from __future__ import annotations

import pytest

from crproxy.policy.parallel import Bounds
from crproxy.upstream.speed import Speed

BOUNDS = Bounds(large=2000, left=1000, fast=10_000, least=100, most=800)
SIZE = 100_000


class Watched:
    """A transfer that is looked at twice a second."""

    def __init__(self) -> None:
        self.now, self.received = 100.0, 0
        self.speed = Speed(BOUNDS, self.now, 0)

    def go_on(self, rate: float, seconds: float = 0.5, connections: int = 1, *, paused: bool = False) -> None:
        for _ in range(int(seconds * 2)):
            self.now += 0.5
            self.received += int(rate / 2)
            self.speed.look(self.now, self.received, connections, was_paused=paused)

    def is_slow(self) -> bool:
        return self.speed.is_slow(SIZE, SIZE - self.received)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_one_look_says_nothing(watched: Watched) -> None:
    assert not watched.is_slow()
    watched.go_on(400)
    assert not watched.is_slow()
    watched.go_on(400)
    assert watched.is_slow()
    assert watched.speed.of_one == 400


def test_what_comes_faster_and_faster_is_not_slow(watched: Watched) -> None:
    for rate in (100, 200, 400, 800):
        watched.go_on(rate)
        assert not watched.is_slow()
    watched.go_on(800)
    assert watched.is_slow()


def test_a_pause_says_nothing_of_upstream(watched: Watched) -> None:
    watched.go_on(400, 1)
    watched.go_on(0, paused=True)
    assert not watched.is_slow()
    assert watched.speed.of_one == 400
    watched.go_on(400)
    assert not watched.is_slow()
    watched.go_on(400)
    assert watched.is_slow()


def test_the_rate_of_one_follows_slowly_where_there_are_several(watched: Watched) -> None:
    watched.go_on(400, 1)
    watched.speed.begin()
    watched.go_on(1600, 1, connections=4)
    assert watched.speed.of_one == 400
    watched.go_on(3200, 0.5, connections=4)
    assert watched.speed.of_one == 500


@pytest.mark.parametrize(("rate", "is_without"), [(490, True), (510, False), (1600, False)])
def test_after_some_seconds_it_is_known_whether_others_bring_more(
    watched: Watched, rate: int, is_without: bool
) -> None:
    watched.go_on(400, 1)
    watched.speed.begin()
    watched.go_on(rate, 4.5, connections=4)
    assert not watched.speed.is_without_gain()
    watched.go_on(rate, 0.5, connections=4)
    assert watched.speed.is_without_gain() is is_without
    assert not watched.speed.is_without_gain(), "it is told once"


def test_it_is_not_known_where_the_consumer_was_full(watched: Watched) -> None:
    watched.go_on(400, 1)
    watched.speed.begin()
    watched.go_on(400, 2, connections=4)
    watched.go_on(400, 0.5, connections=4, paused=True)
    watched.go_on(400, 10, connections=4)
    assert not watched.speed.is_without_gain()


def test_one_that_brings_nothing_for_three_seconds_is_stuck(watched: Watched) -> None:
    watched.go_on(400, 1)
    watched.speed.begin()
    assert not watched.speed.is_stuck("first", 10)
    watched.go_on(400, 2.5)
    assert not watched.speed.is_stuck("first", 10)
    watched.go_on(400, 0.5)
    assert watched.speed.is_stuck("first", 10)
    assert not watched.speed.is_stuck("first", 10), "from there on, it has three more"


def test_one_that_brings_a_quarter_is_not(watched: Watched) -> None:
    watched.go_on(400, 1)
    watched.speed.begin()
    watched.speed.is_stuck("first", 0)
    watched.go_on(400, 3)
    assert not watched.speed.is_stuck("first", 300)
    watched.go_on(400, 3)
    assert watched.speed.is_stuck("first", 599)


@pytest.mark.parametrize("what", ["another", "pause"])
def test_time_begins_anew_with_another_and_after_a_pause(watched: Watched, what: str) -> None:
    watched.go_on(400, 1)
    watched.speed.begin()
    watched.speed.is_stuck("first", 0)
    watched.go_on(400, 2)
    if what == "pause":
        watched.go_on(400, 0.5, paused=True)
    assert not watched.speed.is_stuck("another" if what == "another" else "first", 0)
    watched.go_on(400, 1)
    assert not watched.speed.is_stuck("another" if what == "another" else "first", 0)
