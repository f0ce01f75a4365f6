"""Several workers of one daemon, all in this process: what one tells or asks reaches the others at once."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, DeferredList, fail, maybeDeferred

from crproxy.sharing import Alone, Answer
from crproxy.sharing.alone import OwnRecords

__all__ = ["Crew", "Member"]


class Crew:
    """Those workers that run, by their slots, and what they have in common."""

    def __init__(self) -> None:
        self.members: dict[int, Member] = {}
        self._records: dict[str, OwnRecords] = {}

    def member(self, slot: int) -> Member:
        """One more, or another in the place of one that is gone."""
        member = self.members[slot] = Member(self, slot)
        return member

    def records(self, what: str) -> OwnRecords:
        return self._records.setdefault(what, OwnRecords())

    def others(self, slot: int) -> list[Member]:
        return [member for other, member in self.members.items() if other != slot]


class Member(Alone):
    """One of them (crproxy.sharing.Sharing), which shares records with the others, and numbers with nobody."""

    is_alone = False

    def __init__(self, crew: Crew, slot: int) -> None:
        super().__init__()
        self.slot = slot
        self.leads = slot == 0
        self._crew = crew
        self._topics: dict[str, Answer] = {}

    def records(self, what: str) -> OwnRecords:
        return self._crew.records(what)

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
