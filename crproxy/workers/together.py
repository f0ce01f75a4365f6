"""A worker among others: what they have in common lies in the ledger, what they tell each other goes by the first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ..sharing import Answer
from .channel import Channel
from .ledger import Ledger, key_of

__all__ = ["Together"]

# Seconds between two looks at a claim that another worker has, and after which it is not waited for any more.
_LOOK_SECONDS = 0.005
_CLAIM_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Count:
    ledger: Ledger
    what: str

    def __len__(self) -> int:
        return self.ledger.names(key_of(self.what, ""))

    def of(self, name: str) -> int:
        return self.ledger.number(key_of(self.what, name))

    def add(self, name: str, number: int = 1) -> int:
        return self.ledger.add(key_of(self.what, name), number)

    def remove(self, name: str, number: int = 1) -> None:
        self.ledger.add(key_of(self.what, name), -number)


@dataclass(frozen=True, slots=True)
class _Level:
    ledger: Ledger
    key: bytes

    def fill(self, amount: float, rate: float | None, now: float, most: float = math.inf) -> float:
        return self.ledger.fill(self.key, amount, rate, now, most)


@dataclass(frozen=True, slots=True)
class _Levels:
    ledger: Ledger
    what: str

    def level(self, name: str) -> _Level:
        return _Level(self.ledger, key_of(self.what, name))


@dataclass(frozen=True, slots=True)
class _Records:
    ledger: Ledger
    what: str

    def get(self, key: Any) -> Any:
        return self.ledger.get(key_of(self.what, repr(key)))

    def put(self, key: Any, value: Any) -> None:
        self.ledger.put(key_of(self.what, repr(key)), key, value)

    def drop(self, key: Any) -> None:
        self.ledger.drop(key_of(self.what, repr(key)))

    def all(self) -> dict[Any, Any]:
        return self.ledger.all(key_of(self.what, ""))


class _Claims:
    """Claims of all workers (crproxy.sharing.Claims): numbers of which no two workers have any."""

    def __init__(self, ledger: Ledger, what: str, clock: IReactorTime) -> None:
        self._ledger = ledger
        self._what = what
        self._clock = clock

    def take(self, name: str) -> Deferred[bool]:
        return Deferred.fromCoroutine(self._take(key_of(self._what, name)))

    async def _take(self, key: bytes) -> bool:
        waited, until = False, self._clock.seconds() + _CLAIM_SECONDS
        while not self._ledger.claim(key):
            waited = True
            if self._clock.seconds() >= until:
                self._ledger.add(key, 1)
                break
            await deferLater(self._clock, _LOOK_SECONDS)
        return waited

    def give_back(self, name: str) -> None:
        self._ledger.add(key_of(self._what, name), -1)


class Together:
    """One of several workers (crproxy.sharing.Sharing).

    Arguments:
        ledger: what they have in common.
        channel: leads to the first process, and by it to the others.
        slot: which one this is.
        secret: what all of them know.
        clock: the time.
    """

    is_alone = False

    def __init__(self, ledger: Ledger, channel: Channel, slot: int, secret: bytes, clock: IReactorTime) -> None:
        self.secret = secret
        self._clock = clock
        self.slot = slot
        self.leads = slot == 0
        self.directory: Path | None = ledger.directory
        self._ledger = ledger
        self._channel = channel

    def count(self, what: str) -> _Count:
        """Return numbers (Sharing)."""
        return _Count(self._ledger, what)

    def levels(self, what: str) -> _Levels:
        """Return levels (Sharing)."""
        return _Levels(self._ledger, what)

    def records(self, what: str) -> _Records:
        """Return records (Sharing)."""
        return _Records(self._ledger, what)

    def claims(self, what: str) -> _Claims:
        """Return claims (Sharing)."""
        return _Claims(self._ledger, what, self._clock)

    def on(self, topic: str, answer: Answer) -> None:
        """Note who answers (Sharing)."""
        self._channel.on(topic, answer)

    def tell(self, topic: str, payload: Any = None) -> None:
        """Tell all others (Sharing)."""
        self._channel.tell("to all", (topic, payload))

    def ask_all(self, topic: str, payload: Any = None) -> Deferred[list[Any]]:
        """Return what they answer (Sharing)."""
        return self._channel.ask("of all", (topic, payload))

    def ask_leader(self, topic: str, payload: Any = None) -> Deferred[Any]:
        """Return what the leader answers (Sharing)."""
        return self._channel.ask("of the leader", (topic, payload))

    def ask_first(self, topic: str, payload: Any = None) -> Deferred[Any]:
        """Return what the first process answers."""
        return self._channel.ask(topic, payload)
