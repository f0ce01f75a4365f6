"""How bytes travel: at the client's pace, as they are, and never ended cleanly when they did not come to an end.

A range of what is not here, and is not on its way, is relayed; the rest comes by way of the disk.
"""

from __future__ import annotations

import gzip
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import IncompleteRead
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Answer, Cut, Filler, Framing, Gate, Stall
from tests.parts.daemon import Daemon, Upstream
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import OCI_MANIFEST, sha256
from tests.parts.places import blob
from tests.parts.raw_http import ask, asking, exchange
from tests.parts.shapes import challenge, content, manifest, ranged, redirect, token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.daemon import Start

pytestmark = pytest.mark.integration

REGISTRY = "registry.example.org"
MEBIBYTE = 1 << 20
BODY = b"all of it\n" * 20_000
BLOB = f"/v2/team/app/blobs/{sha256(BODY)}"
THROUGH = f"/v2/{REGISTRY}/team/app/blobs/{sha256(BODY)}"
CUT_SHORT = (IncompleteRead, ConnectionResetError)


@pytest.fixture
def elsewhere() -> Iterator[FakeUpstream]:
    """A host that a registry redirects to."""
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture
def daemon(start: Start, fake: FakeUpstream) -> Daemon:
    return start({REGISTRY: Upstream(fake.url)}, headers="1s", idle="1s")


@pytest.mark.security("S20")
def test_a_stalled_client_of_a_range_stops_upstream_and_costs_no_memory(daemon: Daemon, fake: FakeUpstream) -> None:
    fake.script(BLOB, ranged(Filler(1024 * MEBIBYTE)))
    ask(daemon.address, "HEAD", THROUGH)
    before = daemon.rss_bytes()
    tail = ("Range", "bytes=1000-")
    with exchange(daemon.address, "GET", THROUGH, tail, receive_buffer=64 * 1024) as response:
        assert len(response.read(MEBIBYTE)) == MEBIBYTE
        fake.seen.wait_until_still()
        sent = fake.seen.sent(BLOB)
        # Longer than the idle timeout: a slow client is not an upstream that stalls.
        fake.seen.wait_until_still(window=1.5)
        assert fake.seen.sent(BLOB) == sent < 128 * MEBIBYTE
        assert daemon.rss_bytes() - before < 32 * MEBIBYTE
        assert len(response.read(MEBIBYTE)) == MEBIBYTE
    fake.seen.wait_until_closed(fake.seen.requests(BLOB, "GET")[0].connection, seconds=10)


def test_a_slow_client_gets_all_of_it_in_the_end(daemon: Daemon, fake: FakeUpstream) -> None:
    large = Filler(64 * MEBIBYTE)
    place = blob(large)
    fake.script(place.path, content(large))
    with exchange(daemon.address, "GET", place.through, receive_buffer=64 * 1024) as response:
        response.read(MEBIBYTE)
        fake.seen.wait_until_still(window=1.5)
        assert len(response.read()) == 63 * MEBIBYTE


def test_the_first_bytes_arrive_before_upstream_has_finished(daemon: Daemon, fake: FakeUpstream, gate: Gate) -> None:
    fake.script(BLOB, content(BODY, fault=Stall(gate, at=1000)))
    with exchange(daemon.address, "GET", THROUGH) as response:
        assert response.read(1000) == BODY[:1000]
        gate.open()
        assert response.read() == BODY[1000:]


@pytest.mark.parametrize("framing", list(Framing))
def test_each_framing_of_a_body_is_relayed_whole(daemon: Daemon, fake: FakeUpstream, framing: Framing) -> None:
    fake.script(BLOB, Answer(body=BODY, framing=framing))
    assert ask(daemon.address, "GET", THROUGH).body == BODY


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("framing", [Framing.LENGTH, Framing.CHUNKED])
def test_a_body_cut_upstream_is_never_ended_cleanly(
    daemon: Daemon, fake: FakeUpstream, framing: Framing, reset: bool
) -> None:
    fake.script(BLOB, Answer(body=BODY, framing=framing, fault=Cut(100_000, reset=reset)))
    with exchange(daemon.address, "GET", THROUGH) as response, pytest.raises(CUT_SHORT):
        response.read()


