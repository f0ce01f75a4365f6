"""The admin socket: requests to the daemon's socket, as its command makes them."""

from __future__ import annotations

import socket
from http.client import HTTPConnection
from typing import TYPE_CHECKING

from .raw_http import Reply

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["tell"]

_PATIENCE = 10


class _Door(HTTPConnection):
    """A connection to a socket in the file system."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_PATIENCE)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_PATIENCE)
        self.sock.connect(self._path)


def tell(path: Path, method: str, target: str, body: str = "") -> Reply:
    """Send one request to the socket at ``path`` and read the answer to its end."""
    connection = _Door(path)
    try:
        connection.request(method, target, body.encode() or None)
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read())
    finally:
        connection.close()
