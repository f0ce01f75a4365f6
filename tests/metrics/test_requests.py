from __future__ import annotations

import pytest

from crproxy.config import Config
from crproxy.metrics import Meters
from crproxy.metrics.requests import Served
from crproxy.policy.audit import CacheState
from tests.metrics.records import record, samples


@pytest.fixture
def meters() -> Meters:
    return Meters(Config)


def test_a_request_is_counted_by_what_it_was(meters: Meters) -> None:
    for _ in range(2):
        meters.requests.observe(record(cache=CacheState.HIT))
    meters.requests.observe(record(method="BREW", status=None, registry="who.example", sent=0))
    assert samples(meters.registry, "crproxy_requests_total") == {
        ("GET", "200", "quay.io", "hit"): 2,
        ("other", "none", "other", "none"): 1,
    }
    assert samples(meters.registry, "crproxy_sent_bytes_total") == {("hit",): 1056, ("none",): 0}


@pytest.mark.parametrize(
    ("site", "counted"), [("registry", 1), ("plain", 1), ("refusing", 1), ("admin", 0), ("metrics", 0)]
)
def test_requests_are_those_of_clients(meters: Meters, site: str, counted: int) -> None:
    meters.requests.observe(record(site=site))
    assert sum(samples(meters.registry, "crproxy_requests_total").values()) == counted


def test_stale_answers_are_counted_by_registry(meters: Meters) -> None:
    for cache in CacheState:
        meters.requests.observe(record(cache=cache))
    assert samples(meters.registry, "crproxy_stale_answers_total") == {("quay.io",): 1}


def test_what_came_out_of_the_cache_is_known(meters: Meters) -> None:
    for cache in (*CacheState, None):
        meters.requests.observe(record(cache=cache, sent=1))
    number = len(CacheState)
    assert Served.of(meters.registry.collect()) == Served(number, 4, 4, number, 0, {"quay.io": (number, 4)})
