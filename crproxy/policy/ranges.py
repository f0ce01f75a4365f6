"""What ranges of a blob a client asks for, and whether to wait for them.

RFC 9110, 13.1.5, 14.1 and 14.2. Which of several are answered, and how, is not decided here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..oci.sizes import LARGEST, parse_size

__all__ = [
    "ByteRange",
    "RangeNotSatisfiable",
    "Slice",
    "is_far_ahead",
    "is_for",
    "parse_content_range",
    "parse_ranges",
    "unsatisfied_size",
]

_UNIT = "bytes="
_ONE = re.compile(r"([0-9]*)-([0-9]*)")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})")
# More digits than any size has; int() of a long text takes time that grows with its square.
_DIGITS = 19
# As many as podman and CRI-O put into one request at the most (containers/storage, maxNumberMissingChunks).
_MOST = 1024

# A reader this close behind a fill waits for it whatever the rate.
_NEAR = 4 * 1024 * 1024
# Seconds that a reader may wait for a fill to reach it; a new request upstream takes about one.
_PATIENCE = 2.0


class RangeNotSatisfiable(Exception):
    """No range that was asked for has a byte; it says the Content-Range of the 416 (RFC 9110, 15.5.17)."""


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


def parse_ranges(value: str | None) -> tuple[ByteRange, ...]:
    """Return the ranges that a Range header asks for, in its order; none where the whole is meant.

    "A server MAY ignore the Range header field", and does so where any of it is malformed, where it is in another unit,
    and where there are more ranges than anybody needs.
    """
    if value is None or not value.startswith(_UNIT):
        return ()
    # Taken apart at its commas: one expression for the whole took 2.6 s over a header of spaces.
    texts = [text for text in (part.strip(" \t") for part in value.removeprefix(_UNIT).split(",")) if text]
    if len(texts) > _MOST:
        return ()
    found = tuple(one for one in map(_parse_one, texts) if one is not None)
    return found if len(found) == len(texts) else ()


def _parse_one(text: str) -> ByteRange | None:
    match = _ONE.fullmatch(text)
    if match is None or match[1] == match[2] == "" or max(len(match[1]), len(match[2])) > _DIGITS:
        return None
    first = int(match[1]) if match[1] else None
    last = int(match[2]) if match[2] else None
    if first is not None and last is not None and last < first:
        return None
    return ByteRange(first, last)


def is_for(if_range: str | None, etag: str) -> bool:
    """Tell whether a Range counts for what has ``etag``, a strong one, by the If-Range beside it (RFC 9110, 13.1.5).

    "A client MUST NOT generate an If-Range header field containing an entity tag that is marked as weak", and no date
    is ours: either is another than ``etag``, and the whole is meant.
    """
    return if_range is None or if_range.strip(" \t") == etag


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


def is_far_ahead(unwanted: int, rate: float, requests: int = 1) -> bool:
    """Tell whether a reader should rather ask upstream than wait for a fill.

    Arguments:
        unwanted: bytes that the fill has to bring before the reader has all of its own, and that are not among them.
        rate: bytes per second that it has made lately.
        requests: how many it takes to ask upstream for the reader's own.
    """
    return unwanted > _NEAR and unwanted > rate * _PATIENCE * requests
