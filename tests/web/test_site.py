from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from twisted.web import http
from twisted.web.resource import Resource

from crproxy import __version__
from crproxy.web.site import PlainSite
from tests.web.conftest import Browser


def test_somebody_with_curl_is_told_how_to_pull(browser: Browser) -> None:
    received = browser.get("/", "Accept: */*", host="cr.test:5000")
    assert received.status == 200
    assert received.one("Content-Type") == "text/plain; charset=utf-8"
    assert received.body.startswith(f"crproxy {__version__}: ".encode())
    assert b"docker pull cr.test:5000/quay.io/ORG/NAME:TAG" in received.body


def test_head_has_no_body(browser: Browser) -> None:
    received = browser.head("/")
    assert (received.status, received.body) == (200, b"")


@pytest.mark.parametrize("target", ["/v1/", "/index.html", "/v2x", "/%76%32x", "/..%2fv2"])
def test_there_is_nothing_else(browser: Browser, target: str) -> None:
    assert browser.get(target).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_the_welcome_can_only_be_read(browser: Browser, method: str) -> None:
    assert browser.get("/", "Content-Length: 0", method=method).status in (405, 501)


def test_an_escaped_v2_is_not_v2(browser: Browser) -> None:
    assert browser.get("/%76%32/").status == 404


@pytest.mark.parametrize("line", ["X-Bad: a\0b", "Transfer-Encoding: x", "Content-Length: -1", "Content-Length: x"])
def test_a_malformed_request_is_no_traceback(browser: Browser, line: str) -> None:
    browser.ask("/v2/", line)
    assert b"Traceback" not in browser.wire.value()


def test_http_2_is_not_negotiated_even_where_twisted_could_speak_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "H2_ENABLED", True)
    assert PlainSite(Resource(), reactor=Clock()).acceptableProtocols() == [b"http/1.1"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_host_that_is_no_text_is_no_failure(browser: Browser, method: str) -> None:
    received = browser.get("/", host="\x80\xff", method=method)
    assert received.status == 421


@pytest.mark.security("S30")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
@pytest.mark.parametrize(
    "target", ["/v2/", "/v2/x", "/v2/_catalog", "/v2/quay.io/org/name/tags/list", "/token", "/nowhere", "*"]
)
def test_s30_every_answer_is_inert(browser: Browser, method: str, target: str) -> None:
    received = browser.get(target, method=method)
    assert received.one("X-Content-Type-Options") == "nosniff"
    assert received.one("Content-Security-Policy") == (
        "default-src 'none'; sandbox; frame-ancestors 'none'; base-uri 'none'"
    )


@pytest.mark.parametrize("target", ["/aliases", "/aliases/quay", "/certificates", "/v2/../aliases", "//aliases"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_s24_the_admin_socket_is_not_among_what_is_public(browser: Browser, method: str, target: str) -> None:
    assert browser.get(target, "Content-Length: 0", method=method).status in (400, 404, 405)
