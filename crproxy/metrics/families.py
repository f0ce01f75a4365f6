"""Families of metrics that are made when somebody asks, of what is read then."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

__all__ = ["Value", "counter", "gauge"]

# One, or one for each value of a label, or of several.
Value = float | Mapping[str, float] | Mapping[tuple[str, str], float]


def gauge(name: str, about: str, value: Value, *labels: str) -> Metric:
    """Return a gauge; what ``value`` maps from are values of ``labels``."""
    return _filled(GaugeMetricFamily(name, about, labels=labels), value)


def counter(name: str, about: str, value: Value, *labels: str) -> Metric:
    """Return a counter, without the ``_total`` behind its name; what ``value`` maps from are values of ``labels``."""
    return _filled(CounterMetricFamily(name, about, labels=labels), value)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, value: Value) -> Metric:
    if isinstance(value, Mapping):
        for label, one in value.items():
            family.add_metric([label] if isinstance(label, str) else label, one)
    else:
        family.add_metric([], value)
    return family
