from __future__ import annotations

from ipaddress import ip_network

import pytest
from twisted.logger import LogLevel
from twisted.web.server import Site

from crproxy.web.connections import Connections
from crproxy.web.site import PlainSite
from tests.logs import Log
from tests.memory import answer
from tests.parts.request_ids import without_id
from tests.web.conftest import Browse, Browser


def test_somebody_who_speaks_tls_to_a_plain_port_is_told_in_the_clear_and_hung_up_on(browser: Browser) -> None:
    browser.send(b"\x16\x03\x01\x02\x00\x01\x00")
    received = browser.received()
    assert (received.status, received.body, received.one("Connection")) == (400, b"", "close")
    assert browser.wire.disconnecting
    # Once.
    browser.network.advance(60)


def test_the_log_has_that_at_debug_since_some_clients_do_it_each_time(browser: Browser) -> None:
    with Log() as log:
        browser.send(b"\x16\x03\x01\x02\x00\x01\x00")
    assert [(event["log_level"], event["why"]) for event in log.events] == [
        (LogLevel.debug, "it is TLS, on a plain port")
    ]
    assert log.events[0]["request_id"] == browser.received().one("X-Request-Id")


@pytest.mark.parametrize(
    "pieces", [[b"GET /v2/ HTTP/1.1\r\nHost: cr.test\r\n\r\n"], [b"G", b"ET /v2/ HTTP/1.1\r\nHost: cr.test\r\n\r\n"]]
)
def test_somebody_who_speaks_http_is_answered(browser: Browser, pieces: list[bytes]) -> None:
    for piece in pieces:
        browser.send(piece)
    assert browser.received().status == 200
    assert not browser.wire.disconnecting


def test_only_the_first_byte_is_looked_at(browser: Browser) -> None:
    with Log() as log:
        browser.send(b"GET /v2/ HTTP/1.1\r\nHost: cr.test\r\nX-Bytes: ")
        browser.send(b"\x16\r\n\r\n")
    assert browser.received().status == 200
    assert log.events == []


def assert_bare(browser: Browser, line: str) -> None:
    """It is answered with this and no body; its id is in the reason phrase as well, which some clients show alone."""
    received = browser.received()
    assert (received.body, received.one("Connection"), received.one("Content-Length")) == (b"", "close", "0")
    first = browser.wire.value().partition(b"\r\n")[0].decode()
    assert without_id(first, received.one("X-Request-Id")) == f"HTTP/1.1 {line}"


def test_s20_a_header_that_trickles_in_is_not_waited_for(browser: Browser) -> None:
    for byte in b"GET /v2/":
        browser.send(bytes([byte]))
        browser.network.advance(1.2)
    assert browser.silent
    browser.network.advance(0.5)
    assert_bare(browser, "408 Request Timeout")
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


# Bodies: nothing that is asked of us has one

KIBIBYTE = 1024
UNSUPPORTED = b'"UNSUPPORTED"'


def push(length: int | str, *lines: str) -> bytes:
    header = ["POST /v2/app/blobs/uploads/ HTTP/1.1", "Host: cr.test", f"Content-Length: {length}", *lines]
    return "\r\n".join([*header, "", ""]).encode()


