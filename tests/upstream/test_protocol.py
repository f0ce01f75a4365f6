"""What an upstream may do to a connection, seen through the real client."""

from __future__ import annotations

from typing import Any, cast

import pytest
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.client import Agent, ResponseDone
from twisted.web.iweb import IResponse

from crproxy.upstream.agent import send, treq_client
from crproxy.upstream.errors import BrokenHeader, describe, innermost
from crproxy.upstream.protocol import make_pool
from crproxy.upstream.relay import collect
from tests.memory import Connection, Network, ended, failure_of, not_yet

ORIGIN = "https://quay.io"
KIBIBYTE = 1024


class Asked:
    """A request that waits for its answer, and the connection it was made on."""

    def __init__(self, network: Network, http: HTTPClient, method: str = "GET") -> None:
        network.serve(ORIGIN, lambda _: None)
        self.network = network
        self.answered: Deferred[IResponse] = send(http, method, f"{ORIGIN}/x", {}, 30, network.clock)
        network.pump()

    @property
    def connection(self) -> Connection:
        return self.network.connections[-1]

    def refusal(self) -> str:
        """Why there is no answer; its connection was cut, and nothing waits any more."""
        error = failure_of(self.answered, Exception)
        assert isinstance(innermost(error), BrokenHeader)
        assert self.connection.wire.aborted
        assert self.network.clock.getDelayedCalls() == []
        return describe(error)


@pytest.fixture
def asked(network: Network, http: HTTPClient) -> Asked:
    return Asked(network, http)


ENDLESS = {
    "fields": b"HTTP/1.1 200 OK\r\n" + b"X-Field: value\r\n" * 10_000,
    "answers 103": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 5_000,
    "one folded field": b"HTTP/1.1 200 OK\r\nX-Field: a\r\n" + b" b\r\n" * 30_000,
}


@pytest.mark.parametrize("header", ENDLESS.values(), ids=ENDLESS.keys())
@pytest.mark.parametrize("size", [500, 16 * KIBIBYTE])
def test_s20_a_header_without_end_is_not_read_to_it(asked: Asked, header: bytes, size: int) -> None:
    sent = 0
    while not asked.connection.wire.aborted and sent < len(header):
        asked.connection.send(header[sent : sent + size])
        sent += size
    assert asked.refusal() == "it sent a header of more than 65536 bytes or 4096 lines"
    assert sent <= 64 * KIBIBYTE + size


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize(("fields", "is_read"), [(4000, True), (4100, False)])
def test_s20_a_header_of_many_short_lines_is_not_read(asked: Asked, end: bytes, fields: int, is_read: bool) -> None:
    """However many lines the body has that comes with it."""
    header = b"HTTP/1.1 200 OK" + end + (b"a:b" + end) * fields + b"Content-Length: 9000" + end + end
    asked.connection.send(header + b"\n" * 9000)
    if is_read:
        assert ended(asked.answered).code == 200
    else:
        assert asked.refusal() == "it sent a header of more than 65536 bytes or 4096 lines"


def test_a_header_within_the_limit_is_read_whatever_body_comes_with_it(asked: Asked) -> None:
    header = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n" + b"X-Field: value\r\n" * 3000 + b"\r\n"
    asked.connection.send(header + b"x" * 100_000)
    assert ended(asked.answered).code == 200


NO_ANSWERS = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a field without a colon": b"HTTP/1.1 200 OK\r\nNothing\r\n\r\n",
    "a folded first field": b"HTTP/1.1 200 OK\r\n folded\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "two lengths in one": b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nxx",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "a length that is no number": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
    "an unknown transfer coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
}


@pytest.mark.parametrize("answer", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
def test_s20_what_is_no_answer_is_none(asked: Asked, answer: bytes) -> None:
    asked.connection.send(answer)
    assert asked.refusal().startswith("it does not answer in HTTP (")


def test_the_reason_is_short(asked: Asked) -> None:
    asked.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9x" * 5000 + b"\r\n\r\n")
    assert len(asked.refusal()) <= 200


def test_a_few_early_answers_are_passed_over(asked: Asked) -> None:
    asked.connection.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 5 + b"HTTP/1.1 204 No Content\r\n\r\n")
    assert ended(asked.answered).code == 204


