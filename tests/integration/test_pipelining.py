"""Requests sent one behind the other by a client that reads nothing: it costs one answer, however many they are."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack, suppress
from http.client import HTTPResponse
from typing import TYPE_CHECKING

import pytest

from tests.parts.certificates import Authority, Certificate
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import sha256
from tests.parts.places import REGISTRY, manifest_place
from tests.parts.raw_http import ask
from tests.parts.shapes import manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

MEBIBYTE = 1 << 20
HOST = ("Host", "cr.test")
MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
LARGE = json.dumps({"schemaVersion": 2, "mediaType": MEDIA_TYPE, "annotations": {"x": "y" * (4 * MEBIBYTE - 500)}})
PLACE = manifest_place(sha256(LARGE.encode()))
# What is asked, and the status and the size of what is answered.
Asked = tuple[str, str, int, int]
MANIFESTS: list[Asked] = [("GET", PLACE.through, 200, len(LARGE))]
SMALL: list[Asked] = [
    ("HEAD", PLACE.through, 200, 0),
    ("GET", "/v2/", 200, 2),
    ("GET", "/v2/registry.example.org/UPPER/manifests/v1", 400, -1),
    ("GET", "/nothing/here", 404, -1),
]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Authority(tmp_path_factory.mktemp("ca")).issue("cr.test")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Daemon]:
    with FakeUpstream() as fake:
        fake.script(PLACE.path, manifest(LARGE.encode(), MEDIA_TYPE))
        config = configuration({REGISTRY: Upstream(fake.url)}, domain=HOST[1])
        with Daemon(tmp_path_factory.mktemp("daemon"), config, certificate=certificate) as daemon:
            yield daemon


Connect = Callable[[], socket.socket]


@pytest.fixture(params=["plain", "tls"])
def connect(request: pytest.FixtureRequest, daemon: Daemon) -> Iterator[Connect]:
    """Connects to the daemon, either way, and holds little of what is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with ExitStack() as connected:

        def connect() -> socket.socket:
            connection = connected.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            connection.settimeout(30)
            connection.connect(("127.0.0.1", daemon.port if request.param == "plain" else daemon.tls_port))
            if request.param == "tls":
                connection = connected.enter_context(context.wrap_socket(connection, server_hostname=HOST[1]))
            return connection

        yield connect


def read_all(connection: socket.socket, asked: list[Asked]) -> list[Asked]:
    """Return what was answered to `asked`, in order."""
    answered: list[Asked] = []
    reader = connection.makefile("rb")
    for method, target, _, size in asked:
        response = HTTPResponse(Reading(reader), method=method)  # type: ignore[arg-type]  # makefile is all it needs
        response.begin()
        body = response.read()
        answered.append((method, target, response.status, len(body) if size >= 0 else -1))
        assert len(body) < 1000 or body == LARGE.encode()
    return answered


def sent_until_it_is_full(connection: socket.socket, data: bytes, most: int) -> int:
    """Send ``data`` again and again until nobody takes it for a second; return the bytes that were taken."""
    sent = 0
    with suppress(TimeoutError):
        while sent < most:
            sent += connection.send(data)
    return sent


class Reading:
    """A connection whose answers one reader reads: it may have read on into the next one."""

    def __init__(self, reader: object) -> None:
        self._reader = reader

    def makefile(self, mode: str) -> object:
        return Kept(self._reader)


class Kept:
    """A reader that stays open when its answer ends."""

    def __init__(self, reader: object) -> None:
        self._reader = reader

    def __getattr__(self, name: str) -> object:
        return getattr(self._reader, name)

    def close(self) -> None:
        """Nothing."""


@pytest.mark.parametrize("kinds", [MANIFESTS, SMALL], ids=["manifests", "small"])
def test_what_is_asked_and_not_read_costs_one_answer(daemon: Daemon, connect: Connect, kinds: list[Asked]) -> None:
    assert ask(daemon.address, "GET", PLACE.through, HOST).body == LARGE.encode()
    requests: list[bytes] = []
    asked: list[Asked] = []
    while sum(map(len, requests)) < 50_000:
        method, target, *_ = kind = kinds[len(asked) % len(kinds)]
        asked.append(kind)
        requests.append(f"{method} {target} HTTP/1.1\r\nHost: cr.test\r\n\r\n".encode())
    before = daemon.rss_bytes()
    connection = connect()
    connection.sendall(b"".join(requests))
    grown = 0
    for _ in range(50):
        # Each is answered after what there was to do for the other one.
        assert ask(daemon.address, "GET", "/v2/", HOST).status == 200
        grown = max(grown, daemon.rss_bytes() - before)
    assert grown < 32 * MEBIBYTE
    assert read_all(connection, asked) == asked
    assert daemon.rss_bytes() - before < 32 * MEBIBYTE


def test_a_client_that_only_asks_is_not_read_for_ever(daemon: Daemon, connect: Connect) -> None:
    before = daemon.rss_bytes()
    connection = connect()
    connection.settimeout(1)
    request = f"HEAD {PLACE.through} HTTP/1.1\r\nHost: cr.test\r\n\r\n".encode() * 1000
    assert sent_until_it_is_full(connection, request, 256 * MEBIBYTE) < 64 * MEBIBYTE
    assert ask(daemon.address, "GET", "/v2/", HOST).status == 200
    assert daemon.rss_bytes() - before < 32 * MEBIBYTE
