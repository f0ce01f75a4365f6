from __future__ import annotations

from twisted.internet.task import Clock

from crproxy.sharing import Alone
from crproxy.sharing.counts import Counts
from crproxy.store.activity import Activity


class Shared(Alone):
    """Numbers that several workers see."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = Counts()

    def count(self, what: str) -> Counts:
        return self.numbers


def test_a_disk_is_idle_when_nobody_has_used_it_for_a_while() -> None:
    clock = Clock()
    activity = Activity(Alone(), clock)
    seen = [activity.is_idle]
    activity.begin()
    activity.begin()
    activity.end()
    clock.advance(100)
    seen.append(activity.is_idle)
    activity.end()
    clock.advance(1.9)
    seen.append(activity.is_idle)
    clock.advance(0.2)
    seen.append(activity.is_idle)
    assert seen == [True, False, False, True]
    assert clock.getDelayedCalls() == []


def test_who_comes_and_goes_keeps_it_busy_and_tells_nobody_each_time() -> None:
    clock, shared = Clock(), Shared()
    activity = Activity(shared, clock)
    for _ in range(100):
        activity.begin()
        activity.end()
        clock.advance(0.5)
        assert shared.numbers.of("busy") == 1
    clock.advance(2)
    assert shared.numbers.of("busy") == 0


def test_a_worker_sees_that_another_uses_the_disk() -> None:
    clock, shared = Clock(), Shared()
    ours, other = Activity(shared, clock), Activity(shared, clock)
    other.begin()
    ours.begin()
    ours.stop()
    assert [one.is_idle for one in (ours, other)] == [False, False]
    other.end()
    clock.advance(2)
    assert [one.is_idle for one in (ours, other)] == [True, True]


def test_stopping_leaves_no_timer() -> None:
    clock = Clock()
    activity = Activity(Alone(), clock)
    activity.stop()
    activity.begin()
    activity.stop()
    assert clock.getDelayedCalls() == []
    assert activity.is_idle
