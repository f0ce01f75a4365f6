from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import obstore
import pytest
from obstore.store import MemoryStore
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.objects.errors import TierFailed
from crproxy.objects.janitor import TierJanitor, Turn
from crproxy.objects.naming import (
    blob_key,
    link_content,
    link_key,
    revoked_content,
    revoked_key,
    tag_content,
    tag_key,
)
from crproxy.objects.object_store import Listed, ObjectStore
from crproxy.oci.digests import Digest
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.object_keys import ViewNames
from crproxy.policy.tier_eviction import IN_USE, OBJECT_AGE
from crproxy.store.entries import Entry
from crproxy.store.notes import Link, TagEntry
from tests.logs import Log
from tests.memory import ended

NGINX, OTHER = ViewNames(DOCKER_HUB.repository("nginx")), ViewNames(DOCKER_HUB.repository("other"))
PRIVATE = ViewNames(DOCKER_HUB.repository("nginx"), "cred")
A, B, C = (Entry(Digest.of(content)) for content in (b"a", b"b", b"c"))
NOW = datetime(2030, 1, 1, tzinfo=UTC).timestamp()
AGO = NOW - 2 * IN_USE


class Tier:
    """An object store in memory, whose objects are as old as the test says."""

    def __init__(self, objects: ObjectStore, memory: MemoryStore) -> None:
        self.objects = objects
        self.memory = memory
        self.modified: dict[str, float] = {}
        self.breaks_after: int | None = None
        objects_list = objects.list

        async def listed(prefix: str) -> Any:
            async for batch in objects_list(prefix):
                if self.breaks_after is not None:
                    self.breaks_after -= 1
                    if self.breaks_after < 0:
                        raise TierFailed("the list was cut short")
                yield [Listed(one.key, one.size, self.modified.get(one.key, AGO)) for one in batch]

        objects.list = listed  # type: ignore[method-assign]

    def put(self, key: str, content: bytes, modified: float = AGO) -> None:
        obstore.put(self.memory, key, content)
        self.modified[key] = modified

    def content(self, entry: Entry, size: int, modified: float = AGO) -> None:
        self.put(blob_key(entry), b"x" * size, modified)

    def image(self, view: ViewNames, entry: Entry, tag: str, modified: float = AGO) -> None:
        self.put(link_key(view, entry.digest), link_content(Link(None, 1, 1.0)), modified)
        self.put(tag_key(view, tag), tag_content(TagEntry(entry.digest, 1.0)), modified)

    @property
    def keys(self) -> set[str]:
        return {one["path"] for batch in obstore.list(self.memory) for one in batch}

    @property
    def bytes(self) -> int:
        return sum(one["size"] for batch in obstore.list(self.memory) for one in batch)


@pytest.fixture
def tier(objects: ObjectStore, memory: MemoryStore) -> Tier:
    return Tier(objects, memory)


def janitor(tier: Tier, clock: Clock, size: int, **options: Any) -> TierJanitor:
    return TierJanitor(tier.objects, size, clock, lambda: NOW, **options)


def taken(looks: TierJanitor) -> int | None:
    return looks.taken


def run(work: Coroutine[Deferred[Any], Any, Any]) -> Any:
    return ended(Deferred.fromCoroutine(work))


def test_nothing_goes_where_there_is_room(tier: Tier, clock: Clock) -> None:
    tier.content(A, 100)
    tier.image(NGINX, A, "latest")
    before, looks = tier.keys, janitor(tier, clock, 1000)
    run(looks.tidy())
    assert (tier.keys, looks.taken, looks.evicted) == (before, tier.bytes, 0)


def test_what_was_written_first_goes_with_what_is_said_of_it(tier: Tier, clock: Clock) -> None:
    tier.content(A, 1000, AGO - 2)
    tier.content(B, 1000, AGO - 1)
    tier.image(NGINX, A, "latest")
    tier.image(NGINX, B, "v2")
    tier.image(OTHER, B, "latest")
    looks = janitor(tier, clock, 1500)
    with Log() as log:
        run(looks.tidy())
    assert tier.keys == {
        blob_key(B),
        *(link_key(view, B.digest) for view in (NGINX, OTHER)),
        tag_key(NGINX, "v2"),
        tag_key(OTHER, "latest"),
    }
    assert (looks.evicted, looks.evicted_bytes, looks.taken) == (1, 1000, tier.bytes)
    assert log.lines == ["1 blobs were dropped from the object store to make room"]
    run(looks.tidy())
    assert (looks.evicted, looks.taken) == (1, tier.bytes)


