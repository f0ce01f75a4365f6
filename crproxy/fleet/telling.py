"""What this worker has to tell other nodes, gathered and told together: a message each tenth of a second at the most.

Amounts and numbers go by PUBLISH, to whoever listens. Records are kept in Valkey as well, for nodes that start later
or were away. While Valkey is away records wait; amounts do not: each node has worked alone, and has used what is its
own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ..sharing.bounding import drop_oldest
from .codecs import KINDS
from .messages import MOST, Message, Sender
from .valkey import Away, Script, Valkey

__all__ = ["CHANNEL", "GONE", "KEPT_KEYS", "Telling"]

CHANNEL = "told"
# The records that are kept, by their names, and when each ends.
KEPT_KEYS = ("records", "records:ends")
# In place of a record that there is no more.
GONE = object()

_TELL_SECONDS = 0.1
# Records may be waited for: a CA asks at once.
_SOON_SECONDS = 0.01
# Who says nothing for longer is taken for dead.
_ALIVE_SECONDS = 1.0
# Between two times that all numbers are told, though several ask.
_ALL_SECONDS = 1.0
# Bytes of a record: the message of a 429 is the longest of what is in one.
_LONGEST_RECORD = 16 * 1024

# KEYS: KEPT_KEYS. ARGV: the channel, the message, how many are kept at the most; and for each record its name, its
# value (nothing: there is none any more) and for how many milliseconds.
_KEEP = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function forget(name)
  redis.call('HDEL', KEYS[1], name)
  redis.call('ZREM', KEYS[2], name)
end
for i = 4, #ARGV, 3 do
  if ARGV[i + 1] == '' then
    forget(ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[i + 2]), ARGV[i])
  end
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now), 'LIMIT', 0, 1000)) do
  forget(name)
end
local many = redis.call('ZCARD', KEYS[2]) - ARGV[3]
if many > 0 then
  for _, name in ipairs(redis.call('ZRANGE', KEYS[2], 0, math.min(many, 1000) - 1)) do forget(name) end
end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, 86400) end
return redis.call('PUBLISH', ARGV[1], ARGV[2])
""")
_MOST_KEPT = 10_000


