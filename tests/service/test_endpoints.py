from __future__ import annotations

import ipaddress

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock

from crproxy.config import Config, Listen
from crproxy.limits import Accounts
from crproxy.limits.accepting import Accepting
from crproxy.service.endpoints import client_endpoint, counted
from crproxy.service.ports import OwnPorts

LISTEN = Listen(trusted_proxies=(ipaddress.ip_network("10.0.0.0/8"),))
PROXY, CLIENT = IPv4Address("TCP", "10.0.0.1", 5000), IPv4Address("TCP", "192.0.2.1", 5000)


@pytest.mark.parametrize(
    ("description", "interface", "proxied"),
    [
        ("tcp:80", "", False),
        ("haproxy:tcp:80", "", True),
        (r"haproxy:tcp:80:interface=\:\:1", "::1", True),
    ],
)
def test_s25_only_where_the_endpoint_says_so_a_header_is_expected_and_from_proxies_alone(
    description: str, interface: str, proxied: bool
) -> None:
    reactor = MemoryReactorClock()
    accounts = Accounts(Config, reactor)
    accepting = counted(description, Factory(), Factory(), accounts, reactor)
    assert isinstance(accepting, Accepting)
    endpoint = OwnPorts(reactor).endpoint(0, description)
    client_endpoint(description, endpoint, LISTEN, reactor).listen(accepting)
    ((port, factory, _, listened),) = reactor.tcpServers
    assert (port, listened) == (80, interface)
    assert factory.buildProtocol(PROXY) is not None
    assert (factory.buildProtocol(CLIENT) is None) is proxied
    assert accepting.proxied is proxied