def test_a_body_shorter_than_declared_is_never_ended_cleanly(daemon: Daemon, fake: FakeUpstream) -> None:
    fake.script(BLOB, Answer(body=BODY, declared=len(BODY) + 1, fault=Cut(len(BODY))))
    with exchange(daemon.address, "GET", THROUGH) as response, pytest.raises(CUT_SHORT):
        response.read()


def test_a_manifest_cut_upstream_is_an_error(daemon: Daemon, fake: FakeUpstream) -> None:
    fake.script("/v2/team/app/manifests/v1", Answer(body=BODY, fault=Cut(1000)))
    reply = ask(daemon.address, "GET", f"/v2/{REGISTRY}/team/app/manifests/v1")
    assert (reply.status, reply.code) == (503, "UNAVAILABLE")


@pytest.mark.parametrize("framing", [Framing.LENGTH, Framing.CHUNKED])
def test_a_body_that_stalls_upstream_is_aborted(
    daemon: Daemon, fake: FakeUpstream, gate: Gate, framing: Framing
) -> None:
    fake.script(BLOB, Answer(body=BODY, framing=framing, fault=Stall(gate, at=1000)))
    # It is asked again four times, and each time stands still at the same byte.
    with exchange(daemon.address, "GET", THROUGH, seconds=10) as response, pytest.raises(CUT_SHORT):
        response.read()
    for request in fake.seen.requests(BLOB):
        fake.seen.wait_until_closed(request.connection, seconds=10)


@pytest.mark.parametrize("path", ["manifests/v1", f"blobs/{sha256(BODY)}", "tags/list"])
def test_headers_that_do_not_come_are_503_within_the_timeout(
    daemon: Daemon, fake: FakeUpstream, gate: Gate, path: str
) -> None:
    fake.script(f"/v2/team/app/{path}", Answer(fault=Stall(gate)))
    began = time.monotonic()
    reply = ask(daemon.address, "GET", f"/v2/{REGISTRY}/team/app/{path}")
    assert time.monotonic() - began < 2
    assert (reply.status, reply.code) == (503, "UNAVAILABLE")
    assert int(reply.headers["Retry-After"]) > 0
    assert REGISTRY in reply.message


def test_a_client_of_a_range_that_leaves_before_the_headers_lets_upstream_go(
    start: Start, fake: FakeUpstream, gate: Gate
) -> None:
    fake.script(BLOB, Answer(fault=Stall(gate)))
    daemon = start({REGISTRY: Upstream(fake.url)})
    with asking(daemon.address, "GET", THROUGH, ("Range", "bytes=1000-")):
        connection = fake.seen.wait_for_request(BLOB).connection
    fake.seen.wait_until_closed(connection, seconds=10)


@pytest.mark.security("S17")
@pytest.mark.parametrize("path", ["manifests/v1", "tags/list"])
def test_an_encoded_answer_is_refused(daemon: Daemon, fake: FakeUpstream, path: str) -> None:
    encoding = (("Content-Type", OCI_MANIFEST), ("Content-Encoding", "gzip"))
    fake.script(f"/v2/team/app/{path}", Answer(headers=encoding, body=gzip.compress(BODY)))
    reply = ask(daemon.address, "GET", f"/v2/{REGISTRY}/team/app/{path}", ("Accept-Encoding", "gzip"))
    assert (reply.status, reply.code) == (503, "UNAVAILABLE")
    assert REGISTRY in reply.message


