from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from twisted.application.service import MultiService
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.web.server import Site
from zope.interface import implementer

from crproxy.config import Config
from crproxy.pullthrough import PullThrough
from crproxy.service import Listener, ListenError, make_pullthrough, make_service
from tests.logs import Log


@pytest.fixture
def reactor() -> MemoryReactorClock:
    return MemoryReactorClock()


@pytest.fixture
def log() -> Iterator[Log]:
    with Log() as log:
        yield log


def started(config: Config, reactor: MemoryReactorClock) -> MultiService:
    service = make_service(config, reactor)
    assert isinstance(service, MultiService)
    service.privilegedStartService()
    service.startService()
    return service


def test_without_a_word_it_listens_on_port_5000_of_this_machine_alone(reactor: MemoryReactorClock) -> None:
    started(Config(), reactor)
    ((port, site, _, interface),) = reactor.tcpServers
    assert (port, interface) == (5000, "127.0.0.1")
    assert isinstance(site, Site)


def test_each_endpoint_is_listened_on(reactor: MemoryReactorClock) -> None:
    started(Config(http=("tcp:80", "tcp:8080:interface=127.0.0.1", "unix:/run/crproxy.sock")), reactor)
    assert [(server[0], server[3]) for server in reactor.tcpServers] == [(80, ""), (8080, "127.0.0.1")]
    assert [server[0] for server in reactor.unixServers] == ["/run/crproxy.sock"]


def test_nothing_is_listened_on_before_the_start(reactor: MemoryReactorClock) -> None:
    make_service(Config(), reactor)
    assert reactor.tcpServers == []


def test_what_answers_is_put_together_without_asking_anybody(reactor: MemoryReactorClock) -> None:
    assert isinstance(make_pullthrough(Config(), reactor), PullThrough)
    assert reactor.tcpClients == []


@implementer(IListeningPort)
@dataclass
class Port:
    address: IAddress
    stopped: Deferred[None] = field(default_factory=Deferred)
    stopping: bool = False

    def startListening(self) -> None:
        """It does already."""

    def stopListening(self) -> Deferred[None]:
        self.stopping = True
        return self.stopped

    def getHost(self) -> IAddress:
        return self.address


@implementer(IStreamServerEndpoint)
class Endpoint:
    def __init__(self, listening: Port | Exception) -> None:
        self._listening = listening
        self.factory: IProtocolFactory | None = None

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        self.factory = protocolFactory
        return fail(self._listening) if isinstance(self._listening, Exception) else succeed(self._listening)


def listener(listening: Port | Exception) -> Listener:
    return Listener("tcp:5000", Endpoint(listening), Factory())


@pytest.mark.parametrize(
    ("address", "where"),
    [
        (IPv4Address("TCP", "127.0.0.1", 5000), "127.0.0.1:5000"),
        (IPv4Address("TCP", "0.0.0.0", 80), "localhost:80"),
        (IPv6Address("TCP", "::", 80), "localhost:80"),
        (IPv6Address("TCP", "::1", 5000), "[::1]:5000"),
    ],
)
def test_it_says_where_it_listens_and_what_to_try(log: Log, address: IAddress, where: str) -> None:
    listener(Port(address)).privilegedStartService()
    assert f"crproxy listens on http://{where}" in log.lines
    assert f"try: docker pull {where}/quay.io/prometheus/busybox:latest" in log.lines


def test_a_socket_of_this_machine_is_named_as_twisted_does(log: Log) -> None:
    listener(Port(UNIXAddress("/run/x"))).privilegedStartService()
    assert any("/run/x" in line for line in log.lines)


def test_stopping_waits_until_the_port_is_closed() -> None:
    port = Port(IPv4Address("TCP", "127.0.0.1", 5000))
    service = listener(port)
    service.privilegedStartService()
    service.startService()
    assert service.stopService() is port.stopped
    assert port.stopping
    assert not service.running


def test_stopping_what_never_listened_is_fine() -> None:
    assert listener(OSError()).stopService() is None


@pytest.mark.parametrize(
    "error",
    [CannotListenError("127.0.0.1", 5000, OSError(98, "Address already in use")), OSError(13, "Permission denied")],
)
def test_an_endpoint_that_cannot_be_listened_on_stops_the_start(error: Exception) -> None:
    with pytest.raises(ListenError) as raised:
        listener(error).privilegedStartService()
    assert str(raised.value).startswith(f"cannot listen on tcp:5000: {str(error).rstrip('.')}. Give another")
    assert "--http tcp:5001:interface=127.0.0.1" in str(raised.value)
