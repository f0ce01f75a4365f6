from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from treq.client import HTTPClient
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.interfaces import IHostnameResolver, IHostResolution, IResolutionReceiver
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.web.iweb import IResponse
from zope.interface import implementer
from zope.interface.verify import verifyObject

from crproxy.config import Timeouts, Upstream
from crproxy.oci.names import Registry
from crproxy.upstream.agent import Clients, send
from crproxy.upstream.connecting import CheckedReactor
from crproxy.upstream.errors import RefusedAddress, RefusedEncoding, describe, innermost
from tests.memory import Network, answer, ended, failure_of
from tests.upstream.conftest import QUAY, TIMEOUTS

URL = "https://quay.io/x"


def asked(network: Network, http: HTTPClient, headers: dict[str, list[str]] | None = None) -> Deferred[IResponse]:
    answered = send(http, "GET", URL, headers or {}, 30, network.clock)
    network.pump()
    return answered


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "zstd", "br", "deflate", "identity, gzip", "x"])
def test_an_encoded_answer_is_refused_and_its_connection_closed(
    network: Network, http: HTTPClient, coding: str
) -> None:
    network.serve("https://quay.io", answer(200, b"x", f"Content-Encoding: {coding}", length=10))
    failure_of(asked(network, http), RefusedEncoding)
    network.pump()
    assert network.connections[0].wire.closed


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
def test_identity_is_no_encoding(network: Network, http: HTTPClient, coding: str) -> None:
    network.serve("https://quay.io", answer(200, b"x", f"Content-Encoding: {coding}"))
    assert ended(asked(network, http)).code == 200


def test_what_the_caller_accepts_is_overruled(network: Network, http: HTTPClient) -> None:
    network.serve("https://quay.io", answer())
    ended(asked(network, http, {"Accept-Encoding": ["gzip", "br"]}))
    assert network.seen[0].all("Accept-Encoding") == ["identity"]


def test_a_length_survives_treq(network: Network, http: HTTPClient) -> None:
    network.serve("https://quay.io", answer(200, b"abc"))
    assert ended(asked(network, http)).length == 3


def test_a_redirect_is_not_followed(network: Network, http: HTTPClient) -> None:
    network.serve("https://quay.io", answer(302, b"", "Location: /y"))
    assert ended(asked(network, http)).code == 302
    assert len(network.seen) == 1


@implementer(IHostResolution)
class Resolution:
    name = "quay.io"

    def cancel(self) -> None:
        """Nothing is under way."""


