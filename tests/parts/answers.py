"""What a scripted upstream is asked and may answer, as values.

It knows nothing of sockets.
"""

from __future__ import annotations

import enum
import hashlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import parse_qs, urlsplit

__all__ = [
    "Answer",
    "Cut",
    "Filler",
    "Framing",
    "Gate",
    "Request",
    "Script",
    "Stall",
]

_PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came on the wire.

    Arguments:
        method, target: from the request line.
        lines: the header lines, exactly, in their order, without the line ends.
        connection: the number of the connection it came on, from 0.
    """

    method: str
    target: str
    lines: tuple[str, ...]
    connection: int

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query)

    def values(self, name: str) -> list[str]:
        """The value of each header line of this name."""
        fields = (line.partition(":") for line in self.lines)
        return [value.strip() for field, _, value in fields if field.lower() == name.lower()]


class Framing(enum.Enum):
    """How the end of a body is told (RFC 9112, 6)."""

    LENGTH = enum.auto()
    CHUNKED = enum.auto()
    CLOSE = enum.auto()


class Gate:
    """Shut until it is opened. A socket, so that one ``select`` can await it and a connection's end."""

    def __init__(self) -> None:
        self._inside, self._outside = socket.socketpair()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.open()
        self._inside.close()

    def fileno(self) -> int:
        return self._inside.fileno()

    def open(self) -> None:
        """Let everybody through, now and later."""
        self._outside.close()


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection ends after ``at`` bytes of the body: closed, or reset."""

    at: int
    reset: bool = False


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing more comes after ``at`` bytes of the body (None: not even the headers) until the gate opens."""

    gate: Gate
    at: int | None = None


@dataclass(frozen=True)
class Filler:
    """A body too large to keep. Each of its bytes tells where it is from, so that a wrong offset is noticed.

    Arguments:
        size: bytes in it.
        seed: what distinguishes it from others of its size.
        start: the bytes of the whole that are left out in front of it.
    """

    size: int
    seed: int = 0
    start: int = 0

    def __len__(self) -> int:
        return self.size

    @property
    def digest(self) -> str:
        """Its sha256 digest, computed piece by piece."""
        hashed = hashlib.sha256()
        for piece in self.pieces():
            hashed.update(piece)
        return f"sha256:{hashed.hexdigest()}"

    def part(self, start: int, stop: int) -> Filler:
        """Its bytes from ``start`` up to ``stop``."""
        return replace(self, size=stop - start, start=self.start + start)

    def pieces(self) -> Iterator[bytes]:
        position, stop = self.start, self.start + self.size
        while position < stop:
            number, skipped = divmod(position, _PIECE)
            word = (self.seed << 32 | number).to_bytes(8, "big")
            piece = (word * (_PIECE // 8))[skipped : skipped + stop - position]
            position += len(piece)
            yield piece


@dataclass(frozen=True, slots=True)
class Answer:
    """One scripted answer.

    Arguments:
        declared: the Content-Length it claims, a number or not, where that is not the body's.
        fault: what goes wrong while it is sent.
        rate: bytes of the body that are sent in a second; None is as fast as it goes.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | Filler = b""
    framing: Framing = Framing.LENGTH
    declared: int | str | None = None
    fault: Cut | Stall | None = None
    rate: int | None = None

    def head(self) -> bytes:
        """The status line and the headers."""
        length = len(self.body) if self.declared is None else self.declared
        framing = {
            Framing.LENGTH: [("Content-Length", str(length))],
            Framing.CHUNKED: [("Transfer-Encoding", "chunked")],
            Framing.CLOSE: [("Connection", "close")],
        }[self.framing]
        lines = [
            f"HTTP/1.1 {self.status} Scripted",
            *(f"{name}: {value}" for name, value in (*self.headers, *framing)),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def pieces(self) -> Iterator[bytes]:
        """The body, piece by piece, without its framing."""
        if isinstance(self.body, Filler):
            yield from self.body.pieces()
            return
        for start in range(0, len(self.body), _PIECE):
            yield self.body[start : start + _PIECE]


Script = Answer | Callable[[Request], Answer]
