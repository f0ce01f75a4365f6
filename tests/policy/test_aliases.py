from __future__ import annotations

import pytest

from crproxy.oci.names import Registry
from crproxy.policy.aliases import BUILT_IN


@pytest.mark.parametrize(
    ("label", "registry"),
    [
        ("l5d", "cr.l5d.io"),
        ("elastic", "docker.elastic.co"),
        ("docker", "docker.io"),
        ("gcr", "gcr.io"),
        ("ghcr", "ghcr.io"),
        ("k8s-gcr", "k8s.gcr.io"),
        ("k8s", "registry.k8s.io"),
        ("mcr", "mcr.microsoft.com"),
        ("nvcr", "nvcr.io"),
        ("quay", "quay.io"),
        ("jujucharms", "registry.jujucharms.com"),
    ],
)
def test_the_labels_that_people_know_are_there(label: str, registry: str) -> None:
    assert BUILT_IN[label] == Registry.parse(registry)


def test_every_name_is_in_its_one_spelling() -> None:
    assert all(Registry.parse(str(registry)) == registry for registry in BUILT_IN.values())
    assert len(set(BUILT_IN.values())) == len(BUILT_IN) == 14
