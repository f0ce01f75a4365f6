"""How many connections to upstreams there are: under way, in all and for one client, and idle.

Upstreams are clients' choice, and so is how slowly they answer. Knows nothing of requests.
"""

from __future__ import annotations

from collections.abc import Callable

from ..limits.current_client import asked_for
from ..policy.clients import network_of
from ..sharing import Counts
from .errors import TooManySockets

__all__ = ["End", "Sockets"]

_MANY = 1 << 20

# Ends one of them.
End = Callable[[], None]


class Sockets:
    """The connections to upstreams; ``refused`` counts those that would have been too many.

    Arguments:
        most: that are under way at a time.
        most_for_client: of those, for one client.
        most_idle: that are kept for later.
    """

    def __init__(self, most: int = _MANY, most_for_client: int = _MANY, most_idle: int = _MANY) -> None:
        self.by_client = Counts()
        self.under_way = 0
        self.refused = 0
        self._most = most
        self._most_for_client = most_for_client
        self._most_idle = most_idle
        # How each is closed; the one that idles longest is the first.
        self._idle: dict[object, End] = {}

    @property
    def idle(self) -> int:
        """How many are kept for later."""
        return len(self._idle)

    def begin(self) -> End:
        """Count one more, for whom is asked just now; what is returned is called at its end.

        Raises:
            TooManySockets: there are too many.
        """
        address = asked_for()
        client = None if address is None else network_of(address)
        if client is not None and self.by_client.of(client) >= self._most_for_client:
            self.refused += 1
            raise TooManySockets(f"upstreams are asked {self._most_for_client} times for {client} already")
        if self.under_way >= self._most:
            self.refused += 1
            raise TooManySockets(f"upstreams are asked {self.under_way} times already")
        self.under_way += 1
        if client is not None:
            self.by_client.add(client)
        return lambda: self._end(client)

    def spare(self) -> int:
        """Return how many more there may be that are only to be faster, for whom is asked just now.

        Half of what there may be is for those without which nothing comes.
        """
        address = asked_for()
        of_all = self._most // 2 - self.under_way
        if address is None:
            return of_all
        return min(of_all, self._most_for_client // 2 - self.by_client.of(network_of(address)))

    def keep(self, connection: object, close: End) -> None:
        """``connection`` idles from now on; ``close`` is called where there are too many that do."""
        self._idle[connection] = close
        while len(self._idle) > self._most_idle:
            oldest = next(iter(self._idle))
            self._idle.pop(oldest)()

    def take(self, connection: object) -> None:
        """``connection`` idles no more, whatever becomes of it."""
        self._idle.pop(connection, None)

    def _end(self, client: str | None) -> None:
        self.under_way -= 1
        if client is not None:
            self.by_client.remove(client)
