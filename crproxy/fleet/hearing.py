"""What other nodes tell, put into what this node's workers have in common: by one of them, the one that leads.

Its own node's messages come back to it as everybody's do; they are told apart by the run of the daemon that they name,
and left out: what its workers did is in what they have in common already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ..oci.documents import parse_json
from ..sharing.bounding import drop_oldest
from .codecs import KINDS
from .kinds import COUNTS, LEVELS, Common
from .messages import Message, Sender
from .telling import KEPT_KEYS, Telling
from .valkey import Away, Script, Valkey

__all__ = ["ALL", "Hearing"]

# Is told to this node's other workers when somebody asks for all that they have counted.
ALL = "told to the fleet"
# Who has said nothing for so long is dead, and so is what he had counted.
_DEAD_SECONDS = 5.0
_LOOK_SECONDS = 1.0
# Times that are told of the same thing twice differ by less: the clocks are compared each second.
_SAME_SECONDS = 2.0

# KEYS: KEPT_KEYS. Returns names and values, of those that have not ended.
_READ = Script("""
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local found = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], now, '+inf')) do
  local value = redis.call('HGET', KEYS[1], name)
  if value then found[#found + 1] = name; found[#found + 1] = value end
end
return found
""")


@dataclass(slots=True)
class _Hearsay:
    """What was told of something that others may see otherwise.

    Arguments:
        run: whose word was put down last.
        put: what that was.
        told: since when it has been so, by who told it.
    """

    run: str = ""
    put: Any = None
    told: dict[str, float] = field(default_factory=dict)

    def is_new(self, run: str, since: float) -> bool:
        """Note that ``run`` says so; tell whether nobody has said that it has been so since then."""
        is_known = any(abs(since - told) < _SAME_SECONDS for told in self.told.values())
        self.told.pop(run, None)
        self.told[run] = since
        drop_oldest(self.told)
        return not is_known


class Hearing:
    """What is heard.

    Arguments:
        valkey: has what was missed.
        common: what this node's workers have in common.
        tell: tells the others of them something.
        telling: asks others for what was missed, and is asked by them.
        run: of this daemon.
        clock: the time.
        now: seconds since the epoch.
    """

    _log = Logger()

    def __init__(
        self,
        valkey: Valkey,
        common: Common,
        tell: Callable[[str], None],
        telling: Telling,
        run: str,
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        self._valkey = valkey
        self._common = common
        self._tell_workers = tell
        self._telling = telling
        self._run = run
        self._clock = clock
        self._now = now
        self._heard_of: dict[Sender, float] = {}
        self._numbers: dict[Sender, dict[tuple[str, str], int]] = {}
        # By kind and key.
        self._hearsay: dict[tuple[str, Any], _Hearsay] = {}
        self._timer: IDelayedCall | None = None
        self._is_stopped = False
        # What others told before we listened was not read yet.
        self._is_missing = False
        self._has_told = False

    def start(self) -> None:
        """Note who says nothing any more."""
        self._valkey.on_up(self._catch_up)
        self._timer = self._clock.callLater(_LOOK_SECONDS, self._bury)

    def stop(self) -> None:
        """Forget what others have counted, and take in nothing more."""
        self._is_stopped = True
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        for sender in list(self._numbers):
            self._forget(sender)

    def listens(self) -> None:
        """From now on all is heard; what came before is asked for."""
        self._telling.ask()
        self._is_missing = True
        self._catch_up()

    def _catch_up(self) -> None:
        """Read what is kept, if that can be done now: it is asked for by another connection than the one that hears."""
        if not self._is_missing or not self._valkey.is_up or self._is_stopped:
            return
        reading = Deferred.fromCoroutine(self._read())
        reading.addErrback(lambda failure: self._log.failure("what other nodes told before cannot be read", failure))

    def hear(self, content: bytes) -> None:
        """Take in a message."""
        try:
            message = Message.parse(content)
            if message.sender.run != self._run and not self._is_stopped:
                self._take(message)
        except ValueError as error:
            self._tell(error)
        except Exception:
            self._log.failure("what another node tells cannot be taken in")

    def _take(self, message: Message) -> None:
        if message.asks:
            self._telling.tell_all()
            self._tell_workers(ALL)
        if message.sender not in self._heard_of and not message.is_all:
            # Taken for dead, or not known yet: what has changed since he told all is not all that he has.
            self._telling.ask()
        now = self._heard_of[message.sender] = self._clock.seconds()
        for kind, name, amount, rate in message.levels:
            if kind in LEVELS:
                self._common.levels(kind).told(name, amount, rate, now)
        self._count(message)
        for kind, key, value in message.records:
            self._note(kind, key, value, message.sender.run)

    # Numbers

    def _count(self, message: Message) -> None:
        numbers = self._numbers.setdefault(message.sender, {})
        told = {(kind, name): number for kind, name, number in message.counts if kind in COUNTS}
        if message.is_all:
            told = dict.fromkeys(numbers, 0) | told
        for which, number in told.items():
            self._set(numbers, which, number)

    def _set(self, numbers: dict[tuple[str, str], int], which: tuple[str, str], number: int) -> None:
        kind, name = which
        more = number - numbers.get(which, 0)
        if number:
            numbers[which] = number
        else:
            numbers.pop(which, None)
        if more > 0:
            self._common.count(kind).add(name, more)
        elif more < 0:
            self._common.count(kind).remove(name, -more)

    def _bury(self) -> None:
        self._timer = self._clock.callLater(_LOOK_SECONDS, self._bury)
        dead = self._clock.seconds() - _DEAD_SECONDS
        for sender in [sender for sender, heard in self._heard_of.items() if heard <= dead]:
            self._forget(sender)

    def _forget(self, sender: Sender) -> None:
        self._heard_of.pop(sender, None)
        numbers = self._numbers.pop(sender, {})
        for which in list(numbers):
            self._set(numbers, which, 0)

    # Records

    async def _read(self) -> None:
        try:
            found = await self._valkey.run(_READ, [self._valkey.key(key) for key in KEPT_KEYS])
        except Away:
            return
        self._is_missing = False
        for name, value in zip(found[::2], found[1::2], strict=False):
            self._note_kept(name, value)

    def _note_kept(self, name: bytes, value: bytes) -> None:
        try:
            kind, _, key = name.partition(b"\0")
            said = parse_json(value)
            if not isinstance(said, list) or len(said) != 2 or not isinstance(said[0], str):
                raise ValueError("it does not say whose it is")
            if said[0] != self._run:
                self._note(kind.decode(), parse_json(key), said[1], said[0])
        except ValueError as error:
            self._tell(error)

    def _note(self, name: str, key: Any, value: Any, run: str) -> None:
        kind = KINDS.get(name)
        if kind is None:
            return
        try:
            found = kind.key_from(key)
            made = None if value is None else kind.value_from(value, self._valkey.ahead, self._now())
        except ValueError as error:
            self._tell(error)
            return
        if kind.is_hearsay:
            self._note_hearsay(name, found, made, run)
        elif made is None:
            self._common.records(name).drop(found)
        else:
            self._common.records(name).put(found, made)

    def _note_hearsay(self, name: str, key: Any, value: Any, run: str) -> None:
        """Believe each node once: whoever tells it again may have troubles of his own."""
        records = self._common.records(name)
        hearsay = self._hearsay.pop((name, key), None) or _Hearsay()
        self._hearsay[name, key] = hearsay
        drop_oldest(self._hearsay)
        known = records.get(key)
        # What we have found ourselves is not for others to say.
        is_theirs = known is None or known == hearsay.put
        if value is None:
            if known is not None and is_theirs and hearsay.run == run:
                records.drop(key)
        elif is_theirs and hearsay.is_new(run, value.since):
            hearsay.run, hearsay.put = run, value
            records.put(key, value)

    def _tell(self, error: Exception) -> None:
        if not self._has_told:
            self._has_told = True
            self._log.warn("what another node tells cannot be read: {why}; has it another version?", why=error)
