from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from crproxy.config import Config, ConfigError, Storage
from crproxy.objects.errors import TierFailed
from crproxy.objects.janitor import Turn
from crproxy.oci.digests import Digest
from crproxy.service.caching import CacheService
from crproxy.service.second_tier import ObjectThreads, SecondTierService
from crproxy.sharing import Alone
from crproxy.store.entries import Entry
from crproxy.web import page
from tests.logs import Log
from tests.memory import ended, not_yet
from tests.service.in_common import InCommon
from tests.sharing.crew import Crew

CONTENT = b"some content"
ENTRY = Entry(Digest.of(CONTENT))


async def always() -> Turn:
    return lambda: True


async def never() -> None:
    return None


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> InCommon:
    return InCommon(monkeypatch, tmp_path, size=1000)


@pytest.fixture
def cache(world: InCommon) -> CacheService:
    return world.cache()


@pytest.fixture
def tier(world: InCommon, cache: CacheService) -> Iterator[SecondTierService]:
    tier = world.tier()
    tier.attach(cache, always)
    tier.startService()
    yield tier
    ended(tier.stopService())


def keep(cache: CacheService, content: bytes = CONTENT) -> Entry:
    entry = Entry(Digest.of(content))
    ended(cache.store.keep(entry, content))
    ended(cache.store.index.flush())
    return entry


def has_answered(tier: SecondTierService) -> bool:
    return tier.numbers(0).is_up


def test_what_the_cache_keeps_is_uploaded(world: InCommon, cache: CacheService, tier: SecondTierService) -> None:
    over: list[Entry] = []
    tier.on_over.append(over.append)
    keep(cache)
    assert (tier.numbers(0).waiting, tier.numbers(0).waiting_bytes) == (1, len(CONTENT))
    assert tier.state() == page.Storage(up=True, waiting=1, waiting_bytes=len(CONTENT))
    world.reactor.advance(1)
    numbers = tier.numbers(3)
    assert (numbers.waiting, numbers.uploaded, numbers.uploaded_bytes) == (0, 1, len(CONTENT))
    assert (numbers.budget, numbers.redirects) == (1000, 3)
    assert [path.read_bytes() for path in world.kept()] == [CONTENT]
    assert ended(Deferred.fromCoroutine(tier.tier.size(ENTRY))) == len(CONTENT)
    assert over == [ENTRY]


def test_other_workers_are_told_when_it_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    crew = Crew()
    leads = InCommon(monkeypatch, tmp_path / "a", crew.member(0))
    follows = InCommon(monkeypatch, tmp_path / "b", crew.member(1))
    cache, over = leads.cache(), list[Entry]()
    tier, other = leads.tier(), follows.tier()
    tier.attach(cache, always)
    other.on_over.append(over.append)
    tier.startService()
    keep(cache)
    leads.reactor.advance(1)
    assert over == [ENTRY]
    ended(tier.stopService())


def test_a_worker_that_does_not_lead_uploads_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Follower(Alone):
        leads = False

    world = InCommon(monkeypatch, tmp_path, Follower(), size=1000)
    cache, tier = world.cache(), world.tier()
    tier.attach(cache, always)
    tier.startService()
    keep(cache)
    world.reactor.advance(10)
    assert tier.uploading is None
    numbers = tier.numbers(0)
    assert (numbers.waiting, numbers.uploaded, numbers.evicted) == (1, 0, 0)
    assert world.kept() == []
    ended(tier.stopService())


def test_what_is_too_much_goes(world: InCommon, cache: CacheService, tier: SecondTierService) -> None:
    assert tier.numbers(0).size is None
    keep(cache, b"x" * 2000)
    world.reactor.advance(1)
    assert len(world.kept()) == 1
    world.reactor.advance(899)
    numbers = tier.numbers(0)
    assert (numbers.size, numbers.evicted) == (2000, 0), "it was used within the last hour"
    # A use may be told half an hour late.
    for _ in range(6):
        world.reactor.advance(900)
    numbers = tier.numbers(0)
    assert (numbers.size, numbers.evicted, numbers.evicted_bytes) == (0, 1, 2000)
    assert world.kept() == []


