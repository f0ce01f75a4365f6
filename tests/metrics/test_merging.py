from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import Metric

from crproxy.metrics import merging
from crproxy.metrics.merging import growing, merge
from tests.metrics.exercised import exercised

# Of each it is the largest, which is what there is to know: all tell the same, or the worst is what matters.
LARGEST = {
    "crproxy_build_info",
    "crproxy_cache_budget_bytes",
    "crproxy_cache_contents",
    "crproxy_cache_size_bytes",
    "crproxy_certificate_expiry_timestamp_seconds",
    "crproxy_disk_free_bytes",
    "crproxy_disk_size_bytes",
    "crproxy_fleet_nodes",
    "crproxy_reactor_stall_seconds",
    "crproxy_storage_budget_bytes",
    "crproxy_storage_size_bytes",
    "crproxy_storage_waiting",
    "crproxy_storage_waiting_bytes",
    "crproxy_upstream_endpoint_up",
    "crproxy_upstream_quota_limit",
    "crproxy_upstream_quota_remaining",
    "crproxy_upstream_up",
    "process_max_fds",
}


class Worker:
    """What one has counted."""

    def __init__(self) -> None:
        disable_created_metrics()
        self.registry = CollectorRegistry()
        self.answers = Counter("answers", "Answers.", ("status", "kind"), registry=self.registry)
        self.seconds = Histogram("seconds", "Seconds.", ("kind",), buckets=(1, 5), registry=self.registry)
        self.longest = Gauge("longest", "The longest.", registry=self.registry)
        self._most = 0

    def count(self, status: str, kind: str, seconds: int) -> None:
        self.answers.labels(status, kind).inc()
        self.seconds.labels(kind).observe(seconds)
        if seconds > self._most:
            self._most = seconds
            self.longest.set(seconds)


Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def values(metrics: Iterable[Metric]) -> Values:
    """Each sample's value; there is no sample twice."""
    found = [
        ((sample.name, frozenset(sample.labels.items())), sample.value) for each in metrics for sample in each.samples
    ]
    assert len(dict(found)) == len(found)
    return dict(found)


def gauge(name: str, value: float) -> Metric:
    metric = Metric(name, "About.", "gauge")
    metric.add_sample(name, {}, value)
    return metric


def test_of_no_worker_there_is_nothing() -> None:
    assert merge([]) == []


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from("ab"), st.sampled_from("xy"), st.integers(0, 9)), max_size=30)
)
def test_several_workers_have_counted_what_one_would_have(counted: list[tuple[int, str, str, int]]) -> None:
    workers, one = [Worker() for _ in range(3)], Worker()
    for number, status, kind, seconds in counted:
        for worker in (workers[number], one):
            worker.count(status, kind, seconds)
    merged = merge(worker.registry.collect() for worker in workers)
    assert values(merged) == values(one.registry.collect())
    assert [(each.name, each.type, each.documentation) for each in merged] == [
        (each.name, each.type, each.documentation) for each in one.registry.collect()
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("crproxy_connections", 8),
        ("process_resident_memory_bytes", 8),
        ("process_start_time_seconds", 3),
        ("crproxy_upstream_up", 5),
        ("crproxy_fleet_leases", 8),
        ("crproxy_fleet_nodes", 5),
        ("crproxy_fleet_valkey_up", 3),
        ("crproxy_storage_up", 3),
        ("crproxy_storage_waiting", 5),
        ("whatever", 5),
    ],
)
def test_a_gauge_is_what_its_name_says(name: str, value: float) -> None:
    assert values(merge([[gauge(name, 5)], [gauge(name, 3)]])) == {(name, frozenset()): value}
    assert values(merge([[gauge(name, 3)], [gauge(name, 5)]])) == {(name, frozenset()): value}


def test_what_only_one_has_is_there_as_well() -> None:
    found = merge([[gauge("a", 1)], [gauge("b", 2), gauge("a", 3)], []])
    assert values(found) == {("a", frozenset()): 3, ("b", frozenset()): 2}


def test_what_is_merged_stays_as_it_was() -> None:
    one, other = gauge("crproxy_connections", 1), gauge("crproxy_connections", 2)
    merge([[one], [other]])
    assert (one.samples[0].value, other.samples[0].value) == (1, 2)


@given(st.permutations(range(4)))
def test_the_order_of_workers_does_not_matter(order: list[int]) -> None:
    workers = [Worker() for _ in range(4)]
    for number, worker in enumerate(workers):
        worker.count("200", "ab"[number % 2], number)
    in_order = merge(worker.registry.collect() for worker in workers)
    assert values(merge(workers[number].registry.collect() for number in order)) == values(in_order)


def test_only_what_grows_is_kept_and_nothing_of_a_process(tmp_path: Path) -> None:
    found = growing(exercised(tmp_path).collect())
    assert {metric.type for metric in found} == {"counter", "histogram"}
    assert {"crproxy_requests", "crproxy_reactor_lag_seconds"} <= {metric.name for metric in found}
    assert not [metric.name for metric in found if metric.name.startswith("process_")]


def test_it_is_known_of_every_gauge_what_it_is_of_several_workers(tmp_path: Path) -> None:
    gauges = {metric.name for metric in exercised(tmp_path).collect() if metric.type == "gauge"}
    assert LARGEST.isdisjoint(merging._SUMMED | merging._SMALLEST)
    assert gauges == LARGEST | merging._SUMMED | merging._SMALLEST


def test_two_daemons_are_exposed_as_one(tmp_path: Path) -> None:
    """An encoder takes it, as it is of one."""

    class Gathered(CollectorRegistry):
        def collect(self) -> list[Metric]:
            return merge([exercised(tmp_path / "a").collect(), exercised(tmp_path / "b").collect()])

    text = generate_latest(Gathered()).decode()
    assert 'crproxy_limited_total{kind="fills"} 2.0' in text
    assert 'crproxy_upstream_quota_remaining{registry="docker.io"} 7.0' in text
    assert 'crproxy_upstream_response_seconds_bucket{le="+Inf",registry="docker.io"} 2.0' in text
