"""Upstreams that mean ill, or are broken, through the daemon itself (S4, S15 to S17, S20, S21).

Each row ends in an answer that says what upstream did, in time, and with no more read than its limit.
"""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from http.client import IncompleteRead
from typing import TYPE_CHECKING, Self

import pytest

from tests.parts.answers import Answer, Cut, Filler, Framing, Gate, Stall
from tests.parts.certificates import Authority
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import OCI_MANIFEST, sha256
from tests.parts.places import REGISTRY, Place, blob, manifest_place
from tests.parts.raw_http import Reply, ask
from tests.parts.shapes import challenge, manifest, redirect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.daemon import Start

pytestmark = pytest.mark.integration

MEBIBYTE = 1 << 20
BODY = b'{"schemaVersion": 2}'
RAW = {False: "raw.example.org", True: "raw-tls.example.org"}
DEEP = b"[" * 1_000_000 + b"]" * 1_000_000
# By when everything must be over.
SECONDS = 10


class RawUpstream:
    """Accepts connections, waits for a request on each, and sends what it is told, for as long as it can.

    Arguments:
        tls: to speak TLS; it never says farewell.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.begins = self.goes_on = b""
        self.asks = True
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.assert_nobody_listens()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"

    def behave(self, begins: bytes, goes_on: bytes = b"", *, asks: bool = True) -> None:
        """Send ``begins`` once, and ``goes_on`` without end, or hang up; unless it ``asks``, before it is asked."""
        self.begins, self.goes_on, self.asks = begins, goes_on, asks

    def assert_nobody_listens(self) -> None:
        """Fail unless every connection has been ended, by either side."""
        for thread in self._threads:
            thread.join(SECONDS)
            assert not thread.is_alive(), "somebody still listens to it"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                accepted, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(accepted,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, accepted: socket.socket) -> None:
        with suppress(OSError), accepted:
            accepted.settimeout(SECONDS)
            if self._tls is None:
                self._send(accepted)
                return
            with self._tls.wrap_socket(accepted, server_side=True) as secure:
                self._send(secure)

    def _send(self, connection: socket.socket) -> None:
        if self.asks:
            connection.recv(65536)
        connection.sendall(self.begins)
        while self.goes_on:
            connection.sendall(self.goes_on)


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def raws(authority: Authority) -> Iterator[dict[bool, RawUpstream]]:
    """Two upstreams without manners, and whether it is the one with TLS."""
    certificate = authority.issue("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    with RawUpstream() as plain, RawUpstream(context) as secure:
        yield {False: plain, True: secure}


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, fake: FakeUpstream, raws: dict[bool, RawUpstream], authority: Authority
) -> Iterator[Daemon]:
    """It waits a second for a header and for a body, and tries nothing again."""
    upstreams = {REGISTRY: Upstream(fake.url, retries=0)}
    for secure, raw in raws.items():
        upstreams[RAW[secure]] = Upstream(raw.url, retries=0, ca_file=authority.file)
    timeouts = {"headers": "2s", "idle": "1s", "connect": "1s"}
    with Daemon(tmp_path_factory.mktemp("daemon"), configuration(upstreams, timeouts=timeouts)) as daemon:
        yield daemon


@pytest.fixture(autouse=True)
def next_one(daemon: Daemon, fake: FakeUpstream) -> Iterator[None]:
    """Whatever happened, the next one is served, and memory was not the price."""
    yield
    fake.script("/v2/team/next/manifests/v1", manifest(BODY, OCI_MANIFEST))
    assert ask(daemon.address, "GET", manifest_place("v1", "team/next").through).body == BODY
    assert daemon.rss_bytes() < 200 * MEBIBYTE


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """One that nothing is known of."""
    return f"team/{sha256(request.node.name.encode())[7:19]}"


@pytest.fixture
def tag(repository: str) -> Place:
    return manifest_place("v1", repository)


def assert_unavailable(reply: Reply, words: str, status: int = 503, code: str = "UNAVAILABLE") -> None:
    assert (reply.status, reply.code) == (status, code), reply
    assert words in reply.message


def fetch(daemon: Daemon, raw: RawUpstream, tag: Place) -> Reply:
    """Ask an upstream without manners, which must be let go of soon."""
    begun = time.monotonic()
    registry = RAW[raw.url.startswith("https")]
    reply = ask(daemon.address, "GET", replace(tag, registry=registry).through)
    raw.assert_nobody_listens()
    assert time.monotonic() - begun < SECONDS
    return reply


OK = b"HTTP/1.1 200 OK\r\nContent-Type: " + OCI_MANIFEST.encode() + b"\r\n"


ENDLESS = {
    "fields": (b"HTTP/1.1 200 OK\r\n", b"X-Field: value\r\n" * 1000),
    "a folded field": (b"HTTP/1.1 200 OK\r\nX-Field: a\r\n", b" folded\r\n" * 1000),
    "answers 103": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000),
}


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("kind", ENDLESS)
def test_s20_a_header_without_end(
    daemon: Daemon, raws: dict[bool, RawUpstream], tag: Place, kind: str, secure: bool
) -> None:
    raws[secure].behave(*ENDLESS[kind])
    assert_unavailable(fetch(daemon, raws[secure], tag), "a header of more than 65536 bytes")


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("framing", [b"Transfer-Encoding: chunked\r\n\r\n", b"Connection: close\r\n\r\n"])
def test_s15_a_manifest_without_end(
    daemon: Daemon, raws: dict[bool, RawUpstream], tag: Place, framing: bytes, secure: bool
) -> None:
    """Also over TLS to one that never says farewell: its connection is cut, not waited for."""
    raws[secure].behave(OK + framing, b"10000\r\n" + b"x" * 65536 + b"\r\n")
    assert_unavailable(fetch(daemon, raws[secure], tag), "more than 4194304 bytes", 502, "MANIFEST_INVALID")


def test_s20_an_answer_before_it_is_asked_for(daemon: Daemon, raws: dict[bool, RawUpstream], repository: str) -> None:
    """It may be taken for the answer, and is checked like any other."""
    raws[False].behave(OK + b"Content-Length: 6\r\n\r\npoison", asks=False)
    assert fetch(daemon, raws[False], manifest_place(sha256(b"not that"), repository)).status == 503


NO_ANSWERS = {
    "two lengths": OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "a negative length": OK + b"Content-Length: -5\r\n\r\nxxxxx",
    "an unknown transfer coding": OK + b"Transfer-Encoding: gzip\r\n\r\nxx",
    "bad chunks": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nxx\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "nothing": b"",
    "NULs": b"\0" * 100,
}


@pytest.mark.parametrize("kind", NO_ANSWERS)
def test_s20_what_is_no_answer(daemon: Daemon, raws: dict[bool, RawUpstream], tag: Place, kind: str) -> None:
    raws[False].behave(NO_ANSWERS[kind])
    assert_unavailable(fetch(daemon, raws[False], tag), f"{RAW[False]} is not available")


@pytest.mark.parametrize("declared", [len(BODY) + 1, len(BODY) - 1])
def test_s15_a_manifest_of_another_length_than_it_says(
    daemon: Daemon, fake: FakeUpstream, repository: str, declared: int
) -> None:
    body = BODY + repository.encode()
    place = manifest_place(sha256(body), repository)
    answer = Answer(headers=(("Content-Type", OCI_MANIFEST),), body=body, declared=declared, fault=Cut(len(body)))
    fake.script(place.path, answer)
    assert_unavailable(ask(daemon.address, "GET", place.through), REGISTRY)


def test_s10_a_body_for_head_is_not_the_next_answer(
    daemon: Daemon, raws: dict[bool, RawUpstream], tag: Place, repository: str
) -> None:
    described = OK + b"Docker-Content-Digest: " + sha256(BODY).encode() + b"\r\nContent-Length: 20\r\n\r\n"
    poison = OK + b"Content-Length: 6\r\n\r\npoison"
    raws[False].behave(described + poison)
    through = replace(tag, registry=RAW[False]).through
    assert ask(daemon.address, "HEAD", through).status == 200
    raws[False].behave(OK + b"Content-Length: 20\r\n\r\n" + BODY)
    assert fetch(daemon, raws[False], manifest_place("v2", repository)).body == BODY


# S9

OTHERS_BYTES = {
    "a part of a blob that was asked for whole": b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-0/1\r\n",
    "a blob of no bytes": b"HTTP/1.1 200 OK\r\n",
}


@pytest.mark.parametrize("kind", OTHERS_BYTES)
def test_s9_a_blob_of_another_length_is_not_ended_cleanly(
    daemon: Daemon, raws: dict[bool, RawUpstream], kind: str
) -> None:
    """The client would be told of that length, and would have all of it."""
    body = b"" if "no bytes" in kind else b"0123456789"
    raws[False].behave(OTHERS_BYTES[kind] + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    status = 502 if "no bytes" in kind else 503
    assert_unavailable(fetch(daemon, raws[False], blob(kind.encode(), "team/length")), RAW[False], status)


def test_a_challenge_may_have_any_bytes(daemon: Daemon, raws: dict[bool, RawUpstream], tag: Place) -> None:
    raws[False].behave(b'HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic realm="\xff"\r\nContent-Length: 0\r\n\r\n')
    reply = fetch(daemon, raws[False], tag)
    assert (reply.status, reply.code) == (403, "DENIED")


def test_no_control_character_comes_through(daemon: Daemon, raws: dict[bool, RawUpstream], tag: Place) -> None:
    header = OK.replace(b"+json", b"\x1b[2J\x00+json") + b"Content-Length: %d\r\n\r\n" % len(BODY)
    raws[False].behave(header + BODY)
    reply = fetch(daemon, raws[False], tag)
    assert not any(character < " " or character == "\x7f" for character in reply.headers["Content-Type"] or "")


# S4


@pytest.mark.parametrize("kind", ["manifests", "blobs"])
def test_s4_a_redirect_loop_ends(daemon: Daemon, fake: FakeUpstream, tag: Place, kind: str) -> None:
    place = tag if kind == "manifests" else blob(kind.encode(), "team/loop")
    before = len(fake.seen.requests())
    fake.script(place.path, redirect("/round"))
    fake.script("/round", redirect("/and/round"))
    fake.script("/and/round", redirect("/round"))
    assert_unavailable(ask(daemon.address, "GET", place.through), "more than 5 times")
    assert len(fake.seen.requests()) - before == 6


# S16


@pytest.mark.parametrize("body", [Filler(64 * MEBIBYTE), b'{"token": "' + b"x" * 2 * MEBIBYTE + b'"}'])
@pytest.mark.parametrize("framing", [Framing.LENGTH, Framing.CHUNKED])
def test_s16_a_token_bomb_is_not_read(
    daemon: Daemon, fake: FakeUpstream, tag: Place, body: bytes | Filler, framing: Framing
) -> None:
    fake.script(tag.path, challenge(f"{fake.url}/token", "service", tag.path))
    before = fake.seen.sent("/token")
    fake.script("/token", Answer(body=body, framing=framing))
    assert_unavailable(ask(daemon.address, "GET", tag.through), "its token service: a body of")
    assert fake.seen.sent("/token") - before < 16 * MEBIBYTE


@pytest.mark.parametrize("status", [401, 403, 404, 500])
@pytest.mark.parametrize("framing", [Framing.LENGTH, Framing.CHUNKED])
def test_s16_an_errors_body_is_not_read_to_its_end(
    daemon: Daemon, fake: FakeUpstream, tag: Place, status: int, framing: Framing
) -> None:
    fake.script(tag.path, Answer(status, body=Filler(64 * MEBIBYTE), framing=framing))
    reply = ask(daemon.address, "GET", tag.through)
    assert reply.status == {401: 403, 500: 503}.get(status, status)
    assert f"answered {status}" in reply.message
    assert fake.seen.sent(tag.path) < 16 * MEBIBYTE


# S17


@pytest.mark.parametrize("coding", ["gzip", "zstd", "identity, gzip"])
def test_s17_a_compressed_manifest_is_refused(daemon: Daemon, fake: FakeUpstream, tag: Place, coding: str) -> None:
    fake.script(tag.path, Answer(200, (("Content-Encoding", coding),), BODY))
    assert_unavailable(ask(daemon.address, "GET", tag.through), "it sent the body compressed")
    assert {value for request in fake.seen.requests() for value in request.values("Accept-Encoding")} == {"identity"}


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "aws-chunked", "zstd"])
def test_s17_of_a_blob_the_digest_decides_what_it_is(daemon: Daemon, fake: FakeUpstream, coding: str) -> None:
    """Object stores say so of layers that were given to them so, and other clients take them as they come."""
    layer = gzip.compress(coding.encode() * 1000)
    place, other = blob(layer, "team/compressed"), blob(b"not compressed" + coding.encode(), "team/compressed")
    fake.script(place.path, Answer(200, (("Content-Encoding", coding),), layer))
    for _ in range(2):
        reply = ask(daemon.address, "GET", place.through, ("Accept-Encoding", "gzip"))
        assert (reply.status, reply.body, reply.headers["Content-Encoding"]) == (200, layer, None)
    fake.script(other.path, Answer(200, (("Content-Encoding", coding),), gzip.compress(b"not compressed")))
    with pytest.raises((IncompleteRead, ConnectionError)):
        ask(daemon.address, "GET", other.through)


def test_s17_a_deep_manifest_is_none(daemon: Daemon, fake: FakeUpstream, tag: Place) -> None:
    fake.script(tag.path, manifest(DEEP, OCI_MANIFEST))
    assert ask(daemon.address, "GET", tag.through).status == 502


@pytest.mark.parametrize("deep", [DEEP[:400_000] + DEEP[-400_000:], b'{"a":' * 100_000 + b"1" + b"}" * 100_000])
def test_s17_a_deep_token_is_none(daemon: Daemon, fake: FakeUpstream, tag: Place, deep: bytes) -> None:
    fake.script(tag.path, challenge(f"{fake.url}/token", "service", tag.path))
    fake.script("/token", Answer(body=deep))
    assert_unavailable(ask(daemon.address, "GET", tag.through), "its token service sent")


def test_s17_a_deep_error_is_none(daemon: Daemon, fake: FakeUpstream, tag: Place) -> None:
    fake.script(tag.path, Answer(404, body=b'{"errors":' * 5_000 + b"[]"))
    reply = ask(daemon.address, "GET", tag.through)
    assert (reply.status, reply.code) == (404, "MANIFEST_UNKNOWN")


# S20: phases that never end


def test_s20_a_connection_that_is_never_accepted(start: Start, tag: Place) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as waiting:
        for _ in range(8):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        daemon = start({REGISTRY: Upstream(url, retries=0)}, connect="1s", headers="2s")
        assert_unavailable(ask(daemon.address, "GET", tag.through), "it did not answer in time")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_s20_a_handshake_or_a_header_that_never_comes(start: Start, tag: Place, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"{scheme}://127.0.0.1:{mute.getsockname()[1]}"
        daemon = start({REGISTRY: Upstream(url, retries=0)}, headers="1s")
        assert_unavailable(ask(daemon.address, "GET", tag.through), "it did not answer in time")


@pytest.mark.parametrize("framing", [Framing.LENGTH, Framing.CHUNKED])
def test_s20_a_manifest_that_stops(
    daemon: Daemon, fake: FakeUpstream, tag: Place, gate: Gate, framing: Framing
) -> None:
    fake.script(tag.path, Answer(body=b"x" * 1000, framing=framing, fault=Stall(gate, at=10)))
    assert_unavailable(ask(daemon.address, "GET", tag.through), "upstream sent nothing for 1 s")


def test_s20_a_manifest_that_trickles_in_for_ever(start: Start, tag: Place) -> None:
    """A byte now and then is not nothing, so the whole has a time, too."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def trickle() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
                        while not stop.wait(0.3):
                            connection.sendall(b"1\r\nx\r\n")

        trickling = threading.Thread(target=trickle, daemon=True)
        trickling.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        daemon = start({REGISTRY: Upstream(url, retries=0)}, idle="1s")
        assert_unavailable(ask(daemon.address, "GET", tag.through), "did not come to an end in 2 s")
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        trickling.join(SECONDS)


# S21


def test_s21_heads_begin_no_fills(daemon: Daemon, fake: FakeUpstream, tag: Place) -> None:
    large = Filler(64 * MEBIBYTE)
    place = blob(large)
    fake.script(place.path, Answer(body=large))
    for _ in range(50):
        assert ask(daemon.address, "HEAD", place.through).status == 200
    assert [request.method for request in fake.seen.requests(place.path)] == ["HEAD"] * 50
    assert fake.seen.sent(place.path) == 0
