"""The whole proxy in memory: its site, and the network behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.server import Site

from crproxy.config import Config, Timeouts
from crproxy.limits import Accounts, Fills
from crproxy.login import Login
from crproxy.login.passwords import Passwords
from crproxy.login.signing import Signer
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.routing import Names
from crproxy.store.store import Store
from crproxy.upstream.agent import treq_client
from crproxy.upstream.client import RegistryClient
from crproxy.upstream.exchange import Exchange
from crproxy.upstream.logins import Logins
from crproxy.upstream.quotas import Quotas
from crproxy.upstream.tokens import Tokens
from crproxy.web.page import Authority, PageResource, ReadAuthorities, State
from crproxy.web.registry import RegistryResource
from crproxy.web.site import PlainSite, make_site
from crproxy.web.token import TokenResource
from tests.memory import Network, Wire
from tests.stores import make_store, pull_through, threads

KEY = bytes(range(64))
NAMES = Names("cr.test", {"docker.cr.test": DOCKER_HUB, "quay.cr.test": Registry("quay.io")})


@dataclass
class Current:
    """The configuration that counts now, which a test may change."""

    config: Config

    def __call__(self) -> Config:
        return self.config


@dataclass
class Received:
    """What a client has received: one answer."""

    status: int
    headers: dict[str, list[str]]
    body: bytes

    def one(self, name: str) -> str | None:
        values = self.headers.get(name.lower(), [])
        assert len(values) < 2, values
        return values[0] if values else None


class Browser:
    """One client's connection to the site."""

    def __init__(self, site: Site, network: Network, peer: IAddress | None = None) -> None:
        self.network = network
        self.wire = Wire()
        self._stalled = False
        if peer is not None:
            self.wire.peerAddr = peer
        protocol = site.buildProtocol(None)
        assert isinstance(protocol, Protocol)
        self._protocol = protocol
        protocol.makeConnection(self.wire)

    def send(self, data: bytes) -> None:
        self._protocol.dataReceived(data)
        self.network.pump()

    def ask(self, target: str, *lines: str, method: str = "GET", host: str | None = "cr.test") -> None:
        hosts = [] if host is None else [f"Host: {host}"]
        self.send("\r\n".join([f"{method} {target} HTTP/1.1", *hosts, *lines, "", ""]).encode("latin-1"))

    def get(self, target: str, *lines: str, method: str = "GET", host: str | None = "cr.test") -> Received:
        self.ask(target, *lines, method=method, host=host)
        return self.received()

    def head(self, target: str) -> Received:
        return self.get(target, method="HEAD")

    def received(self) -> Received:
        header, end, body = self.wire.value().partition(b"\r\n\r\n")
        assert end, f"no header yet: {header!r}"
        first, *lines = header.decode("latin-1").split("\r\n")
        headers: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            headers.setdefault(name.lower(), []).append(value)
        return Received(int(first.split(" ")[1]), headers, body)

    @property
    def silent(self) -> bool:
        """Whether nothing was received yet."""
        return not self.wire.value()

    def stall(self) -> None:
        """The client does not take what was sent."""
        self._producer.pauseProducing()

    def stall_behind(self, count: int) -> None:
        """The client takes so many bytes, about, and then nothing."""
        write = self.wire.write

        def taken(data: bytes) -> None:
            write(data)
            if len(self.wire.value()) >= count and not self._stalled:
                self._stalled = True
                self.stall()

        self.wire.write = taken  # type: ignore[method-assign]

    def read_on(self) -> None:
        """The client has taken what was sent."""
        self._producer.resumeProducing()

    @property
    def _producer(self) -> IPushProducer:
        assert self.wire.producer is not None
        return cast(IPushProducer, self.wire.producer)

    def leave(self) -> None:
        """The client closes its connection."""
        self.lose(Failure(ConnectionLost()))

    def lose(self, reason: Failure) -> None:
        """The connection ends."""
        if self.wire.producer is not None:
            self.wire.producer.stopProducing()
        self.wire.connected = False
        self._protocol.connectionLost(reason)
        self.network.pump()


Browse = Callable[[], Browser]


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def store(network: Network, tmp_path: Path) -> Store:
    return make_store(tmp_path, network.clock)


@pytest.fixture
def config() -> Config:
    return Config(NAMES)


@pytest.fixture
def current(config: Config) -> Current:
    return Current(config)


@pytest.fixture
def state() -> State:
    """How this proxy is doing."""
    return State()


@pytest.fixture
def authorities() -> list[Authority]:
    """The CAs that clients of the HTTP proxy are to trust."""
    return []


@pytest.fixture
def site(network: Network, store: Store, current: Current, state: State, authorities: list[Authority]) -> Site:
    return build_site(network, store, current, state, lambda: authorities)


def build_site(
    network: Network, store: Store, current: Current, state: State, authorities: ReadAuthorities = tuple
) -> PlainSite:
    """Return the site in front of `network`, which answers by `current`; no answers are prepared."""
    clock, timeouts = network.clock, Timeouts()
    http = treq_client(network.agent())
    accounts, tokens = Accounts(current, clock), Tokens(timeouts, clock)
    exchange = Exchange(lambda _: http, tokens, timeouts, clock, accounts.from_upstream)
    client = RegistryClient(lambda registry: current().upstream(registry), exchange, Quotas(clock.seconds))
    logins = Logins(lambda _: http, exchange, tokens, clock)
    login = Login(current, Passwords(threads, clock), logins, Signer(lambda: KEY, clock), clock)
    pullthrough = pull_through(client, store, clock, fills=Fills(current))
    registry = RegistryResource(current, login, pullthrough, accounts)
    page = PageResource(current, lambda: state, authorities, accounts.check_request)
    return make_site(page, registry, TokenResource(current, login, accounts, clock), clock)


@pytest.fixture
def browse(site: Site, network: Network) -> Browse:
    """Opens a connection."""
    return lambda: Browser(site, network)


@pytest.fixture
def browser(browse: Browse) -> Browser:
    return browse()
