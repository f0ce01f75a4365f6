from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crproxy.admin.health import ask, main

Answer = Callable[..., Path]


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Answer]:
    """Starts what says one thing to whoever asks."""
    path = tmp_path / "admin.sock"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    threads: list[threading.Thread] = []

    def serve(words: bytes, target: str) -> None:
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(1024).startswith(f"HEAD {target} HTTP/1.0\r\n".encode())
            connection.sendall(words)

    def start(words: bytes, target: str = "/healthz") -> Path:
        listener.bind(str(path))
        listener.listen()
        threads.append(threading.Thread(target=serve, args=(words, target)))
        threads[0].start()
        return path

    with listener:
        yield start
        for thread in threads:
            thread.join(5)


def test_a_daemon_that_answers_is_alive(answering: Answer) -> None:
    assert ask(str(answering(b"HTTP/1.1 200 OK\r\n\r\n"))) == ""


def test_one_may_ask_whether_it_is_ready(answering: Answer) -> None:
    path = str(answering(b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "/readyz"))
    assert ask(path, "/readyz") == f"{path} answers 'HTTP/1.1 503 Service Unavailable'"


@pytest.mark.parametrize("words", [b"HTTP/1.1 500 Internal Server Error\r\n\r\n", b"", b"x"])
def test_one_that_answers_anything_else_is_not(answering: Answer, words: bytes) -> None:
    assert "answers" in ask(str(answering(words)))


def test_one_that_is_not_there_is_not(tmp_path: Path) -> None:
    assert "No such file" in ask(str(tmp_path / "admin.sock"))


@pytest.mark.parametrize(("words", "status"), [(b"HTTP/1.1 200 OK\r\n\r\n", 0), (b"no", None)])
def test_its_exit_status_says_it(
    answering: Answer, monkeypatch: pytest.MonkeyPatch, words: bytes, status: int | None
) -> None:
    monkeypatch.setattr(sys, "argv", ["health", str(answering(words))])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == status if status is not None else isinstance(ended.value.code, str)
