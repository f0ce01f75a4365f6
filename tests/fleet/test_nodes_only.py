"""Real sockets and OpenSSL's own client on the other side; time is in the test's hands."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory

from crproxy.fleet.identity import NODE_NAME
from crproxy.fleet.nodes_only import NodesOnly
from crproxy.transports.servers import TLSServer
from tests.fleet.test_identity import NOW, OTHER, OURS, SECRET, client_for
from tests.logs import Log
from tests.tls.wires import Echoes
from tests.transports.hands import Hands, sockets

ADDRESS = IPv4Address("TCP", "10.0.0.9", 4711)
REFUSED = "10.0.0.9 is not let in among the nodes: {} ({} since the last such line)"


class Nodes:
    """A factory, and all who have connected to it."""

    def __init__(self, most: int = 2) -> None:
        self.clock = Hands()
        self.inside = Echoes()
        self.factory = NodesOnly(self.inside, OURS.server, self.clock, most)
        self.connected: list[Knocking] = []

    def connect(self, context: ssl.SSLContext | None = None) -> Knocking:
        knocking = Knocking(self, context or SECRET.identity(NOW).client)
        self.connected.append(knocking)
        return knocking

    def close(self) -> None:
        for knocking in self.connected:
            knocking.leave()
        assert (self.factory.number, self.clock.getDelayedCalls()) == (0, [])


class Knocking:
    """Somebody who connects."""

    def __init__(self, nodes: Nodes, context: ssl.SSLContext) -> None:
        self._clock = nodes.clock
        ours, self.raw = sockets()
        protocol = nodes.factory.buildProtocol(ADDRESS)
        transport = TLSServer(ours, protocol, ours.getpeername(), None, 0, nodes.clock)
        protocol.makeConnection(transport)
        self.raw.setblocking(False)
        name = NODE_NAME if context.check_hostname else None
        self.tls = context.wrap_socket(self.raw, do_handshake_on_connect=False, server_hostname=name)
        self._clock.settle()

    def shake_hands(self) -> Knocking:
        self.drive(self.tls.do_handshake)
        self._clock.settle()
        return self

    def say(self, words: bytes) -> bytes:
        """Say something; return the answer, nothing where the connection has ended."""
        self.drive(lambda: self.tls.send(words))
        self._clock.settle()
        answer: bytes = self.drive(lambda: self.tls.recv(100))
        return answer

    def drive(self, step: Callable[[], Any]) -> Any:
        for _ in range(1000):
            try:
                return step()
            except ssl.SSLWantReadError:
                self._clock.settle()
        raise AssertionError("nothing comes")

    def is_cut(self) -> bool:
        self._clock.settle()
        try:
            return self.tls.recv(100) == b""
        except (ssl.SSLWantReadError, BlockingIOError):
            return False
        except OSError:
            return True

    def leave(self) -> None:
        with contextlib.suppress(OSError):
            self.tls.close()
        self._clock.settle()


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    nodes = Nodes()
    yield nodes
    nodes.close()


@pytest.fixture
def log() -> Iterator[Log]:
    with Log() as log:
        yield log


def test_a_node_is_let_in(nodes: Nodes, log: Log) -> None:
    assert nodes.connect().shake_hands().say(b"hello") == b"hello"
    assert (nodes.factory.number, nodes.factory.refused, log.complaints) == (1, 0, [])


@pytest.mark.parametrize(
    ("context", "why"),
    [
        (lambda: _believing(OTHER.identity(NOW).client), "TLS failed: certificate verify failed: "),
        (lambda: _believing(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)), "TLS failed: peer did not return a certificate"),
        (lambda: client_for("else"), "TLS failed: certificate verify failed: |its certificate is not a node's"),
    ],
    ids=["another secret", "no certificate", "another purpose"],
)
def test_nobody_else_is(nodes: Nodes, log: Log, context: Callable[[], ssl.SSLContext], why: str) -> None:
    stranger = nodes.connect(context())
    # To a client of TLS 1.3 the handshake is over before its certificate was looked at.
    stranger.shake_hands()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        stranger.say(b"GET /v1/node HTTP/1.1\r\nHost: x\r\n\r\n")
    assert nodes.inside.made == []
    assert nodes.factory.refused == 1
    (line,) = log.complaints
    assert any(text in line for text in why.split("|")), line


def test_it_is_told_who_has_another_name_in_a_certificate_that_would_do(nodes: Nodes, log: Log) -> None:
    OURS.server.verify_flags &= ~ssl.VERIFY_X509_STRICT
    try:
        stranger = nodes.connect(client_for("else")).shake_hands()
        assert stranger.is_cut()
    finally:
        OURS.server.verify_flags |= ssl.VERIFY_X509_STRICT
    assert nodes.inside.made == []
    assert log.complaints == [REFUSED.format("its certificate is not a node's", 1)]


def test_nothing_is_said_in_the_clear(nodes: Nodes) -> None:
    stranger = nodes.connect()
    with socket.socket(fileno=stranger.tls.detach()) as plain:
        plain.setblocking(False)
        plain.sendall(b"GET /v1/node HTTP/1.1\r\nHost: x\r\n\r\n")
        nodes.clock.settle()
        heard = plain.recv(1000)
        assert plain.recv(1000) == b""
    assert b"HTTP" not in heard
    assert (nodes.inside.made, nodes.factory.refused) == ([], 1)


def test_who_only_looks_whether_it_is_open_is_not_told_of(nodes: Nodes, log: Log) -> None:
    nodes.connect().leave()
    assert (nodes.factory.refused, log.complaints) == (0, [])


def test_who_says_nothing_is_cut(nodes: Nodes, log: Log) -> None:
    silent = nodes.connect()
    nodes.clock.advance(9.9)
    assert not silent.is_cut()
    nodes.clock.advance(0.1)
    assert silent.is_cut()
    assert log.complaints == [REFUSED.format("it has not said who it is", 1)]


def test_strangers_take_no_nodes_place(nodes: Nodes) -> None:
    silent = [nodes.connect() for _ in range(64)]
    assert nodes.connect().shake_hands().say(b"hello") == b"hello"
    assert [one.is_cut() for one in silent] == [True] + [False] * 63


def test_there_may_be_so_many_and_no_more(nodes: Nodes, log: Log) -> None:
    first, second = (nodes.connect().shake_hands() for _ in range(2))
    assert nodes.connect().shake_hands().is_cut()
    assert log.complaints == [REFUSED.format("too many connections of nodes are open", 1)]
    first.leave()
    assert nodes.connect().shake_hands().say(b"hello") == b"hello"
    assert second.say(b"there") == b"there"


def test_a_flood_has_a_line_each_minute(nodes: Nodes, log: Log) -> None:
    for seconds in (0, 30, 29, 1):
        nodes.clock.advance(seconds)
        nodes.connect(_believing(OTHER.identity(NOW).client)).shake_hands()
    assert [line.rpartition("(")[2] for line in log.complaints] == [
        "1 since the last such line)",
        "3 since the last such line)",
    ]


def test_nobody_inside_is_nobody(nodes: Nodes) -> None:
    class Empty(Factory):
        def buildProtocol(self, addr: Any) -> None:
            return None

    nodes.factory._inside = Empty()
    assert nodes.connect().shake_hands().is_cut()


def test_at_the_end_nobody_is_waited_for_who_has_not_said_who_he_is(nodes: Nodes, log: Log) -> None:
    node, silent = nodes.connect().shake_hands(), nodes.connect()
    nodes.factory.close()
    assert silent.is_cut()
    assert node.say(b"hello") == b"hello"
    assert log.complaints == []


def _believing(context: ssl.SSLContext) -> ssl.SSLContext:
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
