"""Clients that mean ill, or are broken: each is answered or cut off, and the next one is served (S19, S20)."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Filler
from tests.parts.certificates import Authority, Certificate
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.malformed import malformed, smuggled
from tests.parts.places import REGISTRY, blob
from tests.parts.raw_http import ask, asking, exchange, fetch
from tests.parts.shapes import content, ranged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.daemon import Start
    from tests.parts.docker_engine import DockerEngine
    from tests.parts.layouts import Layout

pytestmark = pytest.mark.integration

MEBIBYTE = 1 << 20
HOST = ("Host", "cr.test")
GET = b"GET /v2/ HTTP/1.1\r\nHost: cr.test\r\n"
POST = b"POST /v2/ HTTP/1.1\r\nHost: cr.test\r\n"
MALFORMED = malformed(HOST[1])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Authority(tmp_path_factory.mktemp("ca")).issue("cr.test")


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, fake: FakeUpstream, certificate: Certificate) -> Iterator[Daemon]:
    config = configuration({REGISTRY: Upstream(fake.url)}, timeouts={"write": "2s"}, domain=HOST[1])
    with Daemon(tmp_path_factory.mktemp("daemon"), config, certificate=certificate) as daemon:
        yield daemon


Connect = Callable[[], socket.socket]


@pytest.fixture(params=["plain", "tls"])
def connect(request: pytest.FixtureRequest, daemon: Daemon) -> Iterator[Connect]:
    """Connects to the daemon, either way; in the end somebody else is served."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    port = daemon.port if request.param == "plain" else daemon.tls_port
    with ExitStack() as connected:

        def connect() -> socket.socket:
            connection = socket.create_connection(("127.0.0.1", port), timeout=20)
            if request.param == "tls":
                connection = context.wrap_socket(connection, server_hostname=HOST[1])
            return connected.enter_context(connection)

        yield connect
    assert ask(daemon.address, "GET", "/v2/", HOST).status == 200


def rest(connection: socket.socket) -> bytes:
    """Read until the daemon closes the connection, however it does."""
    received = b""
    with suppress(ConnectionResetError, ssl.SSLError):
        while piece := connection.recv(1 << 16):
            received += piece
    return received


def send(connection: socket.socket, data: bytes) -> None:
    """Send as much as is taken."""
    with suppress(ConnectionResetError, BrokenPipeError, ssl.SSLError):
        connection.sendall(data)


def statuses(received: bytes) -> list[int]:
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]


def test_s20_what_is_no_proper_request_is_answered_once_and_the_connection_closed(connect: Connect) -> None:
    connections = {kind: connect() for kind in MALFORMED}
    for kind, request in MALFORMED.items():
        send(connections[kind], request + smuggled(HOST[1]))
    answered = {kind: statuses(rest(connection)) for kind, connection in connections.items()}
    assert answered == {kind: [400] for kind in MALFORMED}


@pytest.mark.parametrize("framing", [b"Content-Length: 1073741824", b"Transfer-Encoding: chunked"])
def test_s20_a_large_body_is_refused_while_it_arrives(connect: Connect, framing: bytes) -> None:
    connection = connect()
    piece = b"x" * MEBIBYTE
    chunk = b"%x\r\n%s\r\n" % (len(piece), piece)
    send(connection, POST + framing + b"\r\n\r\n")
    for _ in range(8):
        send(connection, chunk if b"chunked" in framing else piece)
    assert statuses(rest(connection)) == [413]


def test_s20_a_thousand_requests_at_once_are_answered(connect: Connect) -> None:
    connection = connect()
    send(connection, (GET + b"\r\n") * 999 + GET + b"Connection: close\r\n\r\n")
    assert statuses(rest(connection)) == [200] * 1000


def test_s19_a_thousand_ranges_are_few_bytes_and_one_question(connect: Connect, fake: FakeUpstream) -> None:
    body = Filler(4 * MEBIBYTE, seed=19)
    fake.script(blob(body).path, ranged(body))
    before = len(fake.seen.requests(blob(body).path, "GET"))
    connection = connect()
    ranges = b",".join(b"%d-%d" % (number, number) for number in range(0, 3000, 3))
    header = b"Host: cr.test\r\nConnection: close\r\nRange: bytes=" + ranges
    send(connection, b"GET " + blob(body).through.encode() + b" HTTP/1.1\r\n" + header + b"\r\n\r\n")
    received = rest(connection)
    assert (statuses(received), received.count(b"\r\nContent-Range: bytes ")) == ([206], 1000)
    assert len(received) < 1000 * 200
    assert len(fake.seen.requests(blob(body).path, "GET")) == before + 1


@pytest.mark.parametrize("asked", [b"", b"GET /v2/ HT", GET, GET + b"\r\n"])
def test_s20_half_open_connections_are_let_go(connect: Connect, asked: bytes) -> None:
    connection = connect()
    send(connection, asked)
    connection.shutdown(socket.SHUT_WR)
    assert statuses(rest(connection)) in ([], [200])


def test_s20_a_request_that_trickles_in_is_408(connect: Connect) -> None:
    connection = connect()
    send(connection, POST + b"Content-Length: 100\r\n\r\nxx")
    begun = time.monotonic()
    assert statuses(rest(connection)) == [408]
    assert 9 < time.monotonic() - begun < 15


def test_docker_is_told_that_it_cannot_push(
    start: Start, docker: DockerEngine, layout: Layout, fake: FakeUpstream
) -> None:
    daemon = start({REGISTRY: Upstream(fake.url)})
    fake.publish("team/pushed", "v1", layout.image())
    assert "only pulls" in docker.push_refused(f"localhost:{daemon.port}/{REGISTRY}/team/pushed:v1")


# Clients that take nothing


def test_s20_a_client_that_takes_nothing_is_cut_off_and_stalls_nobody(daemon: Daemon, fake: FakeUpstream) -> None:
    large = Filler(96 * MEBIBYTE, seed=1)
    place = blob(large)
    fake.script(place.path, content(large))
    with asking(daemon.address, "GET", place.through, HOST, receive_buffer=4096) as connection:
        assert fetch(daemon.address, place.through, HOST).digest == large.digest
        daemon.wait_for_log("takes nothing: cut off")
        assert len(rest(connection)) < 64 * MEBIBYTE


def test_s20_a_range_that_is_not_taken_lets_go_of_upstream(daemon: Daemon, fake: FakeUpstream) -> None:
    large = Filler(96 * MEBIBYTE, seed=2)
    place = blob(large)
    fake.script(place.path, ranged(large))
    before = len(daemon.log)
    with asking(daemon.address, "GET", place.through, HOST, ("Range", "bytes=1000-"), receive_buffer=4096):
        daemon.wait_for_log("takes nothing: cut off", after=before)
        fake.seen.wait_until_closed(fake.seen.requests(place.path, "GET")[0].connection)


def test_s20_a_slow_client_that_goes_on_taking_is_not_cut_off(daemon: Daemon, fake: FakeUpstream) -> None:
    """It takes little of what the kernel holds for it, for three times as long as it may take nothing."""
    large = Filler(32 * MEBIBYTE, seed=3)
    place = blob(large)
    fake.script(place.path, content(large))
    before = len(daemon.log)
    with exchange(daemon.address, "GET", place.through, HOST, receive_buffer=64 * 1024) as response:
        taken = 0
        until = time.monotonic() + 7
        while time.monotonic() < until:
            taken += len(response.read(8192))
            time.sleep(0.1)
        assert taken < MEBIBYTE
        assert len(response.read()) == large.size - taken
    assert "takes nothing" not in daemon.log[before:]
