"""Several parts of one content as one body: multipart/byteranges (RFC 9110, 14.6; RFC 2046, 5.1.1).

What is around the parts, to the byte; the parts themselves are not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .ranges import Slice

__all__ = ["Framing"]


@dataclass(frozen=True, slots=True)
class Framing:
    """What goes around the parts of a body.

    Arguments:
        boundary: a word that stands in none of them. Who made the content knows all of it: let it not be guessed.
        media_type: of the content.
    """

    boundary: str
    media_type: str

    @property
    def content_type(self) -> str:
        """The Content-Type of the whole body."""
        return f"multipart/byteranges; boundary={self.boundary}"

    def head(self, part: Slice) -> bytes:
        """Return what comes before the bytes of ``part``.

        Also before the first one it begins with an empty line, which belongs to the delimiter and may precede it.
        """
        lines = (f"--{self.boundary}", f"Content-Type: {self.media_type}", f"Content-Range: {part.content_range}")
        return "\r\n".join(("", *lines, "", "")).encode("ascii")

    @property
    def tail(self) -> bytes:
        """What comes after the last one."""
        return f"\r\n--{self.boundary}--\r\n".encode("ascii")

    def length(self, parts: Sequence[Slice]) -> int:
        """Return how many bytes ``parts`` are, with all that goes around them."""
        return sum(len(self.head(part)) + part.length for part in parts) + len(self.tail)
