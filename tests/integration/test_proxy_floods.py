"""Clients of the HTTP proxy that only hold what they have: each is ended, and others are served meanwhile."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest

from tests.parts.daemon import Upstream
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import OCI_MANIFEST
from tests.parts.proxy_client import Inside, ProxyClient, connect, read_answer, rest
from tests.parts.proxy_house import House
from tests.parts.shapes import manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.parts.certificates import Authority

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

NAME, PATH, BODY = "registry.example.org", "/v2/team/app/manifests/v1", b'{"schemaVersion": 2}'
ATTACKER, CLIENT = "127.0.0.3", "127.0.0.4"
MANY = 200


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, authority: Authority, workers: int) -> Iterator[House]:
    with FakeUpstream() as fake:
        fake.script(PATH, manifest(BODY, OCI_MANIFEST))
        directory: Path = tmp_path_factory.mktemp("daemon")
        with House.build(directory, authority, {NAME: Upstream(fake.url)}) as house:
            yield house


@pytest.fixture(params=["clear", "tls"])
def client(request: pytest.FixtureRequest, house: House) -> Iterator[ProxyClient]:
    """A client; what it leaves behind is gone in the end."""
    client = house.client(request.param)
    serve(client)
    log, descriptors = len(house.daemon.log), house.daemon.descriptors()
    yield client
    house.daemon.assert_calm(after=log)
    # What serves one more client needs some of its own.
    assert house.daemon.descriptors() <= descriptors + 4


def serve(client: ProxyClient) -> None:
    """Have somebody who means well be served."""
    with client.inside(NAME, source=CLIENT) as inside:
        asked = f"GET {PATH} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()
        assert [inside.say(asked).body for _ in range(2)] == [BODY, BODY]


def hello(client: ProxyClient) -> bytes:
    """Return a ClientHello."""
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        client.trust().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=NAME).do_handshake()
    return outgoing.read()


@pytest.mark.security("S31", "S20")
def test_who_says_nothing_after_connect_is_ended(house: House, client: ProxyClient) -> None:
    """Or a part of a ClientHello, or all of it and nothing else."""
    before, words = len(house.daemon.log), hello(client)
    with ExitStack() as held:
        flood = [held.enter_context(client.reach(f"{NAME}:443", source=ATTACKER)) for _ in range(MANY)]
        for number, connection in enumerate(flood):
            connection.sendall((b"", words[:1], words[: len(words) // 2], words)[number % 4])
        for _ in range(20):
            serve(client)
        for number, connection in enumerate(flood):
            # It is the proxy that ends them: nobody here closes anything.
            received = rest(connection)
            assert bool(received) == (number % 4 == 3)
    told = house.daemon.log[before:].count(f"CONNECT {NAME}:443 from {ATTACKER}: no TLS handshake within 10 s")
    assert told == MANY


@pytest.mark.security("S31", "S20")
def test_who_lets_a_handshake_trickle_in_is_ended(house: House, client: ProxyClient) -> None:
    before, words = len(house.daemon.log), hello(client)
    with ExitStack() as held:
        flood = [held.enter_context(client.reach(f"{NAME}:443", source=ATTACKER)) for _ in range(20)]
        at, deadline = 0, time.monotonic() + 60
        while flood:
            assert time.monotonic() < deadline
            flood = [connection for connection in flood if takes(connection, words[at : at + 1])]
            at += 1
            serve(client)
    # It was not for want of bytes.
    assert at < len(words)
    told = house.daemon.log[before:].count(f"CONNECT {NAME}:443 from {ATTACKER}: no TLS handshake within 10 s")
    assert told == 20


def takes(connection: socket.socket, piece: bytes) -> bool:
    """Send a piece; tell whether the connection is there still."""
    connection.settimeout(0.01)
    try:
        connection.sendall(piece)
        return bool(connection.recv(1))
    except TimeoutError:
        return True
    except (ConnectionError, ssl.SSLError):
        return False


@pytest.mark.security("S31", "S20")
def test_who_asks_for_nothing_inside_is_ended_when_the_header_is_due(house: House, client: ProxyClient) -> None:
    with client.inside(NAME, source=ATTACKER) as inside:
        inside.sendall(b"GET /v2/ HTTP/1.1\r\nX: ")
        assert inside.rest().startswith(b"HTTP/1.1 408 ")


@pytest.mark.security("S31", "S20")
def test_connects_that_come_and_go_leave_nothing(house: House, client: ProxyClient) -> None:
    for number in range(100):
        connection = client.reach(f"{NAME}:443", source=ATTACKER)
        if number % 2:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
    before = house.daemon.rss_bytes()
    for number in range(1000):
        connection = client.reach(f"{NAME}:443", source=ATTACKER)
        if number % 2:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
    serve(client)
    assert house.daemon.rss_bytes() - before < 8 * 1024 * 1024


@pytest.mark.security("S31", "S20")
def test_a_handshake_that_ends_half_way_leaves_nothing(house: House, client: ProxyClient) -> None:
    words = hello(client)
    for number in range(100):
        with client.reach(f"{NAME}:443", source=ATTACKER) as connection:
            connection.sendall(words[: number * len(words) // 100])
    serve(client)


@pytest.mark.security("S31", "S20")
def test_more_than_a_hello_is_not_held(house: House, client: ProxyClient) -> None:
    """Records of a handshake that has no end: as much as a ClientHello may have is looked at."""
    before = len(house.daemon.log)
    record = b"\x16\x03\x01\x40\x00" + b"\x01\xff\xff\xff" + b"x" * (0x4000 - 4)
    with client.reach(f"{NAME}:443", source=ATTACKER) as connection:
        with suppress(ConnectionError, ssl.SSLError):
            for _ in range(64):
                connection.sendall(record)
        assert rest(connection) == b""
    told = f"CONNECT {NAME}:443 from {ATTACKER}: this is something else than TLS"
    house.daemon.wait_for_log(told, after=before)


@pytest.mark.security("S31", "S20")
def test_a_connection_that_was_refused_may_ask_again(client: ProxyClient) -> None:
    with client.open(CLIENT) as connection:
        for _ in range(100):
            connection.sendall(connect("elsewhere.example.com:443"))
            assert read_answer(connection).status == 403
        connection.sendall(connect(f"{NAME}:443"))
        assert read_answer(connection).status == 200
        with Inside(connection, client.trust(), NAME) as inside:
            assert inside.say(f"GET /v2/ HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()).status == 200
