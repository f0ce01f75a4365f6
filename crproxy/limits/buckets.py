"""Token buckets by a clock that is handed in, and one for each client, of which only those in use are kept."""

from __future__ import annotations

import math
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from ..sharing import Level

__all__ = ["Bucket", "Buckets"]

# Seconds of its rate that a bucket holds before anybody has to wait. A timer that is late, by less than this, loses
# nothing: what has drained meanwhile follows at once.
_BURST_SECONDS = 0.1

# Buckets that are kept before one looks for idle ones, and the most that are kept of those that nobody is using now.
_FEW = 1000
_MOST = 100_000


class Bucket:
    """What was used lately: it fills with each use and drains at a rate.

    More may be put in than it should hold. Then who did so waits until it has drained, and so everybody has a turn
    (virtual scheduling; ITU-T I.371, annex A).

    Arguments:
        level: what there is in it.
        clock: the time.
        rate: returns how much drains in a second; None is all at once. Asked each time, so that it may change.
        parent: fills with what is put in here.

    ``users`` is how many hold it.
    """

    def __init__(
        self, level: Level, clock: IReactorTime, rate: Callable[[], float | None], parent: Bucket | None = None
    ) -> None:
        self.users = 0
        self.parent = parent
        self._level = level
        self._clock = clock
        self._rate = rate

    def add(self, amount: float, most: float = math.inf) -> float:
        """Put in ``amount``, unless there would be more than ``most`` in here; return what there is, or would be."""
        if self.parent is not None:
            self.parent.add(amount)
        return self._level.fill(amount, self._rate(), self._clock.seconds(), most)

    @property
    def content(self) -> float:
        """How much there is in it now."""
        return self._level.fill(0.0, self._rate(), self._clock.seconds())

    @property
    def is_full(self) -> bool:
        """Whether who fills this one has to wait, or is about to: it is the rate that holds him back."""
        rate = self._rate()
        return rate is not None and self.content >= rate * _BURST_SECONDS / 2

    def wait(self) -> float:
        """Return the seconds until this one, and those it fills, hold no more than they should; 0 if they do not."""
        rate = self._rate()
        ours = 0.0 if rate is None else max(0.0, self.content / rate - _BURST_SECONDS)
        return ours if self.parent is None else max(ours, self.parent.wait())


class Buckets:
    """Buckets by name.

    Their number is at the most twice that of those in use or not yet empty, or a thousand, and never much above the
    number of those in use and a hundred thousand: beyond it the oldest are forgotten, to the advantage of whom they
    were kept for.

    Arguments:
        make: makes the one of a name.
    """

    def __init__(self, make: Callable[[str], Bucket]) -> None:
        self._make = make
        self._buckets: dict[str, Bucket] = {}
        self._full = _FEW

    def __len__(self) -> int:
        return len(self._buckets)

    def get(self, name: str) -> Bucket:
        """Return the bucket of that name."""
        bucket = self._buckets.get(name)
        if bucket is None:
            if len(self._buckets) >= self._full:
                self._sweep()
            bucket = self._buckets[name] = self._make(name)
        return bucket

    def _sweep(self) -> None:
        kept = {name: bucket for name, bucket in self._buckets.items() if bucket.users or bucket.content}
        idle = [name for name, bucket in kept.items() if not bucket.users]
        # Half of them, so that the next look is not due at the next name.
        for name in idle[: max(0, len(idle) - _MOST // 2)]:
            del kept[name]
        self._buckets = kept
        in_use = len(kept) - min(len(idle), _MOST // 2)
        self._full = max(_FEW, min(2 * len(kept), in_use + _MOST))
