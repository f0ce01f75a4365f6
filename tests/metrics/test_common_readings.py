from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from crproxy.metrics import CommonReadings, FleetNumbers, StorageNumbers
from tests.metrics.exercised import FLEET, STORAGE
from tests.metrics.records import samples


def read(fleet: FleetNumbers | None, storage: StorageNumbers | None) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(CommonReadings(lambda: fleet, lambda: storage, lambda: 1000))
    return registry


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("crproxy_received_bytes_total", {("node",): 500, ("store",): 700, ("upstream",): 1000}),
        ("crproxy_received_answers_total", {("node",): 5, ("store",): 7}),
        ("crproxy_fleet_valkey_up", {(): 1}),
        ("crproxy_fleet_nodes", {(): 3}),
        ("crproxy_fleet_leases", {(): 2}),
        ("crproxy_fleet_refused_total", {(): 4}),
        ("crproxy_fleet_given_total", {(): 6}),
        ("crproxy_fleet_given_bytes_total", {(): 600}),
        ("crproxy_storage_up", {(): 0}),
        ("crproxy_storage_errors_total", {(): 1}),
        ("crproxy_storage_waiting", {(): 8}),
        ("crproxy_storage_waiting_bytes", {(): 800}),
        ("crproxy_storage_uploads_total", {("done",): 9, ("failed",): 10, ("lost",): 11}),
        ("crproxy_storage_uploaded_bytes_total", {(): 900}),
        ("crproxy_storage_size_bytes", {(): 12000}),
        ("crproxy_storage_budget_bytes", {(): 20000}),
        ("crproxy_storage_evictions_total", {(): 13}),
        ("crproxy_storage_evicted_bytes_total", {(): 1300}),
        ("crproxy_storage_redirects_total", {(): 14}),
    ],
)
def test_what_is_known_is_read(name: str, values: dict[tuple[str, ...], float]) -> None:
    assert samples(read(FLEET, STORAGE), name) == values


def test_a_node_that_has_nothing_in_common_has_no_such_metric() -> None:
    assert list(read(None, None).collect()) == []


def test_without_a_store_there_is_none_of_it() -> None:
    registry = read(FLEET, None)
    assert samples(registry, "crproxy_received_bytes_total") == {("node",): 500, ("upstream",): 1000}
    assert samples(registry, "crproxy_fleet_nodes") == {(): 3}
    assert not [family.name for family in registry.collect() if "storage" in family.name]


def test_without_other_nodes_there_is_none_of_them() -> None:
    registry = read(None, STORAGE)
    assert samples(registry, "crproxy_received_answers_total") == {("store",): 7}
    assert not [family.name for family in registry.collect() if "fleet" in family.name]


def test_of_a_store_that_nobody_looks_through_or_bounds_nothing_is_said_of_its_size() -> None:
    registry = read(None, replace(STORAGE, size=None, budget=None))
    assert samples(registry, "crproxy_storage_size_bytes") == samples(registry, "crproxy_storage_budget_bytes") == {}


def test_registering_reads_nothing() -> None:
    def refuse() -> None:
        raise AssertionError

    CollectorRegistry().register(CommonReadings(refuse, refuse, lambda: 0))
