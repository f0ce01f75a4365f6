from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from dataclasses import replace

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.interfaces import ISSLTransport
from zope.interface import alsoProvides

from crproxy import __version__
from crproxy.config import Upstream
from crproxy.config.client_values import Clients
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.policy.access import Access
from crproxy.store.store import Store
from tests.logs import Log
from tests.memory import Network, Seen, answer
from tests.multiparts import Part, parts_to_the_letter
from tests.web.conftest import Browse, Browser, Current, Received

QUAY = "https://quay.io"
HUB = "https://registry-1.docker.io"
MANIFEST = b'{"schemaVersion": 2}'
DIGEST = Digest.of(MANIFEST)
TYPE = "application/vnd.oci.image.manifest.v1+json"
CONTENT = b"0123456789"
BLOB = f"/v2/quay.io/org/name/blobs/{Digest.of(CONTENT)}"
TAG = "/v2/quay.io/org/name/manifests/v1"


def code_of(received: Received) -> str:
    assert received.one("Content-Type") == "application/json"
    assert received.one("Content-Length") == str(len(received.body))
    (error,) = json.loads(received.body)["errors"]
    assert set(error) == {"code", "message", "detail"}
    return str(error["code"])


@pytest.fixture
def log() -> Iterator[Log]:
    with Log() as log:
        yield log


# /v2/ itself


@pytest.mark.parametrize("target", ["/v2/", "/v2", "/v2/?x=y"])
def test_the_root_says_that_a_registry_is_here(network: Network, browser: Browser, target: str) -> None:
    received = browser.get(target)
    assert (received.status, received.body) == (200, b"{}")
    assert received.one("Content-Type") == "application/json"
    assert received.one("Content-Length") == "2"
    assert received.one("Docker-Distribution-Api-Version") == "registry/2.0"
    assert received.one("Server") == f"crproxy/{__version__}"
    assert network.seen == []


def test_the_root_answers_head_without_a_body(browser: Browser) -> None:
    received = browser.head("/v2/")
    assert (received.status, received.body, received.one("Content-Length")) == (200, b"", "2")


@pytest.mark.security("S14")
@pytest.mark.parametrize("target", ["/v2/", TAG])
@pytest.mark.parametrize("host", ["other.test", "nope.cr.test", "127.0.0.1", "[::1]", "cr.test.evil.example"])
def test_another_host_is_misdirected(network: Network, browser: Browser, target: str, host: str) -> None:
    received = browser.get(target, host=host)
    assert (received.status, code_of(received)) == (421, "DENIED")
    assert network.seen == []


# Manifests


def serve_manifest(network: Network, origin: str = QUAY) -> None:
    network.serve(origin, answer(200, MANIFEST, f"Content-Type: {TYPE}", "Set-Cookie: a=b", "X-Internal: yes"))


def test_a_manifest_is_pulled_through(network: Network, browser: Browser) -> None:
    serve_manifest(network)
    received = browser.get(TAG)
    assert (received.status, received.body) == (200, MANIFEST)
    assert received.one("Content-Type") == TYPE
    assert received.one("Content-Length") == str(len(MANIFEST))
    assert received.one("Docker-Content-Digest") == str(DIGEST)
    assert received.one("ETag") == f'"{DIGEST}"'
    assert received.one("Set-Cookie") is None
    assert received.one("X-Internal") is None
    assert network.seen[0].url == f"{QUAY}/v2/org/name/manifests/v1"


@pytest.mark.parametrize(
    ("host", "target", "url"),
    [
        ("cr.test", "/v2/docker.io/nginx/manifests/v1", f"{HUB}/v2/library/nginx/manifests/v1"),
        ("cr.test", "/v2/library/nginx/manifests/v1", f"{HUB}/v2/library/nginx/manifests/v1"),
        ("docker.cr.test", "/v2/nginx/manifests/v1", f"{HUB}/v2/library/nginx/manifests/v1"),
        ("quay.cr.test:443", "/v2/org/name/manifests/v1", f"{QUAY}/v2/org/name/manifests/v1"),
        ("CR.TEST", "/v2/org/name/manifests/v1?ns=quay.io", f"{QUAY}/v2/org/name/manifests/v1"),
        ("cr.test", "/v2/quay.io/org/name/manifests/v1?ns=quay.io", f"{QUAY}/v2/org/name/manifests/v1"),
    ],
)
def test_each_way_to_ask_leads_to_its_upstream(
    network: Network, browser: Browser, host: str, target: str, url: str
) -> None:
    serve_manifest(network, QUAY)
    serve_manifest(network, HUB)
    assert browser.get(target, host=host).status == 200
    assert network.seen[0].url == url


