"""SIGTERM: nobody new comes in, whoever is in has a time to finish, and what is left then is cut off."""

from __future__ import annotations

import contextlib
import hashlib
import signal
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPResponse, IncompleteRead
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Filler, Gate, Stall
from tests.parts.certificates import Authority
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.places import REGISTRY, Place, blob
from tests.parts.raw_http import ask, exchange, fetch, hash_rest
from tests.parts.shapes import content, ranged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.parts.fake_upstream import FakeUpstream

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

MEBIBYTE = 1 << 20
DOMAIN = "cr.test"
LOOPBACK = "tcp:0:interface=127.0.0.1"
CUT_SHORT = (IncompleteRead, ConnectionResetError)
# What a machine that is busy with other things may take beyond what was asked of it.
SLACK = 10.0


@dataclass(frozen=True, slots=True)
class Port:
    """One way into a daemon: its port, in the clear or by TLS."""

    port: int
    trusted: ssl.SSLContext | None = None

    @contextlib.contextmanager
    def connected(self, *, receive_buffer: int | None = None) -> Iterator[socket.socket]:
        with socket.socket() as plain:
            if receive_buffer is not None:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            plain.settimeout(60)
            plain.connect(("127.0.0.1", self.port))
            if self.trusted is None:
                yield plain
                return
            with self.trusted.wrap_socket(plain, server_hostname=DOMAIN) as encrypted:
                yield encrypted


def digest(place: Place) -> str:
    return place.path.rpartition("/")[2]


def send(connection: socket.socket, target: str) -> None:
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {DOMAIN}\r\n\r\n".encode())


@contextlib.contextmanager
def received(connection: socket.socket) -> Iterator[HTTPResponse]:
    with HTTPResponse(connection) as response:
        response.begin()
        yield response


@pytest.fixture
def begin(fake: FakeUpstream, tmp_path: Path) -> Iterator[Callable[[str], Daemon]]:
    """Starts a daemon that listens in the clear and by TLS, with this time to finish."""
    authority = Authority(tmp_path)
    certificate = authority.issue(DOMAIN)
    certs = tmp_path / "certs"
    certs.mkdir()
    (certs / "one.pem").write_bytes(certificate.key.read_bytes() + certificate.chain.read_bytes())
    with contextlib.ExitStack() as running:

        def begin(grace: str) -> Daemon:
            config = configuration({REGISTRY: Upstream(fake.url)}, domain=DOMAIN, certs=str(certs))
            config += f'[listen]\nplain_http = "serve"\ngrace = "{grace}"\n[acme]\ndirectory = "none"\n'
            listen = ["--http", LOOPBACK, "--https", LOOPBACK]
            return running.enter_context(Daemon(tmp_path, config, listen=listen))

        yield begin


def ports(daemon: Daemon, tmp_path: Path) -> list[Port]:
    context = ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))
    return [Port(daemon.port), Port(daemon.tls_port, context)]


def wait_until_stopping(daemon: Daemon, connections: int) -> None:
    """Return when all processes that have any of so many connections have begun to stop: each says how many it has."""
    seen = counted = 0
    while counted < connections:
        line = daemon.wait_for_log(r"stopping: (\d+) connections", after=seen)
        counted, seen = counted + int(line[1]), line.end()
    assert counted == connections


def read_all(port: Port, place: Place, begun: Barrier) -> tuple[int, str]:
    """GET a blob, wait with its first byte in hand until everybody has theirs, and read the rest."""
    with port.connected() as connection:
        send(connection, place.through)
        with received(connection) as response:
            assert response.status == 200
            first = response.read(1)
            begun.wait(60)
            return hash_rest(response, first)


def test_transfers_that_are_under_way_finish(
    begin: Callable[[str], Daemon], fake: FakeUpstream, gate: Gate, tmp_path: Path
) -> None:
    """Upstream stands still at half until the daemon was asked to stop, so that nobody has all of it before."""
    daemon = begin("60s")
    kept, cold = blob(Filler(32 * MEBIBYTE, seed=1)), blob(Filler(64 * MEBIBYTE, seed=2))
    fake.script(kept.path, content(Filler(32 * MEBIBYTE, seed=1)))
    fake.script(cold.path, ranged(Filler(64 * MEBIBYTE, seed=2), Stall(gate, at=32 * MEBIBYTE)))
    assert fetch(daemon.address, kept.through, ("Host", DOMAIN)).digest == digest(kept)
    ways = [(port, place) for port in ports(daemon, tmp_path) for place in (kept, cold) for _ in range(6)]
    begun = Barrier(len(ways) + 1)
    with ThreadPoolExecutor(len(ways)) as clients:
        reading = [clients.submit(read_all, port, place, begun) for port, place in ways]
        begun.wait(60)
        daemon.signal(signal.SIGTERM)
        wait_until_stopping(daemon, connections=len(ways))
        daemon.wait_for_log(rf"TCP Port {daemon.port} Closed")
        # The line is written before the socket is closed: whoever connects between the two is reset.
        with pytest.raises((ConnectionRefusedError, ConnectionResetError)):
            ask(daemon.address, "GET", "/v2/")
        gate.open()
        for (_, place), client in zip(ways, reading, strict=True):
            assert client.result(60)[1] == digest(place)
    daemon.wait(SLACK)
    assert "cut off" not in daemon.log


