"""A balancer: each connection to a port of 127.0.0.1 is handed on to another program, one after the other."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["RoundRobin"]


class RoundRobin:
    """It runs until the ``with`` block is left.

    ``targets`` are the ports that connections go to, which a test may change; ``chosen`` is where each has gone.
    """

    def __init__(self, targets: Sequence[int] = ()) -> None:
        self.targets = list(targets)
        self.chosen: list[int] = []
        self._count = itertools.count()
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
        target = self.targets[next(self._count) % len(self.targets)]
        self.chosen.append(target)
        with accepted, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", target)) as inside:
            self._sockets.append(inside)
            back = self._begin(_pump, inside, accepted)
            _pump(accepted, inside)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
