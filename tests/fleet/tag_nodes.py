"""Nodes that meet at a Valkey in memory, each with a disk of its own, in front of one upstream; time is the test's."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.fleet import tag_histories
from crproxy.fleet.identity import Secret
from crproxy.fleet.sealed_values import SealedValues
from crproxy.fleet.tag_histories import TagHistories
from crproxy.fleet.tag_pins import FleetPins
from crproxy.fleet.valkey import Away, Script, Valkey
from crproxy.oci.digests import Digest
from crproxy.oci.names import Reference, Repository, Tag
from crproxy.oci.routes import ManifestRequest
from crproxy.policy.rules import Decision, Rule
from crproxy.pullthrough import Asked, Reply
from crproxy.store.entries import View
from crproxy.store.tag_history import TagHistory
from crproxy.store.tag_pins import TagPin, TagPins
from tests.memory import ended
from tests.pullthrough.conftest import PATH, REPOSITORY, Client
from tests.stores import make_store, pull_through
from tests.tls import fleet as kept

__all__ = ["AGE", "HOUR", "REPOSITORY", "V1", "Member", "TagFleet"]

SECRET = Secret(b"0123456789abcdef0123456789abcdef")
V1 = Tag("v1")
HOUR = 3600.0
AGE = 72 * HOUR
AGED = Decision(Rule("three days", minimum_age=AGE))


class Server(kept.Server):
    """What Valkey keeps; the test looks at it, and spoils it."""

    def run(self, script: Script, keys: list[str], arguments: Any) -> Any:
        self.asked.append("script")
        if script is tag_histories._BEGUN:
            if self.get(keys[0]) is None:
                self.set(keys[0], arguments[0])
            return self.get(keys[0])
        before, content, milliseconds, name, _ = arguments
        if (self.get(keys[0]) or b"") != before:
            return 0
        self.set(keys[0], content, milliseconds)
        for changes in keys[1:]:
            self.change(changes, name)
        return 1


class Connected(kept.Connected):
    """A node's client of it. ``silent``: it does not answer, until it is taken for away."""

    server: Server
    silent = False

    async def ask(self, *words: Any) -> Any:
        await self._heard()
        return await super().ask(*words)

    async def run(self, script: Script, keys: Any, arguments: Any = ()) -> Any:
        await self._heard()
        if not self.is_up:
            raise Away("away")
        return self.server.run(script, keys, arguments)

    async def _heard(self) -> None:
        if self.silent and self.is_up:
            later: Deferred[None] = Deferred()
            self.server.clock.callLater(1, later.callback, None)
            await later
            self.is_up = False


class Member:
    """A node of one worker."""

    def __init__(self, fleet: TagFleet, directory: Path, ahead: float, secret: Secret, *, is_up: bool) -> None:
        directory.mkdir(exist_ok=True)
        self.clock = fleet.clock
        self.ahead = ahead
        self.connected = Connected(fleet.server)
        self.connected.ahead = ahead
        self.connected.is_up = is_up
        self.store = make_store(directory, cast(Any, _Ahead(fleet.clock, ahead)))
        self.history = TagHistory(self.store.index, self.now)
        self.pins = TagPins(self.store.index, self.now)
        valkey: Valkey = self.connected.valkey
        self.histories = TagHistories(
            valkey, secret, self.history, fleet.clock, self.now, is_wanted=lambda: fleet.is_wanted, leads=True
        )
        self.common_pins = FleetPins(valkey, secret, self.pins, fleet.clock, self.now, leads=True)
        clock = cast(Any, _Ahead(fleet.clock, ahead))
        self.answers = pull_through(fleet.upstream, self.store, clock, history=self.history, others=self.histories)
        self.histories.start()
        self.common_pins.start()

    def now(self) -> float:
        return self.clock.seconds() + self.ahead

    def ask(self, reference: Reference = V1, decision: Decision = AGED, caller: str | None = None) -> Deferred[Reply]:
        asked = Asked("GET", PATH, caller=caller, decision=decision)
        return Deferred.fromCoroutine(self.answers.answer(REPOSITORY, ManifestRequest("x", reference), asked))

    def answered(self, reference: Reference = V1, decision: Decision = AGED, caller: str | None = None) -> Digest:
        """By which digest it answers."""
        reply = ended(self.ask(reference, decision, caller))
        return Digest.parse(reply.headers["Docker-Content-Digest"])

    def changes(self, tag: Tag = V1) -> list[Digest | None]:
        return [change.digest for change in self.history.changes(View(REPOSITORY), tag)]

    def pin(self, digest: Digest, tag: Tag = V1, repository: Repository = REPOSITORY) -> None:
        ended(self.pins.pin(TagPin(repository, tag, digest, self.now())))

    def pinned(self, tag: Tag = V1) -> Digest | None:
        pin = self.pins.of(REPOSITORY, tag)
        return None if pin is None else pin.digest

    def stop(self) -> None:
        stopping = [Deferred.fromCoroutine(each.stop()) for each in (self.histories, self.common_pins)]
        # What waits for an answer of Valkey's is waited for.
        self.clock.pump([0, 1, 1])
        for each in stopping:
            ended(each)


class _Ahead:
    """A clock that is ahead."""

    def __init__(self, clock: Clock, ahead: float) -> None:
        self._clock = clock
        self._by = ahead
        self.callLater = clock.callLater

    def seconds(self) -> float:
        return self._clock.seconds() + self._by


class TagFleet:
    """All of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = Clock()
        self.clock.advance(1_800_000_000.0)
        self.server = Server(self.clock)
        self.upstream = Client(self.clock)
        self.nodes: list[Member] = []
        # A rule asks how old something is.
        self.is_wanted = True

    def start(self, name: str, *, ahead: float = 0.0, secret: Secret = SECRET, is_up: bool = True) -> Member:
        """Start a node; with an empty disk, if none of this name was there before."""
        node = Member(self, self.directory / name, ahead, secret, is_up=is_up)
        self.nodes.append(node)
        self.clock.advance(0)
        return node

    def stop(self, node: Member) -> None:
        self.nodes.remove(node)
        node.stop()

    def close(self) -> None:
        for node in list(self.nodes):
            self.stop(node)
        assert not self.clock.getDelayedCalls()

    def move(self, content: bytes, tag: Tag = V1) -> Digest:
        """Have the tag point there at the upstream."""
        return self.upstream.tagged(tag, content)

    def advance(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass, so that all hear of all."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)

    def values(self, kind: str) -> SealedValues:
        """What lies in Valkey, as a node sees it."""
        return SealedValues(Connected(self.server).valkey, SECRET, kind)
