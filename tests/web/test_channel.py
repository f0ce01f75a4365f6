from __future__ import annotations

import pytest

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


def test_what_comes_after_a_refusal_is_not_looked_at(browser: Browser) -> None:
    """Inside of TLS it does come."""
    browser.send(b"PUT /v2/ HTTP/1.1\r\nHost: cr.test\r\nContent-Length: -1\r\n\r\n")
    assert browser.wire.disconnecting
    before = browser.wire.value()
    browser.send(b"more")
    browser.send(b"GET /v2/ HTTP/1.1\r\nHost: cr.test\r\n\r\n")
    assert browser.wire.value() == before
