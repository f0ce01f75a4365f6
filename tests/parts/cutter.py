"""A line between a client and a server: it carries bytes, can be listened in on, and may break once."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from typing import Self

__all__ = ["Cutter"]

_PIECE = 64 * 1024


class Cutter:
    """Forwards TCP connections to ``server``; the first that carries ``limit`` bytes to its client is ended there.

    ``has_cut`` says whether that has happened.

    Arguments:
        limit: None is a line that never breaks.
    """

    def __init__(self, server: tuple[str, int], limit: int | None = None) -> None:
        self.has_cut = False
        self._asked: dict[socket.socket, bytearray] = {}
        self._server = server
        self._limit = limit
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address: tuple[str, int] = self._listener.getsockname()
        self._start(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._open):
            _end(one)
        for thread in self._threads:
            thread.join()
        for one in (self._listener, *self._open):
            one.close()

    def asked(self, field: bytes) -> list[bytes]:
        """Return the values of a header's field, in any request of any client."""
        pattern = re.compile(rb"^%b: ([^\r]*)\r$" % re.escape(field), re.IGNORECASE | re.MULTILINE)
        with self._lock:
            return [value for asked in self._asked.values() for value in pattern.findall(asked)]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            self._open += [client, server]
            with self._lock:
                self._asked[client] = bytearray()
            self._start(self._carry, client, server, None)
            self._start(self._carry, server, client, self._limit)

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _carry(self, source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        carried = 0
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                carried += len(piece)
                self._listen(source, piece)
                if limit is not None and carried >= limit and self._may_cut():
                    break
                sink.sendall(piece)
        _end(source)
        _end(sink)

    def _listen(self, source: socket.socket, piece: bytes) -> None:
        with self._lock:
            if source in self._asked:
                self._asked[source] += piece

    def _may_cut(self) -> bool:
        with self._lock:
            first, self.has_cut = not self.has_cut, True
            return first


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
