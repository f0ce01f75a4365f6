"""Requests sent one behind the other, by a client that takes no answer: each waits for room for its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from crproxy.pullthrough import Content, Reply
from crproxy.web.answering import answer
from crproxy.web.site import PlainSite
from tests.memory import Wire

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE
# What Twisted's transports hold before they ask to wait.
ROOM = 64 * KIBIBYTE
ONE = b"GET /%d HTTP/1.1\r\nHost: cr.test\r\n\r\n"


class Full(Wire):
    """A transport that takes nothing by itself, and asks its producer to wait as a socket's does.

    Arguments:
        once: as TLS does, which says so once and then no more until it has room.
    """

    def __init__(self, *, once: bool) -> None:
        super().__init__()
        self.peerAddr = IPv4Address("TCP", "192.0.2.1", 1)
        self._pieces: list[bytes] = []
        self._once = once
        self._told = False

    def write(self, data: bytes) -> None:
        super().write(data)
        if len(self.value()) > ROOM and self.producer is not None and not (self._once and self._told):
            self._told = True
            self.producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def take(self) -> None:
        """The client takes all that is here."""
        self._pieces.append(self.value())
        self.clear()
        if self._told and self.producer is not None:
            self._told = False
            self.producer.resumeProducing()

    @property
    def taken(self) -> bytes:
        return b"".join(self._pieces)

    def take_all(self) -> bytes:
        while self.value():
            self.take()
        return self.taken


@dataclass
class Answering(Resource):
    """Answers with so many bytes, which begin with the path; ``later`` lets the test say when."""

    size: int
    later: bool = False
    asked: list[Request] = field(default_factory=list)
    isLeaf = True

    def __post_init__(self) -> None:
        super().__init__()

    def render(self, request: Request) -> int:
        self.asked.append(request)
        if not self.later:
            self.answer(request)
        return NOT_DONE_YET

    def answer(self, request: Request) -> None:
        async def reply() -> Reply:
            return Reply(200, {}, Content(request.path.ljust(self.size, b".")))

        answer(request, reply())


class Connected:
    """A connection to a site of one resource."""

    def __init__(self, resource: Answering, *, once: bool = False) -> None:
        self.clock = Clock()
        self.site = PlainSite.make(resource, "test", self.clock, None)
        self.wire = Full(once=once)
        protocol = self.site.buildProtocol(None)
        assert isinstance(protocol, Protocol)
        self.protocol = protocol
        protocol.makeConnection(self.wire)

    def ask(self, *numbers: int, head: bool = False) -> None:
        method = b"HEAD" if head else b"GET"
        self.protocol.dataReceived(b"".join((ONE % number).replace(b"GET", method) for number in numbers))


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("size", [10, 10 * KIBIBYTE, ROOM + 1, 200 * KIBIBYTE])
def test_one_answer_at_the_most_waits_for_a_client_that_takes_none(size: int, once: bool) -> None:
    resource = Answering(size)
    connected = Connected(resource, once=once)
    connected.ask(*range(500))
    assert len(connected.wire.value()) <= 2 * ROOM + KIBIBYTE
    assert connected.wire.paused
    before = len(resource.asked)
    assert before < 500
    received = connected.wire.take_all()
    assert received.count(b"HTTP/1.1 200 OK") == 500
    bodies = [part.partition(b"\r\n\r\n")[2] for part in received.split(b"HTTP/1.1 ")[1:]]
    assert [body.rstrip(b".") for body in bodies] == [b"/%d" % number for number in range(500)]
    assert {len(body) for body in bodies} == {size}
    assert not connected.wire.paused


def test_answers_to_head_wait_as_well() -> None:
    resource = Answering(MEBIBYTE)
    connected = Connected(resource)
    connected.ask(*range(1000), head=True)
    assert len(resource.asked) < 1000
    assert len(connected.wire.value()) <= ROOM + KIBIBYTE
    assert connected.wire.take_all().count(b"HTTP/1.1 200 OK") == 1000


def test_content_that_is_small_is_written_whatever_waits_and_the_next_request_is_held() -> None:
    resource = Answering(100, later=True)
    connected = Connected(resource, once=True)
    connected.ask(0, 1)
    connected.protocol.pauseProducing()  # type: ignore[attr-defined]  # TLS's, of what was written before
    resource.answer(resource.asked[0])
    assert len(resource.asked) == 1
    connected.protocol.resumeProducing()  # type: ignore[attr-defined]
    assert len(resource.asked) == 2


def test_a_producer_that_begins_while_there_is_no_room_waits_though_tls_says_nothing_more() -> None:
    resource = Answering(MEBIBYTE, later=True)
    connected = Connected(resource, once=True)
    connected.ask(0)
    connected.wire.write(b"x" * (ROOM + 1))
    resource.answer(resource.asked[0])
    assert len(connected.wire.value()) <= 2 * ROOM + KIBIBYTE
    assert connected.wire.take_all().endswith(b".")
    assert len(connected.wire.taken) > MEBIBYTE


def test_a_client_that_sends_while_it_takes_nothing_is_read_no_further() -> None:
    resource = Answering(200 * KIBIBYTE)
    connected = Connected(resource)
    connected.ask(0)
    sent = 0
    while not connected.wire.paused:
        connected.ask(*range(10))
        sent += 10
        assert sent < 1000
    connected.wire.take_all()
    assert len(resource.asked) == 1 + sent


def test_nor_while_its_answer_is_waited_for() -> None:
    resource = Answering(10, later=True)
    connected = Connected(resource)
    connected.ask(0)
    while not connected.wire.paused:
        connected.ask(*range(10))
        assert len(resource.asked) == 1
    for number in range(600):
        if number == len(resource.asked):
            break
        resource.answer(resource.asked[number])
        connected.wire.take()
    assert number > 100
    assert not connected.wire.paused


def test_the_time_of_a_request_that_is_not_read_does_not_run() -> None:
    connected = Connected(Answering(10))
    connected.protocol.dataReceived(b"GET /1 HT")
    connected.protocol.pauseProducing()  # type: ignore[attr-defined]
    connected.clock.advance(25)
    connected.protocol.resumeProducing()  # type: ignore[attr-defined]
    connected.clock.advance(9.9)
    assert connected.wire.value() == b""
    connected.clock.advance(0.2)
    assert connected.wire.value().startswith(b"HTTP/1.1 408 ")


def test_one_that_was_held_whole_takes_no_time_either() -> None:
    connected = Connected(Answering(MEBIBYTE))
    connected.ask(0, 1)
    connected.protocol.dataReceived(b"GET /2 HT")
    connected.clock.advance(25)
    connected.wire.take_all()
    assert connected.wire.taken.count(b"HTTP/1.1 200 OK") == 2
    connected.clock.advance(9)
    connected.protocol.dataReceived(b"TP/1.1\r\nHost: cr.test\r\n\r\n")
    assert connected.wire.take_all().count(b"HTTP/1.1 200 OK") == 3
    connected.clock.advance(59)
    assert not connected.wire.disconnecting
    connected.clock.advance(2)
    assert connected.wire.disconnecting


def test_s20_a_client_that_takes_nothing_is_cut_off_whatever_it_still_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crproxy.web.taking.backlog", lambda _: (7, 7))
    connected = Connected(Answering(MEBIBYTE))
    connected.ask(*range(300))
    for _ in range(4):
        assert not connected.wire.aborted
        connected.clock.advance(30)
    assert connected.wire.aborted


def test_the_last_answer_is_the_last_though_more_was_asked() -> None:
    resource = Answering(MEBIBYTE)
    connected = Connected(resource)
    connected.protocol.dataReceived(b"GET /0 HTTP/1.1\r\nHost: cr.test\r\nConnection: close\r\n\r\n" + ONE % 1)
    connected.wire.take_all()
    assert (len(resource.asked), connected.wire.disconnecting) == (1, True)


def test_a_daemon_that_stops_sends_the_answer_that_is_taken_and_begins_no_other() -> None:
    resource = Answering(MEBIBYTE)
    connected = Connected(resource)
    connected.ask(0, 1, 2)
    connected.site.connections.close()
    connected.clock.advance(1)
    assert connected.wire.take_all().count(b"HTTP/1.1 200 OK") == 1
    assert len(connected.wire.taken) > MEBIBYTE
    assert connected.wire.disconnecting
