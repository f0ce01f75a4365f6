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
