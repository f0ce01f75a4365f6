from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lmdb
import obstore
import pytest
from obstore.store import MemoryStore
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.objects.errors import TierFailed
from crproxy.objects.naming import blob_key, link_content, link_key, revoked_content, revoked_key, tag_content, tag_key
from crproxy.objects.object_store import ObjectStore
from crproxy.objects.opening import Stores
from crproxy.objects.outbox import Draft, Outbox
from crproxy.objects.uploading import Uploading
from crproxy.oci.digests import Digest
from crproxy.oci.names import DOCKER_HUB
from crproxy.policy.object_keys import ViewNames
from crproxy.store.entries import Entry
from crproxy.store.notes import Link, TagEntry
from tests.logs import Log
from tests.memory import ended, not_yet
from tests.stores import threads

VIEW = ViewNames(DOCKER_HUB.repository("nginx"))
MIB = 1024 * 1024


@dataclass
class Disk:
    """Files by entry; what is dropped can be read on by who has opened it."""

    directory: Path
    opened: list[Entry] = field(default_factory=list)

    def keep(self, content: bytes, wrong: bytes | None = None) -> Entry:
        entry = Entry(Digest.of(content))
        self.path(entry).write_bytes(content if wrong is None else wrong)
        return entry

    def path(self, entry: Entry) -> Path:
        return self.directory / entry.digest.hex

    def open(self, entry: Entry) -> int | None:
        self.opened.append(entry)
        try:
            return os.open(self.path(entry), os.O_RDONLY)
        except FileNotFoundError:
            return None


