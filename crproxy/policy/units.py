"""Durations, sizes and rates as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Frequency", "parse_duration", "parse_frequency", "parse_rate", "parse_size"]

_BYTES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([KMGTkmgt]?)(?:i?[bB])?")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_FREQUENCY = re.compile(r"([0-9]{1,9})/(s|m|h)")


@dataclass(frozen=True, slots=True)
class Frequency:
    """How often something may be: so many times, at once too, in so many seconds."""

    times: int
    seconds: int

    @property
    def rate(self) -> float:
        """Times per second, in the long run."""
        return self.times / self.seconds

    def __str__(self) -> str:
        every = {1: "a second", 60: "a minute", 3600: "an hour"}.get(self.seconds, f"{self.seconds} s")
        return f"{self.times} in {every}"


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


def parse_rate(text: str) -> int:
    """Return the bytes per second that ``text`` such as ``500K/s`` or ``20M/s`` stands for: powers of 1024.

    Raises:
        ValueError: the text is neither 0 nor a size by the second.
    """
    size, by, rest = text.strip().partition("/")
    try:
        if text.strip() == "0":
            return 0
        if by and rest == "s":
            return parse_size(size)
    except ValueError:
        pass
    raise ValueError(f"{text!r} is not a rate: write a number, K, M, G or T, and /s, such as 20M/s")


def parse_frequency(text: str) -> Frequency | None:
    """Return how often ``50/s``, ``600/m`` or ``1000/h`` is; None for ``0``, which is any number of times.

    Raises:
        ValueError: the text is neither.
    """
    match = _FREQUENCY.fullmatch(text.strip())
    if match is None and text.strip() != "0":
        raise ValueError(f"{text!r} is no number of times: write one and /s, /m or /h, such as 50/s")
    if match is None or int(match[1]) == 0:
        return None
    return Frequency(int(match[1]), int(_SECONDS[match[2]]))
