from __future__ import annotations

from typing import Any, cast

import pytest
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface.verify import verifyObject

from crproxy.forward.switching import ConnectChannel, Switch, Switching
from crproxy.web.site import PlainSite
from tests.memory import Network
from tests.web.conftest import Browser

ASKED = b"CONNECT quay.io:443 HTTP/1.1\r\n\r\n"


class Inside(Protocol):
    """What speaks then."""

    heard = b""
    lost = 0
    # Whether it could be spoken to before it had begun.
    early = False

    def connectionMade(self) -> None:
        wire: Any = self.transport
        self.early = not wire.paused

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost += 1


class Waiting(Resource):
    """Keeps its requests."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []

    def render(self, request: Request) -> int:
        self.requests.append(request)
        return NOT_DONE_YET


class World:
    def __init__(self) -> None:
        self.network = Network()
        self.resource = Waiting()
        self.site = PlainSite.make(self.resource, "proxy", self.network.clock, None)
        self.site.protocol = ConnectChannel
        self.factory = Switching(self.site)
        self.browser = Browser(cast(Site, self.factory), self.network)

    @property
    def switch(self) -> Switch:
        channel: Any = self.resource.requests[0].channel
        switch: Switch = channel.switch
        return switch


@pytest.fixture
def world() -> World:
    return World()


def test_until_then_it_is_http(world: World) -> None:
    verifyObject(IProtocolFactory, world.factory)
    world.browser.send(b"GET / HT")
    assert len(world.site.connections) == 1
    world.browser.send(b"TP/1.1\r\n\r\n")
    assert [request.method for request in world.resource.requests] == [b"GET"]
    assert world.switch.is_connected
    world.browser.leave()
    assert world.resource.requests[0]._disconnected
    assert len(world.site.connections) == 0


def test_the_site_starts_and_stops_with_it() -> None:
    told: list[str] = []

    class Told(PlainSite):
        def doStart(self) -> None:
            told.append("start")

        def doStop(self) -> None:
            told.append("stop")

    factory = Switching(Told(Resource(), Network().clock))
    factory.doStart()
    factory.doStop()
    assert told == ["start", "stop"]


def test_nothing_is_read_before_somebody_listens(world: World) -> None:
    world.browser.send(ASKED)
    assert world.switch.detach() == b""
    assert world.browser.wire.paused
    inside, wire = Inside(), cast(object, world.browser.wire)
    world.switch.give(inside)
    assert (inside.early, world.browser.wire.producerState) == (False, "producing")
    assert inside.transport is wire
    world.browser.send(b"hello")
    world.browser.send(b" you")
    assert inside.heard == b"hello you"
    world.browser.leave()
    assert inside.lost == 1


@pytest.mark.parametrize("pieces", [[ASKED + b"more"], [ASKED, b"mo", b"re"], [ASKED + b"mo", b"re"]])
def test_what_was_read_already_is_told(world: World, pieces: list[bytes]) -> None:
    for piece in pieces:
        world.browser.send(piece)
    assert world.switch.detach() == b"more"
    # It is told once.
    assert world.switch.detach() == b""


@pytest.mark.parametrize("stalled", [False, True])
def test_http_leaves_nothing_behind(world: World, stalled: bool) -> None:
    """Neither a time that ends the connection, nor a say in when is written, nor a place among those of HTTP."""
    world.browser.send(ASKED)
    if stalled:
        world.browser.stall()
        assert world.network.clock.getDelayedCalls() != []
    world.switch.detach()
    assert world.network.clock.getDelayedCalls() == []
    assert world.browser.wire.producer is None
    assert len(world.site.connections) == 0


def test_the_rest_of_a_piece_is_no_request_any_more(world: World) -> None:
    unread: list[bytes] = []

    def switch(request: Request) -> int:
        channel: Any = request.channel
        unread.append(channel.switch.detach())
        return NOT_DONE_YET

    world.resource.render = switch  # type: ignore[method-assign]
    world.browser.send(ASKED + ASKED + b"GET / HT")
    assert unread == [ASKED + b"GET / HT"]
    assert world.browser.silent


def test_who_has_left_is_given_to_nobody(world: World) -> None:
    world.browser.send(ASKED)
    switch, inside = world.switch, Inside()
    switch.detach()
    world.browser.leave()
    switch.give(inside)
    assert not inside.connected
    assert not switch.is_connected
    assert world.network.clock.getDelayedCalls() == []
