from __future__ import annotations

import html
import ipaddress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from twisted.internet.address import IPv4Address

from crproxy.config.forward_values import Forward
from crproxy.web.page import Authority
from tests.web.conftest import Browser

if TYPE_CHECKING:
    from twisted.web.server import Site

    from crproxy.config import Config
    from tests.memory import Network
    from tests.web.conftest import Current

HTML = "Accept: text/html"
OLD = Authority("-----BEGIN CERTIFICATE-----\nold\n-----END CERTIFICATE-----\n", "AA:01")
NEW = Authority("-----BEGIN CERTIFICATE-----\nnew\n-----END CERTIFICATE-----\n", "BB:02")
NGINX = (ipaddress.ip_network("10.0.0.0/8"),)
PROXY = Forward(listen=("tcp:3128",))


@pytest.fixture
def forward() -> Forward:
    return PROXY


@pytest.fixture
def https() -> tuple[str, ...]:
    return ()


@pytest.fixture
def config(config: Config, forward: Forward, https: tuple[str, ...]) -> Config:
    return replace(config, forward=forward, listen=replace(config.listen, https=https))


@pytest.fixture
def authorities() -> list[Authority]:
    return [OLD]


def read(browser: Browser, host: str = "cr.test") -> str:
    return html.unescape(browser.get("/", HTML, host=host).body.decode().replace("<wbr>", ""))


def test_the_page_says_where_it_is_and_what_to_trust(browser: Browser) -> None:
    shown = read(browser)
    assert "<code>http://cr.test:3128</code>" in shown
    assert 'href="https://cr.test/ca.pem"' in shown
    assert "AA:01" in shown


@pytest.mark.parametrize("host", ["cr.test:8080", "quay.cr.test:8080"])
def test_the_proxy_has_a_port_of_its_own(browser: Browser, host: str) -> None:
    shown = read(browser, host)
    assert "<code>http://cr.test:3128</code>" in shown
    assert 'href="https://cr.test:8080/ca.pem"' in shown


@pytest.mark.parametrize("forward", [Forward(listen=("tcp:3128",), listen_tls=("tcp:3129",))])
def test_where_it_speaks_tls_clients_ask_by_that(browser: Browser) -> None:
    assert "<code>https://cr.test:3129</code>" in read(browser)


def test_both_are_given_while_clients_change_over(browser: Browser, authorities: list[Authority]) -> None:
    authorities.append(NEW)
    received = browser.get("/ca.pem")
    assert (received.status, received.body.decode()) == (200, OLD.pem + NEW.pem)
    assert received.one("Content-Type") == "application/x-pem-file"
    assert received.one("X-Content-Type-Options") == "nosniff"


def test_both_fingerprints_are_shown(browser: Browser, authorities: list[Authority]) -> None:
    authorities.append(NEW)
    shown = read(browser)
    assert "AA:01" in shown
    assert "BB:02" in shown


@pytest.mark.parametrize("https", [("tcp:443",)])
def test_where_there_is_tls_the_ca_is_not_given_in_the_clear(browser: Browser) -> None:
    received = browser.get("/ca.pem")
    assert received.status == 403
    assert b"by https alone" in received.body
    assert OLD.pem.encode() not in received.body


@pytest.mark.parametrize("https", [("tcp:443",)])
def test_nor_does_the_page_offer_it_there(browser: Browser) -> None:
    assert "AA:01" not in read(browser)


@pytest.mark.parametrize("forward", [Forward(), Forward(listen=("tcp:0",)), Forward(listen=("unix:/run/p.sock",))])
def test_without_a_port_that_clients_reach_nothing_is_offered(browser: Browser) -> None:
    received = browser.get("/ca.pem")
    assert received.status == 404
    assert b"no HTTP proxy for clients" in received.body


@pytest.mark.parametrize("forward", [Forward()])
def test_the_page_says_nothing_of_what_there_is_not(browser: Browser) -> None:
    assert "HTTPS_PROXY" not in read(browser)


def test_there_may_be_no_ca_yet(browser: Browser, authorities: list[Authority]) -> None:
    authorities.clear()
    assert browser.get("/ca.pem").status == 404


@pytest.mark.parametrize("host", ["evil.example", "x.cr.test"])
def test_at_hosts_that_are_not_ours_there_is_none(browser: Browser, host: str) -> None:
    assert browser.get("/ca.pem", host=host).status == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_it_can_only_be_read(browser: Browser, method: str) -> None:
    assert browser.get("/ca.pem", method=method).status == 405


@pytest.mark.parametrize("https", [("tcp:443",)])
def test_in_tls_it_is_given(config: Config, current: Current, network: Network, site: Site) -> None:
    current.config = replace(config, listen=replace(config.listen, trusted_proxies=NGINX))
    browser = Browser(site, network, IPv4Address("TCP", "10.0.0.1", 4000))
    received = browser.get("/ca.pem", "X-Forwarded-Proto: https")
    assert (received.status, received.body.decode()) == (200, OLD.pem)