def test_an_answer_by_namespace_names_it(network: Network, browser: Browser) -> None:
    serve_manifest(network)
    assert browser.get("/v2/org/name/manifests/v1?ns=quay.io").one("OCI-Namespace") == "quay.io"


def test_a_refusal_by_namespace_names_it_too(network: Network, browser: Browser) -> None:
    network.serve(QUAY, answer(404))
    assert browser.get("/v2/org/name/manifests/v1?ns=quay.io").one("OCI-Namespace") == "quay.io"


def test_an_answer_by_prefix_names_no_namespace(network: Network, browser: Browser) -> None:
    serve_manifest(network)
    assert browser.get(TAG).one("OCI-Namespace") is None


def test_a_head_of_a_manifest_is_one_head_upstream(network: Network, browser: Browser) -> None:
    network.serve(QUAY, answer(200, b"", f"Content-Type: {TYPE}", f"Docker-Content-Digest: {DIGEST}", length=20))
    received = browser.head(TAG)
    assert (received.status, received.body) == (200, b"")
    assert received.one("Content-Type") == TYPE
    assert received.one("Content-Length") == "20"
    assert received.one("Docker-Content-Digest") == str(DIGEST)
    assert [seen.method for seen in network.seen] == ["HEAD"]


def test_a_length_that_upstream_does_not_say_is_not_made_up(network: Network, browser: Browser) -> None:
    nor_by_range = answer(206, b"x", "Content-Range: bytes 0-0/*")
    network.serve(QUAY, [answer(200, b"", "Transfer-Encoding: chunked", length=None), nor_by_range])
    received = browser.head(BLOB)
    assert received.status == 200
    assert received.one("Content-Length") is None
    assert received.one("Transfer-Encoding") is None


