"""Manifests: their media types, and what they refer to.

OCI image specification, "Media Types"; Docker's image manifest version 2, schema 2.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from .digests import Digest
from .documents import NotJson, TooManyValues, parse_json
from .errors import ErrorCode, RegistryError
from .media_types import is_media_type
from .platforms import Platform
from .sizes import is_size

__all__ = ["ACCEPT", "MANIFEST_LIMIT", "REFERENCES_LIMIT", "Descriptor", "all_references", "references"]

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

# What one manifest may refer to: Docker's limit is 127 layers, the largest indexes have some hundreds of entries. One
# takes 5 us to be read.
REFERENCES_LIMIT = 2000


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
    """Return what a manifest or index refers to in its own repository.

    What cannot be read, or refers to more than `all_references` takes, refers to nothing.
    """
    with contextlib.suppress(RegistryError):
        return all_references(content)
    return []


def all_references(content: bytes) -> list[Descriptor]:
    """Return what a manifest or index refers to in its own repository; what cannot be read refers to nothing.

    Raises:
        RegistryError: MANIFEST_INVALID, where there are more values in it, or references, than in any real one. A part
            of them is never taken for all.
    """
    try:
        document = parse_json(content)
    except TooManyValues as error:
        raise RegistryError(ErrorCode.MANIFEST_INVALID, f"a manifest is not read: {error}", status=502) from error
    except NotJson:
        return []
    if not isinstance(document, dict):
        return []
    blobs = [document.get("config"), *_items(document, "layers"), *_items(document, "blobs")]
    manifests = _items(document, "manifests")
    if len(blobs) + len(manifests) > REFERENCES_LIMIT:
        why = f"a manifest is not read: it refers to more than {REFERENCES_LIMIT} others"
        raise RegistryError(ErrorCode.MANIFEST_INVALID, why, status=502)
    return [
        descriptor
        for is_manifest, items in ((False, blobs), (True, manifests))
        for item in items
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
    if not is_media_type(media_type) or not is_size(size):
        return None
    return Descriptor(media_type, digest, size, is_manifest, Platform.of(item))
