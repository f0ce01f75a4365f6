"""Ports that several listen on: the sockets are real, and each reactor takes its turns when the test says so."""

from __future__ import annotations

import os
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock

from crproxy.service.listening import Listener
from crproxy.service.ports import InheritedPorts, OwnPorts
from crproxy.transports.servers import Server, Turns, UnixServer, serve
from tests.logs import Log
from tests.memory import ended, failure_of
from tests.transports.hands import Hands

KINDS = ("tcp", "tcp6", "unix")
NUMBER, DESCRIPTION = 3, "the one"
CURVE = trustme.KeyType.ECDSA


@pytest.fixture(params=KINDS)
def listening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """A socket of another process, by which it will have listened on a port."""
    with bound(request.param, tmp_path) as listening:
        yield listening


@pytest.fixture
def unix(tmp_path: Path) -> Iterator[socket.socket]:
    with bound("unix", tmp_path) as listening:
        yield listening


def bound(kind: str, directory: Path) -> socket.socket:
    family = {"tcp": socket.AF_INET, "tcp6": socket.AF_INET6, "unix": socket.AF_UNIX}[kind]
    addresses: dict[str, Any] = {"tcp": ("127.0.0.1", 0), "tcp6": ("::1", 0), "unix": str(directory / "socket")}
    listening = socket.socket(family)
    listening.bind(addresses[kind])
    listening.listen()
    listening.setblocking(False)
    return listening


class Greeting(Protocol):
    """Says whose it is, if that has a name, and listens."""

    factory: Worker
    heard = b""

    def connectionMade(self) -> None:
        self.factory.connections.append(self)
        assert self.transport is not None
        if self.factory.name:
            self.transport.write(self.factory.name)

    def dataReceived(self, data: bytes) -> None:
        self.heard += data


@dataclass(eq=False)
class Worker(Factory):
    """A process that has the socket, too."""

    name: bytes
    descriptors: dict[int, int]
    hands: Hands = field(default_factory=Hands)
    connections: list[Greeting] = field(default_factory=list)

    noisy = False

    def __post_init__(self) -> None:
        self.ports = InheritedPorts(self.descriptors, self.hands)

    def buildProtocol(self, addr: IAddress | None) -> Any:
        greeting = Greeting()
        greeting.factory = self
        return greeting

    @property
    def accepted(self) -> int:
        return len(self.connections)

    def listen(self, description: str = DESCRIPTION) -> IListeningPort:
        endpoint = self.ports.endpoint(NUMBER, description)
        assert endpoint is not None
        with Log():
            return ended(endpoint.listen(self))

    def stop(self, port: IListeningPort) -> None:
        stopped = maybeDeferred(port.stopListening)
        self.hands.advance(0)
        ended(stopped)

    def leave(self) -> None:
        """It ends, with its connections."""
        for selectable in self.hands.removeAll():
            selectable.socket.close()


Hire = Callable[[bytes, socket.socket], Worker]


@pytest.fixture
def hire() -> Iterator[Hire]:
    workers: list[Worker] = []

    def begin(name: bytes, listening: socket.socket) -> Worker:
        worker = Worker(name, {NUMBER: listening.fileno()})
        workers.append(worker)
        return worker

    yield begin
    for worker in workers:
        worker.leave()


def client_of(listening: socket.socket) -> socket.socket:
    client = socket.socket(listening.family)
    client.settimeout(10)
    client.connect(listening.getsockname())
    return client


def heard(client: socket.socket) -> bytes:
    return client.recv(100)


def test_what_was_not_handed_over_is_not_listened_on() -> None:
    assert InheritedPorts({1: 5}, Hands()).endpoint(2, "tcp:1") is None


def test_connections_are_accepted_where_another_process_has_bound(listening: socket.socket, hire: Hire) -> None:
    worker = hire(b"one", listening)
    port = worker.listen()
    host: Any = port.getHost()
    with client_of(listening) as client:
        worker.hands.settle()
        assert heard(client) == b"one"
        peer: Any = worker.connections[0].transport
        if listening.family == socket.AF_UNIX:
            assert host.name == os.fsencode(listening.getsockname())
        else:
            assert (host.host, host.port) == listening.getsockname()[:2]
            assert (peer.getPeer().host, peer.getPeer().port) == client.getsockname()[:2]


def test_where_one_stops_the_others_go_on(listening: socket.socket, hire: Hire) -> None:
    one, other = hire(b"one", listening), hire(b"other", listening)
    port = one.listen()
    other.listen()
    with client_of(listening) as before:
        one.hands.settle()
        one.stop(port)
        with client_of(listening) as after:
            one.hands.settle()
            other.hands.settle()
            assert (heard(before), heard(after)) == (b"one", b"other")
            # What it has accepted it keeps.
            before.sendall(b"x")
            one.hands.settle()
            assert [connection.heard for connection in one.connections] == [b"x"]


def test_where_all_stop_the_first_process_has_its_socket_all_the_same(listening: socket.socket, hire: Hire) -> None:
    for name in (b"one", b"other"):
        worker = hire(name, listening)
        worker.stop(worker.listen())
    with client_of(listening) as client:
        accepted, _ = listening.accept()
        with accepted:
            accepted.sendall(b"the first")
            assert heard(client) == b"the first"