def test_idle_connections_do_not_hold_it(begin: Callable[[str], Daemon], tmp_path: Path) -> None:
    """Their clients neither close them nor look at them, as those that keep a pool do."""
    daemon = begin("120s")
    with contextlib.ExitStack() as opened:
        for port in ports(daemon, tmp_path):
            for requests in (0, 1, 2):
                connection = opened.enter_context(port.connected())
                for _ in range(requests):
                    send(connection, "/v2/")
                    with received(connection) as response:
                        assert response.status == 200
                        response.read()
        daemon.signal(signal.SIGTERM)
        daemon.wait(SLACK)
    assert "cut off" not in daemon.log


def test_an_answer_that_begins_meanwhile_ends_its_connection(
    begin: Callable[[str], Daemon], fake: FakeUpstream, gate: Gate, tmp_path: Path
) -> None:
    daemon = begin("60s")
    places = [blob(b"small"), blob(b"other")]
    for place, body in zip(places, (b"small", b"other"), strict=True):
        fake.script(place.path, content(body, fault=Stall(gate)))
    with contextlib.ExitStack() as opened:
        connections = [opened.enter_context(port.connected()) for port in ports(daemon, tmp_path)]
        for connection, place in zip(connections, places, strict=True):
            send(connection, place.through)
            fake.seen.wait_for_request(place.path)
        daemon.signal(signal.SIGTERM)
        wait_until_stopping(daemon, connections=2)
        gate.open()
        for connection, body in zip(connections, (b"small", b"other"), strict=True):
            with received(connection) as response:
                assert (response.status, response.headers["Connection"], response.read()) == (200, "close", body)
    daemon.wait(SLACK)


@pytest.mark.parametrize("secure", [False, True])
def test_a_client_that_reads_nothing_holds_it_no_longer_than_the_grace(
    begin: Callable[[str], Daemon], fake: FakeUpstream, tmp_path: Path, secure: bool
) -> None:
    daemon = begin("2s")
    place = blob(Filler(64 * MEBIBYTE))
    fake.script(place.path, content(Filler(64 * MEBIBYTE)))
    with ports(daemon, tmp_path)[secure].connected(receive_buffer=64 * 1024) as connection:
        send(connection, place.through)
        with received(connection) as response:
            assert response.status == 200
            began = time.monotonic()
            daemon.signal(signal.SIGTERM)
            daemon.wait(2 + SLACK)
            assert time.monotonic() - began >= 2
            with pytest.raises((*CUT_SHORT, ssl.SSLError)):
                hash_rest(response)
    assert "1 connections are cut off: they took too long" in daemon.log


def test_a_second_signal_ends_it_at_once(begin: Callable[[str], Daemon], fake: FakeUpstream) -> None:
    daemon = begin("600s")
    place = blob(Filler(64 * MEBIBYTE))
    fake.script(place.path, content(Filler(64 * MEBIBYTE)))
    with exchange(daemon.address, "GET", place.through, ("Host", DOMAIN), receive_buffer=64 * 1024) as response:
        daemon.signal(signal.SIGTERM)
        daemon.wait_for_log("stopping: 1 connections have 600 s to end")
        daemon.signal(signal.SIGTERM)
        daemon.wait(SLACK)
        with pytest.raises(CUT_SHORT):
            hash_rest(response)
    assert "1 connections are cut off: a second SIGTERM" in daemon.log


def test_what_was_fetched_so_far_is_taken_up_by_the_next(
    begin: Callable[[str], Daemon], fake: FakeUpstream, gate: Gate
) -> None:
    large = Filler(256 * MEBIBYTE, seed=3)
    place = blob(large)
    fake.script(place.path, ranged(large, Stall(gate, at=64 * MEBIBYTE)))
    daemon = begin("1s")
    with exchange(daemon.address, "GET", place.through, ("Host", DOMAIN)) as response:
        begun = response.read(64 * MEBIBYTE - 1)
        daemon.signal(signal.SIGTERM)
        daemon.wait(1 + SLACK)
        assert f"sha256:{hashlib.sha256(begun).hexdigest()}" == Filler(64 * MEBIBYTE - 1, seed=3).digest
    asked = len(fake.seen.requests(place.path, "GET"))
    again = begin("1s")
    assert fetch(again.address, place.through, ("Host", DOMAIN)).digest == digest(place)
    (resumed,) = fake.seen.requests(place.path, "GET")[asked:]
    assert resumed.values("Range") == [f"bytes={64 * MEBIBYTE}-"]