def chunked(*lines: str) -> bytes:
    header = ["POST /v2/app/blobs/uploads/ HTTP/1.1", "Host: cr.test", "Transfer-Encoding: chunked", *lines]
    return "\r\n".join([*header, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


STATUS_LINES = {400: "400 Bad Request", 408: "408 Request Timeout", 413: "413 Content Too Large"}


def assert_refused_and_closed(browser: Browser, status: int) -> None:
    assert_bare(browser, STATUS_LINES[status])
    browser.send(b"GET /v2/ HTTP/1.1\r\nHost: cr.test\r\n\r\n")
    assert browser.wire.value().count(b"HTTP/1.1 ") == 1
    browser.network.advance(1)
    assert browser.wire.disconnecting


@pytest.mark.parametrize("length", [0, 1, 64 * KIBIBYTE])
def test_s20_a_push_with_a_small_body_is_told_at_once_that_this_proxy_only_pulls(browser: Browser, length: int) -> None:
    browser.send(push(length) + b"x" * length)
    assert (browser.received().status, UNSUPPORTED in browser.received().body) == (405, True)
    assert not browser.wire.disconnecting
    assert browser.network.clock.getDelayedCalls() == [] or browser.get("/v2/")


@pytest.mark.parametrize("lines", [(), ("Expect: 100-continue",)])
@pytest.mark.parametrize("length", [64 * KIBIBYTE + 1, 10**12, "9" * 400])
def test_s20_a_body_that_says_it_is_large_is_refused_unread(
    browser: Browser, length: int | str, lines: tuple[str, ...]
) -> None:
    browser.send(push(length, *lines))
    assert_refused_and_closed(browser, 413)


def test_s20_a_body_that_grows_large_is_refused_on_the_way(browser: Browser) -> None:
    browser.send(chunked())
    for _ in range(15):
        browser.send(chunk(b"x" * 4 * KIBIBYTE))
    assert browser.silent
    browser.send(chunk(b"x" * 4 * KIBIBYTE))
    assert_refused_and_closed(browser, 413)


def test_s20_so_is_one_of_many_small_chunks(browser: Browser) -> None:
    browser.send(chunked())
    while browser.silent:
        browser.send(b"1;" + b"e" * 1000 + b"\r\nx\r\n")
    assert_refused_and_closed(browser, 413)


def test_s20_a_chunked_body_that_is_small_is_read_without_a_file(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twisted.web.http.tempfile.TemporaryFile", None)
    browser.send(chunked() + chunk(b"x" * 100) + b"0\r\n\r\n")
    assert browser.received().status == 405
    assert not browser.wire.disconnecting


@pytest.mark.parametrize("header", [push(1000), chunked()])
def test_s20_a_body_that_trickles_in_is_not_waited_for(browser: Browser, header: bytes) -> None:
    browser.send(header)
    for _ in range(9):
        browser.network.advance(1.1)
        browser.send(b"1\r\nx\r\n" if header == chunked() else b"x")
    assert browser.silent
    browser.network.advance(0.2)
    assert_refused_and_closed(browser, 408)


def test_s20_a_body_has_its_own_time(browser: Browser) -> None:
    header = push(3)
    browser.send(header[:-2])
    browser.network.advance(9)
    browser.send(header[-2:])
    browser.network.advance(9)
    browser.send(b"xxx")
    assert browser.received().status == 405
    browser.network.advance(30)
    assert not browser.wire.disconnecting


# What is no proper request


@pytest.mark.parametrize(
    ("sent", "seconds", "why"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", 0, "it is no proper HTTP request"),
        (b"GET /v2/ HTTP/1.1\r\nHost: cr.test\r\nHost: b\r\n\r\n", 0, "it is no proper HTTP request"),
        (b"GET /v2/ HT", 10, "its header is not whole after 10 s"),
        (push(1000), 10, "its body is not whole after 10 s"),
        (push(10**6), 0, "its body is larger than 64.0 KiB"),
    ],
)
def test_the_log_tells_of_a_refusal_by_the_id_that_the_client_is_told(
    browser: Browser, sent: bytes, seconds: int, why: str
) -> None:
    with Log() as log:
        browser.send(sent)
        browser.network.advance(seconds)
    (event,) = [event for event in log.events if "why" in event]
    assert (event["log_level"], event["why"]) == (LogLevel.info, why)
    assert event["request_id"] == browser.received().one("X-Request-Id")


def test_each_refusal_has_an_id_of_its_own(browse: Browse) -> None:
    told = set()
    for _ in range(3):
        browser = browse()
        browser.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        told.add(browser.received().one("X-Request-Id"))
    assert len(told) == 3


@pytest.mark.parametrize(("trusts", "believed"), [(True, True), (False, False)])
def test_the_id_of_a_proxy_that_is_trusted_is_the_refusals_as_well(
    browse: Browse, site: Site, trusts: bool, believed: bool
) -> None:
    assert isinstance(site, PlainSite)
    site.trusted = lambda: (ip_network("192.168.1.1"),) if trusts else ()
    browser = browse()
    browser.send(push(10**6, "X-Request-Id: from-nginx"))
    assert (browser.received().one("X-Request-Id") == "from-nginx") is believed


GET = b"GET /v2/ HTTP/1.1\r\nHost: cr.test\r\n"
POST = b"POST /v2/ HTTP/1.1\r\nHost: cr.test\r\n"
SMUGGLED = b"GET /v2/smuggled/manifests/v1 HTTP/1.1\r\nHost: cr.test\r\n\r\n"

MALFORMED = {
    "both lengths": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, the other way round": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
    "the same length twice": POST + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nxxxx",
    "two lengths in one": POST + b"Content-Length: 4, 4\r\n\r\nxxxx",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a length with a sign": POST + b"Content-Length: +4\r\n\r\nxxxx",
    "a hexadecimal length": POST + b"Content-Length: 0x4\r\n\r\nxxxx",
    "an empty length": POST + b"Content-Length:\r\n\r\n",
    "two hosts": GET + b"Host: evil.test\r\n\r\n",
    "the same host twice": GET + b"Host: cr.test\r\n\r\n",
    "two hosts, one in capitals and empty": GET + b"HOST:\r\n\r\n",
    "two hosts in HTTP/1.0": b"GET /v2/ HTTP/1.0\r\nHost: cr.test\r\nHost: evil.test\r\n\r\n",
    "identity beside a length": POST + b"Transfer-Encoding: identity\r\nContent-Length: 4\r\n\r\nxxxx",
    "a length beside identity": POST + b"Content-Length: 4\r\nTransfer-Encoding: identity\r\n\r\nxxxx",
    "identity alone": POST + b"Transfer-Encoding: Identity\r\n\r\n",
    "identity, then chunked": POST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "identity and chunked in one": POST + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "an empty coding": POST + b"Transfer-Encoding:\r\nContent-Length: 4\r\n\r\nxxxx",
    "a coding in HTTP/1.0": b"POST /v2/ HTTP/1.0\r\nHost: cr.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a space before a coding's colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a space before a host's colon": b"GET /v2/ HTTP/1.1\r\nHost : cr.test\r\n\r\n",
    "a bare carriage return in front of a length": POST + b"X: a\rContent-Length: 4\r\n\r\nxxxx",
    "an unknown coding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "two codings": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding that is almost chunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a vertical tab in a coding": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "a chunk's length that is none": POST + b"Transfer-Encoding: chunked\r\n\r\nz\r\n\r\n",
    "a chunk's length with a sign": POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "a chunk's length with a prefix": POST + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n",
    "a chunk's length without end": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 5000,
    "a chunk that does not end": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
    "a folded line": GET + b"X-Folded: a\r\n b\r\n\r\n",
    "a folded length": POST + b"Content-Length:\r\n 4\r\n\r\nxxxx",
    "a folded coding": POST + b"Transfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n",
    "a space before the first field": b"GET /v2/ HTTP/1.1\r\n Host: cr.test\r\n\r\n",
    "a bare line feed in a field": GET + b"X-Bare: a\nContent-Length: 4\r\n\r\n",
    "nothing but line feeds": b"GET /v2/ HTTP/1.1\nHost: cr.test\n\n" + b"\r\n\r\n",
    "a bare carriage return": GET + b"X-Bare: a\rb\r\n\r\n",
    "a space before a colon": POST + b"Content-Length : 4\r\n\r\nxxxx",
    "no colon": GET + b"Nothing\r\n\r\n",
    "no name": GET + b": nothing\r\n\r\n",
    "a NUL in a value": GET + b"X-Nul: a\0b\r\n\r\n",
    "a NUL in a name": GET + b"X-\0Nul: b\r\n\r\n",
    "a NUL in the target": b"GET /v2/\0 HTTP/1.1\r\nHost: cr.test\r\n\r\n",
    "a space in the target": b"GET /v2/ x HTTP/1.1\r\nHost: cr.test\r\n\r\n",
    "a method that is no token": b"G(T /v2/ HTTP/1.1\r\nHost: cr.test\r\n\r\n",
    "no version": b"GET /v2/\r\nHost: cr.test\r\n\r\n",
    "no target": b"GET  HTTP/1.1\r\nHost: cr.test\r\n\r\n",
    "version 0.9": b"GET /v2/ HTTP/0.9\r\nHost: cr.test\r\n\r\n",
    "version 1.2": b"GET /v2/ HTTP/1.2\r\nHost: cr.test\r\n\r\n",
    "version 2.0": b"GET /v2/ HTTP/2.0\r\nHost: cr.test\r\n\r\n",
    "version 11": b"GET /v2/ HTTP/11\r\nHost: cr.test\r\n\r\n",
    "another protocol": b"GET /v2/ HTCPCP/1.1\r\nHost: cr.test\r\n\r\n",
    "lower case": b"GET /v2/ http/1.1\r\nHost: cr.test\r\n\r\n",
    "HTTP/2 in the clear": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "bytes": bytes(range(255, 0, -1)) + b"\r\n\r\n",
    "a thousand fields": GET + b"".join(b"X-%d: y\r\n" % number for number in range(1000)) + b"\r\n",
    "a large header": GET + b"".join(b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in range(20)) + b"\r\n",
    "a large field": GET + b"X: " + b"y" * 20_000 + b"\r\n\r\n",
    "a large field without end": GET + b"X: " + b"y" * 70_000,
    "a large target": b"GET /v2/" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: cr.test\r\n\r\n",
}


@pytest.mark.parametrize("request_", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("size", [1, 1000, 100_000])
def test_s20_what_is_no_proper_request_is_400_and_nothing_after_it_is_answered(
    browser: Browser, request_: bytes, size: int
) -> None:
    whole = request_ + SMUGGLED
    for start in range(0, len(whole), size):
        browser.send(whole[start : start + size])
    assert_refused_and_closed(browser, 400)


@pytest.mark.parametrize(
    ("target", "method", "status"),
    [
        ("http://cr.test/v2/", "GET", 404),
        ("http://169.254.169.254/latest/", "GET", 404),
        ("https://evil.example/v2/", "GET", 404),
        ("evil.example:443", "CONNECT", 405),
        ("*", "OPTIONS", 200),
        ("/v2/", "BREW", 405),
        ("//evil.example/v2/", "GET", 404),
        ("v2/", "GET", 404),
    ],
)
def test_s2_another_form_of_target_leads_nowhere(browser: Browser, target: str, method: str, status: int) -> None:
    assert browser.get(target, method=method).status in (status, 404)
    assert browser.network.seen == []


def test_s19_more_ranges_than_a_field_has_room_for_are_400(browser: Browser) -> None:
    """Upon which podman asks again for half as many."""
    ranges = ",".join(f"{number}-{number}" for number in range(100_000_000, 200_000_000, 100_000))
    path = f"/v2/quay.io/org/app/blobs/sha256:{'a' * 64}"
    received = browser.get(path, f"Range: bytes={ranges}")
    assert (received.status, browser.network.seen) == (400, [])


def test_a_thousand_requests_at_once_are_answered_in_their_order(browser: Browser) -> None:
    browser.send(b"".join(b"GET /v2/%d/ HTTP/1.1\r\nHost: cr.test\r\n\r\n" % number for number in range(1000)))
    assert browser.wire.value().count(b"HTTP/1.1 ") == 1000
    assert not browser.wire.disconnecting


# Clients that take nothing


BLOB = f"/v2/quay.io/org/app/blobs/sha256:{'b' * 64}"


@pytest.fixture
def taking(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What waits for the client at each look."""
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr("crproxy.web.taking.backlog", lambda _: seen.pop(0) if seen else (0, 7))
    return seen


def begin_answer(browser: Browser) -> None:
    browser.send(b"GET /v2/ HTTP/1.1\r\nHost: cr.test\r\n\r\n")
    browser.stall()


def test_s20_a_client_that_takes_nothing_for_two_minutes_is_cut_off(
    browser: Browser, taking: list[tuple[int, int]]
) -> None:
    begin_answer(browser)
    for _ in range(4):
        assert not browser.wire.aborted
        browser.network.advance(30)
    assert browser.wire.aborted


def test_s20_one_that_takes_something_now_and_then_is_not(browser: Browser, taking: list[tuple[int, int]]) -> None:
    taking += [(100, size) for size in range(1000, 980, -1) for _ in range(3)]
    begin_answer(browser)
    for _ in range(59):
        browser.network.advance(30)
    assert not browser.wire.aborted
    for _ in range(5):
        browser.network.advance(30)
    assert browser.wire.aborted


def test_s20_nor_one_that_takes_all_in_time(browser: Browser, taking: list[tuple[int, int]]) -> None:
    begin_answer(browser)
    browser.network.advance(119)
    browser.read_on()
    browser.network.advance(59)
    assert not browser.wire.aborted


def test_s20_a_connection_that_does_not_end_is_cut_off(browser: Browser, taking: list[tuple[int, int]]) -> None:
    browser.ask("/v2/", "Connection: close")
    assert browser.wire.disconnecting
    for _ in range(4):
        assert not browser.wire.aborted
        browser.network.advance(30)
    assert browser.wire.aborted


def test_s20_and_sooner_where_nothing_is_left_to_take(browser: Browser, taking: list[tuple[int, int]]) -> None:
    taking += [(0, 0)] * 2
    browser.ask("/v2/", "Connection: close")
    browser.network.advance(30)
    assert browser.wire.aborted


def test_what_comes_after_a_refusal_is_not_looked_at(browser: Browser) -> None:
    """Inside of TLS it does come."""
    browser.send(b"PUT /v2/ HTTP/1.1\r\nHost: cr.test\r\nContent-Length: -1\r\n\r\n")
    before = browser.wire.value()
    browser.send(b"more")
    browser.send(b"GET /v2/ HTTP/1.1\r\nHost: cr.test\r\n\r\n")
    assert browser.wire.value() == before


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
