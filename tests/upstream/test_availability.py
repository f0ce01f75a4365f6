from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.web.iweb import IResponse

from crproxy.config import Upstream
from crproxy.oci.names import Registry
from crproxy.upstream.agent import send
from crproxy.upstream.attempts import Attempt
from crproxy.upstream.availability import Availability
from crproxy.upstream.errors import HostIsDown, RefusedAddress, TooManySockets
from tests.logs import Log
from tests.memory import Network, Seen, answer, ended, failure_of, not_yet
from tests.sharing.crew import Crew

QUAY = "https://quay.io"
UPSTREAM = Upstream.public(Registry("quay.io"))
EPOCH = 1_800_000_000.0


class Asker:
    """Asks one host, as an exchange does."""

    def __init__(self, network: Network, http: HTTPClient, availability: Availability) -> None:
        self.network, self.availability, self._http = network, availability, http

    def ask(self, path: str = "/slow") -> Deferred[IResponse]:
        clock = self.network.clock

        async def asking() -> IResponse:
            response = await send(self._http, "GET", QUAY + path, {}, 30, clock)
            self.availability.answered(UPSTREAM, QUAY + path)
            return response

        return self.network.run(self.availability.over(UPSTREAM, QUAY + path, asking))

    def pass_time(self, seconds: float) -> None:
        """Let time pass in steps, as it does."""
        for _ in range(round(seconds * 10)):
            self.network.advance(0.1)

    def be(self, probes: bytes | None, others: bytes | None = None) -> None:
        """Let the host answer probes, and others, so; None is silence."""

        def answers(seen: Seen) -> bytes | None:
            return probes if seen.target == "/v2/" else others

        self.network.serve(QUAY, answers)

    @property
    def probes(self) -> int:
        return sum(seen.target == "/v2/" for seen in self.network.seen)

    @property
    def asked(self) -> int:
        return len(self.network.seen) - self.probes


Make = Callable[[], Asker]


@pytest.fixture
def make(network: Network, http: HTTPClient) -> Make:
    crew = Crew()

    def make() -> Asker:
        member = crew.member(len(crew.members))
        now = lambda: EPOCH + network.clock.seconds()  # noqa: E731
        return Asker(network, http, Availability(lambda _: http, network.clock, now, member))

    return make


@pytest.fixture
def asker(make: Make) -> Asker:
    return make()


def down(deferred: Deferred[Any]) -> str:
    return str(failure_of(deferred, HostIsDown))


def test_who_answers_soon_is_not_probed(asker: Asker) -> None:
    asker.be(None, answer())
    assert ended(asker.ask()).code == 200
    asker.pass_time(60)
    assert (asker.asked, asker.probes) == (1, 0)
    assert asker.network.clock.getDelayedCalls() == []


def test_who_is_slow_but_there_is_waited_for(asker: Asker) -> None:
    asker.be(answer(401))
    slow = asker.ask()
    asker.pass_time(20)
    assert not_yet(slow)
    assert asker.probes == 1
    asker.network.waiting[0].send(answer())
    assert ended(slow).code == 200


def test_who_is_silent_is_waited_for_less_than_ten_seconds(asker: Asker) -> None:
    asker.be(None)
    silent = asker.ask()
    asker.pass_time(8)
    assert not_yet(silent)
    asker.pass_time(1)
    assert down(silent) == "https://quay.io has not answered for 8 s"


def test_whoever_waits_for_it_need_not_any_more(asker: Asker) -> None:
    asker.be(None)
    first = asker.ask()
    asker.pass_time(7)
    second = asker.ask()
    asker.pass_time(2)
    assert down(first)
    assert down(second)


def test_who_is_down_is_not_asked_and_said_to_be_so_at_once(asker: Asker) -> None:
    asker.be(None)
    down(_after(asker, asker.ask(), 9))
    for _ in range(10):
        assert "has not answered for" in down(asker.ask())
    assert asker.asked == 1


