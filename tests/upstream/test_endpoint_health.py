from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.internet.task import Clock

from crproxy.config import Upstream
from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import Registry
from crproxy.policy.refusals import bad_gateway, unavailable
from crproxy.upstream.answers import OtherContent, RangeRefused
from crproxy.upstream.endpoint_health import EndpointHealth
from crproxy.upstream.errors import TooManySockets
from tests.logs import Log
from tests.sharing.crew import Crew
from tests.upstream.conftest import QUAY

OWN = Upstream.public(QUAY)
MIRROR = Upstream(QUAY, "https://mirror.example", trust_tags=False)
BOTH = replace(MIRROR, fallbacks=(OWN,))
REPOSITORY = QUAY.repository("org/name")
DIGEST, OTHER = Digest.of(b"x"), Digest.of(b"y")


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(1_000_000)
    return clock


@pytest.fixture
def health(clock: Clock) -> EndpointHealth:
    return EndpointHealth(clock.seconds)


def order(health: EndpointHealth, digest: Digest | None = DIGEST) -> list[str]:
    return [one.endpoint for one in health.order(BOTH, by_digest=True, digest=digest)]


USUAL = [MIRROR.endpoint, OWN.endpoint]


def test_without_anything_known_it_is_the_configurations_order(health: EndpointHealth) -> None:
    assert order(health) == USUAL
    assert [one.endpoint for one in health.order(BOTH, by_digest=False)] == [OWN.endpoint]


def test_a_rest_ends(health: EndpointHealth, clock: Clock) -> None:
    health.rest(MIRROR, "it refuses connections")
    assert order(health) == USUAL[::-1]
    clock.advance(29)
    assert order(health) == USUAL[::-1]
    clock.advance(1)
    assert order(health) == USUAL


def test_one_that_fails_again_rests_on(health: EndpointHealth, clock: Clock) -> None:
    health.rest(MIRROR, "it refuses connections")
    clock.advance(20)
    health.rest(MIRROR, "it refuses connections")
    clock.advance(20)
    assert order(health) == USUAL[::-1]


def test_a_rest_is_told_once(health: EndpointHealth, clock: Clock) -> None:
    with Log() as log:
        for _ in range(3):
            health.rest(MIRROR, "it refuses connections")
    assert log.lines == ["https://mirror.example is asked last for 30 s: it refuses connections"]


def ours() -> RegistryError:
    error = unavailable(QUAY, "this proxy has too much to ask")
    error.__cause__ = TooManySockets("256 connections")
    return error


@pytest.mark.parametrize(
    ("error", "rests"),
    [
        (unavailable(QUAY, "it refuses connections"), True),
        (bad_gateway(QUAY, "no manifest"), True),
        (RangeRefused(206), False),
        (ours(), False),
        (RegistryError(ErrorCode.TOOMANYREQUESTS, "slow down", retry_after=60), False),
        (RegistryError(ErrorCode.MANIFEST_UNKNOWN, "it is not there"), False),
        (RegistryError(ErrorCode.DENIED, "it is refused"), False),
    ],
)
def test_what_an_error_says_of_an_endpoint(health: EndpointHealth, error: RegistryError, rests: bool) -> None:
    health.failed(MIRROR, error, DIGEST)
    assert order(health) == (USUAL[::-1] if rests else USUAL)


def test_who_gave_wrong_bytes_is_not_asked_for_them_for_an_hour(health: EndpointHealth, clock: Clock) -> None:
    health.gave(MIRROR, REPOSITORY, DIGEST, 0)
    with Log() as log:
        health.blame(BOTH, REPOSITORY, DIGEST)
    assert order(health) == [OWN.endpoint]
    assert order(health, OTHER) == order(health, None) == USUAL
    assert log.lines == [
        f"{MIRROR.endpoint} sent other bytes than those of {DIGEST}: it is not asked for them for an hour"
    ]
    clock.advance(3599)
    assert order(health) == [OWN.endpoint]
    clock.advance(1)
    assert order(health) == USUAL


def test_nor_who_gave_another_manifest(health: EndpointHealth, clock: Clock) -> None:
    health.failed(MIRROR, OtherContent(ErrorCode.UNAVAILABLE, "it sent other bytes"), DIGEST)
    clock.advance(30)
    assert order(health) == [OWN.endpoint]
    assert order(health, OTHER) == USUAL


def test_of_two_that_gave_a_part_each_the_last_is_not_blamed_first(health: EndpointHealth) -> None:
    health.gave(MIRROR, REPOSITORY, DIGEST, 0)
    health.gave(OWN, REPOSITORY, DIGEST, 10)
    health.blame(BOTH, REPOSITORY, DIGEST)
    assert order(health) == [OWN.endpoint]


def test_what_came_before_a_new_beginning_does_not_matter(health: EndpointHealth) -> None:
    health.gave(MIRROR, REPOSITORY, DIGEST, 0)
    health.gave(OWN, REPOSITORY, DIGEST, 0)
    health.blame(BOTH, REPOSITORY, DIGEST)
    assert order(health) == [MIRROR.endpoint]


def test_where_all_gave_wrong_bytes_the_first_of_them_is_asked_again_first(
    health: EndpointHealth, clock: Clock
) -> None:
    for endpoint in (OWN, MIRROR):
        health.gave(endpoint, REPOSITORY, DIGEST, 0)
        health.blame(BOTH, REPOSITORY, DIGEST)
        clock.advance(1)
    assert order(health) == USUAL[::-1]


@pytest.mark.parametrize("start", [None, 10])
def test_where_nobody_knows_who_began_it_nobody_is_blamed(health: EndpointHealth, start: int | None) -> None:
    """What there was of it may be from before a restart, or another worker's."""
    if start is not None:
        health.gave(MIRROR, REPOSITORY, DIGEST, start)
    health.blame(BOTH, REPOSITORY, DIGEST)
    assert order(health) == USUAL


def test_one_blame_is_for_what_came_before_it(health: EndpointHealth) -> None:
    health.gave(MIRROR, REPOSITORY, DIGEST, 0)
    for _ in range(2):
        health.blame(BOTH, REPOSITORY, DIGEST)
    health.blame(replace(OWN, fallbacks=()), REPOSITORY, DIGEST)
    assert order(health) == [OWN.endpoint]


def test_an_endpoint_that_is_configured_no_more_is_blamed_for_nothing(health: EndpointHealth) -> None:
    health.gave(Upstream(QUAY, "https://gone.example"), REPOSITORY, DIGEST, 0)
    health.blame(BOTH, REPOSITORY, DIGEST)
    assert order(health) == USUAL


def test_all_workers_know_it(clock: Clock) -> None:
    crew = Crew()
    one, other = (EndpointHealth(clock.seconds, crew.member(slot)) for slot in range(2))
    one.rest(MIRROR, "it refuses connections")
    assert order(other) == USUAL[::-1]
    one.gave(MIRROR, REPOSITORY, DIGEST, 0)
    one.blame(BOTH, REPOSITORY, DIGEST)
    assert order(other) == [OWN.endpoint]


def test_a_registry_that_is_known_by_the_same_mirror_stands_by_itself(health: EndpointHealth) -> None:
    health.rest(replace(MIRROR, registry=Registry("ghcr.io")), "it refuses connections")
    assert order(health) == USUAL


def test_a_clock_that_is_set_back_lets_nobody_rest_for_long(health: EndpointHealth, clock: Clock) -> None:
    health.rest(MIRROR, "it refuses connections")
    clock.rightNow -= 3600
    assert order(health) == USUAL
