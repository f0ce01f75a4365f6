"""multipart/byteranges as somebody else reads it: by Python's email package, and to the letter of RFC 2046."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import dataclass

__all__ = ["Part", "parts_of", "parts_to_the_letter"]

_HEAD = re.compile(rb"Content-Type: application/octet-stream\r\nContent-Range: bytes (\d+)-(\d+)/(\d+)\r\n\r\n")


@dataclass(frozen=True)
class Part:
    """A part: which bytes it says that it has, and what it has."""

    first: int
    last: int
    size: int
    content: bytes


def parts_of(content_type: str, body: bytes) -> list[Part]:
    """Return the parts that the email package finds. It takes the header from us, as a client does."""
    message = email.message_from_bytes(
        f"MIME-Version: 1.0\r\nContent-Type: {content_type}\r\n\r\n".encode() + body,
        # It would mend line ends otherwise, of which the bytes are full.
        policy=email.policy.HTTP,
    )
    assert message.get_content_type() == "multipart/byteranges"
    assert message.is_multipart()
    assert not message.defects
    found = []
    for part in message.get_payload():
        assert not isinstance(part, str)
        assert part.get_content_type() == "application/octet-stream"
        found.append(_part(part["Content-Range"], part.get_payload(decode=True)))
    return found


def parts_to_the_letter(content_type: str, body: bytes) -> list[Part]:
    """Return the parts of ``body``, in which there is nothing else (RFC 2046, 5.1.1; RFC 9110, 14.6)."""
    kind, _, boundary = content_type.partition("; boundary=")
    assert kind == "multipart/byteranges"
    assert re.fullmatch("[0-9a-f]{32}", boundary)
    delimiter = b"\r\n--" + boundary.encode()
    preamble, *pieces, end = body.split(delimiter)
    assert (preamble, end) == (b"", b"--\r\n")
    found = []
    for piece in pieces:
        assert piece.startswith(b"\r\n")
        head = _HEAD.match(piece, 2)
        assert head is not None, piece[:200]
        found.append(Part(int(head[1]), int(head[2]), int(head[3]), piece[head.end() :]))
    return found


def _part(content_range: str, content: object) -> Part:
    assert isinstance(content, bytes)
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", content_range)
    assert match is not None
    return Part(int(match[1]), int(match[2]), int(match[3]), content)
