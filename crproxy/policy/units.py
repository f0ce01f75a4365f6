"""Durations, sizes and rates as people write them, and as they are shown.

What is shown is the same everywhere, in output, logs and pages: powers of 1024 by the names of IEC 80000-13 (``1.5
GiB``), three digits of them; durations in the one unit that fits, by the symbols of SI (``90 s``, ``5 min``, ``2 h``,
``3 d``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = [
    "Frequency",
    "exact_duration",
    "exact_rate",
    "format_age",
    "format_duration",
    "format_share",
    "format_size",
    "parse_duration",
    "parse_frequency",
    "parse_rate",
    "parse_size",
]

_BYTES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([KMGTkmgt]?)(?:i?[bB])?")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_FREQUENCY = re.compile(r"([0-9]{1,9})/(s|m|h)")
_SHOWN = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SPANS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


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


def format_size(count: int) -> str:
    """Return ``count`` bytes as people read them: ``512 B``, ``1.5 GiB``, ``120 MiB``."""
    number, unit = float(count), 0
    # Up to 1023 it is told to the byte; from there on three digits are, and 1000 would be a fourth.
    while number >= (1024 if unit == 0 else 999.5) and unit < len(_SHOWN) - 1:
        number, unit = number / 1024, unit + 1
    digits = 0 if unit == 0 or number >= 99.95 else 1
    return f"{number:.{digits}f} {_SHOWN[unit]}"


def exact_rate(count: int) -> str:
    """Return ``count`` bytes a second to the byte, by the largest unit that they are a whole number of: ``1000 MiB/s``.

    For what was set, where one number is compared with another.
    """
    unit = 0
    while count and count % 1024 == 0 and unit < len(_SHOWN) - 1:
        count, unit = count // 1024, unit + 1
    return f"{count} {_SHOWN[unit]}/s"


def exact_duration(seconds: float) -> str:
    """Return a duration exactly, by the largest unit that it is a whole number of: ``90 s``, ``5 min``."""
    for length, unit in _SPANS:
        if seconds and seconds % length == 0:
            return f"{int(seconds / length)} {unit}"
    return f"{seconds:g} s"


def format_share(part: float) -> str:
    """Return a part of one, from 0 to 1, in percent; all and nothing are said only where they are true."""
    rounded = round(part * 100)
    return f"{min(max(rounded, 1), 99) if 0 < part < 1 else rounded} %"


def format_duration(seconds: float) -> str:
    """Return a duration as people read it: in days, hours or minutes from two of them on, and else in seconds.

    What is not whole has one decimal: ``1.5 s``, ``2.5 h``.
    """
    for length, unit in _SPANS:
        if seconds >= 2 * length:
            return f"{_decimal(seconds / length)} {unit}"
    return f"{_decimal(seconds)} s"


def format_age(seconds: float) -> str:
    """Return how long ago something was, in whole days, hours or minutes from two of them on, and else in seconds."""
    whole = max(0, round(seconds))
    for length, unit in _SPANS:
        if whole >= 2 * length:
            return f"{int(whole // length)} {unit}"
    return f"{whole} s"


def _decimal(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
