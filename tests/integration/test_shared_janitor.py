"""Nodes that keep a real S3 server within its size, and tell each other through a real Valkey what they use of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import deferLater

from crproxy.config import Config, Fleet, Storage, ValkeyAddress
from crproxy.objects.errors import TierFailed
from crproxy.objects.janitor import TierJanitor
from crproxy.objects.naming import blob_key
from crproxy.oci.digests import Digest
from crproxy.policy.routing import Names
from crproxy.service.caching import CacheService
from crproxy.service.commons import Commons
from crproxy.service.fleet import FleetService
from crproxy.service.second_tier import SecondTierService
from crproxy.sharing import Alone
from crproxy.store.entries import Entry
from tests.parts.ports import reserve_port
from tests.parts.s3 import S3Server
from tests.parts.valkey import Valkey
from tests.reactor import on_the_reactor, wait_for
from tests.service.in_common import BOUNDS

reactor: Any = _reactor
pytestmark = pytest.mark.integration

KIB = 1024
CONTENTS = [bytes([number]) * 100 * KIB for number in range(6)]
ENTRIES = [Entry(Digest.of(content)) for content in CONTENTS]
# Room for two of them, and what is said of them.
SIZE = 250 * KIB
# All nodes think that it is so many seconds later: what was uploaded by then is old.
LATER = 3 * 3600.0


def now() -> float:
    return time.time() + LATER


class Node:
    """The parts of a daemon that have to do with the object store, in this process.

    Arguments:
        size: of the object store.
    """

    def __init__(self, directory: Path, name: str, s3: S3Server, valkey: Valkey | None, size: int = SIZE) -> None:
        fleet = None
        if valkey is not None:
            port = reserve_port()
            url = f"https://127.0.0.1:{port}"
            fleet = Fleet(ValkeyAddress("127.0.0.1", valkey.port), url, (f"tcp:{port}",), "s" * 32, name)
        storage = Storage(f"s3://{s3.bucket}/all", s3.endpoint, s3.region, s3.access_key_id, s3.secret_access_key, size)
        self.config = Config(Names("cr.test", {}), data_dir=str(directory / name), storage=storage, fleet=fleet)
        self.fleet = None if fleet is None else FleetService(self.config, fleet, reactor, now, Alone(), BOUNDS)
        sharing = Alone() if self.fleet is None else self.fleet.sharing
        self.tier = SecondTierService(self.config, storage, reactor, now, sharing)
        commons = Commons.of(self.fleet, self.tier, reactor, None)
        self.cache = CacheService(self.config, reactor, now=now, sharing=sharing, elsewhere=commons.elsewhere)
        commons.attach(self.cache)
        services = (self.fleet, self.tier.threads, self.cache, self.tier)
        self._services = [service for service in services if service is not None]
        for service in self._services:
            service.startService()

    async def stop(self) -> None:
        """End it, as often as that is said."""
        services, self._services = self._services, []
        for service in reversed(services):
            await maybeDeferred(service.stopService)
        if services:
            self.tier._outbox.close()

    @property
    def janitor(self) -> TierJanitor:
        assert self.tier._janitor is not None
        return self.tier._janitor

    async def tidy(self) -> None:
        """Do what is done each quarter of an hour."""
        await self.janitor._work_if_let()

    async def keep(self, number: int) -> None:
        """Have content on disk, and so in the store."""
        await self.cache.store.keep(ENTRIES[number], CONTENTS[number])
        self.cache.store.stored(ENTRIES[number], len(CONTENTS[number]))

    async def serve(self, number: int) -> None:
        """Serve content from the disk, and write down that it was used, as is done each minute."""
        opened = self.cache.store.open(ENTRIES[number])
        assert opened is not None
        opened.close()
        self.cache.store.note_use()
        await self.cache.store.index.flush()


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3Server]:
    (tmp_path / "s3").mkdir()
    with S3Server(tmp_path / "s3") as s3:
        yield s3


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    with Valkey() as valkey:
        yield valkey


@pytest.fixture
def start(tmp_path: Path, s3: S3Server) -> Iterator[Callable[..., Node]]:
    """Starts a node, which is stopped at the end."""
    with ExitStack() as ends:

        def started(name: str, valkey: Valkey | None, **options: Any) -> Node:
            node = Node(tmp_path, name, s3, valkey, **options)
            ends.callback(lambda: wait_for(Deferred.fromCoroutine(node.stop())))
            return node

        yield started


async def until(what: Callable[[], object], seconds: float = 30) -> None:
    """Look again and again until it is so."""
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends
        await deferLater(reactor, 0.02)


def put(s3: S3Server, *numbers: int) -> None:
    """Have content in the store that some node has put there long ago."""
    for number in numbers:
        s3.write(f"all/{blob_key(ENTRIES[number])}", CONTENTS[number])


def there(s3: S3Server) -> set[int]:
    names = s3.names()
    return {number for number, entry in enumerate(ENTRIES) if f"all/{blob_key(entry)}" in names}


def used(valkey: Valkey) -> set[int]:
    """What is known to be used."""
    members = valkey.ask("ZRANGE", "crproxy:used", "0", "-1")
    return {number for number, entry in enumerate(ENTRIES) if blob_key(entry) in members}


def has_been_known_for_long(valkey: Valkey) -> None:
    """Have the nodes have told each other what they use for an hour."""
    valkey.ask("ZADD", "crproxy:used", f"{1e12 + time.time() - 3600:.0f}", "")


def forget(valkey: Valkey, *numbers: int) -> None:
    """Have nobody have used some lately."""
    valkey.ask("ZREM", "crproxy:used", *(blob_key(ENTRIES[number]) for number in numbers))


async def both_up(*nodes: Node) -> None:
    await until(lambda: all(node.fleet is None or node.fleet.membership.is_up for node in nodes))


@on_the_reactor
async def test_what_any_node_uses_stays_and_what_none_does_goes(
    start: Callable[..., Node], s3: S3Server, valkey: Valkey
) -> None:
    put(s3, 0, 1, 2, 3)
    first, second = start("first", valkey), start("second", valkey)
    await both_up(first, second)
    # One is read from the store, and one was stored by the other node, and was in the store already.
    assert await first.tier.tier.read(ENTRIES[1]) == CONTENTS[1]
    await second.keep(3)
    await until(lambda: used(valkey) == {1, 3})
    has_been_known_for_long(valkey)
    await first.tidy()
    assert there(s3) == {1, 3}
    assert first.janitor.evicted == 2


@on_the_reactor
async def test_what_a_node_serves_from_its_own_disk_is_used_and_comes_back_if_it_had_gone(
    start: Callable[..., Node], s3: S3Server, valkey: Valkey
) -> None:
    other = start("other", valkey)
    before = start("node", valkey)
    for number in (0, 1, 2, 3):
        await before.keep(number)
    await until(lambda: there(s3) == {0, 1, 2, 3} and used(valkey) == {0, 1, 2, 3})
    await before.stop()
    forget(valkey, 0, 1, 2, 3)

    node = start("node", valkey)
    await both_up(node, other)
    await node.serve(0)
    await node.serve(1)
    await until(lambda: used(valkey) == {0, 1})
    has_been_known_for_long(valkey)
    await other.tidy()
    assert there(s3) == {0, 1}
    await node.serve(2)
    await until(lambda: there(s3) == {0, 1, 2})
    assert used(valkey) == {0, 1, 2}


@on_the_reactor
async def test_two_nodes_are_never_at_it_at_once(
    start: Callable[..., Node], s3: S3Server, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3, 0, 1, 2, 3)
    first, second = start("first", valkey), start("second", valkey)
    await both_up(first, second)
    has_been_known_for_long(valkey)
    asked, answered = Deferred[None](), Deferred[None]()
    last_used = first.janitor._last_used

    async def held_up(entries: Sequence[Entry]) -> Any:
        found = await last_used(entries)
        if not asked.called:
            asked.callback(None)
            await answered
        return found

    monkeypatch.setattr(first.janitor, "_last_used", held_up)
    tidying = Deferred.fromCoroutine(first.tidy())
    await asked
    # The other is not let, until the first has lost its right; which then removes nothing any more.
    await second.tidy()
    assert there(s3) == {0, 1, 2, 3}
    assert first.fleet is not None
    lease = first.fleet._tidies
    assert lease is not None
    valkey.kill()
    await until(lambda: not lease.is_ours)
    valkey.again()
    await both_up(first, second)
    monkeypatch.setattr(first.janitor, "_last_used", last_used)
    answered.callback(None)
    with pytest.raises(TierFailed):
        await tidying
    assert there(s3) == {0, 1, 2, 3}
    has_been_known_for_long(valkey)
    await second.tidy()
    await first.tidy()
    assert len(there(s3)) == 2
    assert (first.janitor.evicted, second.janitor.evicted) == (0, 2)


@on_the_reactor
async def test_where_valkey_has_lost_all_nothing_goes_until_it_is_told_again(
    start: Callable[..., Node], s3: S3Server, valkey: Valkey
) -> None:
    put(s3, 0, 1, 2, 3)
    first, second = start("first", valkey), start("second", valkey)
    await both_up(first, second)
    assert await second.tier.tier.read(ENTRIES[0]) == CONTENTS[0]
    await until(lambda: used(valkey) == {0})
    valkey.ask("FLUSHALL")
    with pytest.raises(TierFailed, match="lost what was used"):
        await first.tidy()
    for node in (first, second):
        # As is done each minute.
        assert node.tier._uses is not None
        await node.tier._uses.told({})
    assert used(valkey) == {0}
    has_been_known_for_long(valkey)
    await first.tidy()
    # Of the others, what was written last stays; the store says when to the second.
    assert (0 in there(s3), len(there(s3))) == (True, 2)


@on_the_reactor
async def test_without_valkey_nothing_goes_and_nothing_breaks(
    start: Callable[..., Node], s3: S3Server, valkey: Valkey
) -> None:
    put(s3, 0, 1, 2)
    node = start("node", valkey)
    await both_up(node)
    valkey.kill()
    await until(lambda: node.fleet is not None and not node.fleet.membership.is_up)
    await node.tidy()
    assert await node.tier.tier.read(ENTRIES[0]) == CONTENTS[0]
    assert there(s3) == {0, 1, 2}


@on_the_reactor
async def test_a_node_without_others_goes_by_its_own_index_then_by_when_it_was_written(
    start: Callable[..., Node], s3: S3Server
) -> None:
    put(s3, 0, 1, 2)
    node = start("node", None)
    await node.keep(0)
    await node.cache.store.index.flush()
    # Nothing but the index remembers.
    assert node.tier._uses is not None
    node.tier._uses._last.clear()
    await node.tidy()
    assert (0 in there(s3), len(there(s3))) == (True, 2)


@on_the_reactor
async def test_what_is_uploaded_while_it_is_tidied_stays(
    start: Callable[..., Node], s3: S3Server, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3, 0, 1, 2, 3)
    first, second = start("first", valkey), start("second", valkey)
    await both_up(first, second)
    has_been_known_for_long(valkey)
    drop = first.janitor._drop

    async def drop_later(held: Any, turn: Any) -> Any:
        # By now it is decided what goes; then a node stores one of these, and has uploaded another.
        await second.keep(0)
        await second.keep(4)
        await until(lambda: used(valkey) == {0, 4} and 4 in there(s3))
        return await drop(held, turn)

    monkeypatch.setattr(first.janitor, "_drop", drop_later)
    await first.tidy()
    assert {0, 4} <= there(s3)