def test_s8_what_a_manifest_names_by_urls_is_fetched_from_nowhere(network: Network, browse: Browse) -> None:
    layer = {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar", "digest": str(DIGEST), "size": 20}
    foreign = json.dumps({"schemaVersion": 2, "layers": [layer | {"urls": ["http://169.254.169.254/latest"]}]}).encode()
    network.serve(QUAY, answer(200, foreign, f"Content-Type: {TYPE}"))
    assert browse().get(TAG).body == foreign
    network.serve(QUAY, answer(404))
    assert browse().get(f"/v2/quay.io/org/name/blobs/{DIGEST}").status == 404
    assert {seen.origin for seen in network.seen} == {QUAY}


# Blobs


def test_a_blob_is_relayed(network: Network, browser: Browser) -> None:
    network.serve(QUAY, answer(200, b"0123", "Content-Type: application/octet-stream", length=10))
    browser.ask(BLOB)
    assert browser.received().body == b"0123", "bytes are passed on as they arrive"
    network.connections[0].send(b"456789")
    received = browser.received()
    assert (received.status, received.body) == (200, b"0123456789")
    assert received.one("Content-Length") == "10"
    assert received.one("Docker-Content-Digest") == str(Digest.of(CONTENT))
    assert received.one("Cache-Status") == "crproxy; fwd=uri-miss; stored"
    assert received.one("Transfer-Encoding") is None


@pytest.mark.security("S9")
def test_content_that_is_another_is_never_whole(network: Network, browser: Browser) -> None:
    network.serve(QUAY, answer(200, b"012345678x"))
    received = browser.get(BLOB)
    assert (received.status, received.body) == (200, b"012345678")
    assert browser.wire.aborted


def test_the_header_goes_out_before_the_first_byte_is_here(network: Network, browser: Browser) -> None:
    network.serve(QUAY, answer(length=10))
    received = browser.get(BLOB)
    assert (received.status, received.one("Content-Length"), received.body) == (200, "10", b"")


def test_a_blob_of_unknown_length_is_sent_in_chunks(network: Network, browser: Browser) -> None:
    network.serve(QUAY, answer(200, CONTENT, length=None))
    browser.ask(BLOB)
    network.connections[0].end()
    received = browser.received()
    assert received.one("Transfer-Encoding") == "chunked"
    assert received.body == b"a\r\n0123456789\r\n0\r\n\r\n"


@pytest.mark.security("S21")
def test_a_blobs_head_downloads_nothing(network: Network, browser: Browser) -> None:
    network.serve(QUAY, answer(length=10**12))
    assert browser.head(BLOB).one("Content-Length") == str(10**12)
    assert [seen.method for seen in network.seen] == ["HEAD"]


def test_a_range_is_answered_as_upstream_does(network: Network, browser: Browser) -> None:
    network.serve(QUAY, answer(206, b"56789", "Content-Range: bytes 5-9/10", "Accept-Ranges: bytes"))
    received = browser.get(BLOB, "Range: bytes=5-")
    assert (received.status, received.body) == (206, b"56789")
    assert received.one("Content-Range") == "bytes 5-9/10"
    assert received.one("Accept-Ranges") == "bytes"
    assert network.seen[0].all("Range") == ["bytes=5-"]


def test_a_range_behind_the_end_says_how_long_the_blob_is(network: Network, browser: Browser) -> None:
    network.serve(QUAY, answer(416, b"", "Content-Range: bytes */10"))
    received = browser.get(BLOB, "Range: bytes=10-")
    assert (received.status, received.one("Content-Range")) == (416, "bytes */10")


@pytest.mark.parametrize("lines", [("Range: bytes=0-1", "Range: bytes=3-4"), ("Range: x",)])
def test_a_range_that_is_none_is_ignored(network: Network, browser: Browser, lines: tuple[str, ...]) -> None:
    network.serve(QUAY, answer(200, CONTENT))
    assert browser.get(BLOB, *lines).status == 200
    assert network.seen[0].all("Range") == []


def test_several_ranges_of_what_is_kept_are_parts_of_one_body(network: Network, browse: Browse) -> None:
    network.serve(QUAY, answer(200, CONTENT))
    browse().get(BLOB)
    received = browse().get(BLOB, "Range: bytes=7-8,2-4")
    content_type = received.one("Content-Type") or ""
    assert (received.status, received.one("Content-Range")) == (206, None)
    assert received.one("Content-Length") == str(len(received.body))
    assert parts_to_the_letter(content_type, received.body) == [Part(7, 8, 10, b"78"), Part(2, 4, 10, b"234")]
    assert len(network.seen) == 1
    head = browse().get(BLOB, "Range: bytes=7-8,2-4", method="HEAD")
    assert (head.status, head.one("Content-Length"), head.body) == (200, "10", b"")


def test_if_range_is_minded(network: Network, browse: Browse) -> None:
    network.serve(QUAY, answer(200, CONTENT))
    etag = browse().get(BLOB).one("ETag")
    for value, if_range, status in (("2-4", etag, 206), ("2-4", '"x"', 200), ("2-4,7-8", f"W/{etag}", 200)):
        assert browse().get(BLOB, f"Range: bytes={value}", f"If-Range: {if_range}").status == status


def test_a_range_of_what_is_kept_asks_nobody(network: Network, browse: Browse) -> None:
    network.serve(QUAY, answer(200, CONTENT))
    browse().get(BLOB)
    received = browse().get(BLOB, "Range: bytes=2-4")
    assert (received.status, received.body, received.one("Content-Range")) == (206, b"234", "bytes 2-4/10")
    assert len(network.seen) == 1


@pytest.mark.security("S7")
def test_what_a_client_knows_stays_here(network: Network, browser: Browser) -> None:
    network.serve(QUAY, answer(200, b"x"))
    browser.get(
        BLOB, "Authorization: Bearer secret", "Cookie: a=b", "X-Forwarded-For: 10.0.0.1", "Accept-Encoding: gzip"
    )
    seen = network.seen[0]
    assert seen.all("Authorization") == seen.all("Cookie") == seen.all("X-Forwarded-For") == []
    assert seen.all("Accept-Encoding") == ["identity"]


def test_one_connection_serves_one_request_after_the_other(network: Network, browser: Browser) -> None:
    network.serve(QUAY, answer(200, CONTENT))
    for cache_status in ("crproxy; fwd=uri-miss; stored", "crproxy; hit"):
        browser.wire.clear()
        received = browser.get(BLOB)
        assert (received.body, received.one("Cache-Status")) == (CONTENT, cache_status)
    assert len(network.seen) == 1


# Tags and referrers


@pytest.mark.security("S14")
def test_tags_come_with_a_link_to_this_host(network: Network, browser: Browser) -> None:
    link = 'Link: <https://quay.io/v2/org/name/tags/list?n=2&next_page=gAA>; rel="next"'
    network.serve(QUAY, answer(200, b'{"tags": []}', link, "Content-Type: application/json"))
    received = browser.get("/v2/quay.io/org/name/tags/list?n=2&last=a%2Bb")
    assert received.one("Link") == '</v2/quay.io/org/name/tags/list?n=2&next_page=gAA>; rel="next"'
    assert network.seen[0].target == "/v2/org/name/tags/list?n=2&last=a%2Bb"


def test_a_link_can_be_followed_to_the_next_page(network: Network, browse: Browse) -> None:
    link = 'Link: </v2/org/name/tags/list?n=2&next_page=gAA%3D>; rel="next"'
    network.serve(QUAY, answer(200, b'{"tags": []}', link))
    received = browse().get("/v2/org/name/tags/list?n=2&ns=quay.io")
    target = (received.one("Link") or "")[1:].partition(">")[0]
    assert browse().get(target).status == 200
    assert [seen.url for seen in network.seen] == [
        f"{QUAY}/v2/org/name/tags/list?n=2",
        f"{QUAY}/v2/org/name/tags/list?n=2&next_page=gAA%3D",
    ]


def test_the_last_page_has_no_link(network: Network, browser: Browser) -> None:
    network.serve(QUAY, answer(200, b"{}"))
    assert browser.get("/v2/quay.io/org/name/tags/list").one("Link") is None


def test_referrers_say_which_filter_was_applied(network: Network, browser: Browser) -> None:
    network.serve(QUAY, answer(200, b'{"manifests": []}', "OCI-Filters-Applied: artifactType"))
    received = browser.get(f"/v2/quay.io/org/name/referrers/{DIGEST}?artifactType=x%2Fy")
    assert received.one("OCI-Filters-Applied") == "artifactType"
    assert network.seen[0].target == f"/v2/org/name/referrers/{DIGEST}?artifactType=x%2Fy"


def test_an_upstream_without_referrers_stays_one(network: Network, browser: Browser) -> None:
    network.serve(QUAY, answer(404))
    received = browser.get(f"/v2/quay.io/org/name/referrers/{DIGEST}")
    assert (received.status, code_of(received)) == (404, "MANIFEST_UNKNOWN")


# Refusals


@pytest.mark.security("S13")
@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/v2/quay.io/Org/tags/list", 400, "NAME_INVALID"),
        ("/v2/quay.io/org/../x/tags/list", 400, "NAME_INVALID"),
        ("/v2/quay.io/org%2Fname/tags/list", 400, "NAME_INVALID"),
        ("/v2/quay.io//name/tags/list", 400, "NAME_INVALID"),
        ("/v2/quay.io/org\\name/tags/list", 400, "NAME_INVALID"),
        ("/v2/quay.io/org%00/tags/list", 400, "NAME_INVALID"),
        ("/v2/org/name/tags/list?ns=", 400, "NAME_INVALID"),
        ("/v2/org/name/tags/list?ns=a%0d%0aX:y", 400, "NAME_INVALID"),
        ("/v2/quay.io/name/manifests/.x", 400, "TAG_INVALID"),
        ("/v2/quay.io/name/blobs/latest", 400, "DIGEST_INVALID"),
        ("/v2/_catalog", 405, "UNSUPPORTED"),
        ("/v2/nothing", 404, "NAME_UNKNOWN"),
        ("/v2/quay.io/name/tags/list?" + "&".join(f"p{number}=1" for number in range(17)), 400, "UNSUPPORTED"),
    ],
)
def test_what_does_not_parse_never_gets_further(
    network: Network, browser: Browser, target: str, status: int, code: str
) -> None:
    received = browser.get(target)
    assert (received.status, code_of(received)) == (status, code)
    assert network.seen == []


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"])
@pytest.mark.parametrize("target", ["/v2/", TAG, "/v2/quay.io/org/name/blobs/uploads/", "/v2/nothing"])
def test_only_reading_is_supported(network: Network, browser: Browser, method: str, target: str) -> None:
    received = browser.get(target, "Content-Length: 0", method=method)
    assert (received.status, code_of(received)) == (405, "UNSUPPORTED")
    assert received.one("Allow") == "GET, HEAD"
    assert network.seen == []


