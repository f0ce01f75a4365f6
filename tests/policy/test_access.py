from __future__ import annotations

import pytest

from crproxy.oci.errors import RegistryError
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.access import Access

QUAY = Registry("quay.io")
GHCR = Registry("ghcr.io")


@pytest.mark.parametrize("access", [Access(), Access(frozenset({QUAY, DOCKER_HUB}))])
def test_what_is_listed_is_served_and_without_a_list_everything(access: Access) -> None:
    access.check(QUAY)


def refusal(access: Access) -> RegistryError:
    with pytest.raises(RegistryError) as raised:
        access.check(GHCR)
    return raised.value


def test_another_registry_is_denied_and_told_what_is_served() -> None:
    error = refusal(Access(frozenset({QUAY, DOCKER_HUB})))
    assert error.status == 403
    assert error.message == (
        "this proxy does not serve ghcr.io; the registries that it serves: docker.io, quay.io; "
        "whoever runs it may add ghcr.io to its list"
    )


def test_the_operator_says_whom_to_ask() -> None:
    assert refusal(Access(frozenset({QUAY}), "ask ops@example.com")).message.endswith("quay.io; ask ops@example.com")
