"""What is said inside, by OpenSSL's client on real sockets: their bytes and their time are in the test's hands."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request

from crproxy.config import Config
from crproxy.config.client_values import Clients
from crproxy.forward.authority import Authority
from crproxy.forward.connect import ConnectResource, Settings
from crproxy.forward.inside import Inside, InsideConfiguration
from crproxy.forward.layered import LayeredContexts
from crproxy.forward.leaves import Leaves
from crproxy.forward.switching import ConnectChannel, Switching
from crproxy.oci.errors import RegistryError
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.audit import Record
from crproxy.policy.connecting import Target
from crproxy.policy.routing import Names, place, route
from crproxy.tls.accepting import Contexts, TLSFactory
from crproxy.transports.servers import Server, TLSServer, TurningServer, UnixTurningServer
from crproxy.web.channel import Channel
from crproxy.web.connections import Connections
from crproxy.web.site import PlainSite
from tests.logs import Log
from tests.tls.wires import DOMAIN, trusting
from tests.transports.hands import Hands, sockets

QUAY = Registry("quay.io")
LARGE = bytes(range(256)) * 4096
KINDS = ("tcp", "unix", "tls", "other")


# The configuration


class Answered:
    """A configuration, and the registries that are answered, both of which a test may change."""

    def __init__(self, **config: Any) -> None:
        self.config = Config(Names("cr.test", {"ghcr.cr.test": Registry("ghcr.io")}), **config)
        self.registries = frozenset({QUAY})
        self.asked = 0
        self.inside = InsideConfiguration(lambda: self.config, "quay.io", QUAY, self._answered)

    def _answered(self) -> frozenset[Registry]:
        self.asked += 1
        return self.registries


def test_its_own_host_stands_for_the_registry_and_no_other() -> None:
    names = Answered().inside().names
    assert place(names, "quay.io") == place(names, "QUAY.io:443") == QUAY
    assert str(route(names, "quay.io", "org/app").repository) == "quay.io/org/app"
    # Nor is another one asked by prefix.
    assert str(route(names, "quay.io", "ghcr.io/org/app").repository) == "quay.io/ghcr.io/org/app"
    for host in ("ghcr.io", "cr.test", "ghcr.cr.test", "", "x.quay.io"):
        with pytest.raises(RegistryError) as raised:
            place(names, host)
        assert raised.value.status == 421


def test_who_is_let_in_was_asked_before_and_all_else_stays() -> None:
    answered = Answered(clients=Clients({"alice": b"x"}, token_ttl=7))
    inside = answered.inside()
    assert (inside.clients.users, inside.clients.token_ttl) == (None, 7)
    assert inside.access is answered.config.access
    assert answered.inside() is inside


def test_a_reload_counts_at_once() -> None:
    answered = Answered()
    before = answered.inside()
    answered.config = Config(data_dir="/elsewhere")
    assert answered.inside().data_dir == "/elsewhere"
    assert answered.inside().names == before.names
    assert answered.asked == 2


def test_a_registry_that_is_taken_away_is_not_answered_on_connections_from_before() -> None:
    answered = Answered()
    answered.inside()
    answered.config, answered.registries = Config(), frozenset()
    for host in ("quay.io", "", "another-proxy", "ANOTHER-PROXY", "cr.test"):
        with pytest.raises(RegistryError) as raised:
            route(answered.inside().names, host, "quay.io/org/app")
        assert raised.value.status == 421
    answered.config, answered.registries = Config(), frozenset({QUAY})
    assert place(answered.inside().names, "quay.io") == QUAY


# The connection


class Answers(Resource):
    """Says what was asked, and whom for; at /large something large."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        if request.path == b"/large":
            return LARGE
        return b"%s %s" % (request.getHeader(b"host"), request.path)


