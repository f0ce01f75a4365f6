from __future__ import annotations

from pathlib import Path

from twisted.internet.task import Clock

from crproxy.config import Config
from crproxy.config import Upstream as Reached
from crproxy.metrics import Meters
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.policy.audit import CacheState
from crproxy.service.page_state import state_of
from crproxy.store.blobs import PartialKey
from crproxy.store.entries import Entry
from crproxy.upstream.attempts import Attempt
from crproxy.web.page import Certificate, Fleet, Storage, Upstream
from tests.metrics.records import record
from tests.stores import make_store


def test_what_the_cache_holds_is_counted(tmp_path: Path) -> None:
    store = make_store(tmp_path, Clock())
    read = state_of(store, list, Meters(Config).upstreams, list)
    assert read().bytes_stored == 0
    store.index.stored(Entry(Digest.of(b"x")), 1000)
    assert store.reserve(PartialKey(Entry(Digest.of(b"y"))), 24)
    state = read()
    assert (state.bytes_stored, state.bytes_allowed) == (1024, store.budget)


def test_each_certificate_has_its_end(tmp_path: Path) -> None:
    read = state_of(
        make_store(tmp_path, Clock()),
        lambda: [("cr.test", 5.0), ("quay.cr.test", None)],
        Meters(Config).upstreams,
        list,
    )
    assert read().certificates == (Certificate("cr.test", 5.0), Certificate("quay.cr.test", None))


def test_what_was_never_asked_for_is_left_out(tmp_path: Path) -> None:
    state = state_of(make_store(tmp_path, Clock()), list, Meters(Config).upstreams, list)()
    assert (state.hit_rate, state.bytes_served, state.upstreams) == (None, 0, ())


def test_requests_and_upstreams_are_those_that_were_counted(tmp_path: Path) -> None:
    meters = Meters(Config)
    read = state_of(make_store(tmp_path, Clock()), list, meters.upstreams, meters.registry.collect)
    for cache in (CacheState.HIT, CacheState.STALE, CacheState.STORED, CacheState.COLLAPSED, None):
        meters.requests.observe(record(cache=cache, sent=10))
    meters.upstreams.attempted(Attempt.of_status(Registry("quay.io"), 0.1, 200))
    meters.upstreams.attempted(Attempt.of_status(Registry("ghcr.io"), 0.1, 503))
    state = read()
    assert (state.hit_rate, state.bytes_served) == (0.5, 20)
    assert state.upstreams == (Upstream("ghcr.io", up=False), Upstream("quay.io", up=True))


def test_several_endpoints_have_a_row_each(tmp_path: Path) -> None:
    quay, mirror, own = Registry("quay.io"), "https://mirror.example", "https://quay.io"
    config = Config(upstreams={quay: Reached(quay, mirror, fallbacks=(Reached.public(quay),))})
    meters = Meters(lambda: config)
    for endpoint, status in ((mirror, 503), (own, 200)):
        meters.upstreams.attempted(Attempt.of_status(quay, 0.1, status, endpoint))
    assert state_of(make_store(tmp_path, Clock()), list, meters.upstreams, list)().upstreams == (
        Upstream("quay.io", up=True),
        Upstream("quay.io (https://mirror.example)", up=False),
        Upstream("quay.io (https://quay.io)", up=True),
    )


def test_what_nodes_have_in_common_is_shown_as_it_is(tmp_path: Path) -> None:
    found = Fleet(up=True, leases=2), Storage(up=False, waiting=3, waiting_bytes=4)
    state = state_of(make_store(tmp_path, Clock()), list, Meters(Config).upstreams, list, lambda: found)()
    assert (state.fleet, state.storage) == found


def test_a_node_of_its_own_has_nothing_in_common(tmp_path: Path) -> None:
    state = state_of(make_store(tmp_path, Clock()), list, Meters(Config).upstreams, list)()
    assert (state.fleet, state.storage) == (None, None)
