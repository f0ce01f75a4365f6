from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from twisted.internet.task import Clock

from crproxy import __version__
from crproxy.config import Config
from crproxy.metrics import Meters, Readings
from crproxy.oci.digests import Digest
from crproxy.store.blobs import PartialKey
from crproxy.store.entries import Entry
from tests.metrics.exercised import exercised, make_stock
from tests.metrics.records import samples


@pytest.fixture
def registry(tmp_path: Path) -> CollectorRegistry:
    return exercised(tmp_path)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("crproxy_build_info", {(__version__,): 1}),
        ("crproxy_cache_budget_bytes", {(): 1024**3}),
        ("crproxy_disk_size_bytes", {(): 1000}),
        ("crproxy_disk_free_bytes", {(): 250}),
        ("crproxy_limited_total", {("requests",): 0, ("connections",): 1, ("fills",): 1}),
        ("crproxy_logins_total", {("right",): 0, ("wrong",): 0}),
        ("crproxy_connections", {("registry",): 3}),
        ("crproxy_upstream_quota_limit", {("docker.io",): 100}),
        ("crproxy_upstream_quota_remaining", {("docker.io",): 7}),
        ("crproxy_certificate_expiry_timestamp_seconds", {("cr.test",): 5}),
        ("crproxy_upstream_received_bytes_total", {(): 7}),
        ("crproxy_upstream_up", {("docker.io",): 0, ("mcr.microsoft.com",): 1}),
        ("crproxy_upstream_endpoint_up", {("mcr.microsoft.com", "https://mirror.example"): 1}),
        ("crproxy_reactor_lag_seconds_count", {(): 1}),
        ("crproxy_reactor_stall_seconds", {(): 0.03}),
    ],
)
def test_what_is_known_is_read(registry: CollectorRegistry, name: str, values: dict[tuple[str, ...], float]) -> None:
    assert samples(registry, name) == values


def test_it_is_read_each_time(tmp_path: Path) -> None:
    meters, clock = Meters(Config), Clock()
    stock = make_stock(tmp_path, clock, meters, Config())
    meters.registry.register(Readings(stock))
    contents = [Entry(Digest.of(text)) for text in (b"x", b"y")]
    for number, entry in enumerate(contents, 1):
        stock.store.index.stored(entry, 1000)
        assert samples(meters.registry, "crproxy_cache_contents") == {(): number}
    assert stock.store.reserve(PartialKey(contents[0]), 24)
    assert samples(meters.registry, "crproxy_cache_size_bytes") == {(): 2024}
    stock.store.evict(1024)
    assert samples(meters.registry, "crproxy_cache_evictions_total") == {(): 1}
    assert samples(meters.registry, "crproxy_cache_evicted_bytes_total") == {(): 1000}
    stock.login._count(right=False)
    assert samples(meters.registry, "crproxy_logins_total")["wrong",] == 1


def test_a_disk_that_cannot_be_looked_at_has_no_numbers(tmp_path: Path) -> None:
    meters = Meters(Config)
    meters.registry.register(Readings(make_stock(tmp_path, Clock(), meters, Config(), disk=lambda: None)))
    assert samples(meters.registry, "crproxy_disk_size_bytes") == {}


def test_quotas_of_registries_that_nobody_named_are_not_told(tmp_path: Path) -> None:
    from crproxy.oci.names import Registry

    meters, clock = Meters(Config), Clock()
    stock = make_stock(tmp_path, clock, meters, Config())
    meters.registry.register(Readings(stock))
    stock.quotas.note(Registry("who.example"), {"ratelimit-limit": "1", "ratelimit-remaining": "1"})
    assert samples(meters.registry, "crproxy_upstream_quota_limit") == {}