def test_one_probe_at_a_time_looks_whether_it_is_back(asker: Asker) -> None:
    asker.be(None)
    down(_after(asker, asker.ask(), 9))
    for second in range(60):
        down(asker.ask())
        asker.pass_time(1)
        open_ones = [connection for connection in asker.network.waiting if not connection.wire.closed]
        # The first goes on beside them for half a minute: its answer would show that the host is merely slow.
        assert len(open_ones) <= (2 if second < 27 else 1)
    assert 12 <= asker.probes <= 18


def test_one_that_is_slow_all_the_time_is_found_out_and_waited_for(asker: Asker) -> None:
    """Its probes take nine seconds, too."""
    asker.be(None)
    first = asker.ask()
    asker.pass_time(9)
    assert down(first)
    asker.pass_time(5)
    probe = next(one for one in asker.network.waiting if not one.wire.closed)
    probe.send(answer(401))
    slow = asker.ask()
    before = list(asker.network.connections)
    asker.pass_time(15)
    assert not_yet(slow)
    assert asker.network.connections == before
    before[-1].send(answer())
    assert ended(slow).code == 200


def test_and_not_any_more_when_it_has_become_fast(asker: Asker) -> None:
    asker.be(None)
    down(_after(asker, asker.ask(), 9))
    asker.pass_time(5)
    next(one for one in asker.network.waiting if not one.wire.closed).send(answer())
    asker.be(answer(), answer())
    ended(asker.ask())
    asker.be(None)
    assert down(_after(asker, asker.ask(), 9))


def test_who_leaves_while_another_worker_finds_out_has_left(make: Make) -> None:
    one, other = make(), make()
    one.be(None)
    first = one.ask()
    one.pass_time(4)
    waiting = other.ask()
    one.pass_time(5)
    assert down(first)
    waiting.cancel()
    failure_of(waiting, CancelledError)


def test_nothing_is_remembered_of_those_that_are_not_asked(make: Make) -> None:
    one, other = make(), make()
    one.be(None)
    down(_after(one, one.ask(), 9))
    down(other.ask())
    assert other.availability._watched == {}


@pytest.mark.parametrize("more", range(0, 50, 7))
def test_who_is_back_is_asked_again_within_five_seconds(asker: Asker, more: int) -> None:
    asker.be(None)
    down(_after(asker, asker.ask(), 9))
    asker.pass_time(more / 10)
    asker.be(answer(), answer())
    asker.pass_time(5)
    assert ended(asker.ask()).code == 200
    asker.pass_time(60)
    assert asker.network.clock.getDelayedCalls() == []


def test_one_that_refuses_is_waited_for_by_nobody_either(asker: Asker) -> None:
    """Whoever waits had no answer for seconds, and the probe had none."""
    asker.be(None)
    waiting = asker.ask()
    asker.network.refuse(QUAY, Refused())
    asker.pass_time(6)
    assert down(waiting)


@pytest.mark.parametrize("error", [TooManySockets("2 of 2"), RefusedAddress("10.0.0.1")])
def test_what_says_nothing_of_the_host_does_not_count(asker: Asker, error: OSError) -> None:
    asker.be(None)
    waiting = asker.ask()
    asker.network.refuse(QUAY, error)
    asker.pass_time(20)
    assert not_yet(waiting)


def test_an_answer_to_somebody_else_shows_that_it_is_there(asker: Asker) -> None:
    asker.be(None)
    slow = asker.ask()
    asker.pass_time(6)
    asker.be(None, answer())
    assert ended(asker.ask("/other")).code == 200
    asker.pass_time(10)
    assert not_yet(slow)


def test_a_probe_whose_answer_is_there_when_its_time_is_over_counts(asker: Asker) -> None:
    """The reactor may be late itself: its clock is looked at before its sockets."""
    asker.be(None)
    slow = asker.ask()
    asker.pass_time(5)
    asker.network.clock.advance(3.6)
    asker.be(None, answer())
    assert ended(asker.ask("/other")).code == 200
    asker.network.advance(1)
    assert not_yet(slow)


