"""Metrics of a daemon of which everything has happened once, so that each has its labels."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from twisted.internet.task import Clock

from crproxy.config import Config, Limits, Upstream
from crproxy.flights import Flights
from crproxy.limits import Accounts, Fills
from crproxy.login import Login
from crproxy.metrics import CommonReadings, Disk, FleetNumbers, Meters, Readings, Stock, StorageNumbers
from crproxy.oci.errors import RegistryError
from crproxy.oci.names import DOCKER_HUB, Registry, Tag
from crproxy.policy.audit import CacheState
from crproxy.policy.minimum_age import TagChange
from crproxy.policy.rules import Rule
from crproxy.pullthrough.rulings import Outcome
from crproxy.upstream.attempts import Attempt
from crproxy.upstream.quotas import Quotas
from tests.metrics.records import record
from tests.stores import make_dependencies, make_store

__all__ = ["FLEET", "STORAGE", "exercised", "make_stock"]

_NOBODY: Any = None
FLEET = FleetNumbers(is_up=True, nodes=3, leases=2, refused=4, answers=5, bytes=500, answers_given=6, bytes_given=600)
STORAGE = StorageNumbers(
    is_up=False,
    failures=1,
    answers=7,
    bytes=700,
    waiting=8,
    waiting_bytes=800,
    uploaded=9,
    uploaded_bytes=900,
    upload_failures=10,
    lost=11,
    size=12000,
    budget=20000,
    evicted=13,
    evicted_bytes=1300,
    redirects=14,
)
MCR, MIRROR = Registry("mcr.microsoft.com"), "https://mirror.example"


def make_stock(path: Path, clock: Clock, meters: Meters, config: Config, **others: Any) -> Stock:
    """Everybody who knows something; nothing has happened yet."""
    store = make_store(path, clock)
    return Stock(
        store=store,
        flights=Flights(make_dependencies(store, clock)),
        fills=Fills(lambda: config),
        accounts=Accounts(lambda: config, clock),
        quotas=Quotas(clock.seconds),
        login=Login(lambda: config, _NOBODY, _NOBODY, _NOBODY, clock),
        received=lambda: meters.upstreams.bytes_received,
        up=lambda: meters.upstreams.up,
        endpoints_up=lambda: meters.upstreams.endpoints_up,
        registries=meters.registries,
        **{
            "ends": lambda: [("cr.test", 5.0), ("none.test", None)],
            "disk": lambda: Disk(1000, 250),
            "connections": lambda: {"registry": 3},
            **others,
        },
    )


def exercised(path: Path) -> CollectorRegistry:
    """What a daemon of a fleet with an object store exposes."""
    mirrored = Upstream(MCR, MIRROR, fallbacks=(Upstream.public(MCR),))
    limits = Limits(connections_per_client=1, fills_per_client=1)
    clock, config = Clock(), Config(limits=limits, upstreams={MCR: mirrored})
    meters = Meters(lambda: config)
    stock = make_stock(path, clock, meters, config)
    meters.registry.register(Readings(stock))
    meters.registry.register(CommonReadings(lambda: FLEET, lambda: STORAGE, lambda: meters.upstreams.bytes_received))
    meters.requests.observe(record(cache=CacheState.STALE))
    meters.upstreams.attempted(Attempt.of_status(DOCKER_HUB, 0.1, 503))
    meters.upstreams.attempted(Attempt.of_status(MCR, 0.1, 200, MIRROR))
    meters.upstreams.received(7)
    meters.rules.decided(Rule("three days"), Outcome.HELD)
    meters.rules.decided(Rule("three days"), Outcome.DENIED)
    meters.rules.moved(MCR.repository("a/b"), Tag("v1"), None, TagChange(None, 0.0, 0.0))
    meters.lag(0.01)
    meters.turn(0.03)
    stock.quotas.note(DOCKER_HUB, {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "7;w=21600"})
    for _ in range(2):
        stock.accounts.admit("192.0.2.1")
    stock.fills.begin("quay.io", "192.0.2.1")
    with contextlib.suppress(RegistryError):
        stock.fills.begin("quay.io", "192.0.2.1")
    return meters.registry