def test_a_refusal_of_head_has_the_length_of_a_body_that_does_not_follow(network: Network, browser: Browser) -> None:
    network.serve(QUAY, answer(404))
    received = browser.head(BLOB)
    assert (received.status, received.body) == (404, b"")
    assert int(received.one("Content-Length") or 0) > 0


def test_an_upstream_that_is_down_says_when_to_ask_again(network: Network, browser: Browser) -> None:
    network.serve(QUAY, answer(501))
    received = browser.get(BLOB)
    assert (received.status, code_of(received), received.one("Retry-After")) == (503, "UNAVAILABLE", "10")


def test_a_quota_is_passed_on(network: Network, browser: Browser) -> None:
    network.serve(QUAY, answer(429, b"", "Retry-After: 77"))
    received = browser.get(TAG)
    assert (received.status, code_of(received), received.one("Retry-After")) == (429, "TOOMANYREQUESTS", "77")


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=40))
def test_any_target_is_answered_in_json_and_asks_no_upstream_that_it_does_not_name(browse: Browse, rest: str) -> None:
    received = browse().get("/v2/" + rest, host="other.test")
    assert received.status in (400, 404, 405, 421)
    assert code_of(received)


@pytest.mark.parametrize("origin", ["docker.io", "169.254.169.254", "localhost:5000"])
def test_s28_a_blob_that_is_to_be_mounted_is_not_fetched(network: Network, browser: Browser, origin: str) -> None:
    target = f"/v2/quay.io/org/name/blobs/uploads/?mount={DIGEST}&from={origin}/org/other"
    assert browser.get(target, "Content-Length: 0", method="POST").status == 405
    assert network.seen == []


