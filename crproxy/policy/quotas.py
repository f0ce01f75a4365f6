"""How much of a registry's quota is left, and what is not asked because of that.

Docker Hub counts GETs of manifests, and says in ``ratelimit-*`` how many are left; a HEAD is free, and says so, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Quota", "parse_quota"]

# "100;w=21600": how many, in how many seconds.
_FIELD = re.compile(r"[ \t]{0,8}([0-9]{1,9})(?![0-9])[ \t]{0,8}(?:;[ \t]{0,8}w=([0-9]{1,9})(?![0-9]))?")
# The last twentieth is kept for what is not stored here.
_RESERVE = 20
# Seconds for which an answer counts: then one more question may be asked, which brings a new one.
_COUNTS_FOR = 300.0


@dataclass(frozen=True, slots=True)
class Quota:
    """What a registry said of our quota.

    Arguments:
        limit: requests in a window.
        remaining: those of them that are left.
        window: seconds; None where it was not said.
        seen: when it was said, in seconds since the epoch.
    """

    limit: int
    remaining: int
    window: int | None
    seen: float

    def is_low(self, now: float) -> bool:
        """Tell whether so little is left that what is stored is served without asking."""
        return self.remaining <= max(1, self.limit // _RESERVE) and 0 <= now - self.seen < _COUNTS_FOR

    def __str__(self) -> str:
        return f"{self.remaining} of {self.limit} left"


def parse_quota(headers: Mapping[str, str], now: float) -> Quota | None:
    """Return what an answer's header (names in lower case) says, at ``now``; None where it says nothing."""
    limit = _FIELD.match(headers.get("ratelimit-limit", ""))
    remaining = _FIELD.match(headers.get("ratelimit-remaining", ""))
    if limit is None or remaining is None:
        return None
    return Quota(int(limit[1]), int(remaining[1]), int(limit[2]) if limit[2] else None, now)
