from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.web.server import Request
from twisted.web.test.requesthelper import DummyChannel

from crproxy.pullthrough import Content, Reply, Unsent
from crproxy.web.sending import send
from tests.memory import ended, failure_of, not_yet


class Body:
    """A body that flows when the test says so."""

    def __init__(self, length: int | None) -> None:
        self.length = length
        self.joined: Deferred[None] = Deferred()
        self.abandoned = False
        self.consumer: IConsumer | None = None

    def join(self, consumer: IConsumer) -> Deferred[None]:
        self.consumer = consumer
        return self.joined

    def abandon(self) -> None:
        self.abandoned = True


@pytest.fixture
def request_() -> Request:
    request = Request(DummyChannel(), False)
    request.method, request.clientproto = b"GET", b"HTTP/1.1"
    return request


def sent(request: Request) -> bytes:
    transport: Any = request.transport
    return bytes(transport.written.getvalue())


def test_a_reply_is_sent_with_its_status_header_and_body(request_: Request) -> None:
    done = Deferred.fromCoroutine(send(request_, Reply(404, {"X-One": "1"}, Content(b"body"))))
    ended(done)
    assert sent(request_).startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert b"X-One: 1\r\n" in sent(request_)
    assert b"Content-Length: 4\r\n" in sent(request_)
    assert sent(request_).endswith(b"\r\n\r\nbody")
    assert request_.finished


def test_the_header_is_sent_before_the_body_flows(request_: Request) -> None:
    body = Body(10)
    done = Deferred.fromCoroutine(send(request_, Reply(200, {}, body)))
    assert b"Content-Length: 10\r\n" in sent(request_)
    assert not_yet(done)
    assert body.consumer is request_


def test_the_request_ends_when_the_body_has_flown(request_: Request) -> None:
    body = Body(None)
    done = Deferred.fromCoroutine(send(request_, Reply(200, {}, body)))
    assert not request_.finished
    body.joined.callback(None)
    ended(done)
    assert request_.finished


def test_a_body_that_breaks_leaves_the_request_open_and_says_so(request_: Request) -> None:
    body = Body(10)
    done = Deferred.fromCoroutine(send(request_, Reply(200, {}, body)))
    body.joined.errback(ValueError("broken"))
    failure_of(done, ValueError)
    assert not request_.finished


def test_head_has_the_length_but_lets_go_of_the_body(request_: Request) -> None:
    request_.method = b"HEAD"
    body = Body(10)
    ended(Deferred.fromCoroutine(send(request_, Reply(200, {}, body))))
    assert sent(request_).endswith(b"\r\n\r\n")
    assert b"Content-Length: 10\r\n" in sent(request_)
    assert body.abandoned
    assert body.consumer is None
    assert request_.finished


@pytest.mark.parametrize(("length", "line"), [(10, True), (0, True), (None, False)])
def test_head_names_the_length_of_what_is_not_sent_if_it_is_known(
    request_: Request, length: int | None, line: bool
) -> None:
    request_.method = b"HEAD"
    ended(Deferred.fromCoroutine(send(request_, Reply(200, {}, Unsent(length)))))
    assert (f"Content-Length: {length}\r\n".encode() in sent(request_)) is line
    assert (b"Content-Length" in sent(request_)) is line
    assert b"Transfer-Encoding" not in sent(request_)
