from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.web.server import Request
from twisted.web.test.requesthelper import DummyChannel

from crproxy.login import AuthRequest
from crproxy.policy.clients import Network
from crproxy.web.authentication import auth_request


def request(*fields: tuple[bytes, bytes], peer: IAddress | None = None, secure: bool = False) -> Request:
    """A request with these header lines."""
    channel: Any = DummyChannel()
    channel.transport.getPeer = lambda: peer or IPv4Address("TCP", "192.0.2.7", 4321)
    channel.isSecure = lambda: secure
    made = Request(channel)
    for name, value in fields:
        made.requestHeaders.addRawHeader(name, value)
    made.client = channel.getPeer()
    return made


def test_a_visit_is_what_a_request_says() -> None:
    fields = (b"Host", b"cr.test:8443"), (b"authorization", b"Bearer x")
    assert auth_request(request(*fields), ()) == AuthRequest("cr.test:8443", "Bearer x", "192.0.2.7", secure=False)


def test_what_it_does_not_say_is_not_made_up() -> None:
    assert auth_request(request(), ()) == AuthRequest("", None, "192.0.2.7", secure=False)


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        (IPv4Address("TCP", "192.0.2.7", 1), "192.0.2.7"),
        (IPv6Address("TCP", "2001:db8::7", 1), "2001:db8::7"),
        (UNIXAddress("/run/x"), None),
    ],
)
def test_a_client_has_an_address_where_it_comes_by_ip(peer: IAddress, client: str | None) -> None:
    assert auth_request(request(peer=peer), ()).client == client


def test_s25_not_the_one_that_it_says() -> None:
    fields = (b"X-Forwarded-For", b"10.0.0.1"), (b"X-Forwarded-Proto", b"https"), (b"X-Forwarded-Host", b"cr.test")
    assert auth_request(request(*fields), ()) == AuthRequest("", None, "192.0.2.7", secure=False)


@pytest.mark.parametrize("secure", [True, False])
def test_whether_it_comes_by_tls_its_connection_says(secure: bool) -> None:
    assert auth_request(request(secure=secure), ()).secure is secure


@pytest.mark.parametrize("raw", [b"\xff", b"caf\xc3\xa9", b"\x80\xfe"])
def test_any_bytes_are_some_text(raw: bytes) -> None:
    auth = auth_request(request((b"Host", raw), (b"Authorization", b"Basic " + raw)), ())
    assert (auth.host, auth.authorization) == (raw.decode("latin-1"), f"Basic {raw.decode('latin-1')}")


PROXIES = (ip_network("192.0.2.0/24"),)
FORWARDED = (b"X-Forwarded-For", b"198.51.100.9"), (b"X-Forwarded-Proto", b"https")


def test_s25_a_trusted_proxy_says_who_asks_and_how() -> None:
    auth = auth_request(request(*FORWARDED), PROXIES)
    assert (auth.client, auth.secure) == ("198.51.100.9", True)


@pytest.mark.parametrize("trusted", [(), (ip_network("203.0.113.0/24"),)])
def test_s25_nobody_else_does(trusted: tuple[Network, ...]) -> None:
    auth = auth_request(request(*FORWARDED), trusted)
    assert (auth.client, auth.secure) == ("192.0.2.7", False)