# Bodies that break, and clients that leave


def break_for_good(network: Network, how: str = "cut") -> None:
    """Break what is asked for as often as it is asked for again."""
    for _ in range(8):
        getattr(network.connections[-1], how)()
        network.advance(2)


@pytest.mark.parametrize("how", ["cut", "end"])
@pytest.mark.parametrize("sent", [b"", b"0123"])
def test_a_body_that_breaks_again_and_again_aborts_the_connection(
    network: Network, browser: Browser, sent: bytes, how: str
) -> None:
    network.serve(QUAY, answer(200, sent, length=10))
    browser.ask(BLOB)
    break_for_good(network, how)
    assert browser.wire.aborted
    assert browser.received().body == sent


def test_a_body_that_breaks_once_is_resumed_and_the_client_does_not_notice(network: Network, browser: Browser) -> None:
    network.serve(QUAY, [answer(200, b"0123", length=10), answer(206, b"456789", "Content-Range: bytes 4-9/10")])
    browser.ask(BLOB)
    network.connections[0].cut()
    network.advance(2)
    received = browser.received()
    assert (received.status, received.body) == (200, CONTENT)
    assert network.seen[1].all("Range") == ["bytes=4-"]
    assert not browser.wire.aborted


def test_a_chunked_body_that_breaks_is_not_ended(network: Network, browser: Browser) -> None:
    network.serve(QUAY, answer(200, b"3\r\nabc\r\n", "Transfer-Encoding: chunked", length=None))
    browser.ask(BLOB)
    break_for_good(network)
    assert browser.wire.aborted
    assert not browser.wire.value().endswith(b"0\r\n\r\n")


def test_a_body_that_stands_still_again_and_again_aborts_the_connection(network: Network, browser: Browser) -> None:
    network.serve(QUAY, answer(200, b"0123", length=10))
    browser.ask(BLOB)
    for _ in range(8):
        network.advance(60)
        network.advance(2)
    assert browser.wire.aborted
    assert all(connection.wire.closed for connection in network.connections)


@pytest.mark.security("S20")
def test_a_slow_client_holds_up_nobody_and_gets_it_all(network: Network, browser: Browser, browse: Browse) -> None:
    network.serve(QUAY, answer(200, b"0123", length=10))
    browser.ask(BLOB)
    browser.stall()
    assert not network.connections[0].wire.paused
    other = browse()
    other.ask(BLOB)
    network.connections[0].send(b"456789")
    assert (other.received().body, browser.received().body) == (CONTENT, b"0123")
    browser.read_on()
    assert browser.received().body == CONTENT
    assert len(network.seen) == 1


