"""What all nodes have, as flights and answers see it: the object store, and what nodes tell each other."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.fleet.second_tier import SecondTier, TierSigner
from crproxy.fleet.tags import Told
from crproxy.flights.tiers import SourceFailed
from crproxy.objects.errors import NotThere, TierFailed
from crproxy.oci.digests import Digest
from crproxy.oci.names import Reference, Registry, Tag
from crproxy.pullthrough.recall import FactsFailed
from crproxy.store.entries import Entry, View
from crproxy.store.notes import Link, TagEntry
from crproxy.upstream.client import Streamed
from tests.logs import Log
from tests.memory import ended, failure_of

Result = TypeVar("Result")

VIEW = View(Registry("quay.io").repository("org/app"))
CONTENT = b'{"schemaVersion": 2}'
DIGEST = Digest.of(CONTENT)
ENTRY = Entry(DIGEST)
TYPE = "application/vnd.oci.image.manifest.v1+json"
NODE = "https://there.test:5443"


class HandTier:
    """An object store (Tier) with what the test puts in."""

    is_up = True

    def __init__(self) -> None:
        self.contents: dict[Entry, bytes] = {}
        self.links: dict[tuple[View, Digest], Link] = {}
        self.tags: dict[tuple[View, str], TagEntry] = {}
        self.error: Exception | None = None
        self.asked: list[str] = []
        self.removed: list[Entry] = []

    def _hear(self, what: str) -> None:
        self.asked.append(what)
        if self.error is not None:
            raise self.error

    async def size(self, entry: Entry) -> int | None:
        self._hear("size")
        return len(self.contents[entry]) if entry in self.contents else None

    async def open(self, entry: Entry, start: int, stop: int | None) -> Streamed:
        self._hear("open")
        if entry not in self.contents:
            raise NotThere("it is not there")
        return Streamed(206, {}, cast(Any, None))

    async def read(self, entry: Entry) -> bytes | None:
        self._hear("read")
        return self.contents.get(entry)

    async def wrong(self, entry: Entry) -> None:
        self._hear("wrong")
        self.removed.append(entry)

    async def link(self, view: View, digest: Digest) -> Link | None:
        self._hear("link")
        return self.links.get((view, digest))

    async def tag(self, view: View, name: str) -> TagEntry | None:
        self._hear("tag")
        return self.tags.get((view, name))

    async def views(self, digest: Digest) -> set[View]:
        self._hear("views")
        return {view for view, linked in self.links if linked == digest}

    async def sign(self, entry: Entry, seconds: float, method: str = "GET") -> str:
        self._hear("sign")
        return f"https://s3.test/{entry.digest.hex}?seconds={seconds:g}"


class World:
    """The store, another node, and what it has told."""

    def __init__(self) -> None:
        self.tier = HandTier()
        self.told: dict[tuple[View, Reference], Told] = {}
        self.contents: dict[str, bytes | None] = {}
        self.asked: list[str] = []
        self.second = SecondTier(self.tier, self.look_up, self.ask_node)

    async def look_up(self, view: View, reference: Reference) -> Told | None:
        return self.told.get((view, reference))

    async def ask_node(self, url: str, entry: Entry) -> bytes | None:
        self.asked.append(url)
        return self.contents.get(url)


@pytest.fixture
def world() -> World:
    return World()


def run(asked: Coroutine[Any, Any, Result]) -> Result:
    return ended(Deferred.fromCoroutine(asked))


# Bytes for flights


def test_the_store_gives_what_it_has(world: World) -> None:
    world.tier.contents[ENTRY] = CONTENT
    opened = run(world.second.open(ENTRY, 5, None))
    assert opened is not None
    assert opened.status == 206


def test_what_it_does_not_have_is_no_failure(world: World) -> None:
    assert run(world.second.open(ENTRY, 0, None)) is None


def test_a_store_that_is_away_fails(world: World) -> None:
    world.tier.error = TierFailed("away")
    failure_of(Deferred.fromCoroutine(world.second.open(ENTRY, 0, None)), SourceFailed)


def test_what_is_wrong_goes(world: World) -> None:
    world.second.blame(ENTRY)
    assert world.tier.removed == [ENTRY]


def test_that_it_could_not_go_is_told(world: World) -> None:
    world.tier.error = TierFailed("away")
    with Log() as log:
        world.second.blame(ENTRY)
        assert log.complaints == [f"the object store keeps wrong bytes of {ENTRY}: away"]


# What all nodes know


def test_what_a_node_has_told_comes_before_the_store(world: World) -> None:
    world.told[VIEW, Tag("v1")] = Told(TagEntry(DIGEST, 7.0), TYPE, NODE)
    world.contents[NODE] = CONTENT
    assert run(world.second.tag(VIEW, "v1")) == TagEntry(DIGEST, 7.0)
    assert run(world.second.content(ENTRY)) == CONTENT
    assert (world.asked, world.tier.asked) == ([NODE], [])


def test_a_manifest_is_told_of_by_its_digest_as_well(world: World) -> None:
    world.told[VIEW, DIGEST] = Told(TagEntry(DIGEST, 7.0), TYPE, NODE)
    world.contents[NODE] = CONTENT
    assert run(world.second.link(VIEW, DIGEST)) == Link(TYPE, None, 7.0)
    assert run(world.second.content(ENTRY)) == CONTENT
    assert world.tier.asked == []


def test_of_what_a_node_has_seen_and_not_got_it_gives_no_right(world: World) -> None:
    world.told[VIEW, DIGEST] = Told(TagEntry(DIGEST, 7.0), None, NODE)
    assert run(world.second.link(VIEW, DIGEST)) is None


@pytest.mark.parametrize("given", [None, b"something else"])
def test_what_a_node_does_not_give_the_store_may(world: World, given: bytes | None) -> None:
    world.told[VIEW, Tag("v1")] = Told(TagEntry(DIGEST, 7.0), TYPE, NODE)
    world.contents[NODE] = given
    world.tier.contents[ENTRY] = CONTENT
    run(world.second.tag(VIEW, "v1"))
    assert run(world.second.content(ENTRY)) == CONTENT
    # Nor is it asked again.
    run(world.second.content(ENTRY))
    assert world.asked == [NODE]


def test_what_nobody_has_told_the_store_knows(world: World) -> None:
    world.tier.tags[VIEW, "v1"] = TagEntry(DIGEST, 7.0)
    world.tier.links[VIEW, DIGEST] = Link(TYPE, 5, 7.0)
    world.tier.contents[ENTRY] = CONTENT
    assert run(world.second.tag(VIEW, "v1")) == TagEntry(DIGEST, 7.0)
    assert run(world.second.link(VIEW, DIGEST)) == Link(TYPE, 5, 7.0)
    assert run(world.second.views(DIGEST)) == {VIEW}
    assert run(world.second.content(ENTRY)) == CONTENT
    assert run(world.second.size(ENTRY)) == len(CONTENT)


@pytest.mark.parametrize("name", ["before/v1", "tags/list?n=5", "referrers/x"])
def test_of_what_is_no_tag_no_node_tells(world: World, name: str) -> None:
    world.tier.tags[VIEW, name] = TagEntry(DIGEST, 7.0)
    assert run(world.second.tag(VIEW, name)) == TagEntry(DIGEST, 7.0)


ASKED: dict[str, Callable[[SecondTier], Coroutine[Any, Any, object]]] = {
    "tag": lambda second: second.tag(VIEW, "v1"),
    "views": lambda second: second.views(DIGEST),
    "link": lambda second: second.link(VIEW, DIGEST),
    "content": lambda second: second.content(ENTRY),
    "size": lambda second: second.size(ENTRY),
}


@pytest.mark.parametrize("what", ASKED)
def test_whatever_it_cannot_say_now_fails_alike(world: World, what: str) -> None:
    world.tier.error = TierFailed("away")
    failure_of(Deferred.fromCoroutine(ASKED[what](world.second)), FactsFailed)


@pytest.mark.parametrize("what", ASKED)
def test_without_a_store_nothing_is_known(what: str) -> None:
    assert not run(ASKED[what](SecondTier(None)))


def test_without_a_store_nothing_is_open_or_wrong() -> None:
    assert run(SecondTier(None).open(ENTRY, 0, None)) is None
    SecondTier(None).blame(ENTRY)


# URLs for clients


def test_a_url_is_made_of_what_is_there(world: World) -> None:
    clock = Clock()
    signer = TierSigner(world.tier, 600, clock)
    assert run(signer.url(ENTRY)) is None
    world.tier.contents[ENTRY] = CONTENT
    for _ in range(2):
        assert run(signer.url(ENTRY)) == f"https://s3.test/{DIGEST.hex}?seconds=600"
    assert world.tier.asked == ["size", "size", "sign", "sign"]
    assert signer.given == 2
    clock.advance(600)
    del world.tier.contents[ENTRY]
    assert run(signer.url(ENTRY)) is None


def test_a_store_that_is_away_signs_nothing(world: World) -> None:
    world.tier.error = TierFailed("away")
    signer = TierSigner(world.tier, 600, Clock())
    assert run(signer.url(ENTRY)) is None
    assert signer.given == 0
