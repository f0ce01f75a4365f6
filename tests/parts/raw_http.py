"""An HTTP client that sends exactly what it is told and hides nothing of what it gets.

For requests no library would make (a NUL in the path), and for readers that stop reading.
"""

from __future__ import annotations

import hashlib
import json
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPMessage, HTTPResponse, IncompleteRead
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .request_ids import without_id

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Address", "Fetched", "Reply", "ask", "asking", "exchange", "fetch", "hash_rest"]

_PIECE = 1 << 20

# Or the path of a socket of this machine.
Address = tuple[str, int] | Path


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that was read to its end."""

    status: int
    headers: HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of the registry error that this is, having checked that it is one."""
        return self._error()["code"]

    @property
    def message(self) -> str:
        """What it says, without the id of the request, which the answer's header has as well."""
        return without_id(self._error()["message"], self.headers["X-Request-Id"])

    def _error(self) -> dict[str, str]:
        assert self.headers.get_content_type() == "application/json", self
        (error,) = self.json()["errors"]
        assert set(error) <= {"code", "message", "detail"}
        found: dict[str, str] = error
        return found


@contextmanager
def asking(
    address: Address,
    method: str,
    target: str,
    *fields: tuple[str, str],
    receive_buffer: int | None = None,
    seconds: float = 30,
) -> Iterator[socket.socket]:
    """Send one request on a connection of its own; give the connection, nothing of the answer read.

    Arguments:
        receive_buffer: SO_RCVBUF; a small one lets the sender notice at once that nobody reads.
        seconds: how long each read may take.
    """
    with socket.socket(socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET) as connection:
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(seconds)
        connection.connect(str(address) if isinstance(address, Path) else address)
        connection.sendall(_request(address, method, target, fields))
        yield connection


@contextmanager
def exchange(
    address: Address,
    method: str,
    target: str,
    *fields: tuple[str, str],
    receive_buffer: int | None = None,
    seconds: float = 30,
) -> Iterator[HTTPResponse]:
    """As ``asking``, but give the answer, its body not yet read."""
    with (
        asking(address, method, target, *fields, receive_buffer=receive_buffer, seconds=seconds) as connection,
        HTTPResponse(connection, method=method) as response,
    ):
        response.begin()
        yield response


def ask(address: Address, method: str, target: str, *fields: tuple[str, str]) -> Reply:
    """Send one request on a connection of its own and read the answer to its end."""
    with exchange(address, method, target, *fields) as response:
        return Reply(response.status, response.headers, response.read())


@dataclass(frozen=True, slots=True)
class Fetched:
    """A large answer that was read to its end and not held."""

    status: int
    headers: HTTPMessage
    size: int
    digest: str


def fetch(address: Address, target: str, *fields: tuple[str, str], seconds: float = 60) -> Fetched:
    """GET something large; raise IncompleteRead or OSError where it is cut short."""
    with exchange(address, "GET", target, *fields, seconds=seconds) as response:
        size, digest = hash_rest(response)
        return Fetched(response.status, response.headers, size, digest)


def hash_rest(response: HTTPResponse, begun: bytes = b"") -> tuple[int, str]:
    """Read the rest of a body; return the bytes and the sha256 digest of ``begun`` and it together."""
    # http.client raises IncompleteRead only where all is read at once.
    expected = None if response.length is None else len(begun) + response.length
    hashed, size, buffer = hashlib.sha256(begun), len(begun), memoryview(bytearray(_PIECE))
    while count := response.readinto(buffer):
        hashed.update(buffer[:count])
        size += count
    if expected is not None and size != expected:
        raise IncompleteRead(b"", expected - size)
    return size, f"sha256:{hashed.hexdigest()}"


def _request(address: Address, method: str, target: str, fields: tuple[tuple[str, str], ...]) -> bytes:
    lines = [f"{method} {target} HTTP/1.1"]
    if not any(name.lower() == "host" for name, _ in fields):
        lines.append("Host: localhost" if isinstance(address, Path) else f"Host: {address[0]}:{address[1]}")
    lines += [f"{name}: {value}" for name, value in fields]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
