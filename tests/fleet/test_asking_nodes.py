"""Over real sockets and real TLS: what one node asks, and another one answers."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from crproxy.fleet import asking_nodes
from crproxy.fleet.asking_nodes import AskingNodes, NodeIsGone, NotThere
from crproxy.fleet.nodes_only import NodesOnly
from crproxy.flights.peers import PeerIsGone
from crproxy.store.blobs import PartialKey
from crproxy.transports.servers import Turns, serve
from crproxy.upstream.relay import BodyBroke, BodyUnwanted
from tests.fleet.nodes import ABOUT, CONTENT, KEPT, KEY, OF_KEPT, REACTOR, SIZE, Node, read, turns, url_of
from tests.fleet.test_identity import NOW, OTHER, OURS, show_another
from tests.memory import ended
from tests.reactor import on_the_reactor, wait_for
from tests.upstream.conftest import Consumer


@on_the_reactor
async def test_what_a_node_has_it_gives(node: Node, asks: AskingNodes) -> None:
    streamed = await asks.open(node.url, OF_KEPT, 1)
    consumer = Consumer()
    await streamed.body.join(consumer)
    assert (streamed.status, streamed.headers["content-range"]) == (206, "bytes 1-3/4")
    assert (streamed.body.length, consumer.content) == (3, KEPT[1:])
    assert await asks.read(node.url, OF_KEPT, 100) == KEPT
    assert (asks.answers, asks.bytes_received) == (2, 7)


@on_the_reactor
async def test_what_it_is_filling_comes_as_it_does(node: Node, asks: AskingNodes) -> None:
    body = node.fill(5000)
    consumer, streamed = Consumer(), await asks.open(f"{node.url}/", KEY, 1000)
    assert streamed.headers["content-range"] == f"bytes 1000-{SIZE - 1}/{SIZE}"
    joined = streamed.body.join(consumer)
    body.send(CONTENT[5000:])
    body.end()
    await joined
    assert consumer.content == CONTENT[1000:]


@on_the_reactor
async def test_what_it_does_not_have_it_says(node: Node, asks: AskingNodes) -> None:
    with pytest.raises(NotThere, match=f"{node.url} answered 404"):
        await asks.open(node.url, KEY, 0)
    with pytest.raises(NotThere, match="answered 416"):
        await asks.open(node.url, OF_KEPT, 4)
    assert (asks.answers, asks.bytes_received) == (0, 0)


@on_the_reactor
async def test_a_connection_is_used_again(node: Node, asks: AskingNodes) -> None:
    for _ in range(3):
        assert await read(asks, node.url, OF_KEPT) == KEPT
        with pytest.raises(NotThere):
            await asks.open(node.url, KEY, 0)
        await asks.about(node.url)
    assert node.service.factory.number == 1
    await asks.close()
    await turns()
    assert node.service.factory.number == 0


@on_the_reactor
async def test_who_it_is(node: Node, asks: AskingNodes) -> None:
    assert await asks.about(node.url) == ABOUT


@on_the_reactor
async def test_who_leaves_leaves_nothing_behind(node: Node, asks: AskingNodes) -> None:
    body = node.fill(5000)
    streamed = await asks.open(node.url, KEY, 0)
    joined = streamed.body.join(Consumer())
    await turns()
    (flight,) = node.flights._running
    assert len(flight._readers) == 1
    joined.cancel()
    with pytest.raises((CancelledError, BodyUnwanted)):
        await joined
    await turns()
    assert (len(flight._readers), node.service.factory.number) == (0, 0)
    # Before the header, too.
    waits = Deferred.fromCoroutine(asks.open(node.url, PartialKey(KEY.entry), 0))
    waits.cancel()
    with pytest.raises(CancelledError):
        await waits
    body.send(CONTENT[5000:])
    body.end()


# Nodes that are none, or not well.


class Said(Protocol):
    """Answers whatever it hears, or says nothing."""

    words: bytes | None = None
    closes = False

    def dataReceived(self, data: bytes) -> None:
        transport = cast(Any, self.transport)
        if self.words is not None:
            transport.write(self.words)
        if self.closes:
            transport.loseConnection()


class Cut(Said):
    """Is cut off behind its answer, without a farewell."""

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        REACTOR.callLater(0.05, cast(Any, self.transport).abortConnection)


class Farewell(Protocol):
    """In the clear; says something of its own where it is asked for TLS."""

    def dataReceived(self, data: bytes) -> None:
        cast(Any, self.transport).write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Nothing is left to be done."""


class Servers:
    """Whoever a test has listen."""

    def __init__(self) -> None:
        self._ports: list[IListeningPort] = []

    def listen(self, protocol: type[Protocol], context: ssl.SSLContext | None = OURS.server, **state: Any) -> str:
        """Have it listen; return its URL."""
        factory = Factory.forProtocol(type("_Protocol", (protocol,), state))
        factory.noisy = False
        inside = factory if context is None else NodesOnly(factory, context, REACTOR)
        port = ended(TCP4ServerEndpoint(REACTOR, 0, interface="127.0.0.1").listen(inside))
        serve(port, Turns.NEVER if context is None else Turns.FIRST)
        self._ports.append(port)
        return url_of(port)

    def close(self) -> None:
        for port in self._ports:
            wait_for(cast(Any, port.stopListening()))


