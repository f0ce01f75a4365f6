from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocol, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.haproxy import proxyEndpoint
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from zope.interface import implementer

from crproxy.config import Config, Limits, Listen
from crproxy.limits import Accounts
from crproxy.limits.accepting import Accepting, FromProxies, address_of
from crproxy.web.site import PlainSite
from tests.logs import Log

PROXIES = (ipaddress.ip_network("10.0.0.0/8"),)
PROXY = IPv4Address("TCP", "10.0.0.1", 5000)
CLIENT = IPv4Address("TCP", "192.0.2.1", 5000)
V1 = b"PROXY TCP4 192.0.2.1 198.51.100.1 5000 443\r\n"
V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes([192, 0, 2, 1, 198, 51, 100, 1, 0x13, 0x88, 0x01, 0xBB])
V2_LOCAL = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"


class Speaker(Protocol):
    """Serves a connection: says its name, and keeps what it hears."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.heard = b""
        self.peer: str | None = None
        self.ended: Failure | None = None

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.peer = address_of(self.transport.getPeer())
        self.transport.write(self.name)

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended = reason


class Speakers(Factory):
    noisy = False

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.built: list[Speaker] = []

    def buildProtocol(self, addr: IAddress | None) -> Speaker:
        self.built.append(Speaker(self.name))
        return self.built[-1]


class Transport(StringTransport):
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class Connection:
    """One connection, from its client's side."""

    def __init__(self, protocol: IProtocol, peer: IAddress) -> None:
        self.transport = Transport(peerAddress=peer)
        self._protocol = protocol
        protocol.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        self._protocol.dataReceived(data)

    def end(self) -> None:
        self._protocol.connectionLost(Failure(connectionDone.value))

    @property
    def said(self) -> bytes:
        said: bytes = self.transport.value()
        return said


@implementer(IStreamServerEndpoint)
class Endpoint:
    """Keeps what would be listened with."""

    factory: IProtocolFactory

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        self.factory = protocolFactory
        return succeed(cast(IListeningPort, None))


class House:
    def __init__(self, most: int = 1, *, proxied: bool = False) -> None:
        self.clock = Clock()
        self.served, self.refused = Speakers(b"served"), Speakers(b"refused")
        listen = replace(Listen(), trusted_proxies=PROXIES)
        config = Config(listen=listen, limits=Limits(connections_per_client=most))
        self.accounts = Accounts(lambda: config, self.clock)
        accepting = Accepting(self.served, self.refused, self.accounts, self.clock, proxied=proxied)
        endpoint = Endpoint()
        (proxyEndpoint(FromProxies(endpoint, PROXIES, self.clock)) if proxied else endpoint).listen(accepting)
        self.factory = endpoint.factory

    def connect(self, peer: IAddress = CLIENT) -> Connection:
        protocol = self.factory.buildProtocol(peer)
        assert protocol is not None
        return Connection(protocol, peer)


def test_s20_connections_are_served_refused_and_closed() -> None:
    house = House(2)
    connections = [house.connect() for _ in range(5)]
    assert [one.said for one in connections] == [b"served"] * 2 + [b"refused"] * 2 + [b""]
    assert [one.transport.aborted for one in connections] == [False] * 4 + [True]
    connections[4].end()
    connections[0].end()
    assert house.accounts.connections.of("192.0.2.1") == 3
    for connection in connections[1:4]:
        connection.end()
    assert len(house.accounts.connections) == 0
    assert house.connect().said == b"served"


def test_what_comes_is_handed_on_and_so_is_the_end() -> None:
    house = House()
    connection = house.connect()
    connection.send(b"abc")
    connection.send(b"def")
    (speaker,) = house.served.built
    assert (speaker.heard, speaker.peer, speaker.ended) == (b"abcdef", "192.0.2.1", None)
    connection.end()
    assert speaker.ended is not None


