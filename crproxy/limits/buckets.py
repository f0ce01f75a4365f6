"""Token buckets by a clock that is handed in, and one for each client, of which only those in use are kept.

Twisted's own (twisted.protocols.htb), but for three things: it reads time.time, which a test cannot drive and which may
go backwards; HierarchicalBucketFilter.sweep deletes from a dict while it walks over it, which Python 3 ends with a
RuntimeError; and ShapedConsumer cuts what it writes to what fits, into pieces of a few bytes.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.protocols import htb

__all__ = ["Bucket", "Buckets"]

# Seconds of its rate that a bucket holds before anybody has to wait. A timer that is late, by less than this, loses
# nothing: what has drained meanwhile follows at once.
_BURST_SECONDS = 0.1

# Buckets that are kept before one looks for idle ones, and the most that are kept of those that nobody is using now.
_FEW = 1000
_MOST = 100_000


class Bucket(htb.Bucket):
    """What was used lately: it fills with each use and drains at a rate.

    More may be put in than it should hold. Then who did so waits until it has drained, and so everybody has a turn.

    Arguments:
        clock: the time.
        rate: returns how much drains in a second; None is all at once. Asked each time, so that it may change.
        parent: fills with what is put in here.

    ``users`` is how many hold it.
    """

    parentBucket: Bucket | None

    def __init__(self, clock: IReactorTime, rate: Callable[[], float | None], parent: Bucket | None = None) -> None:
        super().__init__(parent)
        self.users = 0
        self.lastDrip = clock.seconds()
        self._clock = clock
        self._rate = rate

    def drip(self) -> bool:
        """Let drain what has by now; tell whether it is empty (htb.Bucket)."""
        if self.parentBucket is not None:
            self.parentBucket.drip()
        now, rate = self._clock.seconds(), self._rate()
        drained = self.content if rate is None else (now - self.lastDrip) * rate
        # Declared whole, and a fraction there as well.
        self.content = max(0, self.content - drained)  # type: ignore[assignment]
        self.lastDrip = now
        return self.content == 0

    def wait(self) -> float:
        """Return the seconds until this one, and those it fills, hold no more than they should; 0 if they do not."""
        self.drip()
        return self._wait()

    def _wait(self) -> float:
        rate = self._rate()
        ours = 0.0 if rate is None else max(0.0, self.content / rate - _BURST_SECONDS)
        return ours if self.parentBucket is None else max(ours, self.parentBucket._wait())


class Buckets:
    """Buckets by name.

    Their number is at the most twice that of those in use or not yet empty, or a thousand, and never much above the
    number of those in use and a hundred thousand: beyond it the oldest are forgotten, to the advantage of whom they
    were kept for.

    Arguments:
        make: makes an empty one.
    """

    def __init__(self, make: Callable[[], Bucket]) -> None:
        self._make = make
        self._buckets: dict[str, Bucket] = {}
        self._full = _FEW

    def __len__(self) -> int:
        return len(self._buckets)

    def get(self, name: str) -> Bucket:
        """Return the bucket of that name, an empty one where there is none."""
        bucket = self._buckets.get(name)
        if bucket is None:
            if len(self._buckets) >= self._full:
                self._sweep()
            bucket = self._buckets[name] = self._make()
        return bucket

    def _sweep(self) -> None:
        kept = {name: bucket for name, bucket in self._buckets.items() if bucket.users or not bucket.drip()}
        idle = [name for name, bucket in kept.items() if not bucket.users]
        # Half of them, so that the next look is not due at the next name.
        for name in idle[: max(0, len(idle) - _MOST // 2)]:
            del kept[name]
        self._buckets = kept
        in_use = len(kept) - min(len(idle), _MOST // 2)
        self._full = max(_FEW, min(2 * len(kept), in_use + _MOST))
