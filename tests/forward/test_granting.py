"""What is granted, in memory: sites that answer by a configuration, and connections that are the test's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request

from crproxy.config import Config, Forward, Timeouts
from crproxy.forward.authority import Authority
from crproxy.forward.connect import ConnectResource, Settings
from crproxy.forward.granting import Granting
from crproxy.forward.leaves import Leaves
from crproxy.forward.switching import ConnectChannel, Switching
from crproxy.oci.errors import RegistryError
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.audit import Ending, Record
from crproxy.policy.connecting import HostPattern, Target
from crproxy.policy.urls import Origin
from crproxy.upstream.connecting import Endpoints
from crproxy.upstream.errors import RefusedAddress, RefusedByProxy
from crproxy.web.connections import Connections
from crproxy.web.site import PlainSite
from tests.logs import Log
from tests.memory import Network, Wire, ended, failure_of
from tests.web.conftest import Browser

QUAY = Registry("quay.io")
TARGET = Target("a.example.com", 443)
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
IDLE, CONNECT = 77.0, 10.0


@dataclass
class Attempts:
    """Connects when the test says so (Endpoints, and what it returns)."""

    origins: list[Origin] = field(default_factory=list)
    made: list[tuple[IProtocolFactory, Deferred[IProtocol]]] = field(default_factory=list)
    cancelled: int = 0
    refused: Exception | None = None
    cancel_error: Exception | None = None

    def below(self, origin: Origin) -> Attempts:
        self.origins.append(origin)
        if self.refused is not None:
            raise self.refused
        return self

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        connected: Deferred[IProtocol] = Deferred(self._cancel)
        self.made.append((factory, connected))
        return connected

    def _cancel(self, connected: Deferred[IProtocol]) -> None:
        self.cancelled += 1
        if self.cancel_error is not None:
            connected.errback(self.cancel_error)

    def succeed(self, said: bytes = b"") -> tuple[Any, Wire]:
        factory, connected = self.made[-1]
        protocol: Any = factory.buildProtocol(None)  # type: ignore[arg-type]
        wire = Wire()
        protocol.makeConnection(wire)
        connected.callback(protocol)
        if said:
            protocol.dataReceived(said)
        return protocol, wire

    def fail(self, error: Exception) -> None:
        self.made[-1][1].errback(error)


class StrangeRequest:
    """One that nobody observes."""

    def getClientAddress(self) -> None:
        """Nobody's (IRequest)."""


class World:
    """A proxy that grants, and one client of it."""

    def __init__(self) -> None:
        self.network = Network()
        self.clock: Clock = self.network.clock
        tunnels = (HostPattern.parse("*.example.com"),)
        self.config = Config(forward=Forward(tunnels=tunnels, idle=IDLE), timeouts=replace(Timeouts(), connect=CONNECT))
        self.authority: Authority | None = Authority.new({"quay.io", "docker.io"}, 0)
        self.attempts = Attempts()
        self.sites: list[tuple[PlainSite, Callable[[], Config]]] = []
        self.records: list[Record] = []
        self.users: set[str] | None = None
        self.settings = Settings(frozenset({QUAY, DOCKER_HUB}), tunnels)
        self.connections = Connections(self.clock)
        self.granting = Granting(
            lambda: self.config,
            lambda: self.settings.registries,
            lambda user, client: self.users is None or user in self.users,
            Leaves(lambda _: self.authority, self.clock.seconds),
            self._make_site,
            lambda: cast(Endpoints, self.attempts),
            self.connections,
            self.clock,
        )
        resource = ConnectResource(lambda: self.settings, self._user_of, self.granting)
        self.site = PlainSite.make(resource, "proxy", self.clock, self.records.append)
        self.site.connections = self.connections
        self.site.protocol = ConnectChannel
        self.browser = Browser(cast(Any, Switching(self.site)), self.network)

    async def _user_of(self, authorization: str | None, client: str | None) -> str | None:
        return authorization

    def _make_site(self, configuration: Callable[[], Config]) -> PlainSite:
        self.sites.append((PlainSite.make(Resource(), "registry", self.clock, None), configuration))
        return self.sites[-1][0]

    def ask(self, *lines: str) -> None:
        self.browser.ask("a.example.com:443", *lines, method="CONNECT", host="a.example.com:443")

    def registry(self, host: str, registry: Registry = QUAY) -> Any:
        return ended(Deferred.fromCoroutine(self.granting.registry(host, registry, None)))

    def tunnel(self) -> Deferred[Any]:
        request = cast(Request, StrangeRequest())
        return Deferred.fromCoroutine(self.granting.tunnel(TARGET, request))

    def assert_over(self) -> None:
        assert len(self.connections) == 0
        assert self.clock.getDelayedCalls() == []
        assert len(self.records) == 1


