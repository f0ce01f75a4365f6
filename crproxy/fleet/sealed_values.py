"""What all nodes have in common and nobody else may read: small values by name, sealed with the fleet's secret.

Valkey sees names and sizes. A value is replaced only by who has seen what it replaces, so nodes decide which counts.
Knows nothing of what is in them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from .identity import NotSealed, Secret
from .valkey import Script, Valkey

__all__ = ["SealedValues", "Value"]

# Of names in one question: a certificate with its chain and key has some thousand bytes.
_AT_ONCE = 100
# And of those that were changed.
_MOST_CHANGES = 10_000
# Bytes that a value may have.
_LONGEST = 256 * 1024
# Seconds for which it is known what was changed when: nodes look each second.
_CHANGES_SECONDS = 3600

# KEYS: the value, what was changed when (none: that is not noted). ARGV: the value that is replaced (nothing: none),
# the new one, milliseconds, its name, seconds. A score is the time in microseconds, or one more than the last: it grows
# where a clock is set back.
_REPLACE = Script("""
if (redis.call('MGET', KEYS[1])[1] or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if not KEYS[2] then return 1 end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
redis.call('ZADD', KEYS[2], string.format('%.0f', math.max(now, (tonumber(last[2]) or 0) + 1)), ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - ARGV[5] * 1000000))
redis.call('EXPIRE', KEYS[2], 2 * ARGV[5])
return 1
""")


@dataclass(frozen=True, slots=True)
class Value:
    """What was found by a name.

    Arguments:
        sealed: as it lies in Valkey; None where nothing does.
        content: what was sealed; None where nothing was, or not with our secret and for this name.
    """

    sealed: bytes | None = None
    content: bytes | None = None

    @property
    def is_strange(self) -> bool:
        """Whether something lies there that no node with our secret has put there."""
        return self.sealed is not None and self.content is None


class SealedValues:
    """The values of one kind.

    Arguments:
        valkey: where they lie.
        secret: what all nodes know.
        kind: begins their keys, and is part of what they are sealed for.
        notes_changes: it can be asked what was `changed`.

    Every coroutine raises Away.
    """

    def __init__(self, valkey: Valkey, secret: Secret, kind: str, *, notes_changes: bool = True) -> None:
        self._notes_changes = notes_changes
        self._valkey = valkey
        self._secret = secret
        self._kind = kind
        self._changes = valkey.key(kind)
        self._seen = 0.0

    @property
    def ahead(self) -> float:
        """Seconds that our clock is ahead of that of all nodes."""
        return self._valkey.ahead

    async def changed(self) -> list[str]:
        """Return the names of what was changed since this was asked last, of the last hour at the most."""
        after = f"({self._seen:.0f}"
        answer = await self._valkey.ask(
            "ZRANGEBYSCORE", self._changes, after, "+inf", "WITHSCORES", "LIMIT", 0, _MOST_CHANGES
        )
        for score in answer[1::2]:
            self._seen = max(self._seen, float(score))
        return [name.decode("utf-8", "replace") for name in answer[::2]]

    def forget(self) -> None:
        """Have `changed` begin anew: this is another Valkey, or one with another clock."""
        self._seen = 0.0

    async def read(self, names: Collection[str]) -> dict[str, Value]:
        """Return what lies there by each name."""
        wanted, found = list(names), {}
        for begin in range(0, len(wanted), _AT_ONCE):
            some = wanted[begin : begin + _AT_ONCE]
            answer = await self._valkey.ask("MGET", *map(self._key, some))
            for name, sealed in zip(some, answer, strict=True):
                found[name] = Value() if sealed is None else Value(sealed, self._open(name, sealed))
        return found

    async def replace(self, name: str, before: Value, content: bytes, seconds: float) -> bool:
        """Put ``content`` in place of ``before``; False where that is not there any more, and nothing was put.

        Arguments:
            seconds: for which it lies there.
        """
        sealed = self._secret.seal(self._purpose(name), content)
        keys = [self._key(name), self._changes] if self._notes_changes else [self._key(name)]
        lasts = max(1, int(seconds * 1000))
        return bool(
            await self._valkey.run(_REPLACE, keys, [before.sealed or b"", sealed, lasts, name, _CHANGES_SECONDS])
        )

    async def touch(self, name: str, seconds: float) -> None:
        """Have what lies there last for ``seconds`` from now on."""
        await self._valkey.ask("PEXPIRE", self._key(name), max(1, int(seconds * 1000)))

    def _open(self, name: str, sealed: bytes) -> bytes | None:
        if len(sealed) > _LONGEST:
            return None
        try:
            return self._secret.open(self._purpose(name), sealed)
        except NotSealed:
            return None

    def _key(self, name: str) -> str:
        return f"{self._changes}:{name}"

    def _purpose(self, name: str) -> str:
        # What was sealed for one name is of no use for another.
        return f"{self._kind} {name}"
