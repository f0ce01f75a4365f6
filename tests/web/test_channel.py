from __future__ import annotations

import pytest
from twisted.web.server import Site

from crproxy.web.connections import Connections
from crproxy.web.site import PlainSite
from tests.memory import answer
from tests.web.conftest import Browser


def test_somebody_who_speaks_tls_to_a_plain_port_is_told_in_the_clear_and_hung_up_on(browser: Browser) -> None:
    browser.send(b"\x16\x03\x01\x02\x00\x01\x00")
    received = browser.received()
    assert (received.status, received.body, received.one("Connection")) == (400, b"", "close")
    assert browser.wire.disconnecting


@pytest.mark.parametrize(
    "pieces", [[b"GET /v2/ HTTP/1.1\r\nHost: cr.test\r\n\r\n"], [b"G", b"ET /v2/ HTTP/1.1\r\nHost: cr.test\r\n\r\n"]]
)
def test_somebody_who_speaks_http_is_answered(browser: Browser, pieces: list[bytes]) -> None:
    for piece in pieces:
        browser.send(piece)
    assert browser.received().status == 200
    assert not browser.wire.disconnecting


def test_only_the_first_byte_is_looked_at(browser: Browser) -> None:
    browser.send(b"GET /v2/ HTTP/1.1\r\nHost: cr.test\r\nX-Bytes: ")
    browser.send(b"\x16\r\n\r\n")
    assert not browser.wire.value().startswith(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0")


def test_s20_a_header_that_trickles_in_is_not_waited_for(browser: Browser) -> None:
    for byte in b"GET /v2/":
        browser.send(bytes([byte]))
        browser.network.advance(1.2)
    assert browser.silent
    browser.network.advance(0.5)
    received = browser.received()
    assert (received.status, received.one("Connection")) == (408, "close")
    assert browser.wire.disconnecting


def test_s20_each_request_of_a_connection_has_its_own_time(browser: Browser) -> None:
    for _ in range(3):
        browser.ask("/v2/")
        browser.network.advance(9)
    assert browser.wire.value().count(b"HTTP/1.1 200 OK") == 3
    browser.send(b"GET /v2/ HT")
    browser.network.advance(10)
    assert browser.wire.value().endswith(b"Content-Length: 0\r\n\r\n")
    assert browser.wire.disconnecting


def test_s20_who_leaves_is_not_waited_for(browser: Browser) -> None:
    browser.send(b"GET /v2/ HT")
    browser.leave()
    assert browser.network.clock.getDelayedCalls() == []


# The daemon stops


def connections_of(site: Site) -> Connections:
    assert isinstance(site, PlainSite)
    return site.connections


def test_a_connection_that_idles_is_closed(browser: Browser, site: Site) -> None:
    browser.get("/v2/")
    connections_of(site).close()
    assert not browser.wire.disconnecting
    browser.network.advance(0)
    assert browser.wire.disconnecting


def test_a_request_that_had_arrived_is_answered_all_the_same(browser: Browser, site: Site) -> None:
    browser.get("/v2/")
    browser.wire.clear()
    connections_of(site).close()
    assert browser.get("/v2/").one("Connection") == "close"
    browser.network.advance(0)
    assert browser.wire.disconnecting


def test_who_has_just_come_may_ask_within_a_second(browser: Browser, site: Site) -> None:
    connections_of(site).close()
    browser.network.advance(0.9)
    assert not browser.wire.disconnecting
    received = browser.get("/v2/")
    assert (received.status, received.one("Connection")) == (200, "close")
    assert browser.wire.disconnecting


def test_who_has_come_and_says_nothing_is_sent_away_after_a_second(browser: Browser, site: Site) -> None:
    connections_of(site).close()
    browser.network.advance(1)
    assert browser.silent
    assert browser.wire.disconnecting


def test_a_header_that_has_begun_is_waited_for(browser: Browser, site: Site) -> None:
    browser.send(b"GET /v2/ HTTP/1.1\r\nHost:")
    connections_of(site).close()
    browser.network.advance(5)
    browser.send(b" cr.test\r\n\r\n")
    received = browser.received()
    assert (received.status, received.one("Connection")) == (200, "close")
    assert browser.wire.disconnecting


def test_an_answer_that_is_waited_for_ends_its_connection(browser: Browser, site: Site) -> None:
    browser.network.serve("https://quay.io", lambda _: None)
    browser.ask("/v2/quay.io/org/app/tags/list")
    connections_of(site).close()
    browser.network.advance(2)
    assert browser.silent
    assert not browser.wire.disconnecting
    (upstream,) = browser.network.waiting
    upstream.send(answer(200, b'{"name": "org/app", "tags": []}'))
    received = browser.received()
    assert (received.status, received.one("Connection")) == (200, "close")
    assert browser.wire.disconnecting


def test_who_is_cut_off_leaves_nothing_behind(browser: Browser, site: Site) -> None:
    browser.send(b"GET /v2/ HT")
    connections_of(site).close()
    connections_of(site).abort()
    assert browser.wire.aborted
