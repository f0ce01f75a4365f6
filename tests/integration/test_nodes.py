"""Nodes as processes of their own: what one has or is filling, read by another one, and by those who are none."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from crproxy.fleet.identity import NODE_NAME, Identity, Secret
from crproxy.oci.digests import Digest
from crproxy.workers.ledger_directory import LedgerDirectory
from tests.parts.process import Process, clean_environment

ROOT = Path(__file__).parents[2]
SECRET, OTHER = b"s" * 32, b"o" * 32
MIB = 1024 * 1024
# No piece of it is like another.
CONTENT = b"".join(hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(MIB // 4))
SIZE = len(CONTENT)
DIGEST = str(Digest.of(CONTENT))
PATH = f"/v1/blobs/{DIGEST}?origin=quay.io"
# More than all the buffers between two processes hold together.
LARGE = 192 * MIB


class Feed:
    """Upstream's side: what a test sends to the node that fills."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.settimeout(20)
        self._connection: socket.socket | None = None

    def send(self, content: bytes) -> None:
        if self._connection is None:
            self._connection, _ = self._listener.accept()
        self._connection.sendall(content)

    def end(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def close(self) -> None:
        self.end()
        self._listener.close()


class Fleet:
    """Processes, and what they have in common: the data directory of a node's workers is one."""

    def __init__(self, directory: Path, stack: ExitStack, workers: int) -> None:
        self.directory = directory
        self.workers = workers
        self.data_dir = directory / "data"
        self.data_dir.mkdir(mode=0o700)
        self._stack = stack
        self.feed = Feed(directory / "feed")
        stack.callback(self.feed.close)
        self._ledger: str | None = None
        if workers > 1:
            ledger = LedgerDirectory()
            stack.callback(ledger.remove)
            self._ledger = str(ledger.path)

    def node(self, fills: str | None = DIGEST, size: int = SIZE) -> tuple[Process, str]:
        """A node that fills; return the process that does, and the URL where one of its workers answers."""
        first = self._serve(0, fills, size)
        port = first.wait_for(r'"port": (\d+)')[1]
        if fills is not None:
            # Its file is there, and its lock taken.
            first.wait_for('"asked"')
        if self.workers > 1:
            port = self._serve(1, None, 0).wait_for(r'"port": (\d+)')[1]
        return first, f"https://127.0.0.1:{port}"

    def kept(self, content_of: Path) -> str:
        """Have the node keep the content of a file, which goes; return its digest."""
        with content_of.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        kept = self.data_dir / "cache" / "sha256" / digest[:2] / digest
        kept.parent.mkdir(parents=True)
        content_of.rename(kept)
        return f"sha256:{digest}"

    def ask(
        self, url: str, *, digest: str = DIGEST, start: int = 0, pause_at: int | None = None, secret: bytes = SECRET
    ) -> Process:
        """Another node that asks."""
        asked = {"url": url, "secret": secret.hex(), "digest": digest, "start": start, "pause_at": pause_at, "times": 1}
        return self._run("ask", asked)

    def _serve(self, slot: int, fills: str | None, size: int) -> Process:
        served = {"data_dir": str(self.data_dir), "secret": SECRET.hex(), "ledger": self._ledger, "slot": slot}
        return self._run("serve", served | {"fills": fills, "feed": str(self.feed.path), "size": size})

    def _run(self, role: str, arguments: dict[str, Any]) -> Process:
        command = [sys.executable, "-m", "tests.parts.fleet_node", role, json.dumps(arguments)]
        environment = clean_environment(self.directory, PYTHONPATH=str(ROOT))
        return self._stack.enter_context(Process(command, self.directory, environment=environment))


def came_of(asker: Process, seconds: float = 60) -> dict[str, Any]:
    """What an asker says in the end."""
    said: dict[str, Any] = json.loads(asker.wait_for(r'\{"end".*\}\n', seconds)[0])
    return said


@pytest.fixture
def fleet(tmp_path: Path, workers: int) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(tmp_path, stack, workers)


def identity(secret: bytes = SECRET) -> Identity:
    return Secret(secret).identity(time.time())


def get(url: str, path: str, context: ssl.SSLContext, method: str = "GET", **headers: str) -> Any:
    """Ask as any client can; return the answer, read, and its body."""
    raw = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=20)
    with raw, context.wrap_socket(raw, server_hostname=NODE_NAME) as connection:
        asked = http.client.HTTPConnection("nodes")
        asked.sock = connection
        asked.request(method, path, headers=headers)
        answer = asked.getresponse()
        return answer, answer.read()