def test_a_slow_client_is_not_cut_off_for_upstreams_silence(network: Network, browser: Browser) -> None:
    network.serve(QUAY, answer(200, b"0123", length=10))
    browser.ask(BLOB)
    browser.stall()
    network.advance(3600)
    assert not browser.wire.aborted


def test_what_a_client_leaves_is_fetched_to_its_end_where_that_is_near(network: Network, browse: Browse) -> None:
    network.serve(QUAY, answer(200, b"0123", length=10))
    browser = browse()
    browser.ask(BLOB)
    browser.leave()
    network.advance(59)
    network.connections[0].send(b"456789")
    assert browse().get(BLOB).one("Cache-Status") == "crproxy; hit"


@pytest.mark.security("S21")
def test_what_a_client_leaves_is_stopped_where_its_end_is_far(network: Network, browser: Browser) -> None:
    network.serve(QUAY, answer(200, b"0123", length=200 * 1024 * 1024))
    browser.ask(BLOB)
    browser.leave()
    network.advance(29)
    assert [connection.wire.closed for connection in network.connections] == [False]
    network.advance(1)
    assert network.connections[0].wire.closed
    assert network.clock.getDelayedCalls() == []


def test_a_client_that_leaves_before_the_header_ends_the_request_upstream(network: Network, browser: Browser) -> None:
    network.serve(QUAY, lambda _: None)
    browser.ask(BLOB)
    assert browser.silent
    browser.leave()
    network.advance(3600)
    assert network.connections[0].wire.aborted
    assert len(network.seen) == 1
    assert network.clock.getDelayedCalls() == []


def test_after_a_client_that_left_nothing_is_asked_for_ever(network: Network, browser: Browser) -> None:
    network.serve(QUAY, answer(503))
    browser.ask(BLOB)
    browser.leave()
    for _ in range(40):
        network.advance(2)
    assert len(network.seen) == 4
    assert network.clock.getDelayedCalls() == []


def test_a_manifest_that_a_client_leaves_is_kept_for_the_next(network: Network, browse: Browse) -> None:
    network.serve(QUAY, answer(200, MANIFEST[:5], length=len(MANIFEST)))
    browser = browse()
    browser.ask(TAG)
    browser.leave()
    network.connections[0].send(MANIFEST[5:])
    received = browse().get(TAG)
    assert (received.body, received.one("Cache-Status")) == (MANIFEST, "crproxy; hit")
    assert len(network.seen) == 1


@pytest.mark.parametrize("served", [None, answer(503), answer(200, b"0123", length=10)], ids=["header", "wait", "body"])
def test_a_client_that_leaves_is_no_failure_in_the_log(
    network: Network, browser: Browser, log: Log, served: bytes | None
) -> None:
    network.serve(QUAY, lambda _: served)
    browser.ask(BLOB)
    browser.leave()
    assert log.complaints == []


def test_a_body_that_breaks_is_told_in_the_log(network: Network, browser: Browser, log: Log) -> None:
    network.serve(QUAY, answer(200, b"0123", length=10))
    browser.ask(BLOB)
    break_for_good(network)
    (complaint,) = log.complaints
    assert complaint.startswith(f"{BLOB}: aborted: upstream ended in mid-body")


def test_a_failure_of_our_own_is_answered_with_500_and_logged(browser: Browser, log: Log) -> None:
    def fail(*_: object) -> bytes:
        raise AssertionError

    from crproxy.pullthrough import PullThrough

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PullThrough, "answer", fail)
        received = browser.get(BLOB)
    assert (received.status, code_of(received)) == (500, "UNAVAILABLE")
    assert b"crproxy itself failed" in received.body
    assert b"Traceback" not in received.body
    assert log.failures == [AssertionError]


def test_a_client_that_says_nothing_is_hung_up_on(network: Network, browser: Browser) -> None:
    network.advance(61)
    assert browser.wire.disconnecting


# Clients' login

ALICES = "Basic YWxpY2U6b2YgYWxpY2U="  # alice:of alice
WRONG = "Basic YWxpY2U6d3Jvbmc="  # alice:wrong
AUTH = "https://auth.quay.io"
ALIAS = "quay.cr.test"
BY_ALIAS = "/v2/org/name/manifests/v1"
CHALLENGE = 'Bearer realm="https://quay.cr.test/token",service="quay.cr.test",scope="repository:org/name:pull"'


