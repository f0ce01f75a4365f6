from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import MultiService
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from crproxy.config import Cache, Config, Forward, Listen
from crproxy.config.values import Acme
from crproxy.limits import Fills
from crproxy.limits.accepting import Accepting
from crproxy.oci.digests import Digest
from crproxy.policy.routing import Names
from crproxy.pullthrough import PullThrough
from crproxy.service.assembly import make_service
from crproxy.service.caching import CacheService
from crproxy.service.listening import Listener, ListenError
from crproxy.service.pullthrough import make_pullthrough
from crproxy.store.entries import Entry
from crproxy.upstream.agent import Clients
from crproxy.upstream.exchange import Exchange
from crproxy.upstream.quotas import Quotas
from crproxy.upstream.tokens import Tokens
from tests.logs import Log
from tests.memory import ended


class Reactor(MemoryReactorClock):
    """What threads hand in is called when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self._due: list[Callable[[], object]] = []
        self._some = threading.Condition()

    def callFromThread(self, call: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        with self._some:
            self._due.append(lambda: call(*args, **kwargs))
            self._some.notify()

    def take_one(self) -> None:
        """Wait for a thread to hand something in, and call it."""
        with self._some:
            assert self._some.wait_for(lambda: bool(self._due), 10)
            call = self._due.pop(0)
        call()


@pytest.fixture
def reactor() -> Reactor:
    return Reactor()


@pytest.fixture
def log() -> Iterator[Log]:
    with Log() as log:
        yield log


Start = Callable[..., MultiService]


@pytest.fixture
def start(reactor: Reactor, tmp_path: Path) -> Iterator[Start]:
    """Starts the daemon, which ends with the test."""
    services: list[MultiService] = []

    def begin(**config: Any) -> MultiService:
        service = make_service(Config(data_dir=str(tmp_path), **config), reactor)
        assert isinstance(service, MultiService)
        services.append(service)
        service.privilegedStartService()
        service.startService()
        return service

    yield begin
    for service in services:
        if service.running:
            ended(service.stopService())


def test_without_a_word_it_listens_on_port_5000_of_this_machine_alone(reactor: Reactor, start: Start) -> None:
    start()
    ((port, factory, _, interface),) = reactor.tcpServers
    assert (port, interface) == (5000, "127.0.0.1")
    assert isinstance(factory, Accepting)


def test_each_endpoint_is_listened_on(reactor: Reactor, start: Start) -> None:
    start(listen=Listen(("tcp:80", "tcp:8080:interface=127.0.0.1", "unix:/run/crproxy.sock"), admin=""))
    assert [(server[0], server[3]) for server in reactor.tcpServers] == [(80, ""), (8080, "127.0.0.1")]
    assert [server[0] for server in reactor.unixServers] == ["/run/crproxy.sock"]


def test_s24_the_admin_socket_is_a_socket_for_its_user_and_group(
    reactor: Reactor, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = tmp_path_factory.mktemp("d")
    service = make_service(Config(data_dir=str(data)), reactor)
    assert isinstance(service, MultiService)
    service.privilegedStartService()
    ((path, factory, _, mode, _),) = reactor.unixServers
    assert (path, mode) == (str(data / "admin.sock"), 0o660)
    assert all(server[1] is not factory for server in reactor.tcpServers)


def test_nothing_is_listened_on_before_the_start(reactor: Reactor, tmp_path: Path) -> None:
    make_service(Config(data_dir=str(tmp_path)), reactor)
    assert reactor.tcpServers == []


def test_what_answers_is_put_together_without_asking_anybody(reactor: Reactor, tmp_path: Path) -> None:
    config = Config(data_dir=str(tmp_path))
    clients = Clients(reactor, config.timeouts)
    exchange = Exchange(clients.client, Tokens(config.timeouts, reactor), config.timeouts, reactor)
    fills, quotas = Fills(lambda: config), Quotas(reactor.seconds)
    made = make_pullthrough(lambda: config, CacheService(config, reactor), exchange, reactor, fills, quotas)
    assert isinstance(made, PullThrough)
    assert reactor.tcpClients == []


def test_the_cache_lies_in_the_data_directory(reactor: Reactor, tmp_path: Path) -> None:
    CacheService(Config(data_dir=str(tmp_path / "new")), reactor)
    assert (tmp_path / "new" / "cache").is_dir()
    assert (tmp_path / "new" / "index.sqlite").is_file()


def test_the_cache_has_the_size_that_was_given(reactor: Reactor, tmp_path: Path) -> None:
    cache = CacheService(Config(data_dir=str(tmp_path), cache=Cache(size=12345)), reactor)
    assert cache.store.budget == 12345


def test_what_is_on_disk_is_taken_up_by_the_start_and_the_index_is_closed_by_the_stop(
    reactor: Reactor, tmp_path: Path
) -> None:
    cache = CacheService(Config(data_dir=str(tmp_path)), reactor)
    entry = Entry(Digest.of(b"abc"))
    cache.store.blobs.keep(entry).write_bytes(b"abc")
    cache.startService()
    while cache.store.index.size(entry) is None:
        reactor.take_one()
    stopping = cache.stopService()
    while not stopping.called:
        reactor.take_one()
    ended(stopping)
    with pytest.raises(sqlite3.ProgrammingError):
        cache.store.index.check()


def test_stopping_before_all_is_tidy_is_no_failure(start: Start, log: Log) -> None:
    ended(start().stopService())
    assert log.complaints == []


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


def listener(
    listening: Port | Exception, scheme: str = "http", description: str = "tcp:5000", **options: Any
) -> Listener:
    return Listener(description, Endpoint(listening), Factory(), scheme, **options)


@pytest.mark.parametrize(
    ("address", "where", "host"),
    [
        (IPv4Address("TCP", "127.0.0.1", 5000), "127.0.0.1:5000", "127.0.0.1:5000"),
        (IPv4Address("TCP", "0.0.0.0", 80), "0.0.0.0:80 (every address of this machine)", "localhost:80"),
        (IPv6Address("TCP", "::", 80), "[::]:80 (every address of this machine)", "localhost:80"),
        (IPv6Address("TCP", "::1", 5000), "[::1]:5000", "[::1]:5000"),
    ],
)
def test_it_says_where_it_listens_and_what_to_try(log: Log, address: IAddress, where: str, host: str) -> None:
    listener(Port(address)).privilegedStartService()
    assert f"crproxy listens on http://{where}" in log.lines
    assert f"try: docker pull {host}/quay.io/prometheus/busybox:latest" in log.lines


def test_a_socket_of_this_machine_is_named_by_its_path(log: Log) -> None:
    listener(Port(UNIXAddress("/run/x"))).privilegedStartService()
    assert "crproxy listens on http:///run/x" in log.lines


@pytest.mark.parametrize(("known_as", "tried"), [("cr.test", ["try: docker pull cr.test/"]), ("", [])])
def test_what_clients_write_for_it_is_what_to_try(log: Log, known_as: str, tried: list[str]) -> None:
    listener(Port(IPv4Address("TCP", "0.0.0.0", 443)), "https", known_as=known_as).privilegedStartService()
    assert "crproxy listens on https://0.0.0.0:443 (every address of this machine)" in log.lines
    assert [line.partition("quay.io")[0] for line in log.lines if line.startswith("try: ")] == tried


def test_what_the_daemon_runs_without_is_told_with_where_it_is_set(log: Log) -> None:
    listener(OSError(13, "Permission denied"), "admin", known_as="", optional=True).privilegedStartService()
    (said,) = log.lines
    assert said.startswith("cannot listen on tcp:5000: ")
    assert said.endswith('Set another endpoint as admin under [listen], or admin = "" for none')


def test_where_other_nodes_ask_no_image_is_pulled(log: Log) -> None:
    listening = listener(Port(IPv4Address("TCP", "10.0.0.5", 5443)), "fleet")
    listening.privilegedStartService()
    assert log.lines == ["other nodes may ask at https://10.0.0.5:5443"]
    with pytest.raises(ListenError, match=r"Set another endpoint as listen under \[fleet\], such as tcp:5444"):
        listener(OSError(), "fleet").privilegedStartService()


def test_where_the_operators_page_is_is_told(log: Log) -> None:
    listener(Port(IPv4Address("TCP", "127.0.0.1", 5080)), "page", known_as="").privilegedStartService()
    listener(Port(UNIXAddress("/run/page.sock")), "page", known_as="").privilegedStartService()
    assert log.lines == [
        "the operator's page is at http://127.0.0.1:5080/admin",
        "the operator's page is at /admin of /run/page.sock",
    ]
    with pytest.raises(ListenError, match=r"Set another endpoint as listen under \[admin\], such as tcp:5081"):
        listener(OSError(), "page").privilegedStartService()


@pytest.mark.parametrize(("scheme", "url"), [("proxy", "http://"), ("proxy_tls", "https://")])
def test_where_clients_have_their_http_proxy_is_told(log: Log, scheme: str, url: str) -> None:
    listener(Port(IPv4Address("TCP", "10.0.0.5", 3128)), scheme).privilegedStartService()
    listener(Port(IPv4Address("TCP", "0.0.0.0", 3128)), scheme).privilegedStartService()
    assert log.lines == [
        f"clients may have {url}10.0.0.5:3128 as their HTTPS_PROXY",
        f"clients may have {url}0.0.0.0:3128 as their HTTPS_PROXY (every address of this machine)",
    ]
    with pytest.raises(ListenError, match=r"Set another endpoint as listen or listen_tls under \[proxy\]"):
        listener(OSError(), scheme).privilegedStartService()


@pytest.mark.parametrize("tls", [False, True])
def test_clients_may_have_it_as_their_http_proxy(reactor: Reactor, start: Start, tmp_path: Path, tls: bool) -> None:
    forward = Forward(("tcp:3128",), ("tcp:3129",) if tls else ())
    listen = Listen((), https=("tcp:443",) if tls else (), admin="")
    service = start(names=Names("cr.test", {}), acme=Acme(directory=None), listen=listen, forward=forward)
    found = {server[0]: server[1] for server in reactor.tcpServers if server[0] != 443}
    assert sorted(found) == ([3128, 3129] if tls else [3128])
    assert all(isinstance(factory, Accepting) for factory in found.values())
    assert len(list((tmp_path / "proxy-ca").glob("*.pem"))) == 1
    protocol: Any = found[3128].buildProtocol(IPv4Address("TCP", "192.0.2.1", 1234))
    protocol.makeConnection(wire := StringTransport())
    protocol.dataReceived(b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n")
    assert wire.value().startswith(b"HTTP/1.1 403 a.example is refused")
    protocol.connectionLost(Failure(ConnectionDone()))
    ended(service.stopService())


def test_without_a_word_it_is_no_http_proxy(start: Start, tmp_path: Path) -> None:
    start()
    assert not (tmp_path / "proxy-ca").exists()


def test_stopping_waits_until_the_port_is_closed() -> None:
    port = Port(IPv4Address("TCP", "127.0.0.1", 5000))
    service = listener(port)
    service.privilegedStartService()
    service.startService()
    assert service.stopService() is port.stopped
    assert port.stopping
    assert not service.running


@pytest.mark.parametrize(("taken", "proposed"), [("tcp:5000", "tcp:5001"), ("tcp:5001", "tcp:5002")])
def test_the_endpoint_that_is_proposed_is_not_the_one_that_is_taken(taken: str, proposed: str) -> None:
    with pytest.raises(ListenError, match=f"such as --http {proposed}:interface=127.0.0.1"):
        listener(OSError(98, "Address already in use"), description=taken).privilegedStartService()


def test_a_socket_that_somebody_removed_is_no_trouble_at_the_end() -> None:
    port = Port(UNIXAddress("/run/x"))
    service = listener(port)
    service.privilegedStartService()
    stopped = service.stopService()
    port.stopped.errback(FileNotFoundError(2, "No such file or directory", "/run/x"))
    assert stopped is not None
    ended(stopped)


def test_stopping_what_never_listened_is_fine() -> None:
    assert listener(OSError()).stopService() is None


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (
            CannotListenError("127.0.0.1", 5000, OSError(98, "Address already in use")),
            "Address already in use: another program listens there, which ss -ltnp names",
        ),
        (
            OSError(13, "Permission denied"),
            "Permission denied: ports below 1024 take root, CAP_NET_BIND_SERVICE, or crproxy.socket",
        ),
        (
            CannotListenError("any", "/run/x", "Cannot acquire lock"),
            "another daemon has it, of the same data directory",
        ),
        (OSError(5, "Input/output error"), "Input/output error"),
        (ValueError("no such thing."), "no such thing"),
    ],
)
def test_an_endpoint_that_cannot_be_listened_on_stops_the_start(error: Exception, why: str) -> None:
    with pytest.raises(ListenError) as raised:
        listener(error).privilegedStartService()
    assert str(raised.value).startswith(f"cannot listen on tcp:5000: {why}")
    assert ". Give another" in str(raised.value)
    assert "--http tcp:5001:interface=127.0.0.1" in str(raised.value)
