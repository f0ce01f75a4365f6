"""Over how many connections a registry may be asked for one blob: as configured, as it bears, and as we have them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..config import Upstream
from ..oci.errors import ErrorCode, RegistryError
from ..oci.names import Registry
from ..sharing import Alone, Sharing

__all__ = ["Parallelism", "UpstreamParallelism"]

# Seconds for which one that refuses several parts at once is asked for one after the other.
_ONE_SECONDS = 600.0


class Parallelism:
    """What is known of all registries.

    Arguments:
        now: seconds, of any clock that goes on.
        spare: returns how many connections there may be besides those under way.
        sharing: keeps what was learnt, for all workers.
    """

    def __init__(
        self, now: Callable[[], float], spare: Callable[[], int] | None = None, sharing: Sharing | None = None
    ) -> None:
        self._now = now
        self._spare = spare
        # By registry, until when it is asked over one connection.
        self._refused = (sharing or Alone()).records("one connection")

    def of(self, upstream: Upstream, caller: str | None = None) -> UpstreamParallelism:
        """Return how ``upstream`` may be asked, where it is on behalf of a client with the Authorization of that."""
        return UpstreamParallelism(self, upstream.registry, upstream.connections, caller is not None)

    def connections(self, registry: Registry, most: int) -> int:
        """Return over how many connections ``registry`` may be asked now, of ``most`` that are configured."""
        if most < 2 or self._now() < (self._refused.get(registry) or 0.0):
            return 1
        return most if self._spare is None else min(most, 1 + max(0, self._spare()))

    def refused(self, registry: Registry) -> None:
        """Have ``registry`` be asked over one connection for a while."""
        self._refused.put(registry, self._now() + _ONE_SECONDS)


@dataclass(frozen=True, slots=True)
class UpstreamParallelism:
    """What is known of one of them (crproxy.upstream.resuming.Parallel)."""

    parallelism: Parallelism
    registry: Registry
    most: int
    is_for_a_client: bool = False

    @property
    def connections(self) -> int:
        """Over how many connections (Parallel)."""
        return self.parallelism.connections(self.registry, self.most)

    def refused(self, error: RegistryError) -> None:
        """Note that it refuses (Parallel); not that a client asked too much, with its own quota."""
        if self.is_for_a_client and error.code is ErrorCode.TOOMANYREQUESTS:
            return
        self.parallelism.refused(self.registry)
