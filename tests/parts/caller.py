"""A client that comes from an address of its choice, by TLS or not, behind a PROXY header or not.

All of 127.0.0.0/8 is this machine, so that clients are told apart by their addresses.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Self

from .raw_http import Reply

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Caller", "proxy_v1", "proxy_v2"]

_PATIENCE = 20
# PROXY protocol, 2.2: the signature; version 2, PROXY; TCP over IPv4.
_V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11"


def proxy_v1(client: str) -> bytes:
    """Return the header that says that a connection is from ``client`` (PROXY protocol, 2.1)."""
    family, proxy = ("TCP6", "2001:db8::ff") if ":" in client else ("TCP4", "198.51.100.1")
    return f"PROXY {family} {client} {proxy} 50000 443\r\n".encode()


def proxy_v2(client: str) -> bytes:
    """Return the same in binary, for IPv4 (PROXY protocol, 2.2)."""
    addresses = socket.inet_aton(client) + socket.inet_aton("198.51.100.1") + struct.pack("!HH", 50000, 443)
    return _V2 + struct.pack("!H", len(addresses)) + addresses


class Caller:
    """A connection to a port of 127.0.0.1, made at once; leaving the ``with`` block closes it.

    Arguments:
        source: the address that it comes from.
        header: what is sent before anything else.
        name: is asked for in Host, and by SNI.
        root: the authority that is trusted, a file in PEM; None speaks no TLS.

    Raises:
        OSError: it is closed before TLS stands.
    """

    def __init__(
        self,
        port: int,
        source: str = "127.0.0.1",
        header: bytes = b"",
        *,
        name: str = "cr.test",
        root: Path | None = None,
    ) -> None:
        self._name = name
        self._socket: socket.socket = socket.create_connection(("127.0.0.1", port), _PATIENCE, (source, 0))
        try:
            self._socket.sendall(header)
            if root is not None:
                context = ssl.create_default_context(cafile=str(root))
                self._socket = context.wrap_socket(self._socket, server_hostname=name)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, target: str, *fields: tuple[str, str]) -> HTTPResponse:
        """Ask, and return the answer, its body not yet read. Raises OSError or HTTPException where there is none."""
        lines = [f"GET {target} HTTP/1.1", f"Host: {self._name}", *(f"{name}: {value}" for name, value in fields)]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        response = HTTPResponse(self._socket)
        try:
            response.begin()
        except BaseException:
            response.close()
            raise
        return response

    def get(self, target: str, *fields: tuple[str, str]) -> Reply:
        """Ask, and read the answer to its end."""
        with self.ask(target, *fields) as response:
            return Reply(response.status, response.headers, response.read())

    def is_closed(self) -> bool:
        """Wait for more; tell whether it is the end, and not a byte."""
        try:
            return self._socket.recv(1) == b""
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            return True

    def leave(self) -> None:
        """Say that nothing more comes, and wait until the other side has hung up."""
        with contextlib.suppress(OSError):  # it may have done so already
            self._socket.shutdown(socket.SHUT_WR)
        while not self.is_closed():
            pass