def test_s20_they_fill_no_log(asked: Asked) -> None:
    events = list[LogEvent]()
    observer = cast(ILogObserver, events.append)
    globalLogPublisher.addObserver(observer)
    try:
        asked.connection.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 2000 + b"HTTP/1.1 204 No Content\r\n\r\n")
    finally:
        globalLogPublisher.removeObserver(observer)
    assert ended(asked.answered).code == 204
    assert events == []


def test_s20_a_body_that_nobody_wants_is_cut_and_not_waited_for(asked: Asked) -> None:
    """Closed, TLS would read on until upstream says farewell."""
    asked.connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
    collected = asked.network.run(collect(ended(asked.answered), 10, 60, asked.network.clock))
    asked.connection.send(b"64\r\n" + b"x" * 100 + b"\r\n")
    assert asked.connection.wire.aborted
    assert "more than 10 bytes" in str(failure_of(collected, Exception))


def test_s15_a_body_that_trickles_in_for_ever_is_given_up(asked: Asked) -> None:
    asked.connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    collected = asked.network.run(collect(ended(asked.answered), 1000, 60, asked.network.clock))
    for _ in range(4):
        assert not_yet(collected)
        asked.network.advance(29)
        asked.connection.send(b"1\r\nx\r\n")
    asked.network.advance(5)
    assert str(failure_of(collected, Exception)) == "upstream did not come to an end in 120 s"
    assert asked.connection.wire.aborted
    assert asked.network.clock.getDelayedCalls() == []


# Connections that are kept


@pytest.fixture
def kept(network: Network) -> HTTPClient:
    """A client that keeps its connections."""
    endpoints = network.endpoints()
    pool = make_pool(network.clock, persistent=True)
    return treq_client(Agent.usingEndpointFactory(network.clock, endpoints, pool))


def read(asked: Asked) -> bytes:
    return ended(asked.network.run(collect(ended(asked.answered), 1000, 60, asked.network.clock)))


def test_a_connection_is_kept_for_the_next_request(network: Network, kept: HTTPClient) -> None:
    for _ in range(2):
        asked = Asked(network, kept)
        asked.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
        assert read(asked) == b"x"
    assert len(network.connections) == 1


POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"),
    ],
)
def test_s10_an_answer_that_nobody_asked_for_is_not_the_next_ones(
    network: Network, kept: HTTPClient, method: str, answer: bytes, later: bool
) -> None:
    """A body for HEAD, a body longer than it says, a second answer: at once, or while the connection is kept."""
    first = Asked(network, kept, method)
    connection = first.connection
    for piece in (answer, POISON) if later else (answer + POISON,):
        connection.send(piece)
    read(first)
    second = Asked(network, kept)
    assert connection.wire.aborted
    assert second.connection is not connection
    second.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
    assert read(second) == b"good"


# Chunks

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Pieces(Protocol):
    """Counts in how many pieces a body comes."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ended: list[Failure] = []

    def dataReceived(self, data: bytes) -> None:
        self.pieces.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.append(reason)


def chunks(data: bytes) -> bytes:
    return b"".join(b"1\r\n%c\r\n" % byte for byte in data)


@pytest.mark.security("S20")
def test_s20_what_was_read_at_once_is_one_piece_however_many_chunks_it_has(asked: Asked) -> None:
    body = Pieces()
    asked.connection.send(CHUNKED + chunks(b"a" * 1000))
    ended(asked.answered).deliverBody(body)
    asked.connection.send(chunks(b"b" * 1000))
    asked.connection.send(chunks(b"c" * 1000) + b"0\r\n\r\n")
    assert body.pieces == [letter * 1000 for letter in (b"a", b"b", b"c")]
    assert [reason.check(ResponseDone) for reason in body.ended] == [ResponseDone]


@pytest.mark.security("S20")
def test_s20_what_came_before_a_chunk_that_is_none_is_given(asked: Asked) -> None:
    body = Pieces()
    asked.connection.send(CHUNKED)
    ended(asked.answered).deliverBody(body)
    asked.connection.send(chunks(b"abc") + b"z\r\n")
    assert (body.pieces, len(body.ended)) == ([b"abc"], 1)
    assert asked.connection.wire.aborted


@pytest.mark.parametrize(("header", "size"), [(CHUNKED, 16 * KIBIBYTE), (b"HTTP/1.1 200 OK\r\n\r\n", 256 * KIBIBYTE)])
def test_what_comes_in_chunks_is_read_in_small_parts(asked: Asked, header: bytes, size: int) -> None:
    asked.connection.send(header)
    wire: Any = asked.connection.wire
    assert wire.bufferSize == size
