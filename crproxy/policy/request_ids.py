"""Ids of requests: by one, what a client was told and what the log says of it find each other.

Where random bytes come from, and which peers are trusted, is not known here.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence

from ..oci.errors import RegistryError

__all__ = ["HEADER", "RANDOM_BYTES", "believed", "error_with_id", "make_id", "with_id"]

# The header that an error is answered with, and that a proxy in front of this one may send.
HEADER = "X-Request-Id"
# 60 bits of them are used: nobody guesses one, and a million ids are all different but by one chance in two million.
RANDOM_BYTES = 8
_LENGTH = 12
# What nginx ($request_id), Envoy and Traefik send, and nothing that could forge a line of a log.
_BELIEVED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

# What some clients show of a challenge, and nothing of the answer's body (RFC 6750, 3).
_DESCRIPTION = re.compile(r'(error_description="[^"]*)"')


def make_id(random: bytes) -> str:
    """Return the id that ``RANDOM_BYTES`` random bytes make: lower case and digits, to be read out loud."""
    return base64.b32encode(random).decode("ascii").lower()[:_LENGTH]


def believed(lines: Sequence[str]) -> str | None:
    """Return the id that a trusted proxy has sent; None where it is none, or one of several.

    Arguments:
        lines: of the header's field, as they came.
    """
    if len(lines) != 1:
        return None
    found = lines[0].strip(" \t")
    return found if _BELIEVED.fullmatch(found) else None


def error_with_id(error: RegistryError, request: str) -> RegistryError:
    """Return ``error`` as a client is told it: its words, in the challenge as well, name the request."""
    challenge = None
    if error.challenge is not None:
        challenge = _DESCRIPTION.sub(lambda found: with_id(found[1], request) + '"', error.challenge)
    return RegistryError(
        error.code,
        with_id(error.message, request),
        status=error.status,
        retry_after=error.retry_after,
        challenge=challenge,
    )


def with_id(text: str, request: str) -> str:
    """Return ``text``, for a person, with the id of the request that it is about."""
    return f"{text} (request {request})"
