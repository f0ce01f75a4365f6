from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.upstream.quotas import Quotas

QUAY = Registry("quay.io")
BUSY = RegistryError(ErrorCode.TOOMANYREQUESTS, "docker.io answered 429: slow down; ask again in 60 s", retry_after=60)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def quotas(clock: Clock) -> Quotas:
    return Quotas(clock.seconds)


def refusal(quotas: Quotas, registry: Registry = DOCKER_HUB) -> RegistryError:
    with pytest.raises(RegistryError) as raised:
        quotas.check(registry, "manifests")
    return raised.value


def test_a_registry_is_left_alone_until_its_retry_after(quotas: Quotas, clock: Clock) -> None:
    quotas.refused(DOCKER_HUB, BUSY, "manifests")
    clock.advance(20.5)
    error = refusal(quotas)
    assert (error.status, error.retry_after) == (429, 40)
    assert error.message == "docker.io answered 429: slow down; it is not asked again for 40 s"
    clock.advance(39.5)
    quotas.check(DOCKER_HUB, "manifests")


def test_that_says_nothing_of_blobs_nor_of_other_registries(quotas: Quotas) -> None:
    quotas.refused(DOCKER_HUB, BUSY, "manifests")
    quotas.check(DOCKER_HUB, "blobs")
    quotas.check(QUAY, "manifests")


@pytest.mark.parametrize(
    "error",
    [
        RegistryError(ErrorCode.UNAVAILABLE, "down", retry_after=60),
        RegistryError(ErrorCode.DENIED, "no"),
        RegistryError(ErrorCode.TOOMANYREQUESTS, "now", retry_after=0),
    ],
)
def test_another_refusal_is_none_of_a_quota(quotas: Quotas, error: RegistryError) -> None:
    quotas.refused(DOCKER_HUB, error, "manifests")
    quotas.check(DOCKER_HUB, "manifests")


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
