from __future__ import annotations

import pytest
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.web.iweb import IResponse

from crproxy.upstream.agent import send
from crproxy.upstream.relay import BodyBroke, BodyTooLarge, BodyUnwanted, Relay, abandon, collect, discard
from tests.memory import Connection, Network, answer, ended, failure_of, not_yet
from tests.upstream.conftest import Consumer

IDLE = 60.0


@pytest.fixture
def server(network: Network) -> Server:
    return Server(network)


class Server:
    """A server that has one request, and answers it piece by piece."""

    def __init__(self, network: Network) -> None:
        self.network = network
        network.serve("https://quay.io", lambda _: None)

    def answer(self, http: HTTPClient, header: bytes) -> IResponse:
        asked = send(http, "GET", "https://quay.io/blob", {}, 30, self.network.clock)
        self.network.pump()
        self.connection.send(header)
        return ended(asked)

    @property
    def connection(self) -> Connection:
        return self.network.connections[0]

    def relay(self, http: HTTPClient, header: bytes) -> Relay:
        return Relay(self.answer(http, header), IDLE, self.network.clock)


@pytest.fixture
def ten(server: Server, http: HTTPClient) -> Relay:
    """The relay of a body of ten bytes of which none has come yet."""
    return server.relay(http, answer(length=10))


def test_the_length_is_what_upstream_said(ten: Relay) -> None:
    assert ten.length == 10


def test_a_body_without_a_length_has_none(server: Server, http: HTTPClient) -> None:
    assert server.relay(http, answer(200, b"", "Transfer-Encoding: chunked", length=None)).length is None


def test_bytes_flow_as_they_arrive(server: Server, ten: Relay, consumer: Consumer) -> None:
    done = ten.join(consumer)
    server.connection.send(b"01234")
    assert consumer.pieces == [b"01234"]
    server.connection.send(b"56789")
    assert consumer.pieces == [b"01234", b"56789"]
    assert ended(done) is None
    assert (consumer.registered, consumer.unregistered) == (1, 1)


def test_the_consumer_is_given_a_push_producer(ten: Relay, consumer: Consumer) -> None:
    ten.join(consumer)
    assert consumer.streaming is True


def test_an_empty_body_ends_at_once(server: Server, http: HTTPClient, consumer: Consumer) -> None:
    relay = server.relay(http, answer(length=0))
    assert ended(relay.join(consumer)) is None
    assert consumer.content == b""
    assert (consumer.registered, consumer.unregistered) == (1, 1)


def test_bytes_that_came_with_the_header_are_not_lost(server: Server, http: HTTPClient, consumer: Consumer) -> None:
    relay = server.relay(http, answer(200, b"0123456789"))
    assert ended(relay.join(consumer)) is None
    assert consumer.content == b"0123456789"


def test_chunks_arrive_without_their_framing(server: Server, http: HTTPClient, consumer: Consumer) -> None:
    done = server.relay(http, answer(200, b"", "Transfer-Encoding: chunked", length=None)).join(consumer)
    server.connection.send(b"3\r\nabc\r\n2\r\nde\r\n")
    assert not_yet(done)
    server.connection.send(b"0\r\n\r\n")
    assert ended(done) is None
    assert consumer.content == b"abcde"


def test_a_body_ends_with_its_connection_where_nothing_else_tells_its_end(
    server: Server, http: HTTPClient, consumer: Consumer
) -> None:
    done = server.relay(http, answer(200, b"abc", length=None)).join(consumer)
    assert not_yet(done)
    server.connection.end()
    assert ended(done) is None
    assert consumer.content == b"abc"


@pytest.mark.parametrize("how", ["end", "cut"])
def test_a_body_shorter_than_its_length_broke(server: Server, ten: Relay, consumer: Consumer, how: str) -> None:
    done = ten.join(consumer)
    server.connection.send(b"012345678")
    getattr(server.connection, how)()
    error = failure_of(done, BodyBroke)
    assert str(error).startswith("upstream ended in mid-body")
    assert consumer.unregistered == 1


