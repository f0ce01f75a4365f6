from __future__ import annotations

from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.quirks import Quirks, quirks


def test_docker_hub_is_reached_elsewhere_and_counts_what_is_pulled() -> None:
    hub = quirks(DOCKER_HUB)
    assert (hub.host, hub.counts_manifests) == ("registry-1.docker.io", True)


def test_most_registries_have_none() -> None:
    assert quirks(Registry("registry.k8s.io")) == Quirks()
