"""Plots, as the points of an SVG: which bytes and which part of requests, over a day or a month.

Pure: numbers in, geometry out; how it looks is the style sheet's matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ...policy.history import Bucket

__all__ = ["HEIGHT", "WIDTH", "Label", "Plot", "bytes_plot", "rate_plot"]

# In the units of the view box; numbers stand left of it, times below.
WIDTH, HEIGHT = 720, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 110.0, 712.0, 18.0, 172.0
_LINES = 4
_TIMES = 6


@dataclass(frozen=True, slots=True)
class Label:
    """A number beside a plot, or a time below it.

    Arguments:
        x, y: where it is.
        value: what it says: bytes, a part of one, or seconds since the epoch.
    """

    x: float
    y: float
    value: float


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot.

    Arguments:
        lines: for each series the points of its line, as an SVG's path has them.
        values: labels of horizontal lines, from the top.
        times: labels of the time axis.
    """

    lines: tuple[str, ...]
    values: tuple[Label, ...]
    times: tuple[Label, ...]

    @property
    def left(self) -> float:
        """Where horizontal lines begin."""
        return _LEFT

    @property
    def right(self) -> float:
        """Where they end."""
        return _RIGHT


def bytes_plot(buckets: Sequence[Bucket]) -> Plot:
    """Return a plot of the bytes that were served, and of those that were fetched."""
    most = max((max(bucket.totals.served, bucket.totals.fetched) for bucket in buckets), default=0)
    top = _round_up(most)
    lines = tuple(
        _line(buckets, top, value)
        for value in (lambda bucket: float(bucket.totals.served), lambda bucket: float(bucket.totals.fetched))
    )
    return Plot(lines, tuple(_values(top)), tuple(_times(buckets)))


def rate_plot(buckets: Sequence[Bucket]) -> Plot:
    """Return a plot of the part of requests that was answered from the cache; a gap where nothing was asked."""
    return Plot(
        (_line(buckets, 1.0, lambda bucket: bucket.totals.hit_rate),), tuple(_values(1.0)), tuple(_times(buckets))
    )


def _round_up(most: float) -> float:
    """Return the next number of bytes that looks well at a plot's top: four lines of it have round numbers."""
    top = 4.0
    while top < most:
        top *= 2
    return top


def _line(buckets: Sequence[Bucket], top: float, value: Callable[[Bucket], float | None]) -> str:
    commands, drawing = [], False
    for number, bucket in enumerate(buckets):
        found = value(bucket)
        if found is None:
            drawing = False
            continue
        x, y = _x(number, len(buckets)), _BOTTOM - (_BOTTOM - _TOP) * found / top
        # A value alone between gaps is a dot: a line of no length, which has round ends.
        commands.append(f"L{x:.1f} {y:.1f}" if drawing else f"M{x:.1f} {y:.1f}h0")
        drawing = True
    return "".join(commands)


def _x(number: int, of: int) -> float:
    return _LEFT + (_RIGHT - _LEFT) * number / max(1, of - 1)


def _values(top: float) -> Iterator[Label]:
    for number in range(_LINES, -1, -1):
        yield Label(_LEFT - 8, _BOTTOM - (_BOTTOM - _TOP) * number / _LINES, top * number / _LINES)


def _times(buckets: Sequence[Bucket]) -> Iterator[Label]:
    for number in range(_TIMES):
        at = round((len(buckets) - 1) * number / (_TIMES - 1))
        if 0 <= at < len(buckets):
            yield Label(_x(at, len(buckets)), _BOTTOM + 20, buckets[at].start)
