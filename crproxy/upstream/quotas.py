"""What upstreams said of our quota with them, and how long they are left alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from ..oci.errors import ErrorCode, RegistryError
from ..oci.names import Registry
from ..policy.quotas import Limit, Limited, Quota, parse_quota
from ..sharing import Alone, Sharing

__all__ = ["Quotas"]

# Where so many repositories are limited at once, all are.
_MANY = 3


class Quotas:
    """The quotas of one daemon.

    A limit stops what it limits (`policy.quotas.limited`): what is under way goes on, and others' repositories do.

    Arguments:
        now: seconds since the epoch.
        sharing: keeps them, for all workers.
    """

    def __init__(self, now: Callable[[], float], sharing: Sharing | None = None) -> None:
        sharing = sharing or Alone()
        self.now = now
        # By Registry, each a Quota; by Limited, each a Limit.
        self._seen = sharing.records("quotas")
        self._limits = sharing.records("limits")
        # By Limited of all repositories, each until when which are limited: a few.
        self._repositories = sharing.records("limited repositories")

    def seen(self, registry: Registry) -> Quota | None:
        """Return what ``registry`` said last; None where it says nothing of quotas."""
        seen: Quota | None = self._seen.get(registry)
        return seen

    def known(self) -> dict[Registry, Quota]:
        """Return what each said last that said something."""
        return self._seen.all()

    def limits(self) -> dict[Limited, Limit]:
        """Return what is not asked now, or only now and then, and until when."""
        limits: dict[Limited, Limit] = self._limits.all()
        return {limited: limit for limited, limit in limits.items() if not limit.is_over(self.now())}

    def low(self, registry: Registry) -> Quota | None:
        """Return the quota of ``registry`` if it is so low that what is stored is served without asking."""
        quota = self.seen(registry)
        return quota if quota is not None and quota.is_low(self.now()) else None

    def check(self, asked: Limited) -> None:
        """Raise TOOMANYREQUESTS while this is not asked, with the seconds that are left.

        Where a limit lasts long, one request passes now and then: what comes of it shows whether it still counts.
        """
        now = self.now()
        for limited in _which(asked):
            limit: Limit | None = self._limits.get(limited)
            if limit is None:
                continue
            if limit.is_over(now):
                self._limits.drop(limited)
                continue
            if limit.counts(now):
                left = math.ceil(limit.until - now)
                raise RegistryError(
                    ErrorCode.TOOMANYREQUESTS, f"{limit.message}; it is not asked again for {left} s", retry_after=left
                )
            self._limits.put(limited, limit.probed(now))

    def answered(self, asked: Limited) -> None:
        """Note that this was answered by something else than a 429."""
        for limited in _which(asked):
            if self._limits.get(limited) is not None:
                self._limits.drop(limited)

    def note(self, registry: Registry, headers: Mapping[str, str]) -> None:
        """Remember what an answer's header (names in lower case) says."""
        quota = parse_quota(headers, self.now())
        if quota is not None:
            self._seen.put(registry, quota)

    def refused(self, asked: Limited, error: RegistryError) -> None:
        """Leave this alone if ``error`` says that we asked too much, until its Retry-After."""
        if error.code is not ErrorCode.TOOMANYREQUESTS or not error.retry_after:
            return
        now = self.now()
        limit = Limit.told(now, error.retry_after, error.message.partition(";")[0])
        self._limits.put(asked, limit)
        if asked != asked.everywhere:
            known: dict[str, float] = self._repositories.get(asked.everywhere) or {}
            limited = {path: until for path, until in known.items() if now < until} | {asked.repository: limit.until}
            self._repositories.put(asked.everywhere, dict(list(limited.items())[-_MANY:]))
            if len(limited) >= _MANY:
                self._limits.put(asked.everywhere, limit)


def _which(asked: Limited) -> list[Limited]:
    return list(dict.fromkeys((asked, asked.everywhere)))
