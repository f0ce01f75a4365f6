"""Few file descriptors, and a client that would use them all: the others are served (S20)."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Gate, Stall
from tests.parts.caller import Caller
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.images import sha256
from tests.parts.node import Node
from tests.parts.places import REGISTRY, Place, blob, manifest_place
from tests.parts.raw_http import Reply
from tests.parts.shapes import content, manifest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.parts.fake_upstream import FakeUpstream

pytestmark = pytest.mark.integration

GREEDY, CLIENT = "127.0.0.3", "127.0.0.4"
BODY = b"a layer" * 100_000
MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
MANIFEST = b'{"schemaVersion": 2, "layers": []}'
MANY = 260


class Few(Node):
    """This machine, with so few descriptors for a process, soft limit and hard."""

    def command(self, command: Sequence[str]) -> list[str]:
        return ["sh", "-c", 'ulimit -n 256; exec "$@"', "sh", *command]


def pull(daemon: Daemon) -> list[Reply]:
    """Pull what is kept, on connections of its own."""
    replies = []
    for place in (manifest_place(sha256(MANIFEST)), blob(BODY)):
        with Caller(daemon.port, CLIENT) as caller:
            replies.append(caller.get(place.through))
    return replies


def ask_head(daemon: Daemon, place: Place) -> socket.socket:
    """Ask, and return the connection, nothing of the answer read."""
    connection = socket.create_connection(("127.0.0.1", daemon.port), 20, (GREEDY, 0))
    with suppress(ConnectionResetError, BrokenPipeError):
        connection.sendall(f"HEAD {place.through} HTTP/1.1\r\nHost: cr.test\r\n\r\n".encode())
    return connection


def status_of(connection: socket.socket) -> int | None:
    """Return the status that was answered; None where it was hung up on."""
    with suppress(ConnectionResetError):
        first = connection.recv(100).split(b" ")
        return int(first[1]) if len(first) > 1 else None
    return None


@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves"])
def test_s20_many_heads_of_one_client_keep_nobody_from_pulling(
    tmp_path: Path, fake: FakeUpstream, gate: Gate, leaves: bool
) -> None:
    """Also where it leaves at once, and upstream is asked all the same."""
    fake.script(manifest_place(sha256(MANIFEST)).path, manifest(MANIFEST, MEDIA_TYPE))
    fake.script(blob(BODY).path, content(BODY))
    slow = [blob(b"%d" % number) for number in range(MANY)]
    for place in slow:
        fake.script(place.path, content(b"x", fault=Stall(gate)))
    config = configuration({REGISTRY: Upstream(fake.url)})
    with Daemon(tmp_path, config, node=Few()) as daemon, ExitStack() as open_:
        assert [reply.body for reply in pull(daemon)] == [MANIFEST, BODY]
        daemon.cache.wait_until_whole(sha256(BODY))
        asked = []
        for number, place in enumerate(slow):
            asked.append(open_.enter_context(ask_head(daemon, place)))
            if leaves:
                asked.pop().close()
            if number % 10 == 0:
                replies = pull(daemon)
                assert [reply.body for reply in replies] == [MANIFEST, BODY]
                assert [reply.headers["Cache-Status"] for reply in replies] == ["crproxy; hit"] * 2
        gate.open()
        statuses = [status_of(connection) for connection in asked]
        assert [reply.body for reply in pull(daemon)] == [MANIFEST, BODY]
        if not leaves:
            assert {200, 429} <= set(statuses) <= {200, 429, 503, None}
        assert "Too many open files" not in daemon.log
