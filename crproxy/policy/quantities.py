"""Durations and sizes as people write them."""

from __future__ import annotations

import re

__all__ = ["parse_duration", "parse_size"]

_BYTES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([KMGTkmgt]?)(?:i?[bB])?")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")


def parse_duration(text: str) -> float:
    """Return the seconds that ``text`` such as ``500ms``, ``30s``, ``5m``, ``2h`` or ``30d`` stands for.

    Raises:
        ValueError: the text is not a number followed by a unit.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write a number and ms, s, m, h or d, such as 30s")
    number, unit = match.groups()
    return float(number) * _SECONDS[unit]


def parse_size(text: str) -> int:
    """Return the bytes that ``text`` such as ``500M``, ``50G`` or ``1.5T`` stands for: powers of 1024.

    Raises:
        ValueError: the text is not a number followed by a unit.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size: write a number and K, M, G or T, such as 50G")
    number, unit = match.groups()
    return int(float(number) * _BYTES[unit.upper()])