def test_where_nothing_is_built_the_connection_is_closed() -> None:
    house = House()
    house.served.buildProtocol = lambda addr: None  # type: ignore[assignment,method-assign,return-value]
    connection = house.connect()
    assert connection.transport.aborted
    connection.end()
    assert len(house.accounts.connections) == 0


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
def test_s25_the_client_is_who_a_trusted_proxys_header_says(header: bytes) -> None:
    house = House(proxied=True)
    connections = [house.connect(PROXY) for _ in range(3)]
    assert [one.said for one in connections] == [b""] * 3
    for connection in connections:
        connection.send(header + b"hello")
    assert [one.said for one in connections] == [b"served", b"refused", b""]
    (speaker,) = house.served.built
    assert (speaker.heard, speaker.peer) == (b"hello", "192.0.2.1")
    for connection in connections:
        connection.end()
    assert len(house.accounts.connections) == 0


def test_s25_a_header_that_comes_alone_is_a_header() -> None:
    house = House(proxied=True)
    connection = house.connect(PROXY)
    connection.send(V1)
    connection.send(b"hel")
    connection.send(b"lo")
    (speaker,) = house.served.built
    assert (speaker.heard, speaker.peer) == (b"hello", "192.0.2.1")


def test_a_proxys_own_connection_is_its_own() -> None:
    house = House(proxied=True)
    for _ in range(5):
        house.connect(PROXY).send(V2_LOCAL + b"are you well?")
    assert [speaker.peer for speaker in house.served.built] == ["10.0.0.1"] * 5
    assert len(house.accounts.connections) == 0


def test_s25_without_a_header_nothing_is_served() -> None:
    house = House(proxied=True)
    connection = house.connect(PROXY)
    connection.send(b"GET /v2/ HTTP/1.1\r\n\r\n")
    assert connection.transport.disconnecting
    assert house.served.built == []


def test_s20_who_says_nothing_behind_a_proxy_is_hung_up_on() -> None:
    house = House(proxied=True)
    silent, speaks, left = (house.connect(PROXY) for _ in range(3))
    speaks.send(V1 + b"hello")
    left.end()
    connections = (silent, speaks, left)
    house.clock.advance(9.9)
    assert [one.transport.aborted for one in connections] == [False, False, False]
    house.clock.advance(0.2)
    assert [one.transport.aborted for one in connections] == [True, False, False]
    silent.end()
    assert house.clock.getDelayedCalls() == []


def test_s25_where_a_header_is_expected_nobody_else_gets_in_and_the_log_stays_short() -> None:
    house = House(proxied=True)
    with Log() as log:
        for seconds in range(130):
            address = IPv6Address("TCP", "2001:db8::1", 5000) if seconds else CLIENT
            assert house.factory.buildProtocol(address) is None
            house.clock.advance(1)
    assert log.lines == [
        "192.0.2.1 is none of the trusted_proxies, and its connection was closed (1 such so far)",
        "2001:db8::1 is none of the trusted_proxies, and its connection was closed (61 such so far)",
        "2001:db8::1 is none of the trusted_proxies, and its connection was closed (121 such so far)",
    ]


@pytest.mark.parametrize("peer", [UNIXAddress("/run/crproxy.sock"), IPv6Address("TCP", "::ffff:10.0.0.1", 5000)])
def test_a_socket_of_this_machine_and_a_proxy_by_ipv6_are_believed(peer: IAddress) -> None:
    house = House(proxied=True)
    house.connect(peer).send(V1 + b"hello")
    assert [speaker.peer for speaker in house.served.built] == ["192.0.2.1"]


def test_what_is_inside_says_which_protocols_it_speaks() -> None:
    """An endpoint that speaks TLS itself, such as ssl:, asks whom it is given."""
    accounts = Accounts(Config, Clock())
    site = PlainSite(Resource(), Clock())
    assert Accepting(site, Speakers(b""), accounts, Clock()).acceptableProtocols() == [b"http/1.1"]
    assert Accepting(Speakers(b""), Speakers(b""), accounts, Clock()).acceptableProtocols() == []


@pytest.mark.parametrize("what", ["doStart", "doStop"])
def test_what_is_inside_starts_and_stops_with_it(what: str) -> None:
    called: list[str] = []
    house = House(proxied=True)

    def calls(name: str) -> Callable[[], None]:
        return lambda: called.append(name)

    for speakers in (house.served, house.refused):
        setattr(speakers, what, calls(speakers.name.decode()))
    getattr(house.factory, what)()
    assert called == ["served", "refused"]