class World:
    """A proxy that answers in the place of quay.io, on a port of the kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.hands = Hands()
        self.now = time.time()
        self.authority = Authority.new({"quay.io"}, self.now)
        self.leaves = Leaves(lambda _: self.authority, lambda: self.now)
        self.contexts, self.layered = Contexts(), LayeredContexts()
        self.records: list[Record] = []
        self.user: str | None = None
        self.is_open = True
        self.site = PlainSite.make(Answers(), "registry", self.hands, self.records.append)
        resource = ConnectResource(lambda: Settings(frozenset({QUAY, DOCKER_HUB})), self._user_of, self)
        proxy = PlainSite.make(resource, "proxy", self.hands, None)
        proxy.protocol = ConnectChannel
        self.connections = proxy.connections = self.site.connections = Connections(self.hands)
        self.factory: Any = Switching(proxy)
        if kind == "tls":
            self.factory = TLSFactory(self.factory, lambda _: DOMAIN, self.hands)
        self.open: list[tuple[Any, socket.socket]] = []

    async def _user_of(self, authorization: str | None, client: str | None) -> str | None:
        return self.user

    def _lets_in(self, user: str | None, client: str | None) -> bool:
        return self.is_open

    async def registry(self, host: str, registry: Registry, user: str | None) -> Inside:
        certified = self.leaves.find(host)
        assert certified is not None
        return Inside(host, certified, self.site, user, self._lets_in, self.hands, self.contexts, self.layered)

    async def tunnel(self, target: Target, request: Request) -> Inside:
        raise AssertionError(target)

    def connect(self) -> Wire:
        ours, theirs = sockets(unix=self.kind == "unix")
        kinds: dict[str, Any] = {
            "tcp": TurningServer,
            "unix": UnixTurningServer,
            "tls": TLSServer,
            # An endpoint of which nobody could say that it turns to TLS later.
            "other": Server,
        }
        protocol = self.factory.buildProtocol(None)
        peer = "" if self.kind == "unix" else ours.getpeername()
        transport = kinds[self.kind](ours, protocol, peer, None, 0, self.hands)
        protocol.makeConnection(transport)
        self.open.append((transport, theirs))
        theirs.setblocking(False)
        wire = Wire(self.hands, theirs)
        return Wire.over(Client(wire, trusting("http/1.1"), "cr.test")) if self.kind == "tls" else wire

    def granted(self) -> Wire:
        """A connection on which CONNECT was answered."""
        wire = self.connect()
        wire.send(b"CONNECT quay.io:443 HTTP/1.1\r\nHost: quay.io:443\r\n\r\n")
        assert wire.receive() == b"HTTP/1.1 200 Connection established\r\n\r\n"
        return wire

    def client(self, name: str | None = "quay.io", *protocols: str) -> Client:
        """A client that trusts the proxy's CA, and looks at what it is shown."""
        context = ssl.create_default_context(cadata=self.authority.shown().decode("ascii"))
        context.check_hostname = name is not None
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return Client(self.granted(), context, name)

    def close(self) -> None:
        for transport, theirs in self.open:
            if not transport.disconnected:
                transport.connectionLost(Failure(ConnectionDone()))
            theirs.close()


class Wire:
    """A client's end of a connection."""

    def __init__(self, hands: Hands, theirs: socket.socket) -> None:
        self.hands = hands
        self.theirs = theirs
        self.send: Callable[[bytes], object] = self._send
        self.receive: Callable[[], bytes] = self._receive

    @classmethod
    def over(cls, client: Client) -> Wire:
        """One that is in TLS."""
        client.shake_hands()
        wire = cls(client.wire.hands, client.wire.theirs)
        wire.send, wire.receive = client.write, client.read
        return wire

    def _send(self, data: bytes) -> None:
        self.hands.settle()
        self.theirs.sendall(data)
        self.hands.settle()

    def _receive(self) -> bytes:
        """What has come."""
        got = b""
        while True:
            self.hands.settle()
            try:
                piece = self.theirs.recv(1 << 20)
            except BlockingIOError:
                return got
            if not piece:
                return got
            got += piece


