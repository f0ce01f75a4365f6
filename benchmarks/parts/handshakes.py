"""Clients that shake hands and leave: TLS 1.3, from a few processes, over and over.

Whether a handshake was a full or a resumed one is checked, and so is, once for each process, the certificate.
"""

import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import cycle, islice
from multiprocessing import get_context
from types import TracebackType
from typing import Self

from .servers import Server

__all__ = ["Clients"]

SECONDS = 20
# So many names of a server does one process keep a session for.
SESSIONS = 64

# What this process keeps of each server, by its authority and port: that it was looked at, and sessions.
_CHECKED: set[tuple[str, int]] = set()
_SESSIONS: dict[tuple[str, int], dict[str, ssl.SSLSession]] = {}


class Clients:
    """A few processes; leaving the `with` block ends them.

    Arguments:
        processes: how many.
    """

    def __init__(self, processes: int) -> None:
        self._count = processes
        # Not forked: that would carry our threads' locks along.
        self._pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown()

    def shake_hands(self, server: Server, names: Sequence[str], count: int) -> None:
        """Let `count` connections be made in full, to one name after the other."""
        self._share(_full, server, names, count)

    def resume(self, server: Server, names: Sequence[str], count: int) -> None:
        """Let `count` connections resume sessions, of some of the names; the first time, those are made before."""
        self._share(_resumed, server, names, count)

    def _share(
        self, work: Callable[[int, str, list[str]], None], server: Server, names: Sequence[str], count: int
    ) -> None:
        """Give each process its share: the names in turn, and as many of them as it has handshakes to make."""
        asked = list(islice(cycle(names), count))
        shares = [asked[index :: self._count] for index in range(self._count)]
        running = [self._pool.submit(work, server.port, str(server.certificate), share) for share in shares if share]
        for one in running:
            one.result()


def _full(port: int, authority: str, names: list[str]) -> None:
    _check(port, authority, names[0])
    context = _context()
    for name in names:
        if _connect(context, port, name, None):
            raise RuntimeError(f"{name}: resumed, although nobody asked for that")


def _resumed(port: int, authority: str, names: list[str]) -> None:
    _check(port, authority, names[0])
    context = _context()
    server = (authority, port)
    if server not in _SESSIONS:
        _SESSIONS[server] = {name: _session(context, port, name) for name in dict.fromkeys(names[:SESSIONS])}
    for name, session in islice(cycle(_SESSIONS[server].items()), len(names)):
        if not _connect(context, port, name, session):
            raise RuntimeError(f"{name}: not resumed")


@cache
def _context() -> ssl.SSLContext:
    """A client's that looks at no certificate, which would cost it more than the server's part of a handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    return context


def _connect(context: ssl.SSLContext, port: int, name: str, session: ssl.SSLSession | None) -> bool:
    """Connect, say goodbye, and wait for the server's: it has done its part then. Return whether it was resumed."""
    with (
        socket.create_connection(("127.0.0.1", port), SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=name, session=session) as encrypted,
    ):
        resumed = bool(encrypted.session_reused)
        # A server may hang up without the goodbye that RFC 8446, 6.1 wants of it.
        with contextlib.suppress(ssl.SSLError, OSError):
            encrypted.unwrap()
    return resumed


def _session(context: ssl.SSLContext, port: int, name: str) -> ssl.SSLSession:
    """A session with a ticket: that comes after the handshake, with the first answer."""
    with (
        socket.create_connection(("127.0.0.1", port), SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=name) as encrypted,
    ):
        encrypted.sendall(f"GET /v2/ HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        if not encrypted.recv(4096).startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"{name}: not answered")
        session = encrypted.session
        # Left without a goodbye, a session counts as spoilt.
        with contextlib.suppress(ssl.SSLError, OSError):
            encrypted.unwrap()
    if session is None or not session.has_ticket:
        raise RuntimeError(f"{name}: there is no ticket")
    return session


def _check(port: int, authority: str, name: str) -> None:
    """Look once that the right certificate is shown."""
    if (authority, port) in _CHECKED:
        return
    _CHECKED.add((authority, port))
    context = ssl.create_default_context(cafile=authority)
    with (
        socket.create_connection(("127.0.0.1", port), SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=name) as encrypted,
    ):
        encrypted.getpeercert()
