"""Fields of an answer's header, whatever bytes are in them."""

from __future__ import annotations

from twisted.web.iweb import IResponse

__all__ = ["field_of", "lines_of"]


def lines_of(response: IResponse, name: bytes) -> list[str]:
    """Return the lines of one name: asked for as texts, Twisted wants them in UTF-8 and fails (RFC 9110, 5.5)."""
    return [line.decode("latin-1") for line in response.headers.getRawHeaders(name, [])]


def field_of(response: IResponse, name: bytes) -> str | None:
    """Return the first line of one name; None where there is none."""
    lines = lines_of(response, name)
    return lines[0] if lines else None
