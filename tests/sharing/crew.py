"""Several workers of one daemon, all in this process: what one tells or asks reaches the others at once."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, fail, maybeDeferred, succeed

from crproxy.sharing import SECRET_BYTES, Alone, Answer
from crproxy.sharing.alone import OwnClaims, OwnRecords
from crproxy.sharing.counts import Counts

__all__ = ["Crew", "Member"]


class Crew:
    """Those workers that run, by their slots, and what they have in common."""

    def __init__(self) -> None:
        self.secret = secrets.token_bytes(SECRET_BYTES)
        self.members: dict[int, Member] = {}
        self._records: dict[str, OwnRecords] = {}
        # Who has a claim, and who waits for it, in their order.
        self.claims: dict[tuple[str, str], list[Deferred[bool]]] = {}
        # What each has added, by slot and by what it is.
        self._counts: dict[tuple[int, str], Counts] = {}

    def member(self, slot: int) -> Member:
        """One more, or another in the place of one that is gone."""
        self.lose(slot)
        member = self.members[slot] = Member(self, slot)
        return member

    def lose(self, slot: int) -> None:
        """One dies, if it is there."""
        self._counts = {key: counts for key, counts in self._counts.items() if key[0] != slot}
        self.members.pop(slot, None)

    def records(self, what: str) -> OwnRecords:
        return self._records.setdefault(what, OwnRecords())

    def count(self, slot: int, what: str) -> CountOfAll:
        own = self._counts.setdefault((slot, what), Counts())
        return CountOfAll(own, lambda: [counts for key, counts in self._counts.items() if key[1] == what])

    def others(self, slot: int) -> list[Member]:
        return [member for other, member in self.members.items() if other != slot]


class CountOfAll(Counts):
    """Numbers (crproxy.sharing.Count) that are the sum of what each has added."""

    def __init__(self, own: Counts, everyone: Callable[[], list[Counts]]) -> None:
        super().__init__()
        self._own = own
        self._everyone = everyone

    def __len__(self) -> int:
        raise NotImplementedError("nobody asks a crew for it")

    def of(self, name: str) -> int:
        return sum(counts.of(name) for counts in self._everyone())

    def add(self, name: str, number: int = 1) -> int:
        self._own.add(name, number)
        return self.of(name)

    def remove(self, name: str, number: int = 1) -> None:
        self._own.remove(name, number)


class Claims(OwnClaims):
    """Claims (crproxy.sharing.Claims) that the others make as well."""

    def __init__(self, crew: Crew, what: str) -> None:
        self._crew = crew
        self._what = what

    def take(self, name: str) -> Deferred[bool]:
        queue = self._crew.claims.setdefault((self._what, name), [])
        queue.append(Deferred())
        return succeed(False) if len(queue) == 1 else queue[-1]

    def give_back(self, name: str) -> None:
        queue = self._crew.claims[self._what, name]
        queue.pop(0)
        if queue:
            queue[0].callback(True)


class Member(Alone):
    """One of them (crproxy.sharing.Sharing), which shares records and numbers with the others, and no levels."""

    is_alone = False

    def __init__(self, crew: Crew, slot: int) -> None:
        super().__init__()
        self.secret = crew.secret
        self.slot = slot
        self.leads = slot == 0
        self._crew = crew
        self._topics: dict[str, Answer] = {}

    def records(self, what: str) -> OwnRecords:
        return self._crew.records(what)

    def count(self, what: str) -> CountOfAll:
        return self._crew.count(self.slot, what)

    def claims(self, what: str) -> Claims:
        return Claims(self._crew, what)

    def on(self, topic: str, answer: Answer) -> None:
        self._topics[topic] = answer

    def hear(self, topic: str, payload: Any) -> Deferred[Any]:
        """What this one answers."""
        if topic not in self._topics:
            return fail(LookupError(topic))
        return maybeDeferred(self._topics[topic], payload)

    def tell(self, topic: str, payload: Any = None) -> None:
        for other in self._crew.others(self.slot):
            if topic in other._topics:
                other._topics[topic](payload)

    def ask_all(self, topic: str, payload: Any = None) -> Deferred[list[Any]]:
        asked = [other.hear(topic, payload) for other in self._crew.others(self.slot)]
        found = DeferredList(asked, consumeErrors=True)
        return found.addCallback(lambda answers: [answer for answered, answer in answers if answered])

    def ask_leader(self, topic: str, payload: Any = None) -> Deferred[Any]:
        return self._crew.members[0].hear(topic, payload)
