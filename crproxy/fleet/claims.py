"""Work that one worker of the fleet does at a time (crproxy.sharing.Claims): a value in Valkey that ends by itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..sharing import Claims
from ..upstream.single_flight import SingleFlight
from .messages import Sender
from .valkey import Away, Script, Valkey
from .watching import Watching

__all__ = ["FleetClaims"]

# Who has had a claim for longer is not waited for.
_CLAIM_SECONDS = 5.0

# KEYS: the claim. ARGV: our value, milliseconds. Returns whose it is; nothing where it is ours now.
_CLAIM = Script("""
local held = redis.call('GET', KEYS[1])
if held then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ''
""")
_GIVE_BACK = Script("if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0")


@dataclass(slots=True, eq=False)
class _Held:
    """A claim that somebody in this worker has, or waits for.

    Arguments:
        users: how many they are.
        value: of it in Valkey; None where it is not ours there.
    """

    users: int = 0
    value: str | None = None


class FleetClaims:
    """Claims of a fleet: first among the workers of this node, then among nodes.

    Arguments:
        inside: those of this node.
        kind: what they are called.
        valkey: where those of the fleet lie.
        watching: waits for those of others.
        sender: this worker.
        clock: the time.
    """

    _log = Logger()

    def __init__(
        self, inside: Claims, kind: str, valkey: Valkey, watching: Watching, sender: Sender, clock: IReactorTime
    ) -> None:
        self._inside = inside
        self._kind = kind
        self._valkey = valkey
        self._watching = watching
        self._sender = sender
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._taking: SingleFlight[str, bool] = SingleFlight()
        self._number = 0

    def take(self, name: str) -> Deferred[bool]:
        """Return once this worker has the claim; tell whether another had it before (Claims)."""
        return Deferred.fromCoroutine(self._take(name))

    def give_back(self, name: str) -> None:
        """Have it no more (Claims)."""
        self._leave(self._key(name))
        self._inside.give_back(name)

    async def _take(self, name: str) -> bool:
        waited = await self._inside.take(name)
        key = self._key(name)
        held = self._held.setdefault(key, _Held())
        held.users += 1
        try:
            if held.value is None and await self._taking.run(key, lambda: self._claim(key, held)):
                waited = True
        except BaseException:
            self._leave(key)
            self._inside.give_back(name)
            raise
        return waited

    async def _claim(self, key: str, held: _Held) -> bool:
        """Have it in Valkey, if that is there; return whether another had it before."""
        self._number += 1
        value = f"{self._sender.run}.{self._sender.slot}.{self._number}"
        until, waited = self._clock.seconds() + _CLAIM_SECONDS, False
        try:
            while other := await self._valkey.run(_CLAIM, [key], [value, int(_CLAIM_SECONDS * 1000)]):
                waited = True
                left = until - self._clock.seconds()
                if left <= 0:
                    return waited
                await self._watching.changed(key, other).addTimeout(left, self._clock, _in_vain)
        except Away:
            return waited
        if held.users:
            held.value = value
        else:
            # Nobody wants it any more.
            self._give_back(key, value)
        return waited

    def _leave(self, key: str) -> None:
        held = self._held[key]
        held.users -= 1
        if not held.users:
            del self._held[key]
            if held.value is not None:
                self._give_back(key, held.value)

    def _give_back(self, key: str, value: str) -> None:
        giving = Deferred.fromCoroutine(self._valkey.run(_GIVE_BACK, [key], [value]))
        giving.addErrback(lambda failure: failure.trap(Away) and None)

    def _key(self, name: str) -> str:
        # Names are as long as what they are made of.
        return self._valkey.key(
            "claim", self._kind, hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        )


def _in_vain(_: object, __: float) -> None:
    """Have who waited long enough go on."""