def test_chunks_without_their_last_broke(server: Server, http: HTTPClient, consumer: Consumer) -> None:
    done = server.relay(http, answer(200, b"3\r\nabc\r\n", "Transfer-Encoding: chunked", length=None)).join(consumer)
    server.connection.end()
    failure_of(done, BodyBroke)


def test_chunks_that_are_none_broke(server: Server, http: HTTPClient, consumer: Consumer) -> None:
    done = server.relay(http, answer(200, b"", "Transfer-Encoding: chunked", length=None)).join(consumer)
    server.connection.send(b"zz\r\nabc\r\n")
    failure_of(done, BodyBroke)


def test_bytes_beyond_the_length_are_not_passed_on(server: Server, ten: Relay, consumer: Consumer) -> None:
    done = ten.join(consumer)
    server.connection.send(b"0123456789more")
    assert ended(done) is None
    assert consumer.content == b"0123456789"


def test_upstream_waits_until_a_consumer_is_joined(server: Server, ten: Relay, consumer: Consumer) -> None:
    assert server.connection.wire.paused
    ten.join(consumer)
    assert not server.connection.wire.paused


def test_a_stalled_consumer_pauses_upstream_and_resumes_it(server: Server, ten: Relay, consumer: Consumer) -> None:
    ten.join(consumer)
    consumer.producer.pauseProducing()
    assert server.connection.wire.paused
    consumer.producer.resumeProducing()
    assert not server.connection.wire.paused


def test_a_consumer_that_is_gone_closes_upstreams_connection(server: Server, ten: Relay, consumer: Consumer) -> None:
    done = ten.join(consumer)
    consumer.producer.stopProducing()
    assert server.connection.wire.disconnecting
    server.network.pump()
    # Which tells nothing of upstream.
    failure_of(done, BodyUnwanted)
    assert consumer.unregistered == 0, "it is gone: nothing more is said to it"


def test_cancelling_closes_upstreams_connection(server: Server, ten: Relay, consumer: Consumer) -> None:
    done = ten.join(consumer)
    done.cancel()
    failure_of(done, CancelledError)
    assert server.connection.wire.disconnecting
    server.network.pump()
    assert consumer.unregistered == 0


def test_bytes_that_arrive_after_cancelling_do_no_harm(server: Server, ten: Relay, consumer: Consumer) -> None:
    done = ten.join(consumer)
    done.cancel()
    failure_of(done, CancelledError)
    server.connection.send(b"01234")
    assert server.network.clock.getDelayedCalls() == []


def test_an_upstream_that_stands_still_is_given_up(server: Server, ten: Relay, consumer: Consumer) -> None:
    done = ten.join(consumer)
    server.network.advance(IDLE - 1)
    assert not_yet(done)
    server.network.advance(1)
    assert str(failure_of(done, BodyBroke)) == "upstream sent nothing for 60 s"
    assert server.connection.wire.closed
    assert consumer.unregistered == 1


def test_every_piece_starts_the_idle_time_anew(server: Server, ten: Relay, consumer: Consumer) -> None:
    done = ten.join(consumer)
    for digit in range(9):
        server.network.advance(IDLE - 1)
        server.connection.send(b"%d" % digit)
    assert not_yet(done)
    server.network.advance(IDLE)
    failure_of(done, BodyBroke)


def test_the_idle_time_does_not_run_while_the_consumer_is_not_ready(
    server: Server, ten: Relay, consumer: Consumer
) -> None:
    done = ten.join(consumer)
    server.network.advance(IDLE - 1)
    consumer.producer.pauseProducing()
    server.network.advance(100 * IDLE)
    assert not_yet(done)
    consumer.producer.resumeProducing()
    server.network.advance(IDLE - 1)
    assert not_yet(done)
    server.network.advance(1)
    failure_of(done, BodyBroke)


def test_pausing_twice_is_pausing_once(server: Server, ten: Relay, consumer: Consumer) -> None:
    ten.join(consumer)
    consumer.producer.pauseProducing()
    consumer.producer.pauseProducing()
    consumer.producer.resumeProducing()
    consumer.producer.resumeProducing()
    assert len(server.network.clock.getDelayedCalls()) == 1


