from __future__ import annotations

from pathlib import Path

from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.service.showing import state_of
from crproxy.store.entries import Entry
from crproxy.web.page import Certificate
from tests.stores import make_store


def test_what_the_cache_holds_is_counted(tmp_path: Path) -> None:
    store = make_store(tmp_path, Clock())
    read = state_of(store, list)
    assert read().bytes_stored == 0
    store.index.stored(Entry(Digest.of(b"x")), 1000)
    store.partial_bytes = 24
    state = read()
    assert (state.bytes_stored, state.bytes_allowed) == (1024, store.budget)


def test_each_certificate_has_its_end(tmp_path: Path) -> None:
    read = state_of(make_store(tmp_path, Clock()), lambda: [("cr.test", 5.0), ("quay.cr.test", None)])
    assert read().certificates == (Certificate("cr.test", 5.0), Certificate("quay.cr.test", None))


def test_what_nobody_counts_is_left_out(tmp_path: Path) -> None:
    state = state_of(make_store(tmp_path, Clock()), list)()
    assert (state.hit_rate, state.bytes_served, state.upstreams) == (None, None, ())
