"""How much of a registry's quota is left, what is not asked because of that, and what a 429 limits.

Docker Hub counts GETs of manifests, and says in ``ratelimit-*`` how many are left; a HEAD is free, and says so, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..oci.names import Registry, Repository
from .quirks import quirks

__all__ = ["Limit", "Limited", "Quota", "limited", "parse_quota"]

# "100;w=21600": how many, in how many seconds.
_FIELD = re.compile(r"[ \t]{0,8}([0-9]{1,9})(?![0-9])[ \t]{0,8}(?:;[ \t]{0,8}w=([0-9]{1,9})(?![0-9]))?")
# Seconds between two requests that find out whether a limit still counts: a Retry-After may be of hours.
_PROBE_SECONDS = 60.0
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


@dataclass(frozen=True, slots=True)
class Limited:
    """What too much was asked of.

    Arguments:
        registry: which one.
        endpoint: the URL it was asked at.
        credential: as whom it was asked (`Upstream.login`).
        what: method and kind of the requests.
        repository: its path; empty for all of them.
    """

    registry: Registry
    endpoint: str
    credential: str
    what: str
    repository: str

    @property
    def everywhere(self) -> Limited:
        """The same in all repositories."""
        return Limited(self.registry, self.endpoint, self.credential, self.what, "")


def limited(repository: Repository, endpoint: str, credential: str, method: str, kind: str) -> Limited:
    """Return what a 429 to such a request limits, as far as one answer can tell.

    Docker Hub counts what an address or account gets of manifests, in all repositories together.
    """
    is_counted = quirks(repository.registry).counts_manifests and (method, kind) == ("GET", "manifests")
    path = "" if is_counted else repository.path
    return Limited(repository.registry, endpoint, credential, f"{method} {kind}", path)


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that a registry told of; times in seconds since the epoch.

    Arguments:
        since: when that was, or when it was probed last. A time ahead is what a clock set back leaves behind.
        until: its Retry-After.
        probe: from when on one request may find out whether it still counts.
        message: what was answered.
    """

    since: float
    until: float
    probe: float
    message: str

    @classmethod
    def told(cls, now: float, retry_after: float, message: str) -> Limit:
        """Return the limit of an answer at ``now``, with its Retry-After in seconds."""
        return cls(now, now + retry_after, now + _PROBE_SECONDS, message)

    def is_over(self, now: float) -> bool:
        """Tell whether it is at ``now``."""
        return not self.since <= now < self.until

    def counts(self, now: float) -> bool:
        """Tell whether nothing is asked at ``now``."""
        return not self.is_over(now) and now < self.probe

    def probed(self, now: float) -> Limit:
        """Return it with one request allowed at ``now``."""
        return Limit(now, self.until, now + _PROBE_SECONDS, self.message)


def parse_quota(headers: Mapping[str, str], now: float) -> Quota | None:
    """Return what an answer's header (names in lower case) says, at ``now``; None where it says nothing."""
    limit = _FIELD.match(headers.get("ratelimit-limit", ""))
    remaining = _FIELD.match(headers.get("ratelimit-remaining", ""))
    if limit is None or remaining is None:
        return None
    return Quota(int(limit[1]), int(remaining[1]), int(limit[2]) if limit[2] else None, now)
