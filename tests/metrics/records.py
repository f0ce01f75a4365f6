"""A request as the daemon tells of it, and what monitoring reads of a registry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prometheus_client import CollectorRegistry

from crproxy.policy.audit import Ending, Record

__all__ = ["record", "samples"]

_RECORD = Record(
    moment=0.0,
    site="registry",
    client="192.0.2.7",
    user=None,
    method="GET",
    target="/v2/quay.io/org/app/manifests/v1",
    protocol="HTTP/1.1",
    host="cr.test",
    agent="containerd",
    registry="quay.io",
    repository="org/app",
    reference="v1",
    status=200,
    sent=528,
    seconds=0.1,
    cache=None,
    ending=Ending.WHOLE,
)


def record(**fields: Any) -> Record:
    """A pull of a manifest, but for these fields."""
    return replace(_RECORD, **fields)


def samples(registry: CollectorRegistry, name: str) -> dict[tuple[str, ...], float]:
    """The values of a series by the values of its labels, in the order of their names' declaration."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == name
    }
