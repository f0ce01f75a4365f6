"""HTTP in memory: the real Agent, its real protocol and the real parser, over transports that are read by hand.

A test serves a host with a function from a request to the bytes of an answer, or lets the request wait and answers it
later. Nothing happens between two calls of `Network.pump`, so that every order of events can be had.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from crproxy.upstream.protocol import make_pool

__all__ = ["Connection", "Network", "Seen", "answer", "ended", "failure_of", "not_yet"]

Result = TypeVar("Result")


@dataclass(frozen=True)
class Seen:
    """A request as it was on the wire."""

    origin: str
    raw: bytes
    body: bytes = b""

    @property
    def line(self) -> str:
        return self.raw.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]

    @property
    def url(self) -> str:
        return self.origin + self.target

    def all(self, name: str) -> list[str]:
        """Every line of the field `name`."""
        lines = self.raw.split(b"\r\n\r\n", 1)[0].decode("latin-1").split("\r\n")[1:]
        pairs = (line.split(": ", 1) for line in lines)
        return [value for key, value in pairs if key.lower() == name.lower()]

    def one(self, name: str) -> str | None:
        """The only line of the field `name`, or None where there is none."""
        values = self.all(name)
        assert len(values) < 2, values
        return values[0] if values else None


class Wire(StringTransport):
    """A transport that closes when it is told to, but not before the next pump."""

    def __init__(self) -> None:
        super().__init__(lenient=True)
        self.aborted = False
        self.closed = False

    def stopProducing(self) -> None:
        self.loseConnection()

    def abortConnection(self) -> None:
        self.aborted = True
        self.disconnecting = True

    @property
    def paused(self) -> bool:
        return bool(self.producerState == "paused")


class Connection:
    """One connection, seen from the server it leads to."""

    def __init__(self, network: Network, origin: str, protocol: IProtocol, wire: Wire) -> None:
        self.origin = origin
        self.wire = wire
        self._network = network
        self._protocol = protocol
        self._taken = 0

    def request(self) -> Seen | None:
        """The next request, once it is here."""
        raw = self.wire.value()[self._taken :]
        end = raw.find(b"\r\n\r\n") + 4
        if end < 4:
            return None
        header = Seen(self.origin, raw[:end])
        whole = end + int(header.one("Content-Length") or 0)
        if len(raw) < whole:
            return None
        self._taken += whole
        return replace(header, body=raw[end:whole])

    def send(self, data: bytes) -> None:
        self._protocol.dataReceived(data)
        self._network.pump()

    def end(self) -> None:
        """The server closes the connection."""
        self._close(Failure(ConnectionDone()))

    def cut(self) -> None:
        """The connection breaks."""
        self._close(Failure(ConnectionLost()))

    def settle(self) -> bool:
        """Close the connection if our side said so; tell whether anything happened."""
        if self.wire.closed or not self.wire.disconnecting:
            return False
        self._close(Failure(ConnectionLost() if self.wire.aborted else ConnectionDone()))
        return True

    def _close(self, reason: Failure) -> None:
        if not self.wire.closed:
            self.wire.closed = True
            self.wire.connected = False
            self._protocol.connectionLost(reason)
        self._network.pump()


Answerer = Callable[[Seen], "bytes | None"]


@dataclass
class Network:
    """All servers there are. `agent` reaches them, over plain transports for https, too."""

    clock: Clock = field(default_factory=Clock)
    hosts: dict[str, Answerer | Exception] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    waiting: list[Connection] = field(default_factory=list)
    _answers: deque[tuple[Connection, bytes]] = field(default_factory=deque)
    _pumping: bool = False

    def endpoint(self, origin: str) -> IStreamClientEndpoint:
        """What connects to `origin`."""
        return _Endpoint(self, origin)

    def endpoints(self) -> IAgentEndpointFactory:
        """What connects to any origin."""
        return _Endpoints(self)

    def agent(self) -> Agent:
        pool = make_pool(self.clock, persistent=False)
        agent: Agent = Agent.usingEndpointFactory(self.clock, _Endpoints(self), pool)
        return agent

    def serve(self, origin: str, answers: Answerer | bytes | list[bytes]) -> None:
        """Answer requests to `origin`: alike, one after the other, or as a function says; None lets them wait."""
        if isinstance(answers, bytes):
            self.hosts[origin] = partial(_always, answers)
        elif isinstance(answers, list):
            self.hosts[origin] = partial(_next, deque(answers))
        else:
            self.hosts[origin] = answers

    def refuse(self, origin: str, error: Exception) -> None:
        """Let connections to `origin` fail."""
        self.hosts[origin] = error

    def pump(self) -> None:
        """Let everything happen that is due, short of time passing."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._step():
                pass
        finally:
            self._pumping = False

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.pump()

    def run(self, work: Coroutine[Deferred[Any], Any, Result]) -> Deferred[Result]:
        """Start `work` and let happen what is due."""
        deferred = Deferred.fromCoroutine(work)
        self.pump()
        return deferred

    def connect(self, origin: str, factory: IProtocolFactory) -> Deferred[IProtocol]:
        answers = self.hosts.get(origin)
        if isinstance(answers, Exception):
            return fail(answers)
        assert answers is not None, f"nobody serves {origin}"
        protocol = factory.buildProtocol(None)  # type: ignore[arg-type]
        assert protocol is not None
        wire = Wire()
        self.connections.append(Connection(self, origin, protocol, wire))
        protocol.makeConnection(wire)
        return succeed(protocol)

    def _step(self) -> bool:
        if self._answers:
            connection, data = self._answers.popleft()
            connection.send(data)
            return True
        for connection in self.connections:
            if connection.settle():
                return True
            request = connection.request()
            if request is not None:
                self._answer(connection, request)
                return True
        return False

    def _answer(self, connection: Connection, request: Seen) -> None:
        self.seen.append(request)
        answers = self.hosts[connection.origin]
        assert callable(answers)
        data = answers(request)
        if data is None:
            self.waiting.append(connection)
        else:
            self._answers.append((connection, data))


