"""Fields of an answer's header, whatever bytes are in them."""

from __future__ import annotations

from twisted.web.iweb import IResponse

__all__ = ["field_lines", "field_value"]


def field_lines(response: IResponse, name: str) -> list[str]:
    """Return the lines of a field, each byte a character.

    Asked for as texts, Twisted wants them in UTF-8 (`Headers.getRawHeaders`) and fails; upstreams send any byte (RFC
    9110, 5.5: obs-text).
    """
    return [line.decode("latin-1") for line in response.headers.getRawHeaders(name.encode("ascii"), [])]


def field_value(response: IResponse, name: str) -> str | None:
    """Return the first line of a field; None where there is none."""
    (line, *_) = [*field_lines(response, name), None]
    return line
