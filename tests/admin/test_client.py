from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from crproxy.admin.client import AdminClient, Refused, Unreachable
from crproxy.admin.command import main


def request(client: socket.socket) -> bytes:
    """All of a request: what is left unread when a connection is closed resets it."""
    read = b""
    while b"\r\n\r\n" not in read:
        read += client.recv(65536)
    header, _, body = read.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", header)
    while length is not None and len(body) < int(length[1]):
        body += client.recv(65536)
    return header + b"\r\n\r\n" + body


@contextmanager
def daemon(path: Path, *answers: bytes) -> Iterator[list[bytes]]:
    """Something that listens at ``path`` and gives each client one answer; it remembers what it was asked."""
    asked: list[bytes] = []

    def serve() -> None:
        for answer in answers:
            client, _ = listener.accept()
            with client:
                asked.append(request(client))
                client.sendall(answer)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield asked
        thread.join(10)


def answer(status: int, body: object, media_type: str = "application/json") -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    header = f"HTTP/1.1 {status} X\r\nContent-Type: {media_type}\r\nContent-Length: {len(content)}\r\n\r\n"
    return header.encode() + content


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "admin.sock"


def told(path: Path, *answers: bytes) -> str:
    with daemon(path, *answers), pytest.raises(Unreachable) as raised:
        AdminClient(path).ask("GET", "/cache")
    return raised.value.message


def test_an_answer_is_read(path: Path) -> None:
    with daemon(path, answer(200, {"a": 1})) as asked:
        assert AdminClient(path).ask("PUT", "/aliases/a b", "quay.io", pattern="x y", empty="") == {"a": 1}
    assert asked[0].startswith(b"PUT /aliases/a%20b?pattern=x+y HTTP/1.1\r\n")
    assert asked[0].endswith(b"\r\n\r\nquay.io")


def test_a_refusal_is_told_in_the_daemons_words(path: Path) -> None:
    with daemon(path, answer(400, {"error": "no such alias"})), pytest.raises(Refused, match="no such alias"):
        AdminClient(path).ask("DELETE", "/aliases/x")


@pytest.mark.parametrize(
    ("sent", "what"),
    [
        (answer(404, b"<html>", "text/html"), "it is older than this command"),
        (answer(405, b"<html>", "text/html"), "it is older than this command"),
        (answer(500, b"<html>", "text/html"), "answered 500"),
        (answer(200, b"<html>", "text/html"), "is no crproxy"),
        (b"220 smtp.example.com\r\n", "ended while it was answering"),
        (b"", "ended while it was answering"),
    ],
)
def test_what_is_no_answer_is_told_for_what_it_is(path: Path, sent: bytes, what: str) -> None:
    assert what in told(path, sent)


def test_lines_come_one_by_one(path: Path) -> None:
    body = b'{"read": 1}\n{"read": 2}\n'
    with daemon(path, answer(200, body, "application/x-ndjson")):
        assert list(AdminClient(path).lines("POST", "/x")) == [{"read": 1}, {"read": 2}]
    path.unlink()
    with daemon(path, answer(200, body + b'{"error": "it broke"}\n')), pytest.raises(Refused, match="it broke"):
        list(AdminClient(path).lines("POST", "/x"))


def test_a_path_that_is_too_long_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="cannot be connected to: AF_UNIX path too long"):
        AdminClient(tmp_path / ("x" * 200)).ask("GET", "/cache")


def runs(path: Path, *words: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, [*words, "--socket", str(path)], input=stdin)


def test_a_daemon_that_ends_in_the_middle_is_told(path: Path) -> None:
    cut = b'{"number": 0, "image": "x", "state": "fetching", "done": 1, "total": 2, "fetched": 0}\n'
    with daemon(path, answer(200, cut, "application/x-ndjson")):
        result = runs(path, "warm", "nginx")
    assert result.exit_code == 3
    assert "ended before all was here: the same command goes on from there" in result.stderr
    path.unlink()
    with daemon(path, answer(200, b'{"read": 0, "total": 9}\n')):
        result = runs(path, "cache", "verify")
    assert result.exit_code == 3
    assert "ended before it had read everything" in result.stderr


def test_images_are_read_from_files_and_each_is_asked_for_once(path: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("# first\nnginx\n\nquay.io/a/b # why\nnginx\n")
    with daemon(path, answer(200, b'{"warmed": 3, "failed": 0}\n')) as asked:
        words = ["--file", str(tmp_path / "list"), "--file", "-", "--platform", "linux/amd64", "--jobs", "2"]
        result = runs(path, "warm", "redis", *words, stdin="redis\nnginx\n")
    assert result.exit_code == 0, result.output
    assert json.loads(asked[0].partition(b"\r\n\r\n")[2]) == {
        "images": ["redis", "nginx", "quay.io/a/b"],
        "platforms": ["linux/amd64"],
        "referrers": False,
        "jobs": 2,
    }


def test_nothing_to_warm_is_a_mistake(path: Path) -> None:
    assert runs(path, "warm").exit_code == 2
    assert not path.exists()


def test_an_alias_at_an_older_daemon_is_told_to_be_lost(path: Path) -> None:
    answers = answer(200, {"alias": "corp", "registry": "quay.io"}), answer(200, [])
    with daemon(path, *answers):
        result = runs(path, "alias", "add", "corp", "quay.io")
    assert result.exit_code == 1
    assert result.stdout == "corp stands for quay.io now\n"
    assert "the daemon is older than this command" in result.stderr
    assert "--alias corp=quay.io" in result.stderr


def test_the_state_of_its_certificate_is_told(path: Path) -> None:
    change = {
        "alias": "corp", "host": "corp.cr.test", "registry": "quay.io", "domain": "cr.test", "kept": True, "file": "/f",
        "why": None, "sha256": None,
    }  # fmt: skip
    states = [{"name": "corp.cr.test", "state": "waiting", "why": "its turn comes"}]
    with daemon(path, answer(200, change), answer(200, states)):
        result = runs(path, "alias", "add", "corp", "quay.io")
    assert (result.exit_code, result.output) == (
        0,
        "corp.cr.test stands for quay.io now, and in /f\nits certificate: waiting: its turn comes\n",
    )