@pytest.fixture
def world() -> World:
    return World()


# Registries


def test_a_registry_has_one_site_for_each_of_its_names(world: World) -> None:
    for host, registry in (("quay.io", QUAY), ("docker.io", DOCKER_HUB)) * 3:
        world.registry(host, registry)
    assert [configuration().names.domain for _, configuration in world.sites] == ["quay.io", "docker.io"]


def test_those_that_are_answered_no_more_are_forgotten(world: World) -> None:
    world.registry("quay.io")
    world.settings = Settings(frozenset({DOCKER_HUB}))
    world.registry("docker.io", DOCKER_HUB)
    assert list(world.granting._sites) == [("docker.io", DOCKER_HUB)]


def test_their_connections_are_counted_with_the_others(world: World) -> None:
    world.registry("quay.io")
    ((site, _),) = world.sites
    assert site.connections is world.connections


def test_nobody_is_answered_in_a_name_that_no_ca_may_sign(world: World) -> None:
    world.authority = None
    error = failure_of(Deferred.fromCoroutine(world.granting.registry("quay.io", QUAY, None)), RegistryError)
    assert isinstance(error, RegistryError)
    assert (error.status, world.sites) == (503, [])
    assert "crproxy ca renew makes one that may" in error.message


# Tunnels


def test_a_host_is_connected_to_below_tls(world: World) -> None:
    world.ask()
    assert world.attempts.origins == [Origin("https", "a.example.com", 443)]
    assert world.browser.silent
    _, wire = world.attempts.succeed()
    assert world.browser.wire.value() == ESTABLISHED
    world.browser.send(b"hello")
    assert wire.value() == b"hello"


def test_what_the_host_says_first_comes_behind_our_answer(world: World) -> None:
    """Also what its proxy hands on with its own answer (upstream/tunnel.py)."""
    world.ask()
    world.attempts.succeed(b"welcome")
    assert world.browser.wire.value() == ESTABLISHED + b"welcome"


def test_the_audit_log_has_it_once_it_is_over(world: World) -> None:
    world.ask("Proxy-Authorization: alice")
    host, wire = world.attempts.succeed()
    world.browser.send(b"12345")
    host.dataReceived(b"123")
    assert world.records == []
    assert len(world.connections) == 1
    world.clock.advance(5)
    world.browser.leave()
    assert wire.disconnecting
    host.connectionLost(Failure(ConnectError()))
    (record,) = world.records
    assert (record.status, record.sent, record.seconds, record.ending) == (200, 3, 5, Ending.WHOLE)
    assert (record.user, record.method, record.target) == ("alice", "CONNECT", "a.example.com:443")
    world.assert_over()


def test_one_on_which_nothing_is_said_ends_after_the_time_that_is_configured(world: World) -> None:
    world.ask()
    _, wire = world.attempts.succeed()
    for seconds, cut in ((IDLE - 1, False), (1, True)):
        world.clock.advance(seconds)
        assert (wire.aborted, world.browser.wire.aborted) == (cut, cut)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DNSLookupError(), "its name cannot be resolved"),
        (Refused(), "it refuses connections"),
        (RefusedAddress("its name leads to 10.0.0.1, which is not a public address"), "which is not a public address"),
        (RefusedByProxy("the proxy p answered 403"), "the proxy p answered 403"),
        (ValueError("invalid hostname: r3---a"), "its name cannot be resolved"),
    ],
)
@pytest.mark.parametrize("at_once", [False, True])
def test_one_that_cannot_be_connected_to_is_said_to_be(
    world: World, error: Exception, said: str, at_once: bool
) -> None:
    if at_once:
        world.attempts.refused = error
    world.ask()
    if not at_once:
        world.attempts.fail(error)
    received = world.browser.received()
    assert received.status == 502
    assert received.body.decode().startswith("a.example.com cannot be connected to: ")
    assert said in received.body.decode()
    # But for the time that the client has for its next request.
    world.browser.leave()
    world.assert_over()