class Client:
    """OpenSSL's client on a wire."""

    def __init__(self, wire: Wire, context: ssl.SSLContext, name: str | None) -> None:
        self.wire = wire
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)

    def shake_hands(self) -> Client:
        """Raises ssl.SSLError."""
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                received = self.wire.receive()
                if not received:
                    raise ConnectionResetError from None
                self._incoming.write(received)
            except ssl.SSLError:
                # Its alert.
                self._flush()
                raise
            else:
                self._flush()
                return self

    def write(self, data: bytes) -> None:
        self.tls.write(data)
        self._flush()

    def read(self) -> bytes:
        """What has come."""
        got = b""
        while received := self.wire.receive():
            self._incoming.write(received)
            while True:
                try:
                    piece = self.tls.read(1 << 16)
                except ssl.SSLWantReadError:
                    break
                if not piece:
                    return got
                got += piece
        return got

    def ask(self, path: str) -> bytes:
        """Ask for ``path``; return the answer's body."""
        self.write(f"GET {path} HTTP/1.1\r\nHost: quay.io\r\n\r\n".encode())
        header, _, body = self.read().partition(b"\r\n\r\n")
        assert header.startswith(b"HTTP/1.1 200 "), header
        return body

    def _flush(self) -> None:
        if said := self._outgoing.read():
            self.wire.send(said)


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    world = World(request.param)
    yield world
    world.close()


# Twisted's TLS in TLS is pyOpenSSL's, to which certificates are handed as it has them.
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")


def test_a_registry_is_answered_in_its_own_name(world: World) -> None:
    client = world.client().shake_hands()
    assert client.tls.getpeercert()["subjectAltName"] == (("DNS", "quay.io"),)  # type: ignore[index]
    for path in ("/v2/", "/large", "/again"):
        assert client.ask(path) == (LARGE if path == "/large" else b"quay.io " + path.encode())
    assert len(world.connections) == 1
    assert [(each.target, each.site) for each in world.records] == [
        ("/v2/", "registry"),
        ("/large", "registry"),
        ("/again", "registry"),
    ]


@pytest.mark.parametrize("user", [None, "alice"])
def test_each_request_is_of_who_has_logged_in(world: World, user: str | None) -> None:
    world.user = user
    client = world.client().shake_hands()
    client.ask("/a")
    client.ask("/b")
    assert [record.user for record in world.records] == [user, user]


def test_who_is_let_in_no_more_before_he_speaks_is_hung_up_on(world: World) -> None:
    client = world.client()
    world.is_open = False
    with pytest.raises(ConnectionResetError):
        client.shake_hands()
    assert len(world.connections) == 0
    assert world.hands.getDelayedCalls() == []


def test_two_clients_are_two(world: World) -> None:
    world.user = "alice"
    one = world.client().shake_hands()
    world.user = "bob"
    two = world.client().shake_hands()
    one.ask("/1")
    two.ask("/2")
    one.ask("/3")
    assert [record.user for record in world.records] == ["alice", "bob", "alice"]


def test_who_names_no_host_means_this_one(world: World) -> None:
    assert world.client(None).shake_hands().ask("/v2/") == b"quay.io /v2/"


def test_another_name_is_nobody_here(world: World) -> None:
    with Log() as log, pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        world.client("ghcr.io").shake_hands()
    assert any("another name is asked for in TLS: ghcr.io" in line for line in log.lines)
    assert len(world.connections) == 0


@pytest.mark.parametrize(("protocols", "agreed"), [(("h2", "http/1.1"), "http/1.1"), ((), None)])
def test_it_is_http_1_1(world: World, protocols: tuple[str, ...], agreed: str | None) -> None:
    client = world.client("quay.io", *protocols).shake_hands()
    assert client.tls.selected_alpn_protocol() == agreed
    assert client.ask("/") == b"quay.io /"


