from __future__ import annotations

import pytest
from treq.client import HTTPClient
from twisted.internet import error

from crproxy.config import Upstream
from crproxy.oci.errors import RegistryError
from crproxy.upstream.attempts import Attempt
from crproxy.upstream.errors import RefusedAddress
from crproxy.upstream.exchange import Exchange, Question
from crproxy.upstream.tokens import Tokens
from tests.memory import Network, answer, ended, failure_of
from tests.upstream.conftest import QUAY, TIMEOUTS, Consumer

BLOB = Question("GET", "/v2/org/name/blobs/x", "")


@pytest.mark.parametrize(
    ("status", "trouble", "up"), [(200, "", True), (404, "", True), (429, "quota", True), (500, "server", False)]
)
def test_an_answer_tells_how_it_is(status: int, trouble: str, up: bool) -> None:
    attempt = Attempt.of_status(QUAY, 0.5, status)
    assert (attempt.trouble, attempt.answered, attempt.is_up) == (trouble, True, up)


def test_an_error_is_no_answer() -> None:
    attempt = Attempt.of_error(QUAY, 0.5, error.DNSLookupError())
    assert (attempt.trouble, attempt.answered, attempt.is_up) == ("dns", False, False)


class Watched:
    """An exchange, and what it tells."""

    def __init__(self, network: Network, http: HTTPClient, tokens: Tokens) -> None:
        self.attempts: list[Attempt] = []
        self.bytes: list[int] = []
        self.exchange = Exchange(
            lambda _: http, tokens, TIMEOUTS, network.clock, told=self.attempts.append, received=self.bytes.append
        )


@pytest.fixture
def watched(network: Network, http: HTTPClient, tokens: Tokens) -> Watched:
    return Watched(network, http, tokens)


def test_each_attempt_is_told_of_with_its_time(watched: Watched, network: Network, upstream: Upstream) -> None:
    network.serve("https://quay.io", [answer(503, b""), answer(200, b"x")])
    asked = network.run(watched.exchange.ask(upstream, BLOB))
    network.advance(1)
    assert ended(asked).status == 200
    assert [attempt.trouble for attempt in watched.attempts] == ["server", ""]
    assert {attempt.registry for attempt in watched.attempts} == {QUAY}


def test_what_cannot_be_asked_is_told_of(watched: Watched, network: Network, upstream: Upstream) -> None:
    network.refuse("https://quay.io", RefusedAddress("its name leads to 10.0.0.1"))
    failure_of(network.run(watched.exchange.ask(upstream, BLOB)), RegistryError)
    assert [attempt.trouble for attempt in watched.attempts] == ["address"]


def test_the_bytes_of_bodies_are_told_of(watched: Watched, network: Network, upstream: Upstream) -> None:
    network.serve("https://quay.io", [answer(200, b"12345"), answer(200, b"123")])
    first = ended(network.run(watched.exchange.ask(upstream, BLOB)))
    watched.exchange.relay(first).join(Consumer())
    network.pump()
    second = ended(network.run(watched.exchange.ask(upstream, BLOB)))
    assert ended(network.run(watched.exchange.read(second, 100))) == b"123"
    assert sum(watched.bytes) == 8
