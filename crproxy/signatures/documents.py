"""What strangers write around signatures, read without exceptions other than `NotSigned`. Knows no format's schema."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from ..oci.documents import NotJson, parse_json
from .refusal import NotSigned

__all__ = ["decoded", "item", "items", "mapping", "text"]


def mapping(content: bytes, limit: int, what: str) -> dict[str, Any]:
    """Return the object that ``content`` writes in JSON.

    Arguments:
        limit: bytes at the most.
        what: it is, for the message.

    Raises:
        NotSigned: it is larger, no JSON, has a key twice, or is something else than an object.
    """
    if len(content) > limit:
        raise NotSigned(f"{what} has more than {limit} bytes")
    try:
        document = parse_json(content, unique=True)
    except NotJson as error:
        raise NotSigned(f"{what} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise NotSigned(f"{what} is no object of JSON")
    return document


def item(document: Any, *keys: str) -> Any:
    """Return what is below ``keys``, one inside of the other; None where there is no such thing."""
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def items(document: Any, *keys: str) -> list[Any]:
    """Return the list below ``keys``; nothing where there is none."""
    found = item(document, *keys)
    return found if isinstance(found, list) else []


def text(document: Any, *keys: str) -> str:
    """Return the text below ``keys``; an empty one where there is none."""
    found = item(document, *keys)
    return found if isinstance(found, str) else ""


def decoded(encoded: str, what: str) -> bytes:
    """Return the bytes of base64 (RFC 4648, 4); raise NotSigned where ``encoded`` is none, or has none."""
    try:
        content = base64.b64decode(encoded.encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotSigned(f"{what} is no base64") from error
    if not content:
        raise NotSigned(f"{what} is empty")
    return content
