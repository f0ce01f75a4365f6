"""Sizes in bytes, as others write them into fields and documents. Pure."""

from __future__ import annotations

__all__ = ["LARGEST", "is_size", "parse_size"]

# What SQLite and every file's offset can hold. A registry that says more lies.
LARGEST = 2**63 - 1
_DIGITS = len(str(LARGEST))


def parse_size(text: str | None) -> int | None:
    """Return the bytes that ``text`` says in decimal digits alone (RFC 9110, 8.6); None where it says none.

    More digits than any size has are never given to int(), which fails at 4,300.
    """
    if text is None or not text.isascii() or not text.isdecimal() or len(text) > _DIGITS:
        return None
    size = int(text)
    return size if size <= LARGEST else None


def is_size(value: object) -> bool:
    """Tell whether a value from a JSON document is a number of bytes that can be."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST
