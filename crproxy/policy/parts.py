"""Which parts of a blob answer the ranges that were asked for, and which of them are had in one go.

RFC 9110, 14.2, 15.3.7 and 17.15. Where the bytes are is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .ranges import ByteRange, RangeNotSatisfiable, Slice

__all__ = ["Chosen", "Run", "choose", "is_worth_the_whole", "runs_of", "unwanted"]

# Parts one after another, none of which begins before the end of the one before it.
Run = tuple[Slice, ...]

# So many times parts may go back to where others have been.
_MOST_TURNS = 3


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is answered.

    Arguments:
        parts: in the order that they were asked for in; where it is the whole, that.
        is_whole: whether it is, as if no range had been asked for.
    """

    parts: Run
    is_whole: bool

    @property
    def length(self) -> int:
        """Bytes in all of them."""
        return sum(part.length for part in self.parts)


def choose(wanted: Sequence[ByteRange], size: int) -> Chosen:
    """Return what of ``size`` bytes answers the ranges that were asked for: all of them, where there are none.

    Each range that has bytes is a part of its own, as it is: containers/image takes parts by their number and does not
    look at what they say of themselves, so that none may be put together with its neighbour. "A server ought to
    ignore, coalesce, or reject egregious range requests, such as requests for more than two overlapping ranges or for
    many small ranges in the set" (RFC 9110, 17.15): the whole answers what has more bytes than that, as with nginx
    and Go's net/http, and what goes back and forth.

    Raises:
        RangeNotSatisfiable: none has any.
    """
    parts = tuple(_satisfiable(wanted, size))
    if wanted and not parts:
        raise RangeNotSatisfiable(f"bytes */{size}")
    chosen = Chosen(parts, is_whole=False)
    turns = sum(after.start < before.stop for before, after in pairwise(parts))
    if not wanted or (len(parts) > 1 and (chosen.length > size or turns > _MOST_TURNS)):
        return Chosen((Slice(0, size, size),), is_whole=True)
    return chosen


def is_worth_the_whole(chosen: Chosen) -> bool:
    """Tell whether to fetch, and to keep, all of a blob of which parts are asked for.

    Where they are half of it, and one that comes from front to back has them all as it comes.
    """
    return len(runs_of(chosen.parts)) == 1 and 2 * chosen.length >= chosen.parts[0].size


def runs_of(parts: Sequence[Slice], apart: int | None = None) -> tuple[Run, ...]:
    """Return ``parts`` in their order, those together that one read from front to back has.

    Arguments:
        apart: the most bytes between two parts that are read for nothing; None is any number.
    """
    runs: list[list[Slice]] = []
    for part in parts:
        gap = part.start - runs[-1][-1].stop if runs else -1
        if gap < 0 or (apart is not None and gap > apart):
            runs.append([part])
        else:
            runs[-1].append(part)
    return tuple(map(tuple, runs))


def unwanted(run: Sequence[Slice], filled: int) -> int:
    """Return how many bytes from ``filled`` on come before, and between, the parts of a run."""
    wanted = sum(max(0, part.stop - max(part.start, filled)) for part in run)
    return max(0, run[-1].stop - filled - wanted)


def _satisfiable(wanted: Iterable[ByteRange], size: int) -> Iterator[Slice]:
    for one in wanted:
        try:
            yield one.of(size)
        except RangeNotSatisfiable:
            # One that has bytes is enough for the others to be answered (RFC 9110, 14.1.2).
            continue
