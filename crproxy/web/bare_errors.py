"""Errors that are answered before there is a request to answer: to what is no HTTP, comes too slowly, or is too much.

To whom they are sent, and what becomes of the connection, is not known here.
"""

from __future__ import annotations

from ..policy.request_ids import HEADER, with_id

__all__ = ["BAD_REQUEST", "TOO_LARGE", "TOO_SLOW", "bare_error"]

# What they begin with (RFC 9110, 15.5).
BAD_REQUEST = "400 Bad Request"
TOO_SLOW = "408 Request Timeout"
TOO_LARGE = "413 Content Too Large"


def bare_error(status: str, request_id: str, text: str = "") -> bytes:
    """Return an answer, the last one of its connection.

    Arguments:
        status: its code and reason phrase, which are all that some clients show: the id goes there as well.
        request_id: by which the log tells of it.
        text: its body, in ASCII.
    """
    body = with_id(text, request_id) + "\n" if text else ""
    media_type = ["Content-Type: text/plain"] if body else []
    header = [
        f"HTTP/1.1 {with_id(status, request_id)}",
        "Connection: close",
        f"{HEADER}: {request_id}",
        *media_type,
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*header, "", body]).encode("ascii")