@implementer(IHostnameResolver)
class Resolver:
    """Knows the addresses of every name."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    def resolveHostName(
        self, resolutionReceiver: IResolutionReceiver, hostName: str, portNumber: int = 0, *_: Any, **__: Any
    ) -> IHostResolution:
        resolution = Resolution()
        resolutionReceiver.resolutionBegan(resolution)
        for address in self._addresses:
            family = IPv6Address if ":" in address else IPv4Address
            resolutionReceiver.addressResolved(family("TCP", address, portNumber))
        resolutionReceiver.resolutionComplete()
        return resolution


@pytest.fixture
def reactor() -> MemoryReactorClock:
    return MemoryReactorClock()


def connecting(reactor: MemoryReactorClock, upstream: Upstream, *addresses: str) -> Deferred[IResponse]:
    reactor.installNameResolver(Resolver(*addresses))
    client = Clients(reactor, TIMEOUTS).client(upstream)
    answered = send(client, "GET", f"{upstream.endpoint}/v2/", {}, 30, reactor)
    # HostnameEndpoint gives each address a little time before it tries the next.
    for _ in range(10):
        reactor.advance(0.3)
    return answered


PUBLIC = Upstream.public(QUAY)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111"])
def test_a_public_address_is_connected_to(reactor: MemoryReactorClock, address: str) -> None:
    connecting(reactor, PUBLIC, address)
    assert [client[:2] for client in reactor.tcpClients] == [(address, 443)]


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "::1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"],
)
def test_an_address_inside_is_never_connected_to(reactor: MemoryReactorClock, address: str) -> None:
    error = failure_of(connecting(reactor, PUBLIC, address), Exception)
    assert isinstance(innermost(error), RefusedAddress)
    assert describe(error) == f"its name leads to {address}, which is not a public address"
    assert reactor.tcpClients == []


def test_of_several_addresses_only_the_public_ones_are_tried(reactor: MemoryReactorClock) -> None:
    connecting(reactor, PUBLIC, "10.0.0.1", "8.8.8.8", "127.0.0.1")
    assert {client[0] for client in reactor.tcpClients} == {"8.8.8.8"}


def test_an_address_in_place_of_a_name_is_checked_too(reactor: MemoryReactorClock) -> None:
    upstream = Upstream.public(Registry.parse("169.254.169.254"))
    failure_of(connecting(reactor, upstream, "169.254.169.254"), Exception)
    assert reactor.tcpClients == []


def test_a_configured_upstream_may_be_inside(reactor: MemoryReactorClock) -> None:
    upstream = Upstream(QUAY, "http://registry.internal:5000", private_hosts=frozenset({"registry.internal"}))
    connecting(reactor, upstream, "10.0.0.1")
    assert [client[:2] for client in reactor.tcpClients] == [("10.0.0.1", 5000)]


def test_where_a_configured_upstream_sends_us_is_checked_all_the_same(reactor: MemoryReactorClock) -> None:
    """S2, S4: the exception is for the host that is written down, not for a redirect's or a realm's."""
    upstream = Upstream(QUAY, "http://metadata.internal", private_hosts=frozenset({"registry.internal"}))
    error = failure_of(connecting(reactor, upstream, "169.254.169.254"), Exception)
    assert isinstance(innermost(error), RefusedAddress)
    assert reactor.tcpClients == []


def test_a_connection_is_given_up_after_the_connect_time(reactor: MemoryReactorClock) -> None:
    connecting(reactor, PUBLIC, "8.8.8.8")
    (client,) = reactor.tcpClients
    assert client[3] == TIMEOUTS.connect


def test_a_refused_connection_says_so(reactor: MemoryReactorClock) -> None:
    answered = connecting(reactor, PUBLIC, "8.8.8.8")
    reactor.tcpClients[0][2].clientConnectionFailed(None, Failure(Refused()))  # type: ignore[arg-type]
    reactor.advance(1)
    assert describe(failure_of(answered, Exception)) == "it refuses connections"


def test_a_checked_reactor_is_what_it_says_it_is(reactor: MemoryReactorClock) -> None:
    from twisted.internet.interfaces import IReactorPluggableNameResolver, IReactorTime

    checked = CheckedReactor(reactor)
    assert verifyObject(IReactorTime, checked)
    assert verifyObject(IReactorPluggableNameResolver, checked)
    assert checked.nameResolver is reactor.nameResolver


def test_a_checked_reactor_has_the_time_of_the_one_below(reactor: MemoryReactorClock) -> None:
    checked = CheckedReactor(reactor)
    called: list[str] = []
    call = checked.callLater(2, called.append, "called")
    assert checked.getDelayedCalls() == [call]
    reactor.advance(2)
    assert (checked.seconds(), called) == (2, ["called"])


def test_upstreams_of_one_kind_share_their_connections(reactor: MemoryReactorClock) -> None:
    clients = Clients(reactor, Timeouts())
    ghcr = Upstream.public(Registry("ghcr.io"))
    assert clients.client(PUBLIC) is clients.client(ghcr)


@pytest.mark.parametrize(
    "other",
    [replace(PUBLIC, private_hosts=frozenset({"inside"})), replace(PUBLIC, keepalive=False)],
    ids=["configured", "keepalive"],
)
def test_upstreams_of_different_kinds_share_none(reactor: MemoryReactorClock, other: Upstream) -> None:
    clients = Clients(reactor, Timeouts())
    assert clients.client(PUBLIC) is not clients.client(other)
