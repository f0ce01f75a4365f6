from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest

from crproxy.config import Config, Limits
from crproxy.limits import Fills
from crproxy.oci.errors import RegistryError
from crproxy.policy.access import Access
from tests.sharing.crew import Crew

A, B = "192.0.2.1", "192.0.2.2"
PRIVILEGED = Access(privileged=(ipaddress.ip_network("198.51.100.0/24"),))


def fills(per_client: int = 0, per_upstream: int = 0) -> Fills:
    config = Config(access=PRIVILEGED, limits=Limits(fills_per_client=per_client, fills_per_upstream=per_upstream))
    return Fills(lambda: config)


def refusal(fills: Fills, registry: str, client: str | None) -> RegistryError:
    with pytest.raises(RegistryError) as raised:
        fills.begin(registry, client)
    return raised.value


def test_s21_one_client_begins_so_many_and_others_may_still() -> None:
    counted = fills(per_client=2)
    first = counted.begin("quay.io", A)
    counted.begin("ghcr.io", A)
    error = refusal(counted, "quay.io", A)
    assert (error.status, error.code.name, error.retry_after) == (429, "TOOMANYREQUESTS", 10)
    assert error.message == "2 blobs are being fetched for 192.0.2.1 already, the most at once; try again in 10 s"
    counted.begin("quay.io", B)
    counted.end(first)
    counted.begin("quay.io", A)


def test_s21_one_registry_is_asked_for_so_many_by_all_together() -> None:
    counted = fills(per_upstream=2)
    first = counted.begin("quay.io", A)
    counted.begin("quay.io", None)
    error = refusal(counted, "quay.io", B)
    assert error.message == "2 blobs are being fetched from quay.io already, the most at once; try again in 10 s"
    counted.begin("ghcr.io", B)
    counted.end(first)
    counted.begin("quay.io", B)


def test_a_64_of_ipv6_is_one_client() -> None:
    counted = fills(per_client=1)
    counted.begin("quay.io", "2001:db8:1:2::1")
    assert "2001:db8:1:2::/64" in refusal(counted, "quay.io", "2001:db8:1:2:ffff::1").message
    counted.begin("quay.io", "2001:db8:1:3::1")


def test_who_is_privileged_is_counted_for_the_registry_and_never_refused() -> None:
    counted = fills(per_client=1, per_upstream=1)
    for _ in range(3):
        counted.begin("quay.io", "198.51.100.7")
    assert len(counted.by_client) == 0
    assert counted.by_registry.of("quay.io") == 3
    refusal(counted, "quay.io", A)


def test_0_is_no_limit() -> None:
    counted = fills()
    for _ in range(1000):
        counted.begin("quay.io", A)


def test_what_has_ended_is_not_remembered() -> None:
    counted = fills(per_client=1)
    begun = [counted.begin(f"registry{number}.test", f"192.0.2.{number}") for number in range(200)]
    assert (len(counted.by_client), len(counted.by_registry)) == (200, 200)
    for fill in begun:
        counted.end(fill)
    assert (len(counted.by_client), len(counted.by_registry)) == (0, 0)


def test_a_limit_may_change() -> None:
    config = [Config(limits=Limits(fills_per_client=1))]
    counted = Fills(lambda: config[0])
    counted.begin("quay.io", A)
    refusal(counted, "quay.io", A)
    config[0] = replace(config[0], limits=Limits(fills_per_client=2))
    counted.begin("quay.io", A)


def test_what_is_refused_is_counted() -> None:
    fills = Fills(lambda: Config(limits=Limits(fills_per_client=1)))
    fills.begin("quay.io", "192.0.2.1")
    for _ in range(2):
        with pytest.raises(RegistryError):
            fills.begin("quay.io", "192.0.2.1")
    assert fills.refused == 2


# Several workers


def test_what_one_worker_brings_another_may_follow() -> None:
    crew = Crew()
    config = Config(limits=Limits(fills_per_client=1, fills_per_upstream=2))
    one, other = (Fills(lambda: config, crew.member(slot)) for slot in (0, 1))
    brings, follows = one.begin("quay.io", A, "blob"), other.begin("quay.io", A, "blob")
    assert refusal(other, "quay.io", A).status == 429
    assert one.by_client.of(A) == one.by_registry.of("quay.io") == 1
    one.end(brings)
    assert (one.by_client.of(A), one.by_registry.of("quay.io")) == (0, 0)
    other.asks_upstream(follows)
    other.asks_upstream(follows)
    assert refusal(one, "quay.io", A).status == 429
    other.end(follows)
    assert (one.by_client.of(A), one.by_registry.of("quay.io")) == (0, 0)
    one.begin("quay.io", A, "blob")
