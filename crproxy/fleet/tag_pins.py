"""The pins of all nodes: sealed, in Valkey, and in each node's index, from which they come back where they are lost.

Of what nodes have said of one tag the latest counts. A node puts down at once what its operator says; what others have
put down it takes up within a second or so.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Collection, Iterable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..oci.names import Repository, Tag
from ..store.tag_pins import PinChange, TagPins
from .common_time import CommonTime
from .identity import Secret
from .sealed_values import SealedValues, Value
from .tag_codecs import pins_from, pins_to
from .valkey import Away, Valkey

__all__ = ["FleetPins"]

# Values over which pins are spread by their names, so that each of them is small.
_PARTS = tuple("0123456789abcdef")
# Bytes of one of them at the most: some thousand pins.
_LARGEST = 200 * 1024
# Seconds for which they are kept where no node is that would put them there again.
_KEPT_SECONDS = 90 * 86400.0
# Between two looks what was changed, and between two at all of it.
_LOOK_SECONDS = 1.0
_ALL_SECONDS = 60.0
# Each time that nodes put something at once one of them gets through.
_TRIES = 20


class FleetPins:
    """Has the same pins here and there.

    Arguments:
        valkey: where they lie.
        secret: what all nodes know.
        pins: of this node.
        leads: whether it is for this worker to hear what other nodes say.
        clock: the time.
        now: seconds since the epoch.
    """

    _log = Logger()

    def __init__(
        self,
        valkey: Valkey,
        secret: Secret,
        pins: TagPins,
        clock: IReactorTime,
        now: Callable[[], float],
        *,
        leads: bool,
    ) -> None:
        self._valkey = valkey
        self._values = SealedValues(valkey, secret, "pins")
        self._time = CommonTime(valkey)
        self._pins = pins
        self._clock = clock
        self._now = now
        self._leads = leads
        # What is to be looked at, and when all was looked at last.
        self._due: dict[str, None] = {}
        self._last_all: float | None = None
        self._meeting: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None
        self._is_running = False

    def start(self) -> None:
        """Tell and hear from now on."""
        self._is_running = True
        self._pins.observers.append(self._changed_here)
        self._valkey.on_up(self._back)
        self._tick()

    async def stop(self) -> None:
        """Do neither any more; what is under way is waited for."""
        self._is_running = False
        self._pins.observers.remove(self._changed_here)
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        if self._meeting is not None:
            ended: Deferred[None] = Deferred()
            self._meeting.addBoth(lambda _: ended.callback(None))
            await ended

    def _changed_here(self, repository: Repository, tag: Tag) -> None:
        self._due[_part_of(repository, tag)] = None
        self._begin()

    def _back(self) -> None:
        """Valkey is there again, and may have forgotten all."""
        self._values.forget()
        self._last_all = None
        self._begin()

    def _tick(self) -> None:
        self._timer = self._clock.callLater(_LOOK_SECONDS, self._tick)
        self._begin()

    def _begin(self) -> None:
        if self._meeting is None and self._is_running and self._valkey.is_up and (self._leads or self._due):
            meeting = self._meeting = Deferred.fromCoroutine(self._meet_due())
            meeting.addErrback(self._fails)
            meeting.addBoth(lambda _: self._end())

    def _fails(self, failure: Failure) -> None:
        self._log.failure("pins of tags cannot be agreed on with other nodes", failure)

    def _end(self) -> None:
        self._meeting = None

    async def _meet_due(self) -> None:
        try:
            if self._leads:
                await self._look()
            # Also what was changed meanwhile.
            while self._due and self._is_running:
                due, self._due = self._due, {}
                try:
                    await self._meet(due)
                except (Away, OSError, sqlite3.Error):
                    # At the next look.
                    self._due = due | self._due
                    raise
        except Away:
            return
        except (OSError, sqlite3.Error) as error:
            self._log.debug("pins of other nodes cannot be written: {error}", error=error)

    async def _look(self) -> None:
        """Note what other nodes have changed; all of it now and then."""
        now = self._clock.seconds()
        changed = await self._values.changed()
        if self._last_all is None or now >= self._last_all + _ALL_SECONDS:
            self._last_all = now
            await self._pins.forget_old()
            changed = list(_PARTS)
        self._due |= dict.fromkeys(part for part in changed if part in _PARTS)

    async def _meet(self, parts: Collection[str]) -> None:
        for _ in range(_TRIES):
            if not parts:
                return
            values = await self._values.read(sorted(parts))
            theirs = {part: self._read(value) for part, value in values.items()}
            await self._hear([change for some in theirs.values() for change in some])
            ours = self._pins.changes()
            again = []
            for part, value in values.items():
                content = pins_to(_fitting([each for each in ours if _part(each) == part], self._time), self._time)
                is_there = value.content == content or (value.sealed is None and content == pins_to([], self._time))
                if not is_there and not await self._values.replace(part, value, content, _KEPT_SECONDS):
                    again.append(part)
            parts = again

    async def _hear(self, changes: Iterable[PinChange]) -> None:
        known = {(each.repository, each.tag): each for each in self._pins.changes()}
        later = [each for each in changes if each.counts_over(known.get((each.repository, each.tag)))]
        if later:
            await self._pins.hear(later)

    def _read(self, value: Value) -> list[PinChange]:
        if value.content is None:
            return []
        try:
            return pins_from(value.content, self._time, self._now())
        except ValueError as error:
            self._log.debug("pins in Valkey cannot be read: {error}", error=error)
            return []


def _fitting(changes: list[PinChange], time: CommonTime) -> list[PinChange]:
    """Return those that are told, by their names: the latest, where they are too many."""
    while len(pins_to(changes, time)) > _LARGEST:
        changes = sorted(changes, key=lambda change: change.at)[len(changes) // 10 + 1 :]
    return sorted(changes, key=lambda change: (change.repository, change.tag))


def _part(change: PinChange) -> str:
    return _part_of(change.repository, change.tag)


def _part_of(repository: Repository, tag: Tag) -> str:
    return hashlib.sha256(repository.named(tag).encode()).hexdigest()[0]