@pytest.fixture
def servers() -> Iterator[Servers]:
    servers = Servers()
    yield servers
    servers.close()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:1", "has to begin with https://"),
        ("https://user@127.0.0.1:1", "is no node's address"),
        ("redis://127.0.0.1:1", "is no node's address"),
        ("", "is no node's address"),
        ("https://127.0.0.1:0", "is no node's address"),
        ("https://127.0.0.1:99999", "is no node's address"),
    ],
)
@on_the_reactor
async def test_an_address_that_is_none_is_not_asked(asks: AskingNodes, url: str, why: str) -> None:
    with pytest.raises(NodeIsGone, match=why):
        await asks.open(url, KEY, 0)


def plain(servers: Servers) -> str:
    return servers.listen(Farewell, None)


def silent(servers: Servers) -> str:
    return servers.listen(Said, None)


def another_secret(servers: Servers) -> str:
    return servers.listen(Said, OTHER.identity(NOW).server)


def another_name(servers: Servers) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    show_another(context, "registry.example.com")
    return servers.listen(Said, context)


@pytest.mark.parametrize(
    ("listening", "why"),
    [
        (plain, "TLS failed: wrong version number|TLS failed: record layer failure|TLS failed: packet length too long"),
        (silent, "it did not answer in time"),
        (another_secret, "is no node of this fleet, or has another secret: TLS failed: certificate verify failed"),
        (another_name, "is no node of this fleet, or has another secret"),
    ],
)
@on_the_reactor
async def test_who_is_no_node_is_told_from_the_others(
    servers: Servers,
    asks: AskingNodes,
    monkeypatch: pytest.MonkeyPatch,
    listening: Callable[[Servers], str],
    why: str,
) -> None:
    monkeypatch.setattr(asking_nodes, "_CONNECT_SECONDS", 0.5 if listening is silent else 10)
    url = listening(servers)
    with pytest.raises(NodeIsGone, match=why):
        await asks.open(url, KEY, 0)


@on_the_reactor
async def test_who_shows_no_certificate_is_told_so(servers: Servers) -> None:
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    asks = AskingNodes(anybody, 10, 10, REACTOR)
    url = servers.listen(Said, words=_answer("200 OK", b"no"))
    # Whether the alert is read depends on when the question arrives: it is refused either way.
    with pytest.raises(NodeIsGone, match=r"TLS failed: .*certificate required|the connection broke"):
        await asks.open(url, KEY, 0)
    await asks.close()


def _answer(status: str, body: bytes = b"", length: int | None = None) -> bytes:
    length = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (_answer("503 Busy"), "answered 503"),
        (_answer("302 Found"), "answered 302"),
        (b"SSH-2.0-x\r\n\r\n", "it does not answer in HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, "it sent a header of more than|the connection broke"),
    ],
)
@on_the_reactor
async def test_an_answer_that_is_none(servers: Servers, asks: AskingNodes, words: bytes, why: str) -> None:
    with pytest.raises(NodeIsGone, match=why):
        await asks.open(servers.listen(Said, words=words), KEY, 0)


@on_the_reactor
async def test_a_header_that_does_not_come_is_not_waited_for(servers: Servers, asks: AskingNodes) -> None:
    asks._headers = 0.2
    with pytest.raises(NodeIsGone, match="it did not answer in time"):
        await asks.open(servers.listen(Said), KEY, 0)


@on_the_reactor
async def test_one_that_cannot_be_reached_is_gone(asks: AskingNodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent to it is dropped, as where a network is parted."""
    monkeypatch.setattr(asking_nodes, "_CONNECT_SECONDS", 0.5)
    with contextlib.ExitStack() as full:
        listening = full.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            # Beyond its backlog it answers nobody (listen(2)).
            waiting = full.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        with pytest.raises(NodeIsGone, match="it did not answer in time"):
            await asks.open(f"https://127.0.0.1:{listening.getsockname()[1]}", KEY, 0)


@on_the_reactor
async def test_one_that_goes_before_its_answer_is_gone(servers: Servers, asks: AskingNodes) -> None:
    with pytest.raises(NodeIsGone, match="the connection broke") as raised:
        await asks.open(servers.listen(Said, closes=True), KEY, 0)
    assert isinstance(raised.value, PeerIsGone), "who knows no fleet understands it as well"


@on_the_reactor
async def test_one_that_is_cut_in_mid_body_breaks_it(servers: Servers, asks: AskingNodes) -> None:
    url = servers.listen(Cut, words=_answer("200 OK", b"abc", SIZE))
    with pytest.raises(BodyBroke, match=f"{url} ended in mid-body"):
        await read(asks, url, KEY)


@on_the_reactor
async def test_one_that_stands_still_breaks_it(servers: Servers, asks: AskingNodes) -> None:
    asks._idle = 0.2
    url = servers.listen(Said, words=_answer("200 OK", b"abc", SIZE))
    with pytest.raises(BodyBroke, match=f"{url} sent nothing for 0.2 s"):
        await read(asks, url, KEY)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (_answer("404 Not Found"), "answered 404"),
        (_answer("200 OK", b"[]"), "does not say who it is: it is no object"),
        (_answer("200 OK", b"x" * 100_000), "does not say who it is: a body of 100000 bytes, where 65536 are the most"),
    ],
)
@on_the_reactor
async def test_who_does_not_say_who_it_is(servers: Servers, asks: AskingNodes, words: bytes, why: str) -> None:
    with pytest.raises((NodeIsGone, NotThere), match=why):
        await asks.about(servers.listen(Said, words=words))


@on_the_reactor
async def test_who_is_cut_while_it_says_who_it_is(servers: Servers, asks: AskingNodes) -> None:
    url = servers.listen(Cut, words=_answer("200 OK", b"{", 100))
    with pytest.raises(NodeIsGone, match="does not say who it is: ended in mid-body"):
        await asks.about(url)