class Telling:
    """What is to be told.

    Arguments:
        valkey: tells it.
        sender: this worker.
        clock: the time.
        now: seconds since the epoch.
    """

    _log = Logger()

    def __init__(self, valkey: Valkey, sender: Sender, clock: IReactorTime, now: Callable[[], float]) -> None:
        self._valkey = valkey
        self._sender = sender
        self._clock = clock
        self._now = now
        self._levels: dict[tuple[str, str], tuple[float, float]] = {}
        # What this worker has counted; and of that, what has changed since it was told.
        self._counts: dict[tuple[str, str], int] = {}
        self._changed: dict[tuple[str, str], None] = {}
        self._records: dict[tuple[str, str], tuple[Any, Any]] = {}
        self._tells_all = True
        self._asks = False
        self._last_all = -math.inf
        self._timer: IDelayedCall | None = None
        self._is_stopped = False

    # What there is to tell

    def filled(self, kind: str, name: str, amount: float, rate: float) -> None:
        """So much was put into a level that drains at ``rate``."""
        if self._valkey.is_up:
            before, _ = self._levels.get((kind, name), (0.0, 0.0))
            self._levels[kind, name] = before + amount, rate
            drop_oldest(self._levels)
            self._schedule(_TELL_SECONDS)

    def counted(self, kind: str, name: str, number: int) -> None:
        """This worker has so many more, or less."""
        left = self._counts.get((kind, name), 0) + number
        if left > 0:
            self._counts[kind, name] = left
        else:
            self._counts.pop((kind, name), None)
        self._changed[kind, name] = None
        self._schedule(_TELL_SECONDS)

    def noted(self, kind: str, key: Any, value: Any) -> None:
        """A record is another one; ``value`` is GONE where there is none any more."""
        name = kind, KINDS[kind].field(key)
        self._records.pop(name, None)
        self._records[name] = key, value
        drop_oldest(self._records)
        self._schedule(_SOON_SECONDS)

    def ask(self) -> None:
        """Ask all others for all of theirs."""
        self._asks = True
        self._schedule(_SOON_SECONDS)

    def tell_all(self) -> None:
        """Tell all numbers: somebody does not know them."""
        self._tells_all = True
        self._schedule(max(_SOON_SECONDS, self._last_all + _ALL_SECONDS - self._clock.seconds()))

    # Telling

    def start(self) -> None:
        """Tell from now on, at least that this worker is there."""
        self._valkey.on_up(self._back)
        self._schedule(_ALIVE_SECONDS)

    async def stop(self) -> None:
        """Tell once more: that nothing is counted here any more."""
        self._is_stopped = True
        self._cancel()
        self._counts.clear()
        self._tells_all = True
        await self._tell()

    def _back(self) -> None:
        # What others were told before they may have missed.
        self._tells_all = True
        self._schedule(_SOON_SECONDS)

    def _schedule(self, seconds: float) -> None:
        if self._is_stopped:
            return
        at = self._clock.seconds() + seconds
        if self._timer is not None:
            if self._timer.getTime() <= at:
                return
            self._timer.cancel()
        self._timer = self._clock.callLater(seconds, self._tick)

    def _cancel(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _tick(self) -> None:
        self._timer = None
        telling = Deferred.fromCoroutine(self._tell())
        telling.addErrback(lambda failure: self._log.failure("other nodes could not be told of something", failure))
        self._schedule(_ALIVE_SECONDS)

    async def _tell(self) -> None:
        if not self._valkey.is_up:
            self._levels.clear()
            return
        records, kept = self._take_records()
        message = Message(
            self._sender,
            self._take_levels(),
            self._take_counts(),
            [(kind, json.loads(name), value) for (kind, name), value in kept.items()],
            is_all=self._tells_all,
            asks=self._asks,
        )
        self._tells_all = self._asks = False
        if self._levels or self._records or self._changed:
            self._schedule(_SOON_SECONDS)
        try:
            await self._publish(message, records, kept)
        except Away:
            # Who listens has another number than this now.
            self._tells_all = True
            self._asks = self._asks or message.asks
            self._records = records | self._records

    async def _publish(
        self, message: Message, records: dict[tuple[str, str], tuple[Any, Any]], kept: dict[tuple[str, str], Any]
    ) -> None:
        channel, content = self._valkey.key(CHANNEL), message.to_json()
        if not records:
            await self._valkey.ask("PUBLISH", channel, content)
            return
        arguments: list[str | int] = [channel, content, _MOST_KEPT]
        for name, (_, value) in records.items():
            if name in kept:
                lasts = 0.0 if value is GONE else KINDS[name[0]].lasts(value, self._now())
                said = "" if lasts <= 0 else json.dumps([self._sender.run, kept[name]], separators=(",", ":"))
                arguments += ["\0".join(name), said, max(1, int(lasts * 1000))]
        try:
            await self._valkey.run(_KEEP, [self._valkey.key(key) for key in KEPT_KEYS], arguments)
        except Away:
            # It may refuse to keep them, and nothing else.
            await self._valkey.ask("PUBLISH", channel, content)

    def _take_levels(self) -> list[tuple[str, str, float, float]]:
        names = list(self._levels)[:MOST]
        return [(*name, *self._levels.pop(name)) for name in names]

    def _take_counts(self) -> list[tuple[str, str, int]]:
        """Return the numbers that are told now: those that have changed, or the first of all."""
        if self._tells_all:
            self._last_all = self._clock.seconds()
            self._changed = dict.fromkeys(self._counts)
        names = list(self._changed)[:MOST]
        for name in names:
            del self._changed[name]
        return [(*name, self._counts.get(name, 0)) for name in names]

    def _take_records(self) -> tuple[dict[tuple[str, str], tuple[Any, Any]], dict[tuple[str, str], Any]]:
        """Return the records that are told now, and what is told of each: None where there is none any more."""
        names = list(self._records)[:MOST]
        records = {name: self._records.pop(name) for name in names}
        ahead = self._valkey.ahead
        told = {
            name: None if value is GONE else KINDS[name[0]].value_to(value, ahead)
            for name, (_, value) in records.items()
        }
        return records, {name: value for name, value in told.items() if len(json.dumps(value)) <= _LONGEST_RECORD}