@pytest.fixture
def secure(browser: Browser) -> Browser:
    """A client that has come by TLS."""
    alsoProvides(browser.wire, ISSLTransport)
    return browser


def give_tokens(seen: Seen) -> bytes:
    """A token service: alice's password is right, and nobody is anybody."""
    said = seen.one("Authorization")
    if said not in (None, ALICES):
        return answer(401)
    return answer(200, json.dumps({"token": "nobodys" if said is None else "alices"}).encode())


def serve_private(network: Network) -> None:
    """Let the registry give its manifests to alice alone."""

    def answers(seen: Seen) -> bytes:
        if seen.one("Authorization") == "Bearer alices":
            return answer(200, b"" if seen.method == "HEAD" else MANIFEST, f"Content-Type: {TYPE}", length=20)
        return answer(401, b"", f'WWW-Authenticate: Bearer realm="{AUTH}/token",service="quay.io"')

    network.serve(QUAY, answers)
    network.serve(AUTH, give_tokens)


@pytest.fixture
def through(current: Current) -> None:
    """Clients log in at quay.io with their own credentials."""
    upstream = replace(Upstream.public(Registry("quay.io")), passthrough=True)
    current.config = replace(current.config, upstreams={upstream.registry: upstream})


@pytest.fixture
def users(current: Current) -> None:
    """The proxy has users of its own."""
    users = {"alice": bcrypt.hashpw(b"of alice", bcrypt.gensalt(4))}
    current.config = replace(current.config, clients=Clients(users))


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize("target", ["/v2/", BY_ALIAS])
def test_whoever_is_no_user_is_challenged_and_asks_nobody(network: Network, secure: Browser, target: str) -> None:
    for line in ((), (f"Authorization: {WRONG}",), ("Authorization: Bearer x",), ("Authorization: \xff",)):
        secure.wire.clear()
        received = secure.get(target, *line, host=ALIAS)
        assert (received.status, code_of(received)) == (401, "UNAUTHORIZED")
        assert (received.one("WWW-Authenticate") or "").startswith('Bearer realm="https://quay.cr.test/token"')
    assert network.seen == []


@pytest.mark.usefixtures("users")
def test_a_user_is_served(network: Network, browser: Browser) -> None:
    """S7: what it said of itself stays here."""
    serve_manifest(network)
    for target in ("/v2/", BY_ALIAS):
        browser.wire.clear()
        assert browser.get(target, f"Authorization: {ALICES}", host=ALIAS).status == 200
    assert network.seen[0].all("Authorization") == []


@pytest.mark.usefixtures("users", "through")
@pytest.mark.parametrize("target", ["/v2/", BY_ALIAS, "/token", "/token?scope=repository:a/b:pull"])
@pytest.mark.parametrize("host", ["other.test", "nope.cr.test", "quay.cr.test.evil.example", "\xff", ""])
@pytest.mark.parametrize("line", [(), (f"Authorization: {ALICES}",)])
def test_s14_another_host_is_misdirected_and_nobodys_password_is_asked_for(
    network: Network, secure: Browser, target: str, host: str, line: tuple[str, ...]
) -> None:
    received = secure.get(target, *line, host=host)
    assert (received.status, received.one("WWW-Authenticate")) == (421, None)
    assert network.seen == []


@pytest.mark.parametrize("target", ["/v2/", BY_ALIAS])
def test_any_bytes_in_a_host_are_some_other_host(browser: Browser, log: Log, target: str) -> None:
    assert browser.get(target, host="\xff\xfe").status == 421
    assert log.complaints == []


@pytest.mark.usefixtures("through")
def test_docker_learns_at_the_root_of_pass_through_that_there_is_a_login(network: Network, secure: Browser) -> None:
    received = secure.get("/v2/", host=ALIAS)
    assert received.status == 401
    assert received.one("WWW-Authenticate") == 'Bearer realm="https://quay.cr.test/token",service="quay.cr.test"'
    assert network.seen == []


@pytest.mark.usefixtures("through")
def test_nobody_is_challenged_where_upstream_refuses_it(network: Network, secure: Browser) -> None:
    serve_private(network)
    received = secure.get(BY_ALIAS, host=ALIAS)
    assert (received.status, code_of(received)) == (401, "UNAUTHORIZED")
    assert received.one("WWW-Authenticate") == CHALLENGE
    assert b"is refused: quay.io answered 401" in received.body


