from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import trustme
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.interfaces import IHostnameResolver, IHostResolution, IResolutionReceiver
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.web.iweb import IResponse
from zope.interface import implementer
from zope.interface.verify import verifyObject

from crproxy.config import Upstream
from crproxy.oci.names import Registry
from crproxy.policy.proxies import Proxies, Proxy
from crproxy.policy.urls import Origin
from crproxy.upstream.agent import Clients, send
from crproxy.upstream.connecting import CheckedReactor, Endpoints, Reach
from crproxy.upstream.errors import RefusedAddress, describe, innermost
from tests.memory import failure_of, not_yet
from tests.upstream.conftest import QUAY, TIMEOUTS


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


@pytest.mark.security("S2", "S3")
@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "::1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"],
)
def test_an_address_inside_is_never_connected_to(reactor: MemoryReactorClock, address: str) -> None:
    error = failure_of(connecting(reactor, PUBLIC, address), Exception)
    assert isinstance(innermost(error), RefusedAddress)
    assert describe(error) == f"its name leads to {address}, which is not a public address"
    assert reactor.tcpClients == []


@pytest.mark.security("S2", "S3")
def test_of_several_addresses_only_the_public_ones_are_tried(reactor: MemoryReactorClock) -> None:
    connecting(reactor, PUBLIC, "10.0.0.1", "8.8.8.8", "127.0.0.1")
    assert {client[0] for client in reactor.tcpClients} == {"8.8.8.8"}


@pytest.mark.security("S2")
def test_an_address_in_place_of_a_name_is_checked_too(reactor: MemoryReactorClock) -> None:
    upstream = Upstream.public(Registry.parse("169.254.169.254"))
    failure_of(connecting(reactor, upstream, "169.254.169.254"), Exception)
    assert reactor.tcpClients == []


@pytest.mark.security("S2")
def test_a_configured_upstream_may_be_inside(reactor: MemoryReactorClock) -> None:
    upstream = Upstream(QUAY, "http://registry.internal:5000", private_hosts=frozenset({"registry.internal"}))
    connecting(reactor, upstream, "10.0.0.1")
    assert [client[:2] for client in reactor.tcpClients] == [("10.0.0.1", 5000)]


@pytest.mark.security("S2", "S4")
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


# Through a proxy

PROXY = Proxy("proxy.internal", 3128)
BEHIND = replace(PUBLIC, proxies=Proxies.always(PROXY))


def test_the_proxy_is_connected_to_wherever_it_is(reactor: MemoryReactorClock) -> None:
    connecting(reactor, BEHIND, "10.0.0.1")
    assert [client[:2] for client in reactor.tcpClients] == [("10.0.0.1", 3128)]


def test_what_is_exempt_is_connected_to_directly(reactor: MemoryReactorClock) -> None:
    upstream = replace(PUBLIC, proxies=Proxies(PROXY, PROXY, ("quay.io",)))
    connecting(reactor, upstream, "8.8.8.8")
    assert [client[:2] for client in reactor.tcpClients] == [("8.8.8.8", 443)]


def test_s29_a_registry_that_nothing_names_is_not_reached_through_a_proxy(reactor: MemoryReactorClock) -> None:
    error = innermost(failure_of(connecting(reactor, replace(BEHIND, named=False), "10.0.0.1"), Exception))
    assert isinstance(error, RefusedAddress)
    assert str(error) == (
        "it would be reached through the proxy proxy.internal:3128, where its address cannot be checked, so only "
        "registries that the configuration names are"
    )
    assert reactor.tcpClients == []


@pytest.mark.security("S29")
@pytest.mark.parametrize("host", ["169.254.169.254", "10.0.0.1", "localhost", "metadata"])
def test_nor_is_an_address_that_is_seen_to_be_inside(reactor: MemoryReactorClock, host: str) -> None:
    upstream = replace(BEHIND, endpoint=f"https://{host}")
    assert isinstance(innermost(failure_of(connecting(reactor, upstream, "8.8.8.8"), Exception)), RefusedAddress)
    assert reactor.tcpClients == []


def test_unless_it_is_written_down(reactor: MemoryReactorClock) -> None:
    upstream = replace(BEHIND, endpoint="https://10.0.0.1", private_hosts=frozenset({"10.0.0.1"}))
    connecting(reactor, upstream, "10.0.0.2")
    assert [client[:2] for client in reactor.tcpClients] == [("10.0.0.2", 3128)]


# Trust


def test_a_ca_of_its_own_can_be_used(reactor: MemoryReactorClock) -> None:
    """That it is believed, and for these hosts alone, is shown by real connections."""
    authorities = trustme.CA().cert_pem.bytes().decode()
    connecting(reactor, replace(PUBLIC, authorities=authorities), "8.8.8.8")
    assert [client[:2] for client in reactor.tcpClients] == [("8.8.8.8", 443)]


# Names and ports


class Asked(Resolver):
    """Remembers which names it was asked for."""

    def __init__(self) -> None:
        super().__init__("8.8.8.8")
        self.names: list[str] = []

    def resolveHostName(
        self, resolutionReceiver: IResolutionReceiver, hostName: str, portNumber: int = 0, *_: Any, **__: Any
    ) -> IHostResolution:
        self.names.append(hostName)
        return super().resolveHostName(resolutionReceiver, hostName, portNumber)


