from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.internet.task import Clock

from crproxy.config import Upstream
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import Registry
from crproxy.sharing import Alone
from crproxy.sharing.alone import OwnRecords
from crproxy.upstream.client import RangeRefused
from crproxy.upstream.parallelism import Parallelism
from tests.upstream.conftest import QUAY

OTHER = Registry("ghcr.io")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_as_many_as_are_configured(clock: Clock) -> None:
    parallelism = Parallelism(clock.seconds)
    assert parallelism.of(Upstream.public(QUAY)).connections == 4
    assert parallelism.of(replace(Upstream.public(QUAY), connections=2)).connections == 2


@pytest.mark.parametrize(("spare", "connections"), [(100, 4), (3, 4), (2, 3), (0, 1), (-5, 1)])
def test_no_more_than_there_may_be(clock: Clock, spare: int, connections: int) -> None:
    assert Parallelism(clock.seconds, lambda: spare).of(Upstream.public(QUAY)).connections == connections


def test_one_that_refuses_is_asked_over_one_for_ten_minutes(clock: Clock) -> None:
    parallelism = Parallelism(clock.seconds)
    parallelism.of(Upstream.public(QUAY)).refused(RangeRefused(200))
    assert parallelism.of(Upstream.public(QUAY)).connections == 1
    assert parallelism.of(Upstream.public(OTHER)).connections == 4
    clock.advance(599)
    assert parallelism.of(Upstream.public(QUAY)).connections == 1
    clock.advance(1)
    assert parallelism.of(Upstream.public(QUAY)).connections == 4


def test_what_a_client_used_up_is_its_own(clock: Clock) -> None:
    parallelism = Parallelism(clock.seconds)
    too_many = RegistryError(ErrorCode.TOOMANYREQUESTS, "slow down")
    theirs = parallelism.of(Upstream.public(QUAY), "Bearer of alice")
    theirs.refused(too_many)
    assert parallelism.connections(QUAY, 4) == 4
    theirs.refused(RangeRefused(200))
    assert parallelism.connections(QUAY, 4) == 1
    parallelism.of(Upstream.public(OTHER)).refused(too_many)
    assert parallelism.connections(OTHER, 4) == 1


def test_all_workers_know_of_it(clock: Clock) -> None:
    kept = OwnRecords()

    class Shared(Alone):
        def records(self, what: str) -> OwnRecords:
            assert what == "one connection"
            return kept

    sharing = Shared()
    Parallelism(clock.seconds, sharing=sharing).refused(QUAY)
    assert Parallelism(clock.seconds, sharing=sharing).connections(QUAY, 4) == 1


def test_those_of_thousands_of_registries_are_not_all_kept(clock: Clock) -> None:
    parallelism = Parallelism(clock.seconds)
    for number in range(20_000):
        parallelism.refused(Registry(f"r{number}.example.org"))
    assert parallelism.connections(Registry("r0.example.org"), 4) == 4
    assert parallelism.connections(Registry("r19999.example.org"), 4) == 1
