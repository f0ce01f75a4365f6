"""When any node has used what is in the object store, in Valkey: a sorted set, which can be lost.

A member is the key of an object, its score the time by Valkey's clock. What was not used for longest is forgotten first
where there is too much. The member without a name says since when the set is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from ..objects.errors import TierFailed
from ..objects.naming import blob_key, entry_of
from ..objects.uses import Noted
from ..policy.object_keys import BlobKey, parse_key
from ..store.entries import Entry
from .valkey import Away, Script, Valkey

__all__ = ["UsedObjects"]

Value = TypeVar("Value")

# Members at the most, of some 200 bytes each, and seconds after its last use for which one is kept.
_MOST, _KEPT_SECONDS = 500_000, 60 * 86400
# Members that one script looks at.
_BATCH = 500
# Seconds until all nodes have told anew what they remember: they look each minute whether they have to.
_HEARD_SECONDS = 300.0

# KEYS: the set. ARGV: seconds that a member is kept, members at the most; then a time and a member, for each.
# Returns since when the set is there, and the members that were not. That score is above all others, so that it stays.
_NOTE = Script("""
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local begun = redis.call('ZSCORE', KEYS[1], '')
if not begun then
  redis.call('ZADD', KEYS[1], string.format('%.3f', 1e12 + now), '')
  begun = redis.call('ZSCORE', KEYS[1], '')
end
local answer = {begun}
for place = 3, #ARGV, 2 do
  local used, member = math.min(tonumber(ARGV[place]), now), ARGV[place + 1]
  local held = tonumber(redis.call('ZSCORE', KEYS[1], member) or nil)
  if not held then answer[#answer + 1] = member end
  if not held or held < used then redis.call('ZADD', KEYS[1], string.format('%.3f', used), member) end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.3f', now - ARGV[1]))
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -ARGV[2] - 2)
redis.call('EXPIRE', KEYS[1], ARGV[1])
return answer
""")
# KEYS: the set. ARGV: members. Returns since when it is there, then the time of each; nothing where there is none.
_LOOK = Script("""
local answer = {redis.call('ZSCORE', KEYS[1], '') or ''}
for place = 1, #ARGV do answer[place + 1] = redis.call('ZSCORE', KEYS[1], ARGV[place]) or '' end
return answer
""")
_BEGUN_ABOVE = 1e12


class UsedObjects:
    """What nodes tell each other of uses (objects.uses.CommonUses).

    Arguments:
        valkey: where it lies.
        now: seconds since the epoch.
    """

    def __init__(self, valkey: Valkey, now: Callable[[], float]) -> None:
        self._valkey = valkey
        self._now = now
        self._key = valkey.key("used")

    async def note(self, used: Mapping[Entry, float]) -> Noted:
        """Tell of some (CommonUses)."""
        unknown, begun = list[Entry](), b""
        # Also where there is nothing to tell: then it is asked since when the set is there.
        for batch in _batches(list(used.items())) or [[]]:
            told = [word for entry, moment in batch for word in (repr(moment - self._valkey.ahead), blob_key(entry))]
            begun, *members = await self._run(_NOTE, _KEPT_SECONDS, _MOST, *told)
            unknown += _entries(members)
        return Noted(unknown, begun)

    async def last_used(self, entries: Sequence[Entry]) -> Mapping[Entry, float]:
        """Return what was told (CommonUses). Raises TierFailed also where too little was told since it was lost."""
        found: dict[Entry, float] = {}
        for batch in _batches(entries) or [[]]:
            begun, *scores = await self._run(_LOOK, *map(blob_key, batch))
            if self._age(begun) < _HEARD_SECONDS:
                raise TierFailed("Valkey has lost what was used, and the nodes tell it anew")
            for entry, score in zip(batch, scores, strict=True):
                if score:
                    found[entry] = float(score) + self._valkey.ahead
        return found

    async def forget(self, entries: Sequence[Entry]) -> None:
        """Forget some (CommonUses)."""
        for batch in _batches(entries):
            try:
                await self._valkey.ask("ZREM", self._key, *map(blob_key, batch))
            except Away as error:
                raise TierFailed(str(error)) from None

    def _age(self, begun: bytes) -> float:
        """Return for how many seconds the set has been there."""
        return self._now() - self._valkey.ahead - (float(begun) - _BEGUN_ABOVE) if begun else 0.0

    async def _run(self, script: Script, *arguments: str | int) -> Any:
        try:
            return await self._valkey.run(script, [self._key], arguments)
        except Away as error:
            raise TierFailed(str(error)) from None


def _batches(values: Sequence[Value]) -> list[Sequence[Value]]:
    return [values[start : start + _BATCH] for start in range(0, len(values), _BATCH)]


def _entries(members: Sequence[bytes]) -> Iterator[Entry]:
    keys = (parse_key(member.decode()) for member in members)
    return (entry_of(key) for key in keys if isinstance(key, BlobKey))
