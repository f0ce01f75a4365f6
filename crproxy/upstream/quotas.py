"""What upstreams said of our quota with them, and how long they are left alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from ..oci.errors import ErrorCode, RegistryError
from ..oci.names import Registry
from ..policy.quotas import Quota, parse_quota
from ..sharing import Alone, Sharing

__all__ = ["Quotas"]


class Quotas:
    """The quotas of one daemon.

    Manifests, blobs, tags and referrers are told apart: Docker Hub's 429 for too many pulls is about manifests, and the
    blobs of what is being pulled are still to be had.

    Arguments:
        now: seconds since the epoch.
        sharing: keeps them, for all workers.
    """

    def __init__(self, now: Callable[[], float], sharing: Sharing | None = None) -> None:
        sharing = sharing or Alone()
        self.now = now
        # By registry, each a Quota; by registry and kind, each the time until which nothing is asked, and why.
        self._seen = sharing.records("quotas")
        self._silent = sharing.records("refusals")

    def seen(self, registry: Registry) -> Quota | None:
        """Return what ``registry`` said last; None where it says nothing of quotas."""
        seen: Quota | None = self._seen.get(registry)
        return seen

    def known(self) -> dict[Registry, Quota]:
        """Return what each said last that said something."""
        return self._seen.all()

    def low(self, registry: Registry) -> Quota | None:
        """Return the quota of ``registry`` if it is so low that what is stored is served without asking."""
        quota = self.seen(registry)
        return quota if quota is not None and quota.is_low(self.now()) else None

    def check(self, registry: Registry, kind: str) -> None:
        """Raise TOOMANYREQUESTS while ``registry`` is not asked for this kind, with the seconds that are left."""
        until, message = self._silent.get((registry, kind)) or (0.0, "")
        left = math.ceil(until - self.now())
        if left > 0:
            raise RegistryError(
                ErrorCode.TOOMANYREQUESTS, f"{message}; it is not asked again for {left} s", retry_after=left
            )

    def note(self, registry: Registry, headers: Mapping[str, str]) -> None:
        """Remember what an answer's header (names in lower case) says."""
        quota = parse_quota(headers, self.now())
        if quota is not None:
            self._seen.put(registry, quota)

    def refused(self, registry: Registry, error: RegistryError, kind: str) -> None:
        """Leave ``registry`` alone if ``error`` says that we asked too much, until its Retry-After."""
        if error.code is ErrorCode.TOOMANYREQUESTS and error.retry_after:
            until = self.now() + error.retry_after
            self._silent.put((registry, kind), (until, error.message.partition(";")[0]))
