"""Bodies that are wanted whole."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer

from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.pullthrough.collecting import collected
from crproxy.pullthrough.reply import Content
from tests.memory import ended, failure_of


class Body:
    """One that a test sends by hand."""

    def __init__(self, length: int | None = None) -> None:
        self.length = length
        self.is_abandoned = self.is_stopped = False
        self.over: Deferred[None] = Deferred()

    def join(self, consumer: IConsumer) -> Deferred[None]:
        self.consumer = consumer
        producer: Any = self
        consumer.registerProducer(producer, True)
        return self.over

    def abandon(self) -> None:
        self.is_abandoned = True

    def stopProducing(self) -> None:
        self.is_stopped = True

    def end(self) -> None:
        self.consumer.unregisterProducer()
        self.over.callback(None)


def collecting(body: Body, limit: int = 10) -> Deferred[bytes]:
    return Deferred.fromCoroutine(collected(body, limit, "it is too long"))


def refusal_of(waiting: Deferred[bytes]) -> RegistryError:
    error = failure_of(waiting, RegistryError)
    assert isinstance(error, RegistryError)
    return error


def test_what_is_in_memory() -> None:
    assert ended(Deferred.fromCoroutine(collected(Content(b"0123456789"), 10, "it is too long"))) == b"0123456789"


def test_what_comes_in_pieces() -> None:
    body = Body()
    waiting = collecting(body)
    for piece in (b"01234", b"56789"):
        body.consumer.write(piece)
    body.end()
    assert ended(waiting) == b"0123456789"


def test_what_is_said_to_be_too_long_is_not_begun() -> None:
    body = Body(length=11)
    error = refusal_of(collecting(body))
    assert (error.code, error.status, error.message) == (ErrorCode.MANIFEST_INVALID, 502, "it is too long")
    assert body.is_abandoned


@pytest.mark.parametrize("end", ["well", "cut"])
def test_what_is_too_long_is_stopped(end: str) -> None:
    body = Body()
    waiting = collecting(body)
    body.consumer.write(b"0" * 11)
    assert body.is_stopped
    body.consumer.write(b"0" * 1000)
    if end == "well":
        body.end()
    else:
        body.over.errback(ConnectionError("stopped"))
    assert refusal_of(waiting).message == "it is too long"


def test_what_is_cut_short() -> None:
    body = Body()
    waiting = collecting(body)
    body.consumer.write(b"0")
    body.over.errback(ConnectionError("reset by peer"))
    error = refusal_of(waiting)
    assert (error.code, error.retry_after) == (ErrorCode.UNAVAILABLE, 10)
    assert error.message == "what belongs to the image was cut short: reset by peer"


def test_what_says_itself_why_it_ended() -> None:
    body, why = Body(), RegistryError(ErrorCode.DENIED, "no")
    waiting = collecting(body)
    body.over.errback(why)
    assert refusal_of(waiting) is why


def test_who_leaves_has_left() -> None:
    body = Body()
    waiting = collecting(body)
    waiting.cancel()
    failure_of(waiting, CancelledError)
