"""The accounts of all clients: the bytes they are sent, the requests they make, the connections they have.

Each is asked by IP address, and kept by the network that counts as one client. Who is privileged has no account.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from ..config import Config
from ..oci.errors import ErrorCode, RegistryError
from ..policy.clients import is_in, network_of
from ..sharing import Alone, Sharing
from ..sharing.levels import OwnLevel
from .buckets import Bucket, Buckets
from .shaping import Body, Limited

__all__ = ["Accounts", "Admission"]

# Seconds that rounding may be wrong by: who comes back when he was told to must not be told again.
_MOMENT = 1e-3


class Admission(enum.Enum):
    """What becomes of a connection."""

    SERVED = enum.auto()
    REFUSED = enum.auto()
    """Let in, to be told that there are too many."""
    CLOSED = enum.auto()
    """Not even that."""


class Accounts:
    """What clients have used; ``refused_requests`` and ``refused_connections`` count what was too much.

    Arguments:
        current: returns the configuration that counts now.
        clock: the time.
        most_connections: that there may be, of all clients and trusted proxies together; None is any number.
        most_of_client: that one client may have, whatever the configuration says.
        sharing: has what is counted of all workers together; ``accepted`` are this one's.
    """

    def __init__(
        self,
        current: Callable[[], Config],
        clock: IReactorTime,
        most_connections: int | None = None,
        most_of_client: int | None = None,
        sharing: Sharing | None = None,
    ) -> None:
        sharing = sharing or Alone()
        self.connections = sharing.count("connections")
        self.accepted = 0
        self._most_connections = most_connections
        self._most_of_client = most_of_client
        requests, transfers, of_all = map(sharing.levels, ("requests", "transfers", "all"))
        self.requests = Buckets(lambda name: Bucket(requests.level(name), clock, self._requests_a_second))
        self.transfers = Buckets(
            lambda name: Bucket(transfers.level(name), clock, lambda: current().limits.per_client, self._total)
        )
        self.refused_requests = self.refused_connections = 0
        self._current = current
        self._clock = clock
        self._total = Bucket(of_all.level("total"), clock, lambda: current().limits.total)
        self._upstream = Bucket(of_all.level("upstream"), clock, lambda: current().limits.upstream)

    # Bytes

    def transfer(self, body: Body, client: str | None) -> Body:
        """Return ``body`` as it may flow to ``client`` (an IP address, where it is known): itself, if it has no limit.

        Limits that change meanwhile count for what flows with one, and not for what flows without any.
        """
        config = self._current()
        limits = config.limits
        if not (limits.per_transfer or limits.per_client or limits.total) or is_in(client, config.access.privileged):
            return body
        account = self._total if client is None else self.transfers.get(network_of(client))
        return Limited(
            body, Bucket(OwnLevel(), self._clock, lambda: self._current().limits.per_transfer, account), self._clock
        )

    def from_upstream(self, body: Body) -> Body:
        """Return an upstream's ``body`` as it may flow here."""
        return body if self._current().limits.upstream is None else Limited(body, self._upstream, self._clock)

    @property
    def holds_upstreams_back(self) -> bool:
        """Whether it is the limit that bodies from upstreams are waiting for."""
        return self._upstream.is_full

    # Requests

    def check_request(self, client: str | None) -> None:
        """Count one more request, or raise TOOMANYREQUESTS where that is one too many."""
        wait = self.count_request(client)
        if wait and client is not None:
            self.refused_requests += 1
            frequency = self._current().limits.requests_per_client
            raise RegistryError(
                ErrorCode.TOOMANYREQUESTS,
                f"this proxy answers {network_of(client)} no more requests than {frequency}; try again in {wait} s",
                retry_after=wait,
            )

    def count_request(self, client: str | None) -> int:
        """Count one more request and return 0; or return the seconds after which it would not be one too many."""
        config = self._current()
        frequency = config.limits.requests_per_client
        if frequency is None or client is None or is_in(client, config.access.privileged):
            return 0
        account = self.requests.get(network_of(client))
        # Added only where it is not one too many, at once: another worker may be counting, too.
        content = account.add(1, frequency.times + _MOMENT * frequency.rate)
        wait = (content - frequency.times) / frequency.rate
        return math.ceil(wait - _MOMENT) if wait > _MOMENT else 0

    def _requests_a_second(self) -> float | None:
        frequency = self._current().limits.requests_per_client
        return None if frequency is None else frequency.rate

    # Connections

    def admit(self, peer: str | None) -> tuple[Admission, str | None]:
        """Decide on a new connection from ``peer`` (an IP address; None is a socket of this machine).

        Returns what becomes of it, and under which name it is counted. Unless it is closed, it counts until `dismiss`.
        """
        if self._is_full():
            self.refused_connections += 1
            return Admission.CLOSED, None
        admission, client = self._admission(peer)
        if admission is not Admission.SERVED:
            self.refused_connections += 1
        if admission is Admission.CLOSED:
            return admission, None
        self.accepted += 1
        return admission, client

    def dismiss(self, client: str | None) -> None:
        """A connection has ended that was let in, and counted for ``client``."""
        self.accepted -= 1
        if client is not None:
            self.connections.remove(client)

    def _admission(self, peer: str | None) -> tuple[Admission, str | None]:
        config = self._current()
        if peer is None or is_in(peer, config.listen.trusted_proxies) or is_in(peer, config.access.privileged):
            return Admission.SERVED, None
        client, most = network_of(peer), self._most(config)
        number = self.connections.add(client)
        if most is None or number <= most:
            return Admission.SERVED, client
        if number <= 2 * most:
            return Admission.REFUSED, client
        self.connections.remove(client)
        return Admission.CLOSED, client

    def _most(self, config: Config) -> int | None:
        """Return how many connections a client may have."""
        configured = config.limits.connections_per_client or None
        return min((most for most in (configured, self._most_of_client) if most is not None), default=None)

    def _is_full(self) -> bool:
        return self._most_connections is not None and self.accepted >= self._most_connections
