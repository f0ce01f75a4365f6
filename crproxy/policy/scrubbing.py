"""When stored content is read again, and how fast: the rules of a scrub, as file systems call it.

Pure: ages, bytes and seconds are arguments; what is read, and from where, is not known here.
"""

from __future__ import annotations

import errno
import math
from dataclasses import dataclass

__all__ = ["UNREAD", "Pace", "age_of", "is_rot"]

# The age of what nobody has read since it was found on disk.
UNREAD = math.inf

# Content is due at this part of the period, and late at that one: between the two all of it can be read, and what comes
# after is left for what was put off because others needed the disk.
_DUE, _LATE = 0.5, 0.75
# The part of the time that reading may take: while nobody else uses the disk, and where it can be put off no more.
_SHARE, _LEAST_SHARE = 0.1, 0.02
# Seconds between two readings at the least: an empty file takes no time.
_LEAST_REST = 0.01

# What a read fails with where the disk, or its file system, has lost what was there. Others, such as too many open
# files or a missing permission, say nothing of the content.
_ROT = frozenset({errno.EIO, errno.EUCLEAN, errno.EBADMSG, errno.EILSEQ, errno.ENODATA})


def is_rot(error: OSError) -> bool:
    """Tell whether ``error``, of an open or a read, says that the content is lost."""
    return error.errno in _ROT


def age_of(checked: float, now: float, period: float) -> float:
    """Return the seconds since content was ``checked``; `UNREAD` where it never was since it was found on disk.

    A time in the future is what a clock set back leaves behind: such content is due, and no more than that.

    Arguments:
        checked, now: seconds since the epoch; what is before it is never.
        period: seconds within which everything is to be read.
    """
    if checked < 0:
        return UNREAD
    return now - checked if checked <= now else period * _DUE


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast stored content is read again.

    Arguments:
        period: seconds within which everything is to be read.
    """

    period: float

    def due_in(self, age: float) -> float:
        """Return the seconds until content of this age is due."""
        return max(0.0, self.period * _DUE - age)

    def is_late(self, age: float) -> bool:
        """Tell whether content of this age waits for no gap."""
        return age >= self.period * _LATE

    def share(self, age: float, *, is_idle: bool) -> float:
        """Return the part of the time that reading it may take now; 0 while it can be put off.

        Arguments:
            age: seconds since it was read last.
            is_idle: nobody else uses the disk.
        """
        if is_idle:
            return _SHARE
        # A disk that is never idle must not keep rot for ever.
        return _LEAST_SHARE if age >= self.period else 0.0

    def rest(self, took: float, share: float) -> float:
        """Return the seconds to rest after a piece that took ``took``, which a slow or busy disk makes longer."""
        return max(_LEAST_REST, took * (1 / share - 1))

    def gap(self, size: int, total: int) -> float:
        """Return the seconds between the beginning of content of ``size`` bytes, of ``total``, and that of the next.

        So all of it takes from when it is due until it is late.
        """
        return self.period * (_LATE - _DUE) * size / max(total, size, 1)
