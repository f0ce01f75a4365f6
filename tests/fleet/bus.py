"""A Valkey in memory, for what is told: published by its own clock, and kept; and nodes that meet there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.task import Clock

from crproxy.fleet import hearing, telling
from crproxy.fleet.sharing import FleetSharing
from crproxy.fleet.valkey import Away, Script, Valkey
from crproxy.fleet.watching import Watching
from crproxy.sharing import Alone, Sharing

__all__ = ["Bus", "Connected", "Worker"]

EPOCH = 1_800_000_000.0


class Bus:
    """Where nodes meet."""

    def __init__(self, latency: float = 0.001) -> None:
        self.clock = Clock()
        self.latency = latency
        self.published: list[bytes] = []
        self.kept: dict[str, tuple[str, float]] = {}
        self.connections: list[Connected] = []

    def worker(self, inside: Sharing | None = None, *, clock_is_ahead: float = 0.0) -> Worker:
        return Worker(self, inside or Alone(), clock_is_ahead)

    def publish(self, content: str) -> None:
        self.published.append(content.encode())
        for connection in self.connections:
            if connection.is_up and connection.heard is not None:
                self.clock.callLater(self.latency, connection.heard, content.encode())

    def advance(self, seconds: float, step: float = 0.01) -> None:
        self.clock.pump([step] * round(seconds / step))


class Connected:
    """A worker's client of it."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.is_up = False
        self.fails = False
        # It keeps nothing, and does all else.
        self.keeps = True
        self.ahead = 0.0
        self.heard: Callable[[bytes], None] | None = None
        self._listens: Callable[[], None] = lambda: None
        self._on_up: list[Callable[[], None]] = []
        bus.connections.append(self)

    def key(self, *parts: str) -> str:
        return ":".join(parts)

    def on_up(self, call: Callable[[], None]) -> None:
        self._on_up.append(call)

    def subscribe(self, channel: str, heard: Callable[[bytes], None], listens: Callable[[], None]) -> None:
        self.heard, self._listens = heard, listens

    def come(self, *, hears_first: bool = False) -> None:
        """Be there again: for commands and for what is told, in either order."""
        if hears_first:
            self._listens()
        self.is_up = True
        for call in self._on_up:
            call()
        if not hears_first:
            self._listens()

    async def ask(self, command: str, *words: Any) -> Any:
        if not self.is_up or self.fails:
            raise Away("away")
        assert command == "PUBLISH"
        self.bus.publish(words[1])

    async def run(self, script: Script, keys: list[str], arguments: Any = ()) -> Any:
        if not self.is_up or self.fails:
            raise Away("away")
        now = self.bus.clock.seconds()
        if script is hearing._READ:
            found = [(name, value) for name, (value, ends) in self.bus.kept.items() if ends > now]
            return [part.encode() for pair in found for part in pair]
        assert script is telling._KEEP
        if not self.keeps:
            raise Away("it refuses")
        _, content, _, *records = arguments
        for name, value, milliseconds in zip(records[::3], records[1::3], records[2::3], strict=True):
            self.bus.kept.pop(name, None)
            if value:
                self.bus.kept[name] = value, now + milliseconds / 1000
        self.bus.publish(content)
        return 0


class Worker:
    """A worker of some node."""

    def __init__(self, bus: Bus, inside: Sharing, clock_is_ahead: float) -> None:
        self.connected = Connected(bus)
        self.connected.ahead = clock_is_ahead
        self.inside = inside
        clock = bus.clock
        valkey = cast("Valkey", self.connected)
        self.now: Callable[[], float] = lambda: EPOCH + clock_is_ahead + clock.seconds()
        self.sharing = FleetSharing(inside, valkey, Watching(valkey, clock), clock, self.now)
        self.sharing.start()
        self.connected.come()