def believing(context: ssl.SSLContext) -> ssl.SSLContext:
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_a_blob_that_grows_is_followed_to_its_end(fleet: Fleet) -> None:
    filling, url = fleet.node()
    fleet.feed.send(CONTENT[: SIZE // 4])
    asker = fleet.ask(url)
    asker.wait_for("begun")
    for end in range(SIZE // 4, SIZE, MIB):
        fleet.feed.send(CONTENT[end : end + MIB])
    fleet.feed.end()
    said = came_of(asker)
    assert (said["end"], said["number"], said["digest"]) == ("whole", SIZE, DIGEST)
    assert said["content_range"] == f"bytes 0-{SIZE - 1}/{SIZE}"
    filling.wait_for('"filled"')
    assert filling.log.count('"asked"') == 1, "nobody else asks upstream"


def test_it_goes_on_from_the_middle_which_has_not_come_yet(fleet: Fleet) -> None:
    _, url = fleet.node()
    fleet.feed.send(CONTENT[:MIB])
    asker = fleet.ask(url, start=SIZE // 2)
    fleet.feed.send(CONTENT[MIB:])
    fleet.feed.end()
    said = came_of(asker)
    assert (said["end"], said["number"]) == ("whole", SIZE - SIZE // 2)
    assert said["digest"] == str(Digest.of(CONTENT[SIZE // 2 :]))
    assert said["content_range"] == f"bytes {SIZE // 2}-{SIZE - 1}/{SIZE}"


def test_wrong_bytes_come_to_no_end(fleet: Fleet) -> None:
    filling, url = fleet.node()
    fleet.feed.send(CONTENT[: SIZE // 2])
    asker = fleet.ask(url)
    asker.wait_for("begun")
    fleet.feed.send(CONTENT[SIZE // 2 - MIB : -MIB])
    fleet.feed.end()
    said = came_of(asker)
    assert said["end"].startswith("BodyBroke")
    assert said["number"] < SIZE
    filling.wait_for('"failed": "WrongContent"')


def test_one_that_is_killed_in_mid_body_is_cut(fleet: Fleet) -> None:
    filling, url = fleet.node()
    fleet.feed.send(CONTENT[: SIZE // 4])
    asker = fleet.ask(url)
    asker.wait_for("begun")
    os.kill(filling.pid, signal.SIGKILL)
    said = came_of(asker)
    assert said["end"] == f"BodyBroke: {url} ended in mid-body"
    assert said["number"] < SIZE
    left = list((fleet.data_dir / "cache" / "partial").rglob("sha256-*"))
    assert len(left) == 1, "its node goes on from there"
    again = came_of(fleet.ask(url))["end"]
    # Another worker of it says that nobody fills it any more.
    assert again.startswith("NotThere" if fleet.workers > 1 else "NodeIsGone"), again


def test_what_is_nowhere_is_not_there_and_is_not_begun(fleet: Fleet) -> None:
    _, url = fleet.node(fills=None)
    assert came_of(fleet.ask(url))["end"] == f"NotThere: {url} answered 404"
    assert list((fleet.data_dir / "cache").rglob("sha256-*")) == []


@pytest.mark.parametrize("kind", ["no certificate", "another secret", "in the clear"])
def test_who_is_no_node_gets_nothing(fleet: Fleet, kind: str) -> None:
    _, url = fleet.node()
    fleet.feed.send(CONTENT[: SIZE // 4])
    if kind == "in the clear":
        connection = http.client.HTTPConnection(url.removeprefix("https://"), timeout=20)
        connection.request("GET", PATH)
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            connection.getresponse()
    else:
        anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context = believing(anybody if kind == "no certificate" else identity(OTHER).client)
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            get(url, PATH, context)
    # It was not the node that was at fault.
    answer, _ = get(url, PATH, identity().client, "HEAD")
    assert answer.status == 200


def test_a_node_of_another_fleet_is_told_so(fleet: Fleet) -> None:
    _, url = fleet.node()
    end = came_of(fleet.ask(url, secret=OTHER))["end"]
    assert end.startswith(f"NodeIsGone: {url} is no node of this fleet, or has another secret: TLS failed: ")


def test_any_client_with_the_certificate_is_answered(fleet: Fleet) -> None:
    _, url = fleet.node()
    fleet.feed.send(CONTENT)
    fleet.feed.end()
    context = identity().client
    answer, content = get(url, PATH, context)
    assert (answer.status, content == CONTENT, answer.version) == (200, True, 11)
    answer, content = get(url, PATH, context, Range=f"bytes={MIB}-{2 * MIB - 1}")
    assert (answer.status, answer.headers["Content-Range"]) == (206, f"bytes {MIB}-{2 * MIB - 1}/{SIZE}")
    assert content == CONTENT[MIB : 2 * MIB]
    answer, content = get(url, PATH, context, "HEAD")
    assert (answer.status, answer.headers["Content-Length"], content) == (200, str(SIZE), b"")
    answer, content = get(url, PATH, context, Range=f"bytes={SIZE}-")
    assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{SIZE}")
    answer, content = get(url, "/v1/node", context)
    assert set(json.loads(content)) == {"name", "version", "flights", "stored"}


def test_a_slow_reader_holds_no_memory(fleet: Fleet) -> None:
    large = fleet.directory / "large"
    with large.open("wb") as file:
        file.truncate(LARGE)
    digest = fleet.kept(large)
    serving, url = fleet.node(fills=None)
    # Read first, since nobody knows it: that takes memory of its own.
    assert came_of(fleet.ask(url, digest=digest))["digest"] == digest
    slow = fleet.ask(url, digest=digest, pause_at=MIB)
    slow.wait_for("paused")
    # As long as this one has all of it, the slow one's waits.
    fast = came_of(fleet.ask(url, digest=digest))
    assert fast["digest"] == digest
    assert '"end"' not in slow.log
    peak = peak_of(serving)
    os.kill(slow.pid, signal.SIGUSR1)
    said = came_of(slow)
    assert (said["end"], said["digest"]) == ("whole", digest)
    assert said["peak"] - fast["peak"] < 32 * MIB
    assert peak < 160 * MIB < LARGE


def peak_of(process: Process) -> int:
    """The most that it has had in memory, in bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
