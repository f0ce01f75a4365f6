from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred

from crproxy.fleet.fleet_news import FleetNews
from crproxy.policy.freshness import Lifetimes
from crproxy.service.commons import Commons
from tests.memory import ended
from tests.metrics.records import samples
from tests.service.in_common import InCommon


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> InCommon:
    return InCommon(monkeypatch, tmp_path, size=1000, redirect=True)


def test_a_node_alone_has_nothing_in_common(world: InCommon) -> None:
    commons, cache = Commons.of(None, None, world.reactor, None), world.cache()
    commons.attach(cache)
    assert commons.elsewhere.is_nowhere
    assert not commons.has_nodes
    assert commons.recall(cache.store, Lifetimes(), world.reactor, world.now, cache.rules.history) is None
    assert commons.news(None) is None
    assert commons.readings(lambda: 0) is None
    assert commons.state() == (None, None)
    assert (commons.tags, commons.others) == (None, None)
    assert ended(Deferred.fromCoroutine(commons.describe_fleet())) is None
    assert ended(Deferred.fromCoroutine(commons.describe_storage())) is None


def test_a_store_alone_is_where_bytes_are_and_nobody_is_followed(world: InCommon) -> None:
    cache, tier = world.cache(), world.tier()
    commons = Commons.of(None, tier, world.reactor, None)
    commons.attach(cache)
    assert (commons.elsewhere.leases, commons.elsewhere.nodes) == (None, None)
    assert commons.elsewhere.store is commons.objects
    assert not commons.has_nodes
    assert commons.signer is None
    recall = commons.recall(cache.store, Lifetimes(), world.reactor, world.now, cache.rules.history)
    assert recall is not None
    assert commons.news(recall) is None
    assert tier.uploading is not None
    assert tier.on_over == []


def test_a_fleet_without_a_store_follows_other_nodes(world: InCommon) -> None:
    cache, fleet = world.cache(), world.fleet()
    commons = Commons.of(fleet, None, world.reactor, None)
    commons.attach(cache)
    assert commons.elsewhere.leases is fleet.leases
    assert commons.elsewhere.nodes is fleet.nodes
    assert commons.elsewhere.store is None
    assert commons.has_nodes
    recall = commons.recall(cache.store, Lifetimes(), world.reactor, world.now, cache.rules.history)
    assert isinstance(commons.news(recall), FleetNews)
    assert commons.news(None) is None


def test_other_nodes_are_told_what_this_one_holds(world: InCommon) -> None:
    cache, fleet = world.cache(), world.fleet()
    Commons.of(fleet, None, world.reactor, None).attach(cache)
    assert {name: read() for name, read in fleet.membership.numbers.items()} == {"flights": 0, "stored": 0}
    fleet.census.holds["flights"] = lambda: 3
    assert fleet.membership.numbers["flights"]() == 3


def test_what_is_known_of_tags_is_told_while_the_cache_is_open(world: InCommon) -> None:
    cache, fleet = world.cache(), world.fleet()
    commons = Commons.of(fleet, None, world.reactor, None)
    commons.attach(cache)
    tags = commons.tags
    assert tags is not None
    assert commons.others is tags.others
    tags.startService()
    assert len(cache.rules.history.followers) == 1
    assert len(cache.rules.pins.observers) == 1
    ended(tags.stopService())
    assert (cache.rules.history.followers, cache.rules.pins.observers) == ([], [])
    assert world.reactor.getDelayedCalls() == []


def test_both_let_a_blob_go_once_all_can_have_it_from_the_store(world: InCommon) -> None:
    fleet, tier = world.fleet(), world.tier()
    commons = Commons.of(fleet, tier, world.reactor, 600.0)
    commons.attach(world.cache())
    assert tier.on_over == [fleet.flight_leases.is_elsewhere]
    assert commons.elsewhere.store is commons.objects
    assert commons.signer is not None


def test_monitoring_reads_of_what_there_is(world: InCommon) -> None:
    tier, fleet = world.tier(), world.fleet()
    for commons, named in (
        (Commons.of(fleet, None, world.reactor, None), {"fleet"}),
        (Commons.of(None, tier, world.reactor, None), {"storage"}),
        (Commons.of(fleet, tier, world.reactor, 600.0), {"fleet", "storage"}),
    ):
        registry, readings = CollectorRegistry(), commons.readings(lambda: 5)
        assert readings is not None
        registry.register(readings)
        assert samples(registry, "crproxy_received_bytes_total")["upstream",] == 5
        families = {family.name.split("_")[1] for family in registry.collect()} - {"received"}
        assert families == named
        fleet_state, storage_state = commons.state()
        assert ((fleet_state is not None), (storage_state is not None)) == ("fleet" in named, "storage" in named)


def test_urls_that_clients_were_given_are_counted(world: InCommon) -> None:
    commons = Commons.of(None, world.tier(), world.reactor, 600.0)
    assert commons.signer is not None
    commons.signer.given = 4
    registry, readings = CollectorRegistry(), commons.readings(lambda: 0)
    assert readings is not None
    registry.register(readings)
    assert samples(registry, "crproxy_storage_redirects_total") == {(): 4}


def test_the_operator_is_shown_both(world: InCommon) -> None:
    commons = Commons.of(world.fleet(), world.tier(), world.reactor, None)
    fleet = ended(Deferred.fromCoroutine(commons.describe_fleet()))
    storage = ended(Deferred.fromCoroutine(commons.describe_storage()))
    assert fleet is not None
    assert storage is not None
    assert (fleet["node"], storage["url"]) == ("a", world.storage.url)
