"""ProbeEnvironment that a test sets, and what findings come to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock

from crproxy.admin.doctor.environment import ProbeEnvironment
from crproxy.admin.doctor.findings import Finding
from crproxy.admin.doctor.holders import Holder

NOW = 784111777.0


def environment(
    addresses: Mapping[str, set[str]],
    here: frozenset[str] = frozenset(),
    reactor: Any = None,
    holder: Holder | None = None,
) -> ProbeEnvironment:
    """What looks up these names alone, on a machine with these addresses, whose ports one program has."""

    async def resolve(name: str) -> frozenset[str]:
        return frozenset(addresses.get(name, ()))

    return ProbeEnvironment(reactor or MemoryReactorClock(), resolve, here.__contains__, lambda: NOW, lambda _: holder)


def told(findings: list[Finding]) -> dict[str, str]:
    """The outcome for each subject."""
    return {finding.subject: finding.outcome.value for finding in findings}


@pytest.fixture
def nothing() -> ProbeEnvironment:
    return environment({})