def test_what_probes_show_is_told(network: Network, http: HTTPClient) -> None:
    """Nobody else asks: what shows which upstreams are up goes by these."""
    told: list[Attempt] = []
    now = lambda: EPOCH + network.clock.seconds()  # noqa: E731
    asker = Asker(network, http, Availability(lambda _: http, network.clock, now, told=told.append))
    asker.be(None)
    down(_after(asker, asker.ask(), 9))
    assert [(one.registry, one.trouble, one.is_up) for one in told] == [(UPSTREAM.registry, "timeout", False)]
    asker.be(answer(401), answer())
    asker.pass_time(5)
    assert (told[-1].is_up, told[-1].endpoint) == (True, QUAY)


def test_nobody_is_probed_whom_nobody_wants(asker: Asker) -> None:
    asker.be(None)
    down(_after(asker, asker.ask(), 9))
    asker.pass_time(100)
    before = asker.probes
    asker.pass_time(100)
    assert asker.probes == before
    assert asker.network.clock.getDelayedCalls() == []


def test_after_a_while_the_first_who_asks_waits_for_one_probe(asker: Asker) -> None:
    asker.be(None)
    down(_after(asker, asker.ask(), 9))
    asker.pass_time(100)
    first, second = asker.ask(), asker.ask()
    asker.pass_time(3)
    assert not_yet(first)
    asker.pass_time(1)
    assert "has not answered for" in down(first)
    assert "has not answered for" in down(second)
    assert asker.asked == 1


def test_or_is_answered_where_it_is_back(asker: Asker) -> None:
    asker.be(None)
    down(_after(asker, asker.ask(), 9))
    asker.pass_time(100)
    asker.be(answer(), answer())
    assert ended(asker.ask()).code == 200


def test_who_leaves_ends_what_was_asked_for_it(asker: Asker) -> None:
    asker.be(None)
    waiting = asker.ask()
    waiting.cancel()
    failure_of(waiting, CancelledError)
    asker.network.pump()
    assert asker.network.connections[0].wire.closed
    assert asker.network.clock.getDelayedCalls() == []


def test_a_clock_that_was_set_back_leaves_nobody_down(network: Network, http: HTTPClient) -> None:
    moment = [EPOCH]
    asker = Asker(
        network, http, Availability(lambda _: http, network.clock, lambda: moment[0] + network.clock.seconds())
    )
    asker.be(None)
    down(_after(asker, asker.ask(), 9))
    moment[0] -= 3600
    asker.be(answer(), answer())
    asking = asker.ask()
    asker.pass_time(1)
    assert ended(asking).code == 200


def test_other_workers_know_it_too(make: Make) -> None:
    one, other = make(), make()
    one.be(None)
    down(_after(one, one.ask(), 9))
    assert down(other.ask())
    one.be(answer(), answer())
    one.pass_time(5)
    assert ended(other.ask()).code == 200


def test_and_look_themselves_where_the_one_that_did_is_gone(make: Make) -> None:
    one, other = make(), make()
    one.be(None)
    down(_after(one, one.ask(), 9))
    one.pass_time(100)
    other.be(answer(), answer())
    assert ended(other.ask()).code == 200


def test_it_is_logged_once_when_it_goes_and_when_it_comes(asker: Asker) -> None:
    with Log() as log:
        asker.be(None)
        down(_after(asker, asker.ask(), 9))
        asker.pass_time(20)
        asker.be(answer(), answer())
        asker.pass_time(5)
    assert log.lines == [
        "https://quay.io does not answer: it is not asked until it does",
        "https://quay.io answers again after 32 s",
    ]


def _after(asker: Asker, asking: Deferred[IResponse], seconds: float) -> Deferred[IResponse]:
    asker.pass_time(seconds)
    return asking
