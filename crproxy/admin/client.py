"""The command's side of the admin socket: requests to the daemon, and what is said where it does not answer."""

from __future__ import annotations

import contextlib
import grp
import json
import pwd
import socket
import stat
from collections.abc import Callable, Iterator
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import click

from ..policy.request_ids import HEADER, with_id
from ..policy.units import format_duration
from .paths import SOCKET_VARIABLE

__all__ = ["AdminClient", "Refused", "Unreachable"]

# Seconds until the daemon must have answered; a stream of lines may be silent for longer.
_PATIENCE = 60.0


class Unreachable(click.ClickException):
    """The daemon cannot be asked; the text says why, and what to do. The command exits with 3."""

    exit_code = 3


class Refused(click.ClickException):
    """The daemon does not do what it was asked for; the text is its own. The command exits with 1."""


class AdminClient:
    """The admin socket at ``path``.

    Arguments:
        path: the socket's, or what finds it as soon as it is needed.
    """

    def __init__(self, path: Path | Callable[[], Path]) -> None:
        self._path = path

    @cached_property
    def path(self) -> Path:
        """Where the socket is. Raises ClickException where it cannot be found out."""
        return self._path if isinstance(self._path, Path) else self._path()

    def ask(self, method: str, target: str, body: str = "", **query: str) -> Any:
        """Return the JSON that the daemon answers with.

        Raises:
            Unreachable: there is no answer.
            Refused: it is an error.
        """
        with self._asked(method, target, body, query, _PATIENCE) as response:
            return self._parsed(response.read())

    def lines(self, method: str, target: str, body: str = "", **query: str) -> Iterator[dict[str, Any]]:
        """Yield the lines of JSON that the daemon answers with, as they come. Raises as `ask`, also in the middle."""
        with self._asked(method, target, body, query, None) as response:
            while line := response.readline():
                document = self._parsed(line)
                if "error" in document:
                    raise Refused(document["error"])
                yield document

    @contextlib.contextmanager
    def _asked(
        self, method: str, target: str, body: str, query: dict[str, str], patience: float | None
    ) -> Iterator[HTTPResponse]:
        given = {name: value for name, value in query.items() if value}
        target = quote(target) + (f"?{urlencode(given)}" if given else "")
        connection = _Connection(self.path, patience)
        try:
            connection.request(method, target, body.encode() or None)
            response = connection.getresponse()
            self._check(response)
            yield response
        except (OSError, HTTPException) as error:
            raise Unreachable(self._explain(error)) from error
        finally:
            connection.close()

    def _check(self, response: HTTPResponse) -> None:
        if response.status == 200:
            return
        content = response.read()
        if response.headers.get_content_type() == "application/json":
            raise Refused(json.loads(content)["error"])
        if response.status in (404, 405, 501):
            raise Unreachable(
                f"the daemon at {self.path} does not know this request: it is older than this command. "
                "Restart it (systemctl restart crproxy), and if that does not help, upgrade it"
            )
        request = response.headers.get(HEADER)
        why = "its log says why" if request is None else with_id("its log says why", request)
        raise Unreachable(f"the daemon at {self.path} answered {response.status}; {why}")

    def _parsed(self, content: bytes) -> Any:
        try:
            return json.loads(content)
        except ValueError:
            raise Unreachable(f"what answers at {self.path} is no crproxy, or it was cut off") from None

    def _explain(self, error: Exception) -> str:
        path = self.path
        elsewhere = f"If its socket is elsewhere, name it with --socket or ${SOCKET_VARIABLE}"
        if isinstance(error, FileNotFoundError):
            return f"no daemon answers: there is no {path}. Is crproxy running? {elsewhere}"
        if isinstance(error, ConnectionRefusedError):
            return f"no daemon answers at {path}: crproxy has ended. Start it again. {elsewhere}"
        if isinstance(error, PermissionError):
            return f"you may not connect to {path}{_owners(path)}. Try again with sudo, or as its owner"
        if isinstance(error, TimeoutError):
            return f"the daemon at {path} has not answered for {format_duration(_PATIENCE)}; its log may say why"
        if isinstance(error, ConnectionResetError | BrokenPipeError | HTTPException):
            return f"the daemon at {path} ended while it was answering; its log may say why"
        return f"{path} cannot be connected to: {error}. {elsewhere}"


def _owners(path: Path) -> str:
    """Return whose the socket is, where that can be seen."""
    try:
        state = path.stat()
        who = f"{pwd.getpwuid(state.st_uid).pw_name} and the group {grp.getgrgid(state.st_gid).gr_name}"
    except (OSError, KeyError):
        return ""
    return f", which is for {who} ({stat.filemode(state.st_mode)})"


class _Connection(HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: Path, patience: float | None) -> None:
        # The Host: never looked up.
        super().__init__("crproxy")
        self._path = str(path)
        self._patience = patience

    def connect(self) -> None:
        """Connect (HTTPConnection)."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self._patience)
        self.sock.connect(self._path)
