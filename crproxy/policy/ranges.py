"""What part of a blob a Range asks for, and whether to wait for it.

RFC 9110, 14.1 and 14.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..oci.sizes import LARGEST, parse_size

__all__ = [
    "ByteRange",
    "RangeNotSatisfiable",
    "SeveralRanges",
    "Slice",
    "is_far_ahead",
    "parse_content_range",
    "parse_range",
    "unsatisfied_size",
]

_UNIT = "bytes="
_ONE = re.compile(r"([0-9]*)-([0-9]*)")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})")
# More digits than any size has; int() of a long text takes time that grows with its square.
_DIGITS = 19

# A reader this close behind a fill waits for it whatever the rate.
_NEAR = 4 * 1024 * 1024
# Seconds that a reader may wait for a fill to reach it; a new request upstream takes about one.
_PATIENCE = 2.0


class SeveralRanges(Exception):
    """More than one range in one request: allowed to be refused, and podman then falls back cleanly."""


class RangeNotSatisfiable(Exception):
    """The range begins after the last byte."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes from ``start`` up to, not including, ``stop``, of ``size``."""

    start: int
    stop: int
    size: int

    @property
    def length(self) -> int:
        """Bytes in it."""
        return self.stop - self.start

    @property
    def content_range(self) -> str:
        """The Content-Range of a 206 (RFC 9110, 14.4)."""
        return f"bytes {self.start}-{self.stop - 1}/{self.size}"


@dataclass(frozen=True, slots=True)
class ByteRange:
    """One range as it was asked for: ``first-last``, ``first-``, or ``-suffix`` where first is None."""

    first: int | None
    last: int | None

    @property
    def from_the_start(self) -> bool:
        """Whether it begins at the blob's first byte, whatever its size."""
        return self.first == 0

    def of(self, size: int) -> Slice:
        """Return the part of ``size`` bytes that is meant, or raise RangeNotSatisfiable."""
        if self.first is None:
            suffix = self.last or 0
            start, stop = max(0, size - suffix), size
        else:
            start = self.first
            stop = size if self.last is None else min(self.last + 1, size)
        if start >= stop:
            raise RangeNotSatisfiable(f"bytes */{size}")
        return Slice(start, stop, size)


def parse_range(value: str | None) -> ByteRange | None:
    """Return the range that a Range header asks for, or None where the whole is meant.

    "A server MAY ignore the Range header field", and does so where it is malformed or in another unit.

    Raises:
        SeveralRanges: each part of a list would be a body of its own.
    """
    if value is None:
        return None
    if not value.startswith(_UNIT):
        return None
    # Taken apart at its commas: one expression for the whole took 2.6 s over a header of spaces.
    one, *others = (part.strip(" \t") for part in value.removeprefix(_UNIT).split(","))
    match = _ONE.fullmatch(one)
    if others and match is not None and all(not other or _ONE.fullmatch(other) for other in others):
        raise SeveralRanges("this proxy answers one range at a time")
    if others or match is None or match[1] == match[2] == "" or max(len(match[1]), len(match[2])) > _DIGITS:
        return None
    first = int(match[1]) if match[1] else None
    last = int(match[2]) if match[2] else None
    if first is not None and last is not None and last < first:
        return None
    return ByteRange(first, last)


def parse_content_range(value: str | None) -> Slice | None:
    """Return what the Content-Range of a 206 says (RFC 9110, 14.4), or None where it says nothing that can be used."""
    match = _CONTENT_RANGE.fullmatch(value or "")
    if match is None:
        return None
    first, last, size = (int(number) for number in match.groups())
    return Slice(first, last + 1, size) if first <= last < size <= LARGEST else None


def unsatisfied_size(value: str | None) -> int | None:
    """Return the size that the Content-Range of a 416 says (RFC 9110, 14.4); None where it says none."""
    unit, slash, size = (value or "").partition("/")
    return parse_size(size) if slash and unit == "bytes *" else None


def is_far_ahead(start: int, filled: int, rate: float) -> bool:
    """Tell whether a reader at ``start`` should rather ask upstream than wait for a fill.

    Arguments:
        filled: bytes that the fill has reached.
        rate: bytes per second that it has made lately.
    """
    gap = start - filled
    return gap > _NEAR and gap > rate * _PATIENCE
