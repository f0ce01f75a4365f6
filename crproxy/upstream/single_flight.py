"""One run of some work, shared by everybody who waits for it at the same time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

__all__ = ["SingleFlight"]

Key = TypeVar("Key")
Result = TypeVar("Result")


class SingleFlight(Generic[Key, Result]):
    """Runs the work for a key once at a time.

    The work goes on when a waiter leaves: another may be waiting, and its result is kept by whoever does it. One
    Deferred cannot serve two awaiters, so each waiter has its own.
    """

    def __init__(self) -> None:
        self._waiters: dict[Key, list[Deferred[Result]]] = {}

    def run(self, key: Key, work: Callable[[], Coroutine[Deferred[Any], Any, Result]]) -> Awaitable[Result]:
        """Return the result of the run that is under way for ``key``, or of ``work``, which is started then."""
        running = key in self._waiters
        waiters = self._waiters.setdefault(key, [])
        waiter: Deferred[Result] = Deferred(waiters.remove)
        waiters.append(waiter)
        if not running:
            Deferred.fromCoroutine(work()).addBoth(self._finish, key)
        return waiter

    def _finish(self, result: Result | Failure, key: Key) -> None:
        waiters = self._waiters.pop(key)
        # One by one: what a waiter does with the result may make others leave.
        while waiters:
            waiter = waiters.pop(0)
            if isinstance(result, Failure):
                waiter.errback(result)
            else:
                waiter.callback(result)
