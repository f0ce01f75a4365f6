"""What several workers have counted and read, put together as if one had."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric
from prometheus_client.samples import Sample

__all__ = ["growing", "merge"]

# Gauges of what each worker has of its own. Of all others each tells the same, or the largest is what matters.
_SUMMED = frozenset(
    {
        "crproxy_connections",
        "crproxy_fills_active",
        "crproxy_fleet_leases",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
    }
)
# One that cannot reach what all share is as bad as all: the smallest is what matters.
_SMALLEST = frozenset({"crproxy_fleet_valkey_up", "crproxy_storage_up", "process_start_time_seconds"})
_GROW = frozenset({"counter", "histogram"})


def merge(of_workers: Iterable[Iterable[Metric]]) -> list[Metric]:
    """Return the metrics of all workers as one.

    Counters and histograms are summed; of a gauge it is what its name says.
    """
    merged: dict[str, Metric] = {}
    for metrics in of_workers:
        for metric in metrics:
            into = merged.get(metric.name)
            merged[metric.name] = metric if into is None else _both(into, metric)
    return list(merged.values())


def growing(metrics: Iterable[Metric]) -> list[Metric]:
    """Return those that only grow, and so must not go back when a worker is replaced."""
    return [metric for metric in metrics if metric.type in _GROW and not metric.name.startswith("process_")]


def _both(one: Metric, other: Metric) -> Metric:
    result = Metric(one.name, one.documentation, one.type, one.unit)
    values = {_key(sample): sample for sample in one.samples}
    for sample in other.samples:
        before = values.get(_key(sample))
        values[_key(sample)] = sample if before is None else before._replace(value=_value(one, before, sample))
    result.samples = list(values.values())
    return result


def _key(sample: Sample) -> tuple[str, frozenset[tuple[str, str]]]:
    return sample.name, frozenset(sample.labels.items())


def _value(metric: Metric, one: Sample, other: Sample) -> float:
    if metric.type in _GROW or metric.name in _SUMMED:
        return one.value + other.value
    return min(one.value, other.value) if metric.name in _SMALLEST else max(one.value, other.value)