def test_where_another_node_looks_nothing_is_known_of_the_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    world = InCommon(monkeypatch, tmp_path, size=1000)
    tier = world.tier()
    tier.attach(world.cache(), never)
    tier.startService()
    world.reactor.advance(1000)
    assert tier.numbers(0).size is None
    ended(tier.stopService())


def test_a_store_that_did_not_answer_is_asked_again_until_it_does(world: InCommon, tier: SecondTierService) -> None:
    """Though nobody wants anything of it: else monitoring would not learn that it is back."""
    assert has_answered(tier)
    world.trouble = TierFailed("the cable")
    with Log() as log:
        assert not ended(Deferred.fromCoroutine(tier._objects.is_there()))
        world.reactor.pump([1.0] * 120)
    assert len(log.complaints) == 1, "said once"
    assert not has_answered(tier)
    assert not tier.state().up
    failures = tier.numbers(0).failures
    assert 3 <= failures <= 20, "not each second"
    world.trouble = None
    world.reactor.pump([1.0] * 40)
    assert has_answered(tier)
    assert tier.numbers(0).failures == failures
    world.reactor.pump([1.0] * 60)


def test_it_is_described(world: InCommon, cache: CacheService, tier: SecondTierService) -> None:
    keep(cache)
    assert ended(Deferred.fromCoroutine(tier.describe())) == {
        "url": world.storage.url,
        "up": True,
        "waiting": 1,
        "waiting_bytes": len(CONTENT),
    }


def test_all_that_was_kept_before_can_be_pushed(world: InCommon, cache: CacheService) -> None:
    keep(cache)
    tier = world.tier()
    tier.attach(cache, always)
    tier.startService()
    pushed = Deferred.fromCoroutine(tier.pushing(cache).run(lambda *_: None))
    world.reactor.pump([1.0] * 3)
    ended(pushed)
    assert [path.read_bytes() for path in world.kept()] == [CONTENT]
    ended(tier.stopService())


def test_what_is_not_installed_is_said_with_what_to_do(world: InCommon, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("obstore", "crproxy.objects"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ConfigError, match=r"\[storage\] takes what is not installed here .*crproxy\[fleet\]"):
        world.tier()


def test_threads_run_while_the_service_does() -> None:
    service = ObjectThreads()
    service.startService()
    assert service.pool.started
    service.stopService()
    assert not service.pool.started


def test_what_other_nodes_answer_after_the_end_is_looked_up_nowhere(
    world: InCommon, cache: CacheService, tier: SecondTierService
) -> None:
    ended(tier.stopService())
    cache.store.index.close()
    with Log() as log:
        ended(world.sharing.ask_leader("objects used", {ENTRY: True}))
    assert log.complaints == []
    tier.startService()


class _Upload:
    """One that is under way until it is told that it is not."""

    def __init__(self) -> None:
        self.over: Deferred[None] = Deferred()

    def start(self) -> None:
        """It has begun."""

    def stop(self) -> Deferred[None]:
        return self.over


class _Cache(Service):
    def stopService(self) -> Deferred[None]:
        super().stopService()
        return succeed(None)


def test_threads_end_when_nothing_is_uploaded_any_more(tmp_path: Path) -> None:
    (tmp_path / "tier").mkdir()
    clock, upload, cache = Clock(), _Upload(), _Cache()
    storage = Storage(f"file://{tmp_path / 'tier'}")
    tier = SecondTierService(Config(data_dir=str(tmp_path)), storage, clock, clock.seconds, Alone())
    tier.uploading = cast(Any, upload)
    whole = tier.beside(cache)
    whole.startService()
    stopped = whole.stopService()
    assert not_yet(stopped)
    # The cache does not wait for a store that hangs.
    assert (cache.running, tier.threads.pool.started) == (False, True)
    upload.over.callback(None)
    ended(stopped)
    assert not tier.threads.pool.started