@dataclass
class Threads:
    """Does what blocks at once, unless it is broken or held."""

    trouble: Exception | None = None
    holds: bool = False
    held: list[Callable[[], object]] = field(default_factory=list)

    def __call__(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        def fail() -> None:
            assert self.trouble is not None
            raise self.trouble

        if self.trouble is not None:
            # What is done is to translate the errors of something, which is this.
            return threads(work, fail)
        if not self.holds:
            return threads(work, *args)
        deferred: Deferred[Any] = Deferred()
        self.held.append(lambda: threads(work, *args).chainDeferred(deferred))
        return deferred


@dataclass
class World:
    clock: Clock
    disk: Disk
    memory: MemoryStore
    outbox: Outbox
    threads: Threads
    objects: ObjectStore
    told: list[tuple[Entry, bool]] = field(default_factory=list)
    wrong: list[Entry] = field(default_factory=list)

    def uploading(self) -> Uploading:
        uploading = Uploading(
            self.outbox, self.objects, self.disk.open, threads, self.clock, found_wrong=self.wrong.append
        )
        uploading.observers.append(lambda entry, is_there: self.told.append((entry, is_there)))
        return uploading

    def put(self, content: bytes, wrong: bytes | None = None) -> Entry:
        entry = self.disk.keep(content, wrong)
        self.outbox.put([Draft(blob_key(entry), len(content), entry)])
        return entry

    def put_fact(self, key: str, content: bytes | None) -> None:
        self.outbox.put([Draft(key, len(content or b""), None, content)])

    def there(self, key: str) -> bytes | None:
        try:
            return bytes(obstore.get(self.memory, key).bytes())
        except FileNotFoundError:
            return None


@pytest.fixture
def world(tmp_path: Path, memory: MemoryStore, clock: Clock) -> Iterator[World]:
    disk = tmp_path / "disk"
    disk.mkdir()
    outbox, hands = Outbox(tmp_path / "outbox"), Threads()
    objects = ObjectStore(Stores(memory, memory, signs=False), hands, clock)
    yield World(clock, Disk(disk), memory, outbox, hands, objects)
    outbox.close()


@pytest.fixture
def uploading(world: World) -> Iterator[Uploading]:
    uploading = world.uploading()
    uploading.start()
    yield uploading
    world.threads.holds = False
    for go_on in world.threads.held:
        go_on()
    ended(uploading.stop())


def test_what_waits_is_uploaded_content_and_facts(world: World) -> None:
    entry = world.put(b"a" * 9 * MIB)
    tag = tag_content(TagEntry(entry.digest, 5.0))
    world.put_fact(tag_key(VIEW, "latest"), tag)
    uploading = world.uploading()
    assert uploading.waiting == (2, 9 * MIB + len(tag))
    uploading.start()
    assert world.there(blob_key(entry)) == b"a" * 9 * MIB
    assert world.there(tag_key(VIEW, "latest")) == tag
    assert (uploading.waiting, uploading.uploaded, uploading.uploaded_bytes) == ((0, 0), 2, 9 * MIB)
    assert world.told == [(entry, True)]
    ended(uploading.stop())


def test_what_others_put_is_seen_within_a_second(world: World, uploading: Uploading) -> None:
    entry = world.put(b"content")
    assert world.told == []
    world.clock.advance(1)
    assert world.told == [(entry, True)]


def test_content_that_is_there_is_not_uploaded_again(world: World, uploading: Uploading) -> None:
    entry = world.put(b"content")
    obstore.put(world.memory, blob_key(entry), b"CONTENT")
    uploading.look()
    assert world.told == [(entry, True)]
    assert (world.disk.opened, uploading.uploaded_bytes) == ([], 0)


def test_content_of_another_size_is_written_over(world: World, uploading: Uploading) -> None:
    entry = world.put(b"content")
    obstore.put(world.memory, blob_key(entry), b"conten")
    uploading.look()
    assert world.there(blob_key(entry)) == b"content"


def test_content_that_is_not_on_disk_any_more_is_let_go(world: World, uploading: Uploading) -> None:
    entry = world.put(b"content")
    world.disk.path(entry).unlink()
    uploading.look()
    assert world.told == [(entry, False)]
    assert uploading.waiting == (0, 0)


def test_other_bytes_are_not_uploaded(world: World, uploading: Uploading) -> None:
    entry = world.put(b"content", b"CONTENT")
    with Log() as log:
        uploading.look()
    assert (world.told, world.wrong) == ([(entry, False)], [entry])
    assert world.there(blob_key(entry)) is None
    assert len(log.complaints) == 1
    assert uploading.waiting == (0, 0)


def test_facts_are_taken_back(world: World, uploading: Uploading) -> None:
    key = tag_key(VIEW, "latest")
    for _ in range(2):
        obstore.put(world.memory, key, b"{}")
        world.put_fact(key, None)
        uploading.look()
        assert world.there(key) is None
    world.put_fact(key, None)
    uploading.look()
    assert uploading.waiting == (0, 0), "what is not there need not be removed"


def test_a_tag_that_points_where_it_did_is_not_told_each_time(world: World, uploading: Uploading) -> None:
    digest, key = Digest.of(b"a"), tag_key(VIEW, "latest")
    for moment in (1000.0, 1060.0):
        world.put_fact(key, tag_content(TagEntry(digest, moment)))
        uploading.look()
    assert world.there(key) == tag_content(TagEntry(digest, 1000.0))
    assert uploading.waiting == (0, 0)
    world.put_fact(key, None)
    uploading.look()
    world.put_fact(key, tag_content(TagEntry(digest, 1060.0)))
    uploading.look()
    assert world.there(key) == tag_content(TagEntry(digest, 1060.0))


@pytest.mark.parametrize(("there", "ours", "then"), [(None, 5.0, 5.0), (4.0, 5.0, 5.0), (6.0, 5.0, 6.0)])
def test_the_later_refusal_counts(
    world: World, uploading: Uploading, there: float | None, ours: float, then: float
) -> None:
    key = revoked_key(VIEW)
    if there is not None:
        obstore.put(world.memory, key, revoked_content(there))
    world.put_fact(key, revoked_content(ours))
    uploading.look()
    assert world.there(key) == revoked_content(then)


def test_after_a_refusal_what_is_confirmed_is_told_at_once(world: World, uploading: Uploading) -> None:
    key = link_key(VIEW, Digest.of(b"a"))
    for moment in (1000.0, 1002.0):
        world.put_fact(key, link_content(Link(None, 1, moment)))
        uploading.look()
        assert world.there(key) == link_content(Link(None, 1, moment))
        world.put_fact(revoked_key(VIEW), revoked_content(1001.0))
        uploading.look()


def test_a_few_things_are_under_way_at_once_and_of_content_only_two(world: World, uploading: Uploading) -> None:
    world.threads.holds = True
    entries = [world.put(bytes([number])) for number in range(10)]
    for number in range(10):
        world.put_fact(tag_key(VIEW, f"v{number}"), tag_content(TagEntry(Digest.of(b"a"), 1.0)))
    uploading.look()
    uploading.look()
    assert len(world.threads.held) == 8
    world.threads.holds = False
    for go_on in world.threads.held:
        go_on()
    assert {entry for entry, _ in world.told} == set(entries)
    assert uploading.waiting == (0, 0)
    world.threads.held.clear()


def test_a_store_that_is_away_is_waited_for_longer_and_longer(world: World, uploading: Uploading) -> None:
    world.threads.trouble = OSError("cable")
    entry = world.put(b"content")
    with Log() as log:
        for _ in range(600):
            world.clock.advance(1)
    assert len(log.complaints) == 1, "that it cannot be used is said once"
    assert uploading.waiting == (1, 7)
    assert uploading.failed > 10
    assert world.told == []
    world.threads.trouble = None
    for _ in range(60):
        world.clock.advance(1)
    assert world.told == [(entry, True)]
    assert uploading.waiting == (0, 0)


def test_what_others_wait_behind_is_put_behind_them(world: World, uploading: Uploading) -> None:
    first = world.put(b"first")
    uploading_of_others = [world.put(bytes([number])) for number in range(3)]

    def open_(entry: Entry) -> int | None:
        if entry == first:
            raise OSError("it cannot be opened just now")
        return world.disk.open(entry)

    uploading._open_content = open_
    for _ in range(10):
        world.clock.advance(1)
    assert {entry for entry, _ in world.told} == set(uploading_of_others)
    assert [item.entry for item in world.outbox.take(9)] == [first]


def test_what_fails_again_and_again_while_others_do_not_is_given_up(world: World, uploading: Uploading) -> None:
    bad = Entry(Digest.of(b"bad"))
    uploading._open_content = lambda entry: _raise(OSError("no")) if entry == bad else world.disk.open(entry)
    world.outbox.put([Draft(blob_key(bad), 3, bad)])
    with Log() as log:
        for number in range(1000):
            world.put(f"{number}".encode())
            world.clock.advance(1)
    assert (bad, False) in world.told
    assert len(log.complaints) == 1
    assert "is not uploaded, it failed too often" in log.complaints[0]
    assert not world.outbox.has(blob_key(bad))


def _raise(error: Exception) -> None:
    raise error


def test_it_goes_on_after_a_restart(world: World) -> None:
    first = world.uploading()
    first.start()
    world.threads.holds = True
    entry = world.put(b"content")
    first.look()
    stopped = first.stop()
    assert not_yet(stopped)
    world.threads.holds = False
    # The HEAD that was under way; then nothing, of which the index may have been closed meanwhile.
    world.threads.held[0]()
    ended(stopped)
    assert world.disk.opened == []
    assert world.there(blob_key(entry)) is None
    assert world.outbox.waiting() == (1, 7)
    second = world.uploading()
    second.start()
    assert world.there(blob_key(entry)) == b"content"
    ended(second.stop())
    ended(second.stop())


def test_an_outbox_that_cannot_be_written_is_tried_again_in_a_while(world: World, uploading: Uploading) -> None:
    entry, done = world.put(b"content"), world.outbox.done

    def broken(item: object, came: object) -> None:
        raise lmdb.DiskError("disk")

    world.outbox.done = broken  # type: ignore[method-assign,assignment]
    with Log() as log:
        uploading.look()
        for _ in range(59):
            world.clock.advance(1)
    assert log.complaints == ["the outbox cannot be written: disk"]
    world.outbox.done = done  # type: ignore[method-assign]
    world.clock.advance(1)
    assert world.told == [(entry, True)]


def test_the_stores_own_errors_are_the_ones_it_is_waited_for(world: World) -> None:
    world.threads.trouble = OSError("cable")
    with pytest.raises(TierFailed, match="cable"):
        ended(Deferred.fromCoroutine(world.objects.head("key")))
