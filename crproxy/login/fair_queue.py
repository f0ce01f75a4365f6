"""Work that waits its turn: of each client some, and the clients one after the other.

Knows nothing of what the work is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from ..sharing import Count, Counts

__all__ = ["FairQueue", "TooMany"]

Work = Callable[[], Deferred[Any]]


class TooMany(Exception):
    """There is no room for this, or it has made room for somebody who asks for less."""


class FairQueue:
    """Runs work for clients, round-robin: who brings much waits behind himself, and nobody else does.

    Where there is no room for all, who has most waiting gives way: he loses what came last.

    Arguments:
        at_once: how much runs at a time.
        most_of_client: how much of one client may run and wait.
        most: how much may wait, of all.
        counts: how much of each client runs and waits, in all workers.
    """

    def __init__(self, at_once: int, most_of_client: int, most: int, counts: Count | None = None) -> None:
        self._free = at_once
        self._most_of_client = most_of_client
        self._most = most
        self._counts = Counts() if counts is None else counts
        # In the order of their turns; who has nothing waiting is in none.
        self._waiting: dict[str, deque[tuple[Work, Deferred[Any]]]] = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def run(self, client: str, work: Work) -> Deferred[Any]:
        """Return the result of ``work``, which begins when it is the client's turn.

        Raises:
            TooMany: the client has too much under way; the Deferred fails with it where others needed the room.
        """
        if self._counts.of(client) >= self._most_of_client:
            raise TooMany
        if self._free == 0 and self._length >= self._most:
            self._make_room_for(client)
        if self._counts.add(client) > self._most_of_client:
            self._counts.remove(client)
            raise TooMany
        result: Deferred[Any] = Deferred()
        self._waiting.setdefault(client, deque()).append((work, result))
        self._length += 1
        self._begin()
        return result

    def _begin(self) -> None:
        while self._free and self._waiting:
            client = next(iter(self._waiting))
            waiting = self._waiting.pop(client)
            work, result = waiting.popleft()
            self._length -= 1
            if waiting:
                # To the end: it is everybody else's turn first.
                self._waiting[client] = waiting
            self._free -= 1
            work().addBoth(self._end, client, result)

    def _end(self, outcome: Any, client: str, result: Deferred[Any]) -> None:
        self._free += 1
        self._leave(client)
        self._begin()
        result.callback(outcome)  # a Failure, too: it fails then

    def _make_room_for(self, client: str) -> None:
        greediest = max(self._waiting, key=lambda name: len(self._waiting[name]))
        waiting = self._waiting[greediest]
        if len(waiting) <= len(self._waiting.get(client, ())) + 1:
            raise TooMany
        _, result = waiting.pop()
        self._length -= 1
        self._leave(greediest)
        result.errback(TooMany())

    def _leave(self, client: str) -> None:
        self._counts.remove(client)
