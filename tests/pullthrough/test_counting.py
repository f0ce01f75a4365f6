from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer

from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.pullthrough.counting import counted
from crproxy.pullthrough.reply import Content, Reply
from tests.memory import ended, failure_of
from tests.upstream.conftest import Consumer


class Waiting:
    """A body that ends when the test says so."""

    length = 3

    def __init__(self) -> None:
        self.flowing: Deferred[None] = Deferred()
        self.abandoned = False

    def join(self, consumer: IConsumer) -> Deferred[None]:
        return self.flowing

    def abandon(self) -> None:
        self.abandoned = True


class Ends:
    def __init__(self) -> None:
        self.number = 0

    def __call__(self) -> None:
        self.number += 1


async def replied(body: Waiting | Content) -> Reply:
    return Reply(206, {"ETag": "x"}, body)


def counting(body: Waiting | Content) -> tuple[Reply, Ends]:
    ends = Ends()
    reply = ended(Deferred.fromCoroutine(counted(replied(body), ends)))
    assert (reply.status, reply.headers, reply.body.length, ends.number) == (206, {"ETag": "x"}, 3, 0)
    return reply, ends


def test_it_counts_until_the_body_ends() -> None:
    body = Waiting()
    reply, ends = counting(body)
    joined = reply.body.join(Consumer())
    assert ends.number == 0
    body.flowing.callback(None)
    ended(joined)
    reply.body.abandon()
    assert ends.number == 1


def test_until_it_is_cut() -> None:
    body = Waiting()
    reply, ends = counting(body)
    joined = reply.body.join(Consumer())
    body.flowing.errback(OSError("cut"))
    failure_of(joined, OSError)
    assert ends.number == 1


def test_until_its_client_leaves() -> None:
    reply, ends = counting(Waiting())
    joined = reply.body.join(Consumer())
    joined.addErrback(lambda _: None)
    joined.cancel()
    assert ends.number == 1


def test_until_it_is_abandoned_unread() -> None:
    body = Waiting()
    reply, ends = counting(body)
    reply.body.abandon()
    assert (body.abandoned, ends.number) == (True, 1)


def test_until_it_is_written_where_it_is_in_memory() -> None:
    reply, ends = counting(Content(b"abc"))
    consumer = Consumer()
    ended(reply.body.join(consumer))
    assert (consumer.content, ends.number) == (b"abc", 1)


def test_until_upstream_refuses() -> None:
    async def refused() -> Reply:
        raise RegistryError(ErrorCode.DENIED, "no")

    ends = Ends()
    failure_of(Deferred.fromCoroutine(counted(refused(), ends)), RegistryError)
    assert ends.number == 1


def test_until_its_client_leaves_while_upstream_is_asked() -> None:
    asked: Deferred[Reply] = Deferred()
    ends = Ends()
    counting_ = Deferred.fromCoroutine(counted(asked, ends))
    counting_.addErrback(lambda _: None)
    counting_.cancel()
    assert ends.number == 1