def test_what_was_used_counts_more_than_what_was_written(tier: Tier, clock: Clock) -> None:
    tier.content(A, 1000, AGO - 2)
    tier.content(B, 1000, AGO - 1)

    async def last_used(entries: Sequence[Entry]) -> Mapping[Entry, float]:
        assert set(entries) in ({A, B}, {B})
        return {A: AGO + 5, B: 0.0}

    run(janitor(tier, clock, 1500, last_used=last_used).tidy())
    assert tier.keys == {blob_key(A)}


def test_what_was_used_within_the_hour_stays(tier: Tier, clock: Clock) -> None:
    tier.content(A, 1000, NOW - 60)
    tier.content(B, 1000)

    async def last_used(entries: Sequence[Entry]) -> Mapping[Entry, float]:
        return {B: NOW - 60}

    run(janitor(tier, clock, 10, last_used=last_used).tidy())
    assert tier.keys == {blob_key(A), blob_key(B)}


def test_what_is_used_while_the_rest_goes_stays(tier: Tier, clock: Clock) -> None:
    tier.content(A, 1000, AGO - 2)
    tier.content(B, 1000, AGO - 1)
    used: list[dict[Entry, float]] = [{}, {A: NOW - 1}]
    forgotten: list[Entry] = []

    async def last_used(entries: Sequence[Entry]) -> Mapping[Entry, float]:
        return used.pop(0)

    async def forget(entries: Sequence[Entry]) -> None:
        forgotten.extend(entries)

    looks = janitor(tier, clock, 10, last_used=last_used, forget=forget)
    run(looks.tidy())
    assert tier.keys == {blob_key(A)}
    assert forgotten == [B]
    assert (looks.evicted, looks.evicted_bytes, looks.taken) == (1, 1000, 1000)


def test_nothing_goes_once_another_node_may_be_at_it(tier: Tier, clock: Clock) -> None:
    tier.content(A, 1000)
    tier.image(NGINX, A, "latest", NOW - OBJECT_AGE - 1)
    tier.image(OTHER, B, "latest", NOW - OBJECT_AGE - 1)
    turns = [False]
    before = tier.keys
    with pytest.raises(TierFailed, match="another node"):
        run(janitor(tier, clock, 10).tidy(lambda: turns.pop(0)))
    assert tier.keys == before
    # The content goes, then it is over.
    turns = [True, False]
    with pytest.raises(TierFailed, match="another node"):
        run(janitor(tier, clock, 10).tidy(lambda: turns.pop(0)))
    assert tier.keys == before - {blob_key(A)}


def test_nothing_goes_where_nobody_can_say_what_was_used(tier: Tier, clock: Clock) -> None:
    tier.content(A, 1000)

    async def last_used(entries: Sequence[Entry]) -> Mapping[Entry, float]:
        raise TierFailed("nobody knows")

    looks = janitor(tier, clock, 10, last_used=last_used)
    looks.start()
    with Log() as log:
        clock.advance(900)
    assert tier.keys == {blob_key(A)}
    assert log.complaints == ["the object store could not be tidied, nothing goes: nobody knows"]
    looks.stop()


@pytest.mark.parametrize("batches", [0, 1])
def test_nothing_goes_where_not_all_could_be_listed(tier: Tier, clock: Clock, batches: int) -> None:
    tier.content(A, 1000)
    tier.content(Entry(B.digest, Registry("quay.io")), 1000)
    tier.breaks_after = batches
    looks = janitor(tier, clock, 10)
    with pytest.raises(TierFailed, match="cut short"):
        run(looks.tidy())
    assert len(tier.keys) == 2
    tier.breaks_after = None
    run(looks.tidy())
    assert tier.keys == set()


