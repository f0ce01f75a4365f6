"""Which of several CAs signs for a name, and when there is to be a new one. Pure: no key is seen here.

Clients are given all that count, and may take a while to trust a new one. So an old one goes on signing what it may
for as long as they have to change over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

__all__ = ["OVERLAP_SECONDS", "Standing", "counting", "ends_before", "is_due", "signer_for"]

# For which clients have time to trust a new one, before it signs what an old one still may.
OVERLAP_SECONDS = 90 * 86400.0


@dataclass(frozen=True, slots=True)
class Standing:
    """A CA, as far as it matters here.

    Arguments:
        names: that it may sign for.
        since, until: when it counts, in seconds since the epoch.
        fingerprint: tells it from others that are alike.
    """

    names: frozenset[str]
    since: float
    until: float
    fingerprint: str = ""

    def counts(self, now: float) -> bool:
        """Tell whether it counts now."""
        return self.since <= now < self.until

    def is_settled(self, now: float) -> bool:
        """Tell whether clients have had the time to trust it."""
        return self.since + OVERLAP_SECONDS <= now


def counting(known: Collection[Standing], now: float) -> list[Standing]:
    """Return those that clients are to trust, the oldest first: all but those that ended, or sign nothing any more."""
    alive = sorted((one for one in known if one.counts(now)), key=lambda one: one.since)
    settled = [one for one in alive if one.is_settled(now)]
    return [
        one
        for one in alive
        if any(all(name not in later.names for later in settled if later.since > one.since) for name in one.names)
    ]


def is_due(known: Iterable[Standing], names: Collection[str], now: float) -> bool:
    """Tell whether a new one is to be made.

    None is for exactly ``names``, and good until clients have changed over, or another one takes its place.
    """
    same = [one for one in known if one.names == frozenset(names)]
    return not any(
        one.counts(now) and (now < one.until - OVERLAP_SECONDS or any(_follows(later, one) for later in same))
        for one in same
    )


def ends_before(known: Iterable[Standing], names: Collection[str], now: float) -> float | None:
    """Return when a new one is to end because another one for exactly ``names`` begins then; None where none does.

    One that begins later was made by a clock that was ahead, or this one is behind: then it is the one that clients
    trust, and has to sign again as soon as the clock is right.
    """
    return min((one.since for one in known if one.names == frozenset(names) and one.since > now), default=None)


def _follows(later: Standing, one: Standing) -> bool:
    return later.since <= one.until < later.until


def signer_for(known: Collection[Standing], name: str, now: float) -> Standing | None:
    """Return which of them signs for ``name``; None where none may.

    The newest of those that clients have had the time to trust; where there is none yet, the oldest.
    """
    may = sorted((one for one in known if name in one.names and one.counts(now)), key=lambda one: one.since)
    settled = [one for one in may if one.is_settled(now)]
    return settled[-1] if settled else may[0] if may else None
