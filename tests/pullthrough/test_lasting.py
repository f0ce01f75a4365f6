from __future__ import annotations

from dataclasses import dataclass, field

from twisted.internet.task import Clock

from crproxy.pullthrough.lasting import Lasting


@dataclass
class Answer:
    """An answer, what it is made from, and how often that was looked at."""

    clock: Clock = field(default_factory=Clock)
    version: int = 0
    until: float | None = 100.0
    looks: int = 0

    def lasting(self) -> Lasting:
        return Lasting(lambda: self.version, self._look, self.clock.seconds)

    def _look(self) -> float | None:
        self.looks += 1
        return self.until


def test_it_is_looked_at_once_where_nothing_happens() -> None:
    answer = Answer()
    lasting = answer.lasting()
    assert [lasting.holds() for _ in range(3)] == [True] * 3
    assert answer.looks == 1


def test_whatever_is_noted_has_it_looked_at() -> None:
    answer = Answer()
    lasting = answer.lasting()
    lasting.holds()
    answer.version += 1
    assert lasting.holds()
    assert lasting.holds()
    assert answer.looks == 2
    answer.version += 1
    answer.until = None
    assert not lasting.holds()
    assert not lasting.holds()


def test_it_is_looked_at_after_a_second_in_any_case() -> None:
    answer = Answer()
    lasting = answer.lasting()
    lasting.holds()
    answer.clock.advance(0.99)
    lasting.holds()
    assert answer.looks == 1
    answer.clock.advance(0.01)
    lasting.holds()
    assert answer.looks == 2


def test_it_ends_at_its_time() -> None:
    answer = Answer(until=0.5)
    lasting = answer.lasting()
    answer.clock.advance(0.49)
    assert lasting.holds()
    answer.clock.advance(0.01)
    assert not lasting.holds()


def test_a_clock_that_is_set_back_has_it_looked_at() -> None:
    answer = Answer(until=1000.0)
    answer.clock.advance(500)
    lasting = answer.lasting()
    lasting.holds()
    answer.clock.rightNow = 10
    answer.until = None
    assert not lasting.holds()


def test_what_depends_on_more_ends_with_the_first_of_it() -> None:
    world = {"inner": 100.0, "also": 50.0}
    now = [0.0]
    both = Lasting(lambda: tuple(world.items()), lambda: world["inner"], lambda: now[0]).only_while(
        lambda: world["also"]
    )
    assert both.holds()
    now[0] = 50.0
    assert not both.holds()
    world["also"] = 200.0
    assert both.holds()
    now[0] = 100.0
    assert not both.holds()
