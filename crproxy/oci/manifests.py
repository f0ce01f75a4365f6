"""Manifests: their media types, and what they refer to.

OCI image specification, "Media Types"; Docker's image manifest version 2, schema 2.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .digests import Digest
from .errors import RegistryError
from .platforms import Platform

__all__ = ["ACCEPT", "MANIFEST_LIMIT", "Descriptor", "references"]

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

# Layers or platforms of one image; Docker's limit is 127 layers, the largest indexes have some hundreds of entries.
_REFERENCES = 5000


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of some content it refers to ("OCI Content Descriptors").

    ``platform`` is what an index says of one of its images, where it does.
    """

    media_type: str
    digest: Digest
    size: int
    is_manifest: bool
    platform: Platform | None = None

    @property
    def is_foreign(self) -> bool:
        """Whether registries need not hold it ("Non-Distributable Layers", and Docker's foreign ones)."""
        return "nondistributable" in self.media_type or ".foreign." in self.media_type


def references(content: bytes) -> list[Descriptor]:
    """Return what a manifest or index refers to in its own repository; what cannot be read refers to nothing."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return []
    if not isinstance(document, dict):
        return []
    blobs = [document.get("config"), *_items(document, "layers"), *_items(document, "blobs")]
    manifests = _items(document, "manifests")
    return [
        descriptor
        for is_manifest, items in ((False, blobs), (True, manifests))
        for item in items[:_REFERENCES]
        if (descriptor := _descriptor(item, is_manifest)) is not None
    ]


def _items(document: dict[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    return value if isinstance(value, list) else []


def _descriptor(item: Any, is_manifest: bool) -> Descriptor | None:
    try:
        media_type, digest, size = item["mediaType"], Digest.parse(item["digest"]), item["size"]
    except (KeyError, TypeError, AttributeError, RegistryError):
        return None
    if not isinstance(media_type, str) or not isinstance(size, int) or size < 0:
        return None
    return Descriptor(media_type, digest, size, is_manifest, Platform.of(item))
