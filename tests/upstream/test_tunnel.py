from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Factory, Protocol

from crproxy.policy.proxies import Proxy
from crproxy.upstream.errors import RefusedByProxy
from crproxy.upstream.tunnel import TunnelEndpoint
from tests.memory import Connection, Network, ended, failure_of

PROXY = "http://proxy.internal:3128"


class Inside(Protocol):
    """What speaks inside the tunnel."""

    def __init__(self) -> None:
        self.received = b""
        self.lost = False

    def connectionMade(self) -> None:
        self.write(b"hello")

    def write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: object = None) -> None:
        self.lost = True


class Tunnelling:
    """A tunnel being made; the proxy's side of it is `wire` and `connection`."""

    def __init__(self, authorization: str | None = None, host: str = "quay.io", port: int = 443) -> None:
        self.network = Network()
        self.network.serve(PROXY, lambda _: None)
        proxy = Proxy("proxy.internal", 3128, authorization)
        endpoint = TunnelEndpoint(self.network.endpoint(PROXY), proxy, host, port)
        self.connected: Deferred[IProtocol] = endpoint.connect(Factory.forProtocol(Inside))
        self.results: list[object] = []
        self.connected.addBoth(self._keep)
        self.network.pump()

    def _keep(self, result: IProtocol) -> IProtocol:
        self.results.append(result)
        return result

    @property
    def connection(self) -> Connection:
        return self.network.connections[0]

    def inside(self) -> Inside:
        inside = ended(self.connected)
        assert isinstance(inside, Inside)
        return inside


@pytest.mark.parametrize(
    ("host", "port", "authority"), [("quay.io", 443, "quay.io:443"), ("fd00::1", 5000, "[fd00::1]:5000")]
)
def test_the_proxy_is_asked_to_connect(host: str, port: int, authority: str) -> None:
    tunnelling = Tunnelling(host=host, port=port)
    (seen,) = tunnelling.network.seen
    assert (seen.line, seen.all("Host")) == (f"CONNECT {authority} HTTP/1.1", [authority])
    assert seen.one("Proxy-Authorization") is None
    assert tunnelling.results == []


def test_it_is_given_its_password() -> None:
    assert Tunnelling("Basic dTpw").network.seen[0].one("Proxy-Authorization") == "Basic dTpw"


def test_then_both_sides_speak_as_without_it() -> None:
    tunnelling = Tunnelling()
    tunnelling.connection.send(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nearly")
    inside = tunnelling.inside()
    assert tunnelling.connection.wire.value().endswith(b"hello")
    tunnelling.connection.send(b" late")
    assert inside.received == b"early late"
    inside.write(b"more")
    assert tunnelling.connection.wire.value().endswith(b"hellomore")
    tunnelling.connection.cut()
    assert inside.lost


def test_an_answer_may_come_byte_by_byte() -> None:
    tunnelling = Tunnelling()
    for byte in b"HTTP/1.1 200 OK\r\n\r\nxy":
        tunnelling.connection.send(bytes([byte]))
    assert tunnelling.inside().received == b"xy"


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "answered 407 Proxy Authentication Required"),
        (b"HTTP/1.0 403 Forbidden\r\nContent-Length: 3\r\n\r\nno!", "answered 403 Forbidden"),
        (b"HTTP/1.1 503\r\n\r\n", "answered 503"),
        (b"HTTP/1.1 500 \xff\x1b[31m\r\n\r\n", "answered 500 ??[31m"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "does not speak HTTP"),
        (b"\r\n\r\n", "does not speak HTTP"),
        (b"x" * 20_000, "sent a header without end"),
    ],
)
def test_what_refuses_us_is_named(answer: bytes, what: str) -> None:
    tunnelling = Tunnelling()
    tunnelling.connection.send(answer)
    error = failure_of(tunnelling.connected, RefusedByProxy)
    assert str(error) == f"the proxy proxy.internal:3128 {what}"
    assert tunnelling.connection.wire.closed


@pytest.mark.parametrize("ending", ["end", "cut"])
def test_a_proxy_that_hangs_up_says_so(ending: str) -> None:
    tunnelling = Tunnelling()
    getattr(tunnelling.connection, ending)()
    assert str(failure_of(tunnelling.connected, RefusedByProxy)) == "the proxy proxy.internal:3128 hung up"


def test_cancelling_closes_the_connection() -> None:
    tunnelling = Tunnelling()
    tunnelling.connected.cancel()
    failure_of(tunnelling.connected, CancelledError)
    tunnelling.network.pump()
    assert tunnelling.connection.wire.aborted
    assert tunnelling.connection.wire.closed
