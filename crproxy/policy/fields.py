"""What header fields are made of (RFC 9110, 5.6), read from left to right, each character once.

Shared by what reads fields that strangers wrote; knows none of the fields.
"""

from __future__ import annotations

import re

__all__ = ["FIELD_LIMIT", "read_quoted"]

# Characters of a field that are read where it is to be taken apart. A request line, which a next page's or a redirect's
# target has to fit in, is "at least 8000 octets" long (RFC 9112, 3); what is longer is no field that means well.
FIELD_LIMIT = 8 * 1024

_PLAIN = re.compile(r'[^"\\]*')


def read_quoted(text: str, at: int) -> tuple[str, int] | None:
    """Return the quoted-string (RFC 9110, 5.6.4) whose opening quote is at ``at``, and where the text goes on.

    None where it does not end.
    """
    pieces: list[str] = []
    at += 1
    while plain := _PLAIN.match(text, at):
        end = plain.end()
        pieces.append(plain[0])
        if text.startswith('"', end):
            return "".join(pieces), end + 1
        escaped = text[end + 1 : end + 2]
        if not escaped:
            break
        pieces.append(escaped)
        at = end + 2
    return None