def asked(
    reactor: MemoryReactorClock, upstream: Upstream, url: str
) -> tuple[list[str], list[Any], Deferred[IResponse]]:
    """Ask for ``url`` as something of ``upstream``'s; return what was looked up and connected to."""
    resolver = Asked()
    reactor.installNameResolver(resolver)
    answered = send(Clients(reactor, TIMEOUTS).client(upstream), "GET", url, {}, 30, reactor)
    return resolver.names, [client[:2] for client in reactor.tcpClients], answered


REFUSED = ["https://169.254.169.254/", "https://8.8.8.8/", "https://[::1]/", "https://127.1/", "https://2130706433/"]
REFUSED += ["https://quay.io./", "https://localhost/", "https://metadata.google.internal/", "https://quay.io:8443/"]
REFUSED += ["https://under_score.example/", "https://r3---sn.example/", "https://xn--a.example/"]
REFUSED += ["https://quay.io:80/", "https://QUAY.io:22/", "http://quay.io:443/"]


@pytest.mark.parametrize("url", REFUSED)
@pytest.mark.parametrize("proxies", [Proxies(), Proxies.always(PROXY)])
def test_s2_a_host_or_port_that_must_not_be_asked_is_refused_before_its_name_is_looked_up(
    reactor: MemoryReactorClock, url: str, proxies: Proxies
) -> None:
    names, connected, answered = asked(reactor, replace(PUBLIC, proxies=proxies), url)
    assert isinstance(innermost(failure_of(answered, Exception)), RefusedAddress)
    assert (names, connected) == ([], [])


CORP = Registry.parse("registry.corp.example:5000")


@pytest.mark.parametrize(
    ("upstream", "url"),
    [
        (Upstream.public(CORP), "https://registry.corp.example:5000/"),
        (replace(PUBLIC, token_hosts=frozenset({"login.example.net"})), "https://login.example.net:8443/"),
        (replace(PUBLIC, private_hosts=frozenset({"10.0.0.1"})), "https://10.0.0.1:8443/"),
        (replace(PUBLIC, private_hosts=frozenset({"localhost"})), "https://LOCALHOST:8443/"),
    ],
)
def test_s2_what_the_configuration_names_is_asked(reactor: MemoryReactorClock, upstream: Upstream, url: str) -> None:
    names, connected, _ = asked(reactor, upstream, url)
    assert len(names) == 1 or url.startswith("https://10.0.0.1")
    assert len(connected) == 1


@pytest.mark.parametrize(
    ("upstream", "url"),
    [
        (Upstream.public(CORP, named=False), "https://registry.corp.example:5000/"),
        (Upstream.public(CORP), "https://registry.corp.example:5001/"),
        (Upstream.public(CORP), "https://cdn.corp.example:5000/"),
        (replace(PUBLIC, token_hosts=frozenset({"login.internal"})), "https://login.internal/"),
    ],
)
def test_s2_what_it_does_not_name_is_not(reactor: MemoryReactorClock, upstream: Upstream, url: str) -> None:
    names, connected, answered = asked(reactor, upstream, url)
    assert isinstance(innermost(failure_of(answered, Exception)), RefusedAddress)
    assert (names, connected) == ([], [])


# What is connected to for a client that speaks TLS itself


def below(reactor: MemoryReactorClock, host: str, *addresses: str, proxies: Proxies | None = None) -> Deferred[Any]:
    nothing: frozenset[str] = frozenset()
    reach = Reach(False, nothing, nothing, None, nothing, None, proxies or Proxies(), named=True)
    reactor.installNameResolver(Resolver(*addresses))
    endpoint = Endpoints(reactor, 10, reach).below(Origin("https", host, 443))
    connecting: Deferred[Any] = endpoint.connect(Factory.forProtocol(Protocol))
    for _ in range(10):
        reactor.advance(0.3)
    return connecting


def test_below_tls_a_host_is_connected_to_by_its_name(reactor: MemoryReactorClock) -> None:
    not_yet(below(reactor, "quay.io", "8.8.8.8"))
    clients: list[Any] = reactor.tcpClients
    ((address, port, factory, *_),) = clients
    assert (address, port) == ("8.8.8.8", 443)
    wire = StringTransport()
    factory.buildProtocol(None).makeConnection(wire)
    assert wire.value() == b""


@pytest.mark.security("S2")
@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1"])
def test_below_tls_an_address_inside_is_never_connected_to(reactor: MemoryReactorClock, address: str) -> None:
    error = failure_of(below(reactor, "quay.io", address), Exception)
    assert isinstance(innermost(error), RefusedAddress)
    assert reactor.tcpClients == []


@pytest.mark.security("S2")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "metadata.google.internal", "192.0.2.1"])
def test_below_tls_what_is_no_name_of_the_internet_is_not_looked_up(reactor: MemoryReactorClock, host: str) -> None:
    with pytest.raises(RefusedAddress):
        below(reactor, host, "8.8.8.8")


def test_below_tls_a_proxy_is_asked_where_there_is_one(reactor: MemoryReactorClock) -> None:
    proxies = Proxies(https=Proxy("proxy.internal", 3128))
    not_yet(below(reactor, "quay.io", "10.0.0.1", proxies=proxies))
    clients: list[Any] = reactor.tcpClients
    ((address, port, factory, *_),) = clients
    assert (address, port) == ("10.0.0.1", 3128)
    wire = StringTransport()
    factory.buildProtocol(None).makeConnection(wire)
    assert wire.value() == b"CONNECT quay.io:443 HTTP/1.1\r\nHost: quay.io:443\r\n\r\n"