@pytest.mark.parametrize("path", ["manifests/v1", f"blobs/{sha256(BODY)}", "tags/list"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_upstream_is_asked_once_for_identity(daemon: Daemon, fake: FakeUpstream, method: str, path: str) -> None:
    fake.script(f"/v2/team/app/{path}", manifest(BODY, OCI_MANIFEST))
    encodings = ("Accept-Encoding", "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5")
    ask(daemon.address, method, f"/v2/{REGISTRY}/team/app/{path}", encodings)
    (request,) = fake.seen.requests(f"/v2/team/app/{path}")
    lines = [line for line in request.lines if line.lower().startswith("accept-encoding:")]
    assert [line.partition(":")[2].strip() for line in lines] == ["identity"]


@pytest.mark.security("S7")
def test_nothing_of_the_clients_own_goes_upstream(daemon: Daemon, fake: FakeUpstream) -> None:
    fake.script(BLOB, content(BODY))
    private = (("Authorization", "Bearer mine"), ("Cookie", "a=b"), ("X-Forwarded-For", "192.0.2.1"), ("Via", "1.1 me"))
    ask(daemon.address, "GET", THROUGH, *private)
    (request,) = fake.seen.requests(BLOB)
    assert not any(request.values(name) for name, _ in private)
    assert request.values("Host") == [fake.authority]


@pytest.mark.security("S6")
def test_a_redirect_to_another_host_gets_no_authorization(
    start: Start, fake: FakeUpstream, elsewhere: FakeUpstream
) -> None:
    ask_for_token = challenge(f"{fake.url}/token", "us", "repository:team/app:pull")
    fake.script("/token", token("secret"))
    fake.script(BLOB, ask_for_token, redirect(f"{elsewhere.url}/signed?key=%2B%2f&x=a+b"))
    elsewhere.script("/signed", content(BODY))
    daemon = start({REGISTRY: Upstream(fake.url, "puller", "password")})
    assert ask(daemon.address, "GET", THROUGH).body == BODY
    assert [request.values("Authorization") for request in fake.seen.requests(BLOB)] == [[], ["Bearer secret"]]
    (request,) = elsewhere.seen.requests()
    assert request.values("Authorization") == []
    assert request.target == "/signed?key=%2B%2f&x=a+b"


def test_a_challenge_after_a_redirect_is_answered_anonymously(
    start: Start, fake: FakeUpstream, elsewhere: FakeUpstream
) -> None:
    fake.script("/token", token("secret"))
    fake.script(BLOB, challenge(f"{fake.url}/token", "us", ""), redirect(f"{elsewhere.url}/moved"))
    elsewhere.script("/token", token("theirs"))
    elsewhere.script("/moved", challenge(f"{elsewhere.url}/token", "them", "repository:moved:pull"), content(BODY))
    daemon = start({REGISTRY: Upstream(fake.url, "puller", "password")})
    assert ask(daemon.address, "GET", THROUGH).body == BODY
    (asked,) = elsewhere.seen.requests("/token")
    assert asked.values("Authorization") == []
    assert [request.values("Authorization") for request in elsewhere.seen.requests("/moved")] == [[], ["Bearer theirs"]]
    assert len(fake.seen.requests("/token")) == 1


def test_a_relative_redirect_on_the_same_host_is_followed(daemon: Daemon, fake: FakeUpstream) -> None:
    fake.script(BLOB, redirect("../../../../data?x=1", 302))
    fake.script("/data", content(BODY))
    assert ask(daemon.address, "GET", THROUGH).body == BODY


@pytest.mark.security("S4")
def test_a_redirect_loop_ends_after_five(daemon: Daemon, fake: FakeUpstream) -> None:
    fake.script(BLOB, redirect(BLOB))
    reply = ask(daemon.address, "GET", THROUGH)
    assert (reply.status, reply.code) == (503, "UNAVAILABLE")
    assert REGISTRY in reply.message
    assert len(fake.seen.requests(BLOB)) == 6


def test_requests_one_after_the_other_share_one_upstream_connection(daemon: Daemon, fake: FakeUpstream) -> None:
    fake.script(BLOB, content(BODY))
    fake.script("/v2/team/app/manifests/v1", manifest(b'{"schemaVersion": 2}', OCI_MANIFEST))
    for _ in range(10):
        assert ask(daemon.address, "GET", THROUGH).status == 200
        assert ask(daemon.address, "HEAD", THROUGH).status == 200
        assert ask(daemon.address, "GET", f"/v2/{REGISTRY}/team/app/manifests/v1").status == 200
        assert ask(daemon.address, "GET", f"/v2/{REGISTRY}/team/app/manifests/none").status == 404
    assert fake.seen.accepted <= Daemon.workers


def test_parallel_requests_reuse_upstream_connections(daemon: Daemon, fake: FakeUpstream) -> None:
    fake.script(BLOB, content(BODY))
    with ThreadPoolExecutor(8) as clients:
        bodies = list(clients.map(lambda _: ask(daemon.address, "GET", THROUGH).body, range(100)))
    assert bodies == [BODY] * 100
    assert fake.seen.accepted < 50
