"""The aliases that are there without any configuration: labels below the domain, each for one registry."""

from __future__ import annotations

from collections.abc import Mapping

from ..oci.names import DOCKER_HUB, OLLAMA, Registry

__all__ = ["BUILT_IN"]

BUILT_IN: Mapping[str, Registry] = {
    "docker": DOCKER_HUB,
    "ecr": Registry("public.ecr.aws"),
    "elastic": Registry("docker.elastic.co"),
    "gcr": Registry("gcr.io"),
    "ghcr": Registry("ghcr.io"),
    "jujucharms": Registry("registry.jujucharms.com"),
    "k8s": Registry("registry.k8s.io"),
    "k8s-gcr": Registry("k8s.gcr.io"),
    "l5d": Registry("cr.l5d.io"),
    "mcr": Registry("mcr.microsoft.com"),
    "nvcr": Registry("nvcr.io"),
    "ollama": OLLAMA,
    "quay": Registry("quay.io"),
    "rocks-canonical": Registry("rocks.canonical.com"),
}
