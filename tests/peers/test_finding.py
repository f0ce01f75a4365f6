from __future__ import annotations

from typing import cast

import pytest
from twisted.internet.defer import Deferred

from crproxy.flights.peers import Peer
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.peers import Asking, OtherWorkers
from crproxy.peers.asking import WorkerWithBlob
from crproxy.store.blobs import PartialKey
from crproxy.store.entries import Entry
from tests.memory import ended
from tests.peers.workers import Wire
from tests.sharing.crew import Crew

ENTRY = Entry(Digest.of(b"blob"))
KEY, FROM_QUAY = PartialKey(ENTRY), PartialKey(ENTRY, Registry("quay.io"))
ASKING = cast(Asking, Wire())


@pytest.fixture
def workers() -> list[OtherWorkers]:
    crew = Crew()
    return [OtherWorkers(crew.member(slot), ASKING) for slot in range(3)]


def lead(worker: OtherWorkers, whose: str = "anybody") -> Peer | None:
    return ended(Deferred.fromCoroutine(worker.lead(KEY, whose)))


def holder(slot: int, whose: str = "anybody") -> WorkerWithBlob:
    return WorkerWithBlob(ASKING, slot, KEY, whose)


def test_the_first_leads_and_the_others_find_it(workers: list[OtherWorkers]) -> None:
    one, *others = workers
    assert lead(one) is None
    assert [lead(other, "somebody") for other in others] == [holder(0)] * 2
    assert [each.find(KEY) for each in workers] == [None, holder(0), holder(0)]
    assert lead(one) is None, "nobody finds itself"


def test_what_another_registry_sends_is_another_blob(workers: list[OtherWorkers]) -> None:
    lead(workers[0])
    assert workers[1].find(FROM_QUAY) is None


def test_after_it_has_left_another_leads(workers: list[OtherWorkers]) -> None:
    one, other, third = workers
    lead(one)
    other.leave(KEY)
    assert other.find(KEY) == holder(0), "only who leads can leave"
    one.leave(KEY)
    assert (lead(other), third.find(KEY), one.find(KEY)) == (None, holder(1), holder(1))


def test_who_was_lost_is_found_no_more_and_who_took_its_place_still_is(workers: list[OtherWorkers]) -> None:
    one, other, third = workers
    lead(one)
    other.lost(KEY, holder(0))
    assert lead(other) is None
    third.lost(KEY, holder(0))
    assert third.find(KEY) == holder(1)


def test_an_announcement_takes_nobodys_place(workers: list[OtherWorkers]) -> None:
    one, other, third = workers
    one.announce(KEY, "anybody")
    other.announce(KEY, "anybody")
    assert third.find(KEY) == holder(0)


def test_those_who_wait_are_counted(workers: list[OtherWorkers]) -> None:
    one, other, third = workers
    for each in (other, third):
        each.wait(KEY)
    other.come(KEY)
    assert one.are_waiting(KEY)
    third.come(KEY)
    assert not one.are_waiting(KEY)
