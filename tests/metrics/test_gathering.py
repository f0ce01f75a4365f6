from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.config import Config
from crproxy.metrics import Meters
from crproxy.metrics.gathering import Gathering
from crproxy.sharing import Alone
from tests.memory import ended
from tests.sharing.crew import Crew

STALLS = "crproxy_reactor_stall_seconds"
RECEIVED = "crproxy_reactor_lag_seconds_count"


class Worker:
    """One that runs, and notes how late it was."""

    def __init__(self, crew: Crew, clock: Clock, slot: int) -> None:
        self.crew = crew
        self.slot = slot
        self.meters = Meters(Config)
        self.gathering = Gathering(self.meters.registry, crew.member(slot), clock)
        self.gathering.startService()

    def count(self, times: int) -> None:
        for _ in range(times):
            self.meters.lag(0)

    def die(self) -> None:
        """Without a word."""
        self.gathering._keeping.stop()
        self.crew.lose(self.slot)

    def counted(self) -> float:
        """How often any was late."""
        return value(gathered(self.gathering), RECEIVED)


def gathered(gathering: Gathering) -> list[Metric]:
    return ended(Deferred.fromCoroutine(gathering.all()))


def value(metrics: Iterable[Metric], name: str) -> float:
    (found,) = (sample.value for metric in metrics for sample in metric.samples if sample.name == name)
    return found


def two_workers() -> tuple[Worker, Worker, Clock]:
    crew, clock = Crew(), Clock()
    return Worker(crew, clock, 0), Worker(crew, clock, 1), clock


def test_one_alone_has_its_own_and_writes_nothing_down() -> None:
    meters, clock = Meters(Config), Clock()
    gathering = Gathering(meters.registry, Alone(), clock)
    gathering.startService()
    meters.lag(0)
    meters.turn(3)
    assert clock.getDelayedCalls() == []
    for metrics in (gathered(gathering), gathering.own()):
        assert (value(metrics, RECEIVED), value(metrics, STALLS)) == (1, 3)
    assert value(gathering.known(), RECEIVED) == 1
    gathering.stopService()


def test_whoever_is_asked_has_those_of_all() -> None:
    one, other, _ = two_workers()
    one.count(2)
    other.count(3)
    other.meters.turn(7)
    for worker in (one, other):
        assert worker.counted() == 5
        assert value(gathered(worker.gathering), STALLS) == 7
    assert value(one.gathering.own(), RECEIVED) == 2


def test_it_is_asked_each_time() -> None:
    one, other, _ = two_workers()
    for number in range(1, 4):
        other.count(1)
        assert one.counted() == number


def test_of_one_that_does_not_answer_it_is_what_it_wrote_down() -> None:
    one, other, clock = two_workers()
    other.count(3)
    other.meters.turn(7)
    clock.advance(1)
    # This is lost with it.
    other.count(1)
    other.die()
    one.count(2)
    assert one.counted() == 5
    assert value(gathered(one.gathering), STALLS) == 0


def test_one_that_takes_its_place_goes_on_with_it() -> None:
    one, other, clock = two_workers()
    for _ in range(3):
        other.count(3)
        clock.advance(1)
        other.die()
        other = Worker(other.crew, clock, 1)
    other.count(1)
    assert (one.counted(), other.counted()) == (10, 10)
    assert value(other.gathering.own(), RECEIVED) == 10


def test_how_it_was_with_one_that_is_gone_is_not_how_it_is() -> None:
    one, other, clock = two_workers()
    other.meters.turn(7)
    clock.advance(1)
    other.die()
    Worker(other.crew, clock, 1)
    assert value(gathered(one.gathering), STALLS) == 0


def test_one_that_stops_writes_down_the_last_of_it() -> None:
    one, other, clock = two_workers()
    other.count(3)
    other.gathering.stopService()
    del other.crew.members[1]
    assert one.counted() == 3
    one.gathering.stopService()
    assert clock.getDelayedCalls() == []


def test_what_grows_is_known_without_asking() -> None:
    one, other, clock = two_workers()
    other.count(3)
    clock.advance(1)
    other.count(1)
    one.count(2)
    known = one.gathering.known()
    assert value(known, RECEIVED) == 5
    assert {metric.type for metric in known} == {"counter", "histogram"}
