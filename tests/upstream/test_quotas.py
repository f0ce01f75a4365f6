from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import DOCKER_HUB, Registry, Repository
from crproxy.policy.quotas import Limited, limited
from crproxy.upstream.quotas import Quotas
from tests.sharing.crew import Crew

QUAY = Registry("quay.io")
HUB = DOCKER_HUB.repository("nginx")
BUSY = RegistryError(ErrorCode.TOOMANYREQUESTS, "docker.io answered 429: slow down; ask again in 60 s", retry_after=60)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def quotas(clock: Clock) -> Quotas:
    return Quotas(clock.seconds)


def refusal(quotas: Quotas, registry: Registry = DOCKER_HUB) -> RegistryError:
    with pytest.raises(RegistryError) as raised:
        quotas.check(getting(registry.repository("org/name")))
    return raised.value


def getting(repository: Repository = HUB, method: str = "GET", kind: str = "manifests", as_whom: str = "") -> Limited:
    return limited(repository, "https://registry-1.docker.io", as_whom, method, kind)


def test_a_registry_is_left_alone_until_its_retry_after(quotas: Quotas, clock: Clock) -> None:
    quotas.refused(getting(), BUSY)
    clock.advance(20.5)
    error = refusal(quotas)
    assert (error.status, error.retry_after) == (429, 40)
    assert error.message == "docker.io answered 429: slow down; it is not asked again for 40 s"
    clock.advance(39.5)
    quotas.check(getting())


OTHERS = [
    getting(kind="blobs"),
    getting(kind="tags"),
    getting(method="HEAD"),
    getting(as_whom="alice"),
    getting(QUAY.repository("org/name")),
]


@pytest.mark.parametrize("other", OTHERS)
def test_a_limit_stops_what_it_limits(quotas: Quotas, other: Limited) -> None:
    quotas.refused(getting(), BUSY)
    quotas.check(other)


def test_that_of_docker_hub_is_one_of_all_its_repositories(quotas: Quotas) -> None:
    quotas.refused(getting(), BUSY)
    assert refusal(quotas).status == 429


def test_that_of_another_is_one_of_the_repository_first(quotas: Quotas) -> None:
    quotas.refused(getting(QUAY.repository("org/one")), BUSY)
    quotas.refused(getting(QUAY.repository("org/two")), BUSY)
    quotas.check(getting(QUAY.repository("org/name")))


def test_and_of_all_where_several_are_limited(quotas: Quotas, clock: Clock) -> None:
    for name in ("org/one", "org/two", "org/three"):
        quotas.refused(getting(QUAY.repository(name)), BUSY)
    assert refusal(quotas, QUAY).status == 429
    quotas.check(getting(QUAY.repository("org/name"), kind="blobs"))
    clock.advance(60)
    quotas.check(getting(QUAY.repository("org/name")))


def test_those_that_are_over_do_not_count(quotas: Quotas, clock: Clock) -> None:
    for name in ("org/one", "org/two", "org/three"):
        quotas.refused(getting(QUAY.repository(name)), BUSY)
        clock.advance(30)
    quotas.check(getting(QUAY.repository("org/name")))


LONG = RegistryError(ErrorCode.TOOMANYREQUESTS, "docker.io answered 429; ask again in 3600 s", retry_after=3600)


def test_a_long_one_is_probed_by_one_request_in_a_minute(quotas: Quotas, clock: Clock) -> None:
    quotas.refused(getting(), LONG)
    clock.advance(59)
    assert refusal(quotas).retry_after == 3541
    clock.advance(1)
    quotas.check(getting())
    assert refusal(quotas).retry_after == 3540
    quotas.refused(getting(), LONG)
    clock.advance(59)
    assert refusal(quotas).retry_after == 3541


def test_where_that_is_answered_it_is_over(quotas: Quotas, clock: Clock) -> None:
    quotas.refused(getting(), LONG)
    clock.advance(60)
    quotas.check(getting())
    quotas.answered(getting())
    quotas.check(getting())


def test_all_workers_know_of_it(clock: Clock) -> None:
    crew = Crew()
    one, other = (Quotas(clock.seconds, crew.member(slot)) for slot in range(2))
    one.refused(getting(), LONG)
    assert refusal(other).retry_after == 3600
    clock.advance(60)
    one.check(getting())
    assert refusal(other).retry_after == 3540


@pytest.mark.parametrize(
    "error",
    [
        RegistryError(ErrorCode.UNAVAILABLE, "down", retry_after=60),
        RegistryError(ErrorCode.DENIED, "no"),
        RegistryError(ErrorCode.TOOMANYREQUESTS, "now", retry_after=0),
    ],
)
def test_another_refusal_is_none_of_a_quota(quotas: Quotas, error: RegistryError) -> None:
    quotas.refused(getting(), error)
    quotas.check(getting())


def test_what_was_said_last_counts(quotas: Quotas) -> None:
    for remaining in ("50", "4"):
        quotas.note(DOCKER_HUB, {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": remaining})
    quotas.note(DOCKER_HUB, {})
    assert str(quotas.seen(DOCKER_HUB)) == "4 of 100 left"
    assert quotas.low(DOCKER_HUB) == quotas.seen(DOCKER_HUB)
    assert quotas.seen(QUAY) is None
    assert quotas.low(QUAY) is None


def test_a_quota_that_is_not_low_is_not(quotas: Quotas) -> None:
    quotas.note(DOCKER_HUB, {"ratelimit-limit": "100", "ratelimit-remaining": "50"})
    assert quotas.low(DOCKER_HUB) is None


def test_what_is_refused_for_now_is_known(quotas: Quotas, clock: Clock) -> None:
    quotas.refused(getting(), BUSY)
    assert {limited: limit.until for limited, limit in quotas.limits().items()} == {getting(): 60.0}
    clock.advance(60)
    assert quotas.limits() == {}
