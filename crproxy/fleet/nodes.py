"""Which nodes there are: each says so every second, and who has not for five seconds is there no more."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ..oci.documents import parse_json
from ..policy.urls import origin_of
from .valkey import Away, Script, Valkey

__all__ = ["BEAT_SECONDS", "LIFE_SECONDS", "Node", "Nodes"]

BEAT_SECONDS = 1.0
LIFE_SECONDS = 5.0
_LONGEST_NAME = 100
_MOST_NUMBERS = 100

# KEYS: the node, all names by when they were last heard of. ARGV: name, value, milliseconds.
# Returns what was there before.
_BEAT = Script("""
local before = redis.call('GET', KEYS[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - ARGV[3]))
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return before or ''
""")
# KEYS: as above. ARGV: name, value.
_LEAVE = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[2] then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('DEL', KEYS[1])
""")


@dataclass(frozen=True, slots=True)
class Node:
    """A node, as it says of itself.

    Arguments:
        name: what it is called.
        url: where other nodes reach it.
        version: of crproxy.
        since: when it was started, in seconds since the epoch.
        workers: its processes.
        run: is another each time that it is started.
        numbers: what it holds.
    """

    name: str
    url: str
    version: str
    since: float
    workers: int
    run: str
    numbers: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return it as it lies in Valkey."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, value: bytes) -> Node:
        """Return what ``value`` says. Raises ValueError where that is none, such as another version's."""
        said = parse_json(value)
        if not isinstance(said, dict):
            raise ValueError("it is no object")
        name, url, version, run = (_text(said, key) for key in ("name", "url", "version", "run"))
        origin = origin_of(url)
        if origin is None or origin.scheme != "https":
            raise ValueError("it is reached nowhere")
        numbers = said.get("numbers")
        if not isinstance(numbers, dict) or len(numbers) > _MOST_NUMBERS:
            raise ValueError("its numbers are none")
        held = {str(key)[:_LONGEST_NAME]: _number(value) for key, value in numbers.items()}
        return cls(name, str(origin), version, _number(said.get("since")), int(_number(said.get("workers"))), run, held)


class Nodes:
    """The nodes of a fleet.

    Arguments:
        valkey: where they say so.
        own: this one.
        numbers: returns what it holds now.
        clock: the time.
        beats: whether it is for this worker to say that the node is there.
    """

    _log = Logger()

    def __init__(
        self,
        valkey: Valkey,
        own: Node,
        numbers: Callable[[], Mapping[str, float]],
        clock: IReactorTime,
        *,
        beats: bool = True,
    ) -> None:
        self._valkey = valkey
        self._own = own
        self._numbers = numbers
        self._clock = clock
        self._beats = beats
        self._timer: IDelayedCall | None = None
        self._last = ""
        # Our last beat was the first of ours, or went nowhere: then what lies there may be of who was here before us.
        self._is_first = True
        self._has_told = False

    async def nodes(self) -> list[Node]:
        """Return who is there, by name; this node alone where Valkey is away."""
        try:
            names = [name.decode() for name in await self._valkey.ask("ZRANGE", self._valkey.key("nodes"), 0, -1)]
            if not names:
                return []
            values = await self._valkey.ask("MGET", *(self._valkey.key("node", name) for name in names))
        except Away:
            return [self._now()]
        found = [node for value in values if value is not None and (node := _parsed(value)) is not None]
        return sorted(found, key=lambda node: node.name)

    def start(self) -> None:
        """Say each second that this node is there."""
        if self._beats:
            self._valkey.on_up(self._begin)
            self._schedule()

    async def stop(self) -> None:
        """Say that it is not there any more."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        self._beats = False
        if self._last:
            try:
                await self._valkey.run(_LEAVE, self._keys(), [self._own.name, self._last])
            except Away:
                return

    def _now(self) -> Node:
        return replace(self._own, numbers=dict(self._numbers()))

    def _keys(self) -> list[str]:
        return [self._valkey.key("node", self._own.name), self._valkey.key("nodes")]

    def _schedule(self) -> None:
        if self._beats and self._timer is None:
            self._timer = self._clock.callLater(BEAT_SECONDS, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._begin()

    def _begin(self) -> None:
        if not self._beats:
            return
        beating = Deferred.fromCoroutine(self._beat())
        beating.addErrback(lambda failure: self._log.failure("a node could not say that it is there", failure))
        beating.addBoth(lambda _: self._schedule())

    async def _beat(self) -> None:
        value = self._now().to_json()
        milliseconds = int(LIFE_SECONDS * 1000)
        try:
            before = await self._valkey.run(_BEAT, self._keys(), [self._own.name, value, milliseconds])
        except Away:
            self._is_first = True
            return
        self._last = value
        was_first, self._is_first = self._is_first, False
        other = _parsed(before)
        if other is None or other.run == self._own.run:
            self._has_told = self._has_told and was_first
        elif not was_first and not self._has_told:
            self._has_told = True
            self._log.error(
                "another node is called {name}, too, at {url}: each needs a name of its own ([fleet] name)",
                name=other.name,
                url=other.url,
            )


def _parsed(value: bytes) -> Node | None:
    """Return the node; None where it is none that can be read."""
    try:
        return Node.parse(value)
    except ValueError:
        return None


def _text(said: dict[str, object], key: str) -> str:
    value = said.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME or not value.isprintable():
        raise ValueError(f"it has no {key}")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError("it has something that is no number")
    return value