@pytest.mark.usefixtures("through")
@pytest.mark.parametrize(("served", "status"), [(answer(404), 404), (answer(500), 503), (answer(429), 429)])
def test_it_is_not_where_a_login_would_not_help(network: Network, secure: Browser, served: bytes, status: int) -> None:
    network.serve(QUAY, served)
    secure.ask(BY_ALIAS, host=ALIAS)
    for _ in range(10):
        network.advance(1)
    received = secure.received()
    assert (received.status, received.one("WWW-Authenticate")) == (status, None)


@pytest.mark.usefixtures("through")
def test_a_client_is_served_with_its_own_credentials_and_nobody_else_is(network: Network, browse: Browse) -> None:
    """S7, S11."""
    serve_private(network)
    mine = f"Authorization: {ALICES}"
    for _ in ("cold", "warm"):
        received = browse().get(BY_ALIAS, mine, host=ALIAS)
        assert (received.status, received.body) == (200, MANIFEST)
        for line in ((), (f"Authorization: {WRONG}",)):
            assert browse().get(BY_ALIAS, *line, host=ALIAS).status == 401
        assert browse().get(TAG, mine).status == 403
    passwords = {seen.origin for seen in network.seen if seen.one("Authorization") == ALICES}
    assert passwords == {AUTH}


@pytest.mark.usefixtures("through")
def test_it_may_carry_a_token_of_ours(network: Network, browse: Browse) -> None:
    serve_private(network)
    target = "/token?service=x&scope=repository:org/name:pull"
    granted = json.loads(browse().get(target, f"Authorization: {ALICES}", host=ALIAS).body)["token"]
    nobodys = json.loads(browse().get(target, host=ALIAS).body)["token"]
    assert "alices" not in granted
    received = browse().get(BY_ALIAS, f"Authorization: Bearer {granted}", host=ALIAS)
    assert (received.status, received.body) == (200, MANIFEST)
    assert browse().get(BY_ALIAS, f"Authorization: Bearer {nobodys}", host=ALIAS).status == 403
    assert browse().get("/v2/org/other/manifests/v1", f"Authorization: Bearer {granted}", host=ALIAS).status == 401
    # Neither of the two is anything to another host.
    assert browse().get(TAG, f"Authorization: Bearer {granted}").status == 403


@pytest.mark.usefixtures("through")
def test_a_namespace_that_contradicts_the_host_is_refused_before_credentials_go_anywhere(
    network: Network, browser: Browser
) -> None:
    received = browser.get(BY_ALIAS + "?ns=ghcr.io", f"Authorization: {ALICES}", host=ALIAS)
    assert (received.status, code_of(received)) == (400, "NAME_INVALID")
    assert network.seen == []


@pytest.mark.usefixtures("through")
def test_a_name_that_is_no_ascii_can_be_challenged_for(network: Network, secure: Browser, log: Log) -> None:
    """A soft hyphen is nothing in a host's name (UTS 46)."""
    serve_private(network)
    received = secure.get("/v2/quay\xad.io/org/name/manifests/v1?ns=quay.io", host=ALIAS)
    assert received.status in (400, 401)
    assert log.complaints == []


def test_where_lists_of_tags_are_not_served_they_are_empty_and_nobody_is_asked(
    browser: Browser, network: Network, current: Current
) -> None:
    current.config = replace(current.config, access=Access(tags=False))
    received = browser.get("/v2/quay.io/org/name/tags/list")
    assert (received.status, json.loads(received.body)) == (200, {"name": "quay.io/org/name", "tags": []})
    assert network.seen == []


@pytest.mark.parametrize("is_broken", [False, True])
def test_a_body_without_a_length_that_is_cut_has_no_clean_end(
    store: Store, network: Network, browser: Browser, monkeypatch: pytest.MonkeyPatch, is_broken: bool
) -> None:
    """Only its digest can tell that it is cut; also where nothing is kept."""

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    if is_broken:
        monkeypatch.setattr(store.blobs, "begin", fail)
    network.serve(QUAY, lambda seen: None)
    browser.ask(BLOB)
    connection = network.waiting[-1]
    connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + CONTENT[:5])
    connection.cut()
    network.clock.advance(1)
    network.pump()
    assert browser.received().status == 200
    assert not browser.wire.value().endswith(b"\r\n0\r\n\r\n")
    assert browser.wire.aborted