@implementer(IAgentEndpointFactory)
class _Endpoints:
    def __init__(self, network: Network) -> None:
        self._network = network

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        scheme, host = uri.scheme.decode(), uri.host.decode()
        port = "" if uri.port == {"https": 443, "http": 80}[scheme] else f":{uri.port}"
        return _Endpoint(self._network, f"{scheme}://{host}{port}")


@implementer(IStreamClientEndpoint)
class _Endpoint:
    def __init__(self, network: Network, origin: str) -> None:
        self._network = network
        self._origin = origin

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return self._network.connect(self._origin, protocolFactory)


def _always(data: bytes, _: Seen) -> bytes:
    return data


def _next(data: deque[bytes], seen: Seen) -> bytes:
    assert data, f"not expected: {seen.line}"
    return data.popleft()


def answer(status: int = 200, body: bytes = b"", *lines: str, length: int | None = -1) -> bytes:
    """The bytes of an answer with these header lines; `length` None leaves Content-Length out."""
    header = [f"HTTP/1.1 {status} Whatever", *lines]
    if length is not None:
        header.append(f"Content-Length: {len(body) if length < 0 else length}")
    return "\r\n".join([*header, "", ""]).encode("latin-1") + body


def ended(deferred: Deferred[Result]) -> Result:
    """The result that `deferred` has by now; raises what it failed with."""
    results: list[Any] = []
    deferred.addBoth(results.append)
    assert results, "nothing has happened yet"
    if isinstance(results[0], Failure):
        results[0].raiseException()
    result: Result = results[0]
    return result


def failure_of(deferred: Deferred[Any], *kinds: type[BaseException]) -> BaseException:
    """What `deferred` has failed with by now, one of `kinds`."""
    failures: list[Any] = []
    deferred.addBoth(failures.append)
    assert failures, "nothing has happened yet"
    assert isinstance(failures[0], Failure), f"it succeeded: {failures[0]!r}"
    failures[0].trap(*kinds)
    error: BaseException | None = failures[0].value
    assert error is not None
    return error


def not_yet(deferred: Deferred[Any]) -> bool:
    """Whether `deferred` is still waiting."""
    return not deferred.called