def test_nothing_is_left_on_the_clock_at_the_end(server: Server, ten: Relay, consumer: Consumer) -> None:
    ten.join(consumer)
    server.connection.send(b"0123456789")
    assert server.network.clock.getDelayedCalls() == []


def test_an_abandoned_body_closes_its_connection(server: Server, ten: Relay) -> None:
    ten.abandon()
    assert server.connection.wire.disconnecting
    server.network.pump()
    assert server.network.clock.getDelayedCalls() == []


def test_an_abandoned_body_that_is_already_here_does_no_harm(server: Server, http: HTTPClient) -> None:
    abandon(server.answer(http, answer(200, b"0123456789")))
    server.network.pump()


def collected(server: Server, response: IResponse, limit: int) -> Deferred[bytes]:
    return server.network.run(collect(response, limit, IDLE, server.network.clock))


@pytest.mark.parametrize("length", [-1, None])
def test_a_body_up_to_the_limit_is_collected(server: Server, http: HTTPClient, length: int | None) -> None:
    body = collected(server, server.answer(http, answer(200, b"0123456789", length=length)), 10)
    server.connection.end()
    assert ended(body) == b"0123456789"


@pytest.mark.security("S15", "S16")
def test_a_body_with_too_great_a_length_is_not_read(server: Server, http: HTTPClient) -> None:
    body = collected(server, server.answer(http, answer(length=11)), 10)
    assert str(failure_of(body, BodyTooLarge)) == "a body of 11 bytes, where 10 are the most"
    assert server.connection.wire.closed


@pytest.mark.security("S15", "S16")
def test_a_body_that_grows_over_the_limit_is_stopped_there(server: Server, http: HTTPClient) -> None:
    body = collected(server, server.answer(http, answer(length=None)), 10)
    server.connection.send(b"0123456789")
    assert not_yet(body)
    server.connection.send(b"x")
    assert str(failure_of(body, BodyTooLarge)) == "a body of more than 10 bytes"
    assert server.connection.wire.closed


def test_a_body_that_is_over_the_limit_and_whole_at_once_is_too_large(server: Server, http: HTTPClient) -> None:
    response = server.answer(
        http, answer(200, b"b\r\n0123456789x\r\n0\r\n\r\n", "Transfer-Encoding: chunked", length=None)
    )
    failure_of(collected(server, response, 10), BodyTooLarge)


def test_a_body_that_broke_is_not_collected(server: Server, http: HTTPClient) -> None:
    body = collected(server, server.answer(http, answer(200, b"01234", length=10)), 10)
    server.connection.cut()
    failure_of(body, BodyBroke)


def test_collecting_has_an_idle_time(server: Server, http: HTTPClient) -> None:
    body = collected(server, server.answer(http, answer(length=10)), 10)
    server.network.advance(IDLE)
    failure_of(body, BodyBroke)


def test_collecting_can_be_cancelled(server: Server, http: HTTPClient) -> None:
    body = collected(server, server.answer(http, answer(length=10)), 10)
    body.cancel()
    failure_of(body, CancelledError)
    server.network.pump()
    assert server.connection.wire.closed
    assert server.network.clock.getDelayedCalls() == []


def test_a_short_unwanted_body_is_read(server: Server, http: HTTPClient) -> None:
    discard(server.answer(http, answer(length=10)), IDLE, server.network.clock)
    assert not server.connection.wire.disconnecting
    server.connection.send(b"0123456789")
    assert server.network.clock.getDelayedCalls() == []


@pytest.mark.parametrize("length", [64 * 1024 + 1, None])
def test_a_long_unwanted_body_is_let_go(server: Server, http: HTTPClient, length: int | None) -> None:
    discard(server.answer(http, answer(length=length)), IDLE, server.network.clock)
    assert server.connection.wire.disconnecting
    server.network.pump()


def test_an_unwanted_body_that_breaks_or_stands_still_does_no_harm(server: Server, http: HTTPClient) -> None:
    discard(server.answer(http, answer(length=10)), IDLE, server.network.clock)
    server.network.advance(IDLE)
    assert server.connection.wire.closed
