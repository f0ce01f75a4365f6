"""Ids of requests in what clients are told, as a test reads them."""

from __future__ import annotations

import re

__all__ = ["ID", "without_id", "without_ids"]

# One that the proxy makes by itself.
ID = re.compile(r"[a-z2-7]{12}")
_SHOWN = re.compile(rf" \(request ({ID.pattern})\)")
_HEADER = re.compile(rf"X-Request-Id: {ID.pattern}\r\n", re.IGNORECASE)


def without_id(text: str, header: str | None) -> str:
    """Return what a client is told of an error without the id of the request, having checked that it has it.

    Arguments:
        header: the answer's X-Request-Id.
    """
    assert header is not None, f"an error without X-Request-Id: {text}"
    assert ID.fullmatch(header), header
    shown = _SHOWN.findall(text)
    assert shown == [header], (text, header)
    return _SHOWN.sub("", text)


def without_ids(answers: bytes) -> bytes:
    """Return answers as they were received without any id of a request, to be compared with others."""
    text = answers.decode("latin-1")
    return _SHOWN.sub("", _HEADER.sub("", text)).encode("latin-1")
