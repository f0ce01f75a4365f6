"""Speaks TLS in front of a program that does not, on a port of 127.0.0.1."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

__all__ = ["Forwarder"]


class Forwarder:
    """Hands on what comes in TLS; leaving the ``with`` block ends it.

    Arguments:
        port: of the program.
        context: has the certificate.
    """

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._target = port
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listening, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _begin(self, work: Callable[..., None], *args: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        with self._listening, contextlib.suppress(OSError):
            while True:
                accepted, _ = self._listening.accept()
                self._sockets.append(accepted)
                self._begin(self._serve, accepted)

    def _serve(self, accepted: socket.socket) -> None:
        with (
            accepted,
            socket.create_connection(("127.0.0.1", self._target)) as inside,
            contextlib.suppress(OSError),
            self._context.wrap_socket(accepted, server_side=True) as secured,
        ):
            self._sockets += [inside, secured]
            back = self._begin(_pump, inside, secured)
            _pump(secured, inside)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