def test_the_file_of_a_socket_is_neither_opened_to_others_nor_removed(unix: socket.socket, hire: Hire) -> None:
    path = Path(unix.getsockname())
    path.chmod(0o640)
    worker = hire(b"one", unix)
    port = worker.listen()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    worker.stop(port)
    assert path.is_socket()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    again = hire(b"again", unix)
    again.listen()
    with client_of(unix) as client:
        again.hands.settle()
        assert heard(client) == b"again"


def test_each_takes_one_connection_at_a_time_so_that_a_burst_is_for_all(listening: socket.socket, hire: Hire) -> None:
    workers = [hire(b"one", listening), hire(b"other", listening)]
    for worker in workers:
        worker.listen()
    with ExitStack() as stack:
        clients = [stack.enter_context(client_of(listening)) for _ in range(6)]
        share_out(workers)
        assert sorted(map(heard, clients)) == [b"one"] * 3 + [b"other"] * 3


def share_out(workers: list[Worker]) -> None:
    """Have each take a turn after the other, in each of which it accepts one."""
    for turn in range(1, 4):
        for worker in workers:
            worker.hands.turn()
            assert worker.accepted == turn
    for worker in workers:
        worker.hands.settle()


def test_its_end_is_not_told_which_the_first_process_does(listening: socket.socket, hire: Hire) -> None:
    worker = hire(b"one", listening)
    port = worker.listen()
    with Log() as log:
        worker.stop(port)
    assert log.lines == []


def test_places_that_are_described_alike_have_each_its_own(tmp_path: Path) -> None:
    with bound("tcp", tmp_path) as one, bound("tcp6", tmp_path) as other:
        worker = Worker(b"one", {1: one.fileno(), 2: other.fileno()})
        endpoints = [worker.ports.endpoint(number, "tcp:0") for number in (1, 2)]
        ports: list[Any] = [ended(endpoint.listen(worker)) for endpoint in endpoints if endpoint is not None]
        assert [port.getHost().port for port in ports] == [one.getsockname()[1], other.getsockname()[1]]
        worker.leave()


def test_a_descriptor_that_is_none_is_a_failure(listening: socket.socket, hire: Hire) -> None:
    worker = hire(b"one", listening)
    worker.descriptors[NUMBER] = 1 << 20
    endpoint = worker.ports.endpoint(NUMBER, DESCRIPTION)
    assert endpoint is not None
    failure_of(endpoint.listen(worker), OSError)


def test_connections_are_those_of_this_house(listening: socket.socket, hire: Hire) -> None:
    worker = hire(b"one", listening)
    endpoint = worker.ports.endpoint(NUMBER, DESCRIPTION)
    assert endpoint is not None
    listener = Listener(DESCRIPTION, endpoint, worker, on_port=lambda port: serve(port, Turns.NEVER), is_told=False)
    with Log() as log:
        listener.privilegedStartService()
    assert [line for line in log.lines if line] == []
    assert listener.url
    with client_of(listening) as client:
        worker.hands.settle()
        assert heard(client) == b"one"
        transport: Any = worker.connections[0].transport
        assert isinstance(transport, Server | UnixServer)
    stopped = maybeDeferred(listener.stopService)
    worker.hands.advance(0)
    ended(stopped)


# What a description says beside where it is


def test_what_a_proxy_header_is_for_is_not_looked_at(hire: Hire, tmp_path: Path) -> None:
    with bound("tcp", tmp_path) as listening, client_of(listening) as client:
        worker = hire(b"one", listening)
        worker.listen("haproxy:tcp:0")
        worker.hands.settle()
        assert heard(client) == b"one"
    reactor = MemoryReactorClock()
    OwnPorts(reactor).endpoint(0, "haproxy:tcp:81:interface=127.0.0.1").listen(worker)
    ((number, _, _, interface),) = reactor.tcpServers
    assert (number, interface) == (81, "127.0.0.1")


# Of Twisted's own endpoint.
@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
@pytest.mark.parametrize("prefix", ["", "haproxy:"])
def test_one_that_speaks_tls_by_itself_does_by_the_key_that_it_names(hire: Hire, tmp_path: Path, prefix: str) -> None:
    authority = trustme.CA(key_type=CURVE)
    authority.issue_cert("cr.test", key_type=CURVE).private_key_and_cert_chain_pem.write_to_path(tmp_path / "pem")
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(into, out, server_hostname="cr.test")
    with bound("tcp", tmp_path) as listening, client_of(listening) as client:
        worker = hire(b"", listening)
        worker.listen(f"{prefix}ssl:0:privateKey={tmp_path}/pem:certKey={tmp_path}/pem")
        while not has_shaken_hands(tls):
            client.sendall(out.read())
            worker.hands.settle()
            into.write(client.recv(1 << 16))
        tls.write(b"hello")
        client.sendall(out.read())
        worker.hands.settle()
        assert [connection.heard for connection in worker.connections] == [b"hello"]


def has_shaken_hands(tls: ssl.SSLObject) -> bool:
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
