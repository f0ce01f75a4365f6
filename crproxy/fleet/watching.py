"""Waiting until what lies at a key in Valkey is something else.

Whoever waits in this process is served by one look at all keys together: Valkey sees ten commands in a second at the
most from each process, however many wait, and none where nobody does.
"""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from .valkey import Away, Valkey

__all__ = ["Watching"]

# Between two looks: a fraction of what a registry takes to answer.
_LOOK_SECONDS = 0.1


@dataclass(slots=True, eq=False)
class _Waiting:
    """Somebody who waits until ``key`` has not ``value``."""

    key: str
    value: bytes
    changed: Deferred[bytes | None]


class Watching:
    """Those who wait.

    Arguments:
        valkey: is looked into.
        clock: the time.
    """

    def __init__(self, valkey: Valkey, clock: IReactorTime) -> None:
        self._valkey = valkey
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._timer: IDelayedCall | None = None
        self._is_looking = False

    def __len__(self) -> int:
        return len(self._waiting)

    def changed(self, key: str, value: bytes) -> Deferred[bytes | None]:
        """Return what is at ``key`` (None: nothing) once that is not ``value``. Fails with Away."""

        def leave(_: Deferred[bytes | None]) -> None:
            self._waiting.remove(waiting)
            self._schedule()

        waiting = _Waiting(key, value, Deferred(leave))
        self._waiting.append(waiting)
        self._schedule()
        return waiting.changed

    def stop(self) -> None:
        """Have nobody wait any more: it is as if Valkey were away."""
        self._fail(Failure(Away("this node stops")))
        self._schedule()

    def _schedule(self) -> None:
        if not self._waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        elif self._waiting and self._timer is None and not self._is_looking:
            self._timer = self._clock.callLater(_LOOK_SECONDS, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._is_looking = True
        looking = Deferred.fromCoroutine(self._look())
        looking.addErrback(self._fail).addCallback(self._looked)

    def _looked(self, _: object) -> None:
        self._is_looking = False
        self._schedule()

    async def _look(self) -> None:
        asked = list(self._waiting)
        keys = list(dict.fromkeys(waiting.key for waiting in asked))
        found = dict(zip(keys, await self._valkey.ask("MGET", *keys), strict=True))
        for waiting in asked:
            value = found[waiting.key]
            # Who went away meanwhile is not told.
            if waiting in self._waiting and value != waiting.value:
                self._waiting.remove(waiting)
                waiting.changed.callback(value)

    def _fail(self, failure: Failure) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.changed.errback(failure)