def test_a_private_link_goes_with_the_content_of_its_pool_alone(tier: Tier, clock: Clock) -> None:
    private = Entry(A.digest, DOCKER_HUB)
    tier.content(private, 1000, AGO - 2)
    tier.content(A, 1000)
    tier.image(NGINX, A, "latest")
    tier.image(PRIVATE, A, "latest")
    run(janitor(tier, clock, 1500).tidy())
    assert tier.keys == {blob_key(A), link_key(NGINX, A.digest), tag_key(NGINX, "latest")}


def test_a_tag_that_was_written_just_now_stays(tier: Tier, clock: Clock) -> None:
    tier.content(A, 1000)
    tier.image(NGINX, A, "old")
    tier.put(tag_key(NGINX, "new"), tag_content(TagEntry(C.digest, 1.0)), NOW - 5)
    tier.put(tag_key(NGINX, "odd"), b"{")
    run(janitor(tier, clock, 10).tidy())
    assert tier.keys == {tag_key(NGINX, "new")}


def test_facts_that_lead_to_nothing_go_in_time(tier: Tier, clock: Clock) -> None:
    tier.image(NGINX, A, "latest", NOW - OBJECT_AGE - 1)
    tier.image(OTHER, B, "latest", NOW - OBJECT_AGE + 1)
    for view in (NGINX, OTHER):
        tier.put(revoked_key(view), revoked_content(1.0), NOW - OBJECT_AGE - 1)
    run(janitor(tier, clock, 10_000).tidy())
    assert tier.keys == {link_key(OTHER, B.digest), tag_key(OTHER, "latest"), revoked_key(OTHER)}


def test_what_is_none_of_ours_counts_and_stays(tier: Tier, clock: Clock) -> None:
    tier.put("v1/blobs/odd", b"x" * 1000)
    tier.put("v1/links/odd", b"x" * 100)
    tier.put("elsewhere", b"x" * 1000)
    tier.content(A, 10)
    looks = janitor(tier, clock, 1000)
    run(looks.tidy())
    assert tier.keys == {"v1/blobs/odd", "v1/links/odd", "elsewhere"}
    assert looks.taken == 1100


def test_it_works_every_quarter_of_an_hour_where_it_is_let(tier: Tier, clock: Clock) -> None:
    tier.content(A, 1000)
    may: list[Turn | None] = [None, lambda: True]

    async def may_work() -> Turn | None:
        return may.pop(0)

    looks = janitor(tier, clock, 10, may_work=may_work)
    looks.start()
    assert tier.keys == {blob_key(A)}
    clock.advance(900)
    assert tier.keys == {blob_key(A)}
    assert taken(looks) is None
    clock.advance(900)
    assert tier.keys == set()
    assert taken(looks) == 0
    looks.stop()
    looks.stop()


def test_of_what_another_node_looks_after_nothing_is_known(tier: Tier, clock: Clock) -> None:
    turns: list[Turn | None] = [lambda: True, None]

    async def may_work() -> Turn | None:
        return turns.pop(0)

    looks = janitor(tier, clock, 10_000, may_work=may_work)
    looks.start()
    tier.content(A, 1000)
    clock.advance(900)
    assert taken(looks) == 1000
    clock.advance(900)
    assert taken(looks) is None
    looks.stop()


def test_facts_are_looked_at_once_a_day_where_nothing_goes(tier: Tier, clock: Clock) -> None:
    tier.content(B, 10)
    looks = janitor(tier, clock, 1000)
    run(looks.tidy())
    tier.image(NGINX, A, "latest", NOW - OBJECT_AGE - 1)
    for _ in range(95):
        run(looks.tidy())
    assert len(tier.keys) == 3
    run(looks.tidy())
    assert tier.keys == {blob_key(B)}


def test_an_end_comes_in_the_midst_of_a_round(tier: Tier, clock: Clock) -> None:
    waiting: Deferred[Mapping[Entry, float]] = Deferred()

    async def last_used(entries: Sequence[Entry]) -> Mapping[Entry, float]:
        return await waiting

    tier.content(A, 1000)
    looks = janitor(tier, clock, 10, last_used=last_used)
    looks.start()
    clock.advance(900)
    with Log() as log:
        looks.stop()
    assert log.complaints == []
    assert tier.keys == {blob_key(A)}