@pytest.mark.parametrize("cancel_error", [None, ConnectingCancelledError(cast(Any, None))])
def test_one_that_says_nothing_is_not_waited_for(world: World, cancel_error: Exception | None) -> None:
    """A proxy in between may take the connection, and no more."""
    world.attempts.cancel_error = cancel_error
    world.ask()
    world.clock.advance(CONNECT)
    assert world.attempts.cancelled == 1
    received = world.browser.received()
    assert (received.status, "it did not answer in time" in received.body.decode()) == (502, True)


@pytest.mark.parametrize(
    "cancel_error", [None, ConnectingCancelledError(cast(Any, None)), RefusedByProxy("cannot be reached")]
)
def test_a_client_that_leaves_meanwhile_leaves_nothing_behind(world: World, cancel_error: Exception | None) -> None:
    world.attempts.cancel_error = cancel_error
    world.ask()
    with Log() as log:
        world.browser.leave()
    assert world.attempts.cancelled == 1
    assert log.complaints == []
    world.assert_over()
    # And a connection that comes all the same is closed.
    factory, _ = world.attempts.made[0]
    late: Any = factory.buildProtocol(None)  # type: ignore[arg-type]
    late.makeConnection(wire := Wire())
    assert wire.aborted


def test_one_that_is_let_go_of_is_cut(world: World) -> None:
    granted = world.tunnel()
    _, wire = world.attempts.succeed()
    ended(granted).abandon()
    assert wire.aborted
    world.browser.leave()
    assert world.clock.getDelayedCalls() == []


def test_who_spoke_too_early_has_no_connection(world: World) -> None:
    world.ask()
    world.browser.send(b"hello")
    # Nor does anybody hear what its proxy hands on.
    _, wire = world.attempts.succeed(b"welcome")
    assert wire.aborted
    assert world.browser.wire.aborted
    assert world.browser.silent


def test_when_the_daemon_stops_it_may_go_on_until_it_is_cut(world: World) -> None:
    world.ask()
    host, wire = world.attempts.succeed()
    closed = world.connections.close()
    world.clock.advance(2)
    world.browser.send(b"still here")
    assert (wire.value(), closed.called) == (b"still here", False)
    world.connections.abort()
    assert wire.aborted
    assert world.browser.wire.aborted
    host.connectionLost(Failure(ConnectError()))
    world.browser.leave()
    assert closed.called
    world.assert_over()


def test_a_request_that_nobody_observes_is_none_to_tell_of(world: World) -> None:
    granted = world.tunnel()
    world.attempts.succeed()
    switch: Any = cast(Any, type("Given", (), {"give": lambda _, end: end.makeConnection(StringTransport())})())
    ended(granted).begin(switch)
    world.browser.leave()
    assert len(world.connections) == 1
    world.connections.abort()


# Who is let in no more


@pytest.mark.parametrize("said", [(), ("Proxy-Authorization: bob",)])
def test_a_tunnel_of_who_is_let_in_no_more_is_cut(world: World, said: tuple[str, ...]) -> None:
    world.ask(*said)
    _, wire = world.attempts.succeed()
    world.granting.leave_out()
    before = wire.aborted
    world.users = {"alice"}
    world.granting.leave_out()
    assert (before, wire.aborted) == (False, True)
    assert world.browser.wire.aborted


def test_a_tunnel_of_who_is_let_in_goes_on(world: World) -> None:
    world.ask("Proxy-Authorization: alice")
    _, wire = world.attempts.succeed()
    world.users = {"alice"}
    world.granting.leave_out()
    assert not wire.aborted


def test_nobody_has_a_tunnel_who_is_let_in_no_more_once_it_stands(world: World) -> None:
    world.ask("Proxy-Authorization: bob")
    world.users = {"alice"}
    _, wire = world.attempts.succeed()
    assert wire.aborted
    assert world.browser.wire.aborted


def test_who_has_not_asked_yet_may_ask(world: World) -> None:
    world.users = {"alice"}
    world.granting.leave_out()
    assert not world.browser.wire.disconnecting
    world.ask("Proxy-Authorization: alice")
    world.attempts.succeed()
    assert world.browser.wire.value() == ESTABLISHED


def test_a_tunnel_to_a_host_that_is_passed_through_no_more_is_cut(world: World) -> None:
    world.ask()
    _, wire = world.attempts.succeed()
    tunnels = HostPattern.parse("*.other.example.com"), HostPattern.parse("a.example.com")
    cut = []
    for count in (2, 1):
        world.config = replace(world.config, forward=Forward(tunnels=tunnels[:count], idle=IDLE))
        world.granting.leave_out()
        cut.append((wire.aborted, world.browser.wire.aborted))
    assert cut == [(False, False), (True, True)]
