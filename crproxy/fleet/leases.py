"""Leases: the right to do some work for the whole fleet, which ends by itself unless it is renewed.

A lease lies in Valkey for three seconds, and is renewed each second. Whoever could not renew it for that long has it no
more by his own clock, which he read before Valkey began to count: no two nodes believe in the same lease. What is
delayed beyond all that is told apart by the fencing token, of which each later lease has a greater one.

Knows nothing of the work.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..oci.documents import parse_json
from ..policy.urls import origin_of
from .valkey import Away, Script, Valkey
from .watching import Watching

__all__ = ["Holder", "Lease", "Leases"]

LEASE_SECONDS = 3.0
_RENEW_SECONDS = 1.0
# Where a renewal has failed, until the next.
_AGAIN_SECONDS = 0.2
_MILLISECONDS = int(LEASE_SECONDS * 1000)

# KEYS: the lease, the last token. ARGV: the value up to its token, milliseconds.
# A token is the time in microseconds: it grows also where Valkey has lost all that it knew.
_TAKE = Script("""
local held = redis.call('GET', KEYS[1])
if held then return {held} end
local time = redis.call('TIME')
local token = math.max(time[1] * 1000000 + time[2], (tonumber(redis.call('GET', KEYS[2]) or '') or 0) + 1)
token = string.format('%.0f', token)
redis.call('SET', KEYS[2], token)
redis.call('SET', KEYS[1], ARGV[1] .. token .. '}', 'PX', ARGV[2])
return {token, string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2])}
""")
# KEYS: the lease. ARGV: its value, milliseconds, when it ends by Valkey's clock. Returns when it ends now, or nothing.
# Where Valkey has lost it before that, it is put there again; not where this comes late, out of a connection's buffer.
_RENEW = Script("""
local held = redis.call('GET', KEYS[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if held ~= ARGV[1] and (held or now >= tonumber(ARGV[3])) then return '' end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return string.format('%.0f', now + ARGV[2])
""")
# KEYS: the lease. ARGV: its value.
_GIVE_BACK = Script("if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0")


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a lease: another node, or another worker of this one.

    Arguments:
        node: its name.
        url: where it is reached.
        token: the fencing token.
        value: all that lies in Valkey.
        note: what whoever took it has noted there.
    """

    node: str
    url: str
    token: int
    value: bytes
    note: str = ""

    @classmethod
    def parse(cls, value: bytes) -> Holder:
        """Return what ``value`` says. Raises ValueError where that is none, such as another version's."""
        said = parse_json(value)
        if not isinstance(said, dict):
            raise ValueError("it is no object")
        node, url, token = said.get("node"), said.get("url"), said.get("token")
        origin = origin_of(url) if isinstance(url, str) else None
        if not isinstance(node, str) or origin is None or origin.scheme != "https":
            raise ValueError("it names no node")
        if not isinstance(token, int) or isinstance(token, bool) or token <= 0:
            raise ValueError("it has no token")
        note = said.get("note")
        return cls(node, str(origin), token, value, note if isinstance(note, str) else "")


class Lease:
    """A lease of our own, which is renewed until it is given back.

    Arguments:
        name: of what.
        token: the fencing token.
        value: what lies in Valkey.
        until: when it is over unless it is renewed, by our clock.
        ends: the same by Valkey's, as it says that.
        leases: whose it is one of.

    ``lost`` fires when it is not ours any more though it was not given back: work for it stops then.
    """

    def __init__(self, name: str, token: int, value: bytes, until: float, ends: bytes, leases: Leases) -> None:
        self.name = name
        self.token = token
        self.lost: Deferred[None] = Deferred()
        self._value = value
        self._until = until
        self._ends = ends
        self._leases = leases
        self._is_over = False
        self._renewal: IDelayedCall | None = None
        self._deadline: IDelayedCall | None = None
        self._schedule(_RENEW_SECONDS)

    @property
    def is_ours(self) -> bool:
        """Whether it is ours now, by the clock: timers may be late."""
        return not self._is_over and self._leases.clock.seconds() < self._until

    async def give_back(self) -> None:
        """Have it no more. Where Valkey is away it ends by itself."""
        if not self._is_over:
            self._end()
            await self._leases.ask(_GIVE_BACK, self.name, self._value)

    def _schedule(self, seconds: float) -> None:
        clock = self._leases.clock
        self._cancel()
        left = self._until - clock.seconds()
        if seconds < left:
            self._renewal = clock.callLater(seconds, self._renew)
        self._deadline = clock.callLater(max(0.0, left), self._lose)

    def _renew(self) -> None:
        self._renewal = None
        renewing = Deferred.fromCoroutine(self._ask())
        renewing.addErrback(self._leases.failed)

    async def _ask(self) -> None:
        asked = self._leases.clock.seconds()
        answer = await self._leases.ask(_RENEW, self.name, self._value, _MILLISECONDS, self._ends)
        if self._is_over:
            return
        if answer is None:
            self._schedule(_AGAIN_SECONDS)
        elif answer:
            self._until, self._ends = asked + LEASE_SECONDS, answer
            self._schedule(_RENEW_SECONDS)
        else:
            self._lose()

    def _lose(self) -> None:
        if not self._is_over:
            self._end()
            self.lost.callback(None)

    def _end(self) -> None:
        self._is_over = True
        self._cancel()
        self._leases.ended(self)

    def _cancel(self) -> None:
        for timer in (self._renewal, self._deadline):
            if timer is not None and timer.active():
                timer.cancel()
        self._renewal = self._deadline = None


class Leases:
    """The leases of a fleet, as one of its workers has them.

    Arguments:
        valkey: where they lie.
        watching: waits for those of others.
        node: the name of this node.
        url: where other nodes reach it.
        clock: the time.
    """

    _log = Logger()

    def __init__(self, valkey: Valkey, watching: Watching, node: str, url: str, clock: IReactorTime) -> None:
        self.clock = clock
        self._valkey = valkey
        self._watching = watching
        self._said = {"node": node, "url": url}
        self._own: dict[Lease, None] = {}
        self._has_told = False

    def __len__(self) -> int:
        """Return how many leases this worker has."""
        return len(self._own)

    async def take(self, name: str, note: str = "") -> Lease | Holder | None:
        """Return the lease that is called ``name``, or who has it; None where Valkey is away: then each is alone.

        Who is cancelled meanwhile has it not.

        Arguments:
            note: is read by those who find it taken.
        """
        handed: Deferred[Lease | Holder | None] = Deferred()

        def hand(found: Lease | Holder | Failure | None) -> None:
            if not handed.called:
                handed.callback(found)  # a Failure, too: it fails then
            elif isinstance(found, Lease):
                Deferred.fromCoroutine(found.give_back()).addErrback(self.failed)

        Deferred.fromCoroutine(self._take(name, note)).addBoth(hand)
        return await handed

    async def wait_free(self, name: str, holder: Holder) -> Holder | None:
        """Return once ``holder`` has it no more: who has it now, if anybody; None also where Valkey is away."""
        try:
            value = await self._watching.changed(self._valkey.key(name), holder.value)
        except Away:
            return None
        return None if value is None else self._holder(value)

    async def stop(self) -> None:
        """Give all back."""
        for lease in list(self._own):
            await lease.give_back()

    async def ask(self, script: Script, name: str, *arguments: str | bytes | int) -> bytes | None:
        """Return what ``script`` answers of a lease; None where Valkey is away."""
        try:
            answer: bytes = await self._valkey.run(script, [self._valkey.key(name)], arguments)
        except Away:
            return None
        return answer

    def ended(self, lease: Lease) -> None:
        """Note that this one is over."""
        self._own.pop(lease, None)

    def failed(self, failure: Failure) -> None:
        """Tell of what must not happen."""
        self._log.failure("a lease could not be seen to", failure)

    async def _take(self, name: str, note: str) -> Lease | Holder | None:
        keys = [self._valkey.key(name), self._valkey.key("token")]
        asked = self.clock.seconds()
        try:
            # The token, which Valkey draws, is put behind it.
            begun = json.dumps({**self._said, "note": note} if note else self._said)[:-1] + ', "token": '
            found = await self._valkey.run(_TAKE, keys, [begun, _MILLISECONDS])
        except Away:
            return None
        if len(found) == 1:
            return self._holder(found[0])
        token, ends = found
        value = f"{begun}{int(token)}}}".encode()
        lease = Lease(name, int(token), value, asked + LEASE_SECONDS, ends, self)
        self._own[lease] = None
        return lease

    def _holder(self, value: bytes) -> Holder | None:
        try:
            return Holder.parse(value)
        except ValueError as error:
            if not self._has_told:
                self._has_told = True
                self._log.warn(
                    "a lease in Valkey cannot be read, this node goes on alone: {why}; has a node another version?",
                    why=error,
                )
            return None
