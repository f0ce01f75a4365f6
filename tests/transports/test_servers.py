from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from twisted.internet import tcp, unix
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import INegotiated, ISSLTransport
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from crproxy.transports import servers
from crproxy.transports.servers import Turns, serve
from tests.tls.wires import trusting
from tests.transports.hands import Hands, sockets
from tests.transports.peers import Pair, Recorder, content, server_context

LARGE = content(1024 * 1024)
MADE = {
    Turns.NEVER: (servers.Server, servers.UnixServer),
    Turns.FIRST: (servers.TLSServer, servers.UnixTLSServer),
    Turns.LATER: (servers.TurningServer, servers.UnixTurningServer),
}


@pytest.mark.parametrize("turns", Turns)
def test_a_port_makes_connections_of_this_house(turns: Turns) -> None:
    ports: list[Any] = [tcp.Port(0, Factory(), reactor=Hands()), unix.Port(b"/x", Factory(), reactor=Hands())]
    for port in ports:
        serve(port, turns)
    assert tuple(port.transport for port in ports) == MADE[turns]


def test_one_that_is_none_of_twisteds_own_stays_as_it_is() -> None:
    port: Any = type("Port", (), {"transport": "theirs"})()
    serve(port, Turns.LATER)
    assert port.transport == "theirs"


# One that turns to TLS later


class Turning(Pair):
    """A connection that begins in the clear, and the peer's end of it."""

    def __init__(self, *, unix: bool) -> None:
        self.hands = Hands()
        self.protocol = Recorder()
        ours, self.raw = sockets(unix=unix)
        made: Any = MADE[Turns.LATER][unix]
        self.transport: Any = made(ours, self.protocol, "" if unix else ours.getpeername(), None, 0, self.hands)
        self.protocol.makeConnection(self.transport)
        self.raw.setblocking(False)
        self.peer: Any = self.raw


@contextmanager
def turning(*, unix: bool) -> Iterator[Turning]:
    pair = Turning(unix=unix)
    try:
        yield pair
    finally:
        if not pair.transport.disconnected:
            pair.transport.connectionLost(Failure(ConnectionDone()))
        pair.peer.close()


@pytest.mark.parametrize("unix", [False, True])
def test_it_speaks_in_the_clear_and_then_in_tls(unix: bool) -> None:
    with turning(unix=unix) as pair:
        pair.send(LARGE)
        assert pair.protocol.heard == LARGE
        pair.transport.write(b"hello")
        assert pair.read_all(count=5) == b"hello"
        secured = [pair.transport.is_secured]
        agreed = [pair.transport.negotiatedProtocol]
        assert pair.transport.getPeerCertificate() is None
        pair.transport.peek()
        secured.append(pair.transport.is_secured)
        pair.begin_tls(server_context("ecdsa"), trusting("http/1.1"))
        secured.append(pair.transport.is_secured)
        assert secured == [False, False, True]
        pair.protocol.heard.clear()
        pair.send(LARGE)
        pair.hands.settle()
        assert pair.protocol.heard == LARGE
        pair.transport.write(LARGE)
        assert pair.read_all(count=len(LARGE)) == LARGE
        agreed.append(pair.transport.negotiatedProtocol)
        assert agreed == [None, b"http/1.1"]
        assert INegotiated.providedBy(pair.transport)
        assert ISSLTransport.providedBy(pair.transport)


@pytest.mark.parametrize("unix", [False, True])
def test_what_was_read_before_is_not_read_again(unix: bool) -> None:
    with turning(unix=unix) as pair:
        pair.send(b"in the clear")
        pair.transport.peek()
        pair.raw.send(b"first ")
        pair.hands.settle()
        pair.raw.send(b"words")
        pair.hands.advance(0.1)
        assert pair.protocol.heard == b"in the clearfirst words"
        assert pair.transport._peeked == len(b"first words")


def test_it_may_end_without_turning() -> None:
    with turning(unix=False) as pair:
        pair.transport.write(b"goodbye")
        pair.transport.loseConnection()
        assert pair.read_all() == b"goodbye"
        pair.hands.settle()
        assert [reason.type for reason in pair.protocol.lost] == [ConnectionDone]
        assert pair.hands.getDelayedCalls() == []