def test_who_wants_something_else_is_refused(world: World) -> None:
    with Log() as log, pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        world.client("quay.io", "h2").shake_hands()
    assert any("HTTP/1.1 is not offered in TLS" in line for line in log.lines)


def test_what_the_first_client_speaks_is_not_what_the_next_one_has_to(world: World) -> None:
    world.client("quay.io", "acme-tls/1").shake_hands()
    client = world.client("quay.io", "http/1.1").shake_hands()
    assert client.tls.selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize("words", [b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", b"\x00" * 50])
def test_what_is_no_tls_is_hung_up_on_and_named_in_the_log(world: World, words: bytes) -> None:
    wire = world.granted()
    with Log() as log:
        wire.send(words)
    assert [line for line in log.lines if line.startswith("CONNECT quay.io:443 from ")] != []
    assert any("this is something else than TLS" in line for line in log.lines)
    wire.theirs.close()
    world.hands.settle()
    world.hands.advance(10)
    assert world.hands.getDelayedCalls() == []


def test_one_that_does_not_trust_the_ca_is_named_in_the_log(world: World) -> None:
    client = Client(world.granted(), ssl.create_default_context(), "quay.io")
    with Log() as log:
        with pytest.raises(ssl.SSLCertVerificationError):
            client.shake_hands()
        client.wire.theirs.close()
        world.hands.settle()
    assert any("the TLS handshake failed" in line for line in log.lines)


def test_one_that_says_nothing_is_cut_off(world: World) -> None:
    world.granted()
    (transport, _) = world.open[-1]
    world.hands.advance(9)
    assert not transport.disconnected
    with Log() as log:
        world.hands.advance(6)
    assert transport.disconnected
    assert any("no TLS handshake within 10 s" in line for line in log.lines)
    assert world.hands.getDelayedCalls() == []


@pytest.mark.parametrize("when", ["at once", "in its first words", "after them"])
def test_one_that_leaves_leaves_nothing_behind(world: World, when: str) -> None:
    client = world.client()
    if when == "in its first words":
        with pytest.raises(ssl.SSLWantReadError):
            client.tls.do_handshake()
        client.wire.send(client._outgoing.read(50))
    elif when == "after them":
        client.shake_hands().ask("/")
    client.wire.theirs.close()
    # A Unix socket whose input was looked at is looked at now and then.
    world.hands.advance(0.1)
    assert len(world.connections) == 0
    assert world.hands.getDelayedCalls() == []
    assert not world.hands.readers | world.hands.writers


def test_when_the_daemon_stops_an_answer_is_the_last(world: World) -> None:
    client = world.client().shake_hands()
    client.ask("/")
    closed = world.connections.close()
    world.hands.advance(2)
    assert closed.called
    client.wire.theirs.close()
    world.hands.settle()
    world.hands.advance(10)
    assert world.hands.getDelayedCalls() == []


def test_a_certificate_that_is_made_anew_is_shown_from_then_on(world: World) -> None:
    first = world.client().shake_hands().tls.getpeercert(binary_form=True)
    assert world.client().shake_hands().tls.getpeercert(binary_form=True) == first
    world.authority = Authority.new({"quay.io"}, world.now)
    assert world.client().shake_hands().tls.getpeercert(binary_form=True) != first


def test_a_site_that_makes_no_connection_makes_none_inside() -> None:
    """As a factory may (IProtocolFactory)."""
    world = World("tcp")
    world.site.buildProtocol = lambda _: None  # type: ignore[method-assign]
    with pytest.raises((ConnectionResetError, ssl.SSLError)):
        world.client().shake_hands()
    assert world.open[-1][0].disconnected
    world.close()


def test_it_has_channels_of_the_site_and_no_others() -> None:
    world = World("tcp")
    world.client().shake_hands()
    assert [type(each) for each in world.connections._open] == [Channel]
    world.close()
