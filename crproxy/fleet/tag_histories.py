"""Where tags have pointed, and when digests were seen first, as any node of the fleet has seen it: sealed, in Valkey.

A node that is asked for a tag looks there once for each digest that it points to, before it judges how old that is.
What it sees itself it tells in the background, and hears what the others have told with it. Where Valkey is away each
goes by what it knows, and tells it afterwards. Where no rule asks how old anything is, nothing of it is told.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ..oci.digests import Digest
from ..oci.names import Repository, Tag
from ..sharing.bounding import drop_oldest
from ..store.entries import View
from ..store.keys import tag_key
from ..store.tag_history import TagHistory
from ..upstream.single_flight import SingleFlight
from .common_time import CommonTime
from .identity import Secret
from .sealed_values import SealedValues, Value
from .tag_codecs import history_from, history_to, sighting_from, sighting_to
from .valkey import Away, Script, Valkey

__all__ = ["TagHistories"]

# Seconds for which what nobody tells again is kept.
_KEPT_SECONDS = 90 * 86400.0
# Between two times that it is told of a tag that it still points where it did.
_CONFIRM_SECONDS = 60.0
# Things that are told in one step: the reactor has others to serve.
_AT_ONCE = 20
# Each time that nodes put something at once one of them gets through.
_TRIES = 20
# Between two looks whether Valkey has lost all.
_LOOK_SECONDS = 60.0
# Tags, and digests, that a node tells of again then: those that it has seen last.
_MOST_AGAIN = 5000

# KEYS: says since when what is told is there. ARGV: a name for that, if it is new; seconds.
_BEGUN = Script("""
local begun = redis.call('GET', KEYS[1])
if not begun then
  begun = ARGV[1]
  redis.call('SET', KEYS[1], begun)
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return begun
""")


@dataclass(frozen=True, slots=True)
class _OfTag:
    """The history of a tag."""

    view: View
    tag: Tag

    @property
    def name(self) -> str:
        return _name_of(tag_key(self.view, self.tag.name))


@dataclass(frozen=True, slots=True)
class _OfDigest:
    """When a digest was seen first."""

    repository: Repository
    digest: Digest

    @property
    def name(self) -> str:
        return _name_of((self.repository.registry.name, self.repository.path, str(self.digest)))


class TagHistories:
    """What all nodes have seen, and this one keeps (tag_history.Follower, ages.OtherNodes).

    Arguments:
        valkey: where it lies.
        secret: what all nodes know.
        history: what this node has seen, and what it has heard.
        clock: the time.
        now: seconds since the epoch.
        is_wanted: returns whether any rule asks how old something is.
        leads: whether it is for this worker to tell again what Valkey has lost.
    """

    _log = Logger()

    def __init__(
        self,
        valkey: Valkey,
        secret: Secret,
        history: TagHistory,
        clock: IReactorTime,
        now: Callable[[], float],
        *,
        is_wanted: Callable[[], bool],
        leads: bool,
    ) -> None:
        self._is_wanted = is_wanted
        self._valkey = valkey
        self._histories = SealedValues(valkey, secret, "history", notes_changes=False)
        self._sightings = SealedValues(valkey, secret, "sighting", notes_changes=False)
        self._time = CommonTime(valkey)
        self._history = history
        self._clock = clock
        self._now = now
        self._leads = leads
        # Since when what is told is there, as it was when all was told last.
        self._begun: bytes | None = None
        # What is to be told: what was just seen, and when that is done what Valkey may have lost.
        self._waiting: dict[_OfTag | _OfDigest, None] = {}
        self._again: dict[_OfTag | _OfDigest, None] = {}
        self._telling: Deferred[None] | None = None
        # When a tag was told of.
        self._told: dict[_OfTag, float] = {}
        # What was looked up: a tag while it points to a digest, and digests.
        self._heard: dict[tuple[_OfTag, Digest] | _OfDigest, None] = {}
        self._hearing: SingleFlight[tuple[_OfTag, Digest] | _OfDigest, None] = SingleFlight()
        self._timer: IDelayedCall | None = None
        self._is_running = False

    def start(self) -> None:
        """Tell from now on."""
        self._is_running = True
        self._history.followers.append(self)
        self._valkey.on_up(self._look)
        self._look()

    async def stop(self) -> None:
        """Tell nothing more; what is being told is waited for."""
        self._is_running = False
        self._history.followers.remove(self)
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        if self._telling is not None:
            await _ended(self._telling)

    # What this node sees

    def pointed(self, view: View, tag: Tag, *, moved: bool) -> None:
        """Tell where a tag points (Follower)."""
        if not self._is_wanted():
            return
        what = _OfTag(_common(view), tag)
        if moved or self._now() >= self._told.get(what, 0.0) + _CONFIRM_SECONDS:
            self._told.pop(what, None)
            self._told[what] = self._now()
            drop_oldest(self._told)
            self._tell_of(what)

    def sighted(self, repository: Repository, digest: Digest) -> None:
        """Tell that a digest was seen (Follower)."""
        if self._is_wanted():
            self._tell_of(_OfDigest(repository, digest))

    # What others have seen

    async def hear(self, view: View, tag: Tag, digest: Digest) -> None:
        """Have here what others have seen of a tag, which points to ``digest`` (OtherNodes)."""
        what = _OfTag(_common(view), tag)
        await self._hear_once((what, digest), lambda: self._hear_tag(what, digest))

    async def hear_of(self, repository: Repository, digest: Digest) -> None:
        """Have here when others saw a digest first (OtherNodes)."""
        what = _OfDigest(repository, digest)
        await self._hear_once(what, lambda: self._hear_digests([what]))

    async def _hear_once(
        self, what: tuple[_OfTag, Digest] | _OfDigest, hear: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        if what in self._heard or not self._valkey.is_up:
            return
        try:
            await self._hearing.run(what, hear)
        except Away:
            return
        self._heard[what] = None
        drop_oldest(self._heard)

    async def _hear_tag(self, what: _OfTag, digest: Digest) -> None:
        self._take_history(what, (await self._histories.read([what.name]))[what.name])
        changes = self._history.changes(what.view, what.tag)
        digests = {digest, *(each.digest for each in changes if each.digest is not None)}
        await self._hear_digests([_OfDigest(what.view.repository, each) for each in digests])

    async def _hear_digests(self, digests: Iterable[_OfDigest]) -> None:
        unheard = [each for each in digests if each not in self._heard]
        if not unheard:
            return
        values = await self._sightings.read([each.name for each in unheard])
        for each in unheard:
            self._take_sighting(each, values[each.name])
            self._heard[each] = None
        drop_oldest(self._heard)

    # Telling

    def _tell_of(self, what: _OfTag | _OfDigest) -> None:
        self._waiting[what] = None
        drop_oldest(self._waiting)
        self._tell()

    def _tell(self) -> None:
        if self._telling is not None or not self._is_running or not self._valkey.is_up:
            return
        if not self._waiting and not self._again:
            return
        telling = self._telling = Deferred.fromCoroutine(self._tell_waiting())
        telling.addErrback(lambda failure: self._log.failure("what tags point to cannot be told", failure))
        telling.addBoth(lambda _: self._end())

    def _end(self) -> None:
        self._telling = None

    async def _tell_waiting(self) -> None:
        while self._is_running and (due := self._waiting or self._again):
            some = list(islice(due, _AT_ONCE))
            for each in some:
                del due[each]
            try:
                await self._unite([each for each in some if isinstance(each, _OfTag)])
                await self._unite_digests([each for each in some if isinstance(each, _OfDigest)])
            except Away:
                # It is told when Valkey is back.
                self._waiting = dict.fromkeys(some) | self._waiting
                return
            # What is there at once leaves nobody else a turn.
            await _turn(self._clock)

    async def _unite(self, some: Sequence[_OfTag]) -> None:
        """Have the same histories here and there."""
        for _ in range(_TRIES):
            if not some:
                return
            values = await self._histories.read([each.name for each in some])
            again = []
            for each in some:
                value = values[each.name]
                self._take_history(each, value)
                content = history_to(self._history.changes(each.view, each.tag), self._time)
                if not await self._put(self._histories, each.name, value, content):
                    again.append(each)
            some = again

    async def _unite_digests(self, some: Sequence[_OfDigest]) -> None:
        """Have the same first sightings here and there."""
        for _ in range(_TRIES):
            if not some:
                return
            values = await self._sightings.read([each.name for each in some])
            again = []
            for each in some:
                value = values[each.name]
                self._take_sighting(each, value)
                seen = self._history.seen(each.repository, each.digest)
                if seen is not None:
                    content = sighting_to(seen, self._time)
                    if not await self._put(self._sightings, each.name, value, content):
                        again.append(each)
            some = again

    async def _put(self, values: SealedValues, name: str, before: Value, content: bytes) -> bool:
        """Put it there; False where another node has put something else there meanwhile."""
        return before.content == content or await values.replace(name, before, content, _KEPT_SECONDS)

    def _take_history(self, what: _OfTag, value: Value) -> None:
        if value.content is not None:
            try:
                self._history.hear(what.view, what.tag, history_from(value.content, self._time, self._now()))
            except ValueError as error:
                self._log.debug("the history of {tag} in Valkey cannot be read: {error}", tag=what.tag, error=error)

    def _take_sighting(self, what: _OfDigest, value: Value) -> None:
        if value.content is not None:
            try:
                seen = sighting_from(value.content, self._time, self._now())
                self._history.hear_of(what.repository, what.digest, seen)
            except ValueError as error:
                self._log.debug("when {digest} was seen cannot be read: {error}", digest=what.digest, error=error)

    # Where Valkey has lost all

    def _look(self) -> None:
        """Tell what waits, and all where it is not there any more; look again after a while."""
        if not self._is_running:
            return
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._clock.callLater(_LOOK_SECONDS, self._look)
        self._tell()
        if not self._is_wanted():
            # Once it is, all is told that was seen until then.
            self._begun = None
        elif self._leads and self._valkey.is_up:
            looking = Deferred.fromCoroutine(self._tell_again())
            looking.addErrback(lambda failure: self._log.failure("it cannot be looked what was told", failure))

    async def _tell_again(self) -> None:
        try:
            begun = await self._valkey.run(
                _BEGUN, [self._valkey.key("history")], [secrets.token_hex(8), int(_KEPT_SECONDS)]
            )
        except Away:
            return
        if begun == self._begun or not self._is_running:
            return
        self._begun = begun
        for view, tag in self._history.latest_tags(_MOST_AGAIN):
            self._again[_OfTag(_common(view), tag)] = None
        for repository, digest in self._history.latest_sightings(_MOST_AGAIN):
            self._again[_OfDigest(repository, digest)] = None
        self._tell()


def _common(view: View) -> View:
    """Return the view that this node's index keeps: all clients with logins of their own have one history."""
    return view if view.caller is None else View(view.repository, caller="")


def _name_of(words: Sequence[str]) -> str:
    # Names are as long as what they are made of, and who reads Valkey need not see them.
    return hashlib.sha256("\0".join(words).encode()).hexdigest()


async def _ended(work: Deferred[None]) -> None:
    """Wait for what somebody else waits for as well."""
    waiter: Deferred[None] = Deferred()

    def end(result: None) -> None:
        waiter.callback(None)

    work.addBoth(end)
    await waiter


async def _turn(clock: IReactorTime) -> None:
    turn: Deferred[None] = Deferred()
    clock.callLater(0, turn.callback, None)
    await turn
