"""Manifests: their media types.

OCI image specification, "Media Types"; Docker's image manifest version 2, schema 2.
"""

from __future__ import annotations

__all__ = ["ACCEPT", "MANIFEST_LIMIT"]

# Every kind a registry may hold. Upstream is always asked with all of them: what it answers then depends on the
# reference alone, never on which client came first. `*/*` covers artifacts and what is not invented yet.
ACCEPT = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.oci.artifact.manifest.v1+json",
    "application/json;q=0.8",
    "*/*;q=0.5",
)

# Distribution specification, "Pushing Manifests": "a registry SHOULD accept manifests up to 4 megabytes". Docker's
# registry and containerd refuse larger ones.
MANIFEST_LIMIT = 4 * 1024 * 1024
