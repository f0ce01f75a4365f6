"""Images as values: every blob and manifest of them by digest, size and where its bytes lie."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "DOCKER_CONFIG",
    "DOCKER_LAYER_GZIP",
    "DOCKER_MANIFEST",
    "OCI_CONFIG",
    "OCI_INDEX",
    "OCI_LAYER",
    "OCI_MANIFEST",
    "Blob",
    "Image",
    "Index",
    "file_digest",
    "sha256",
]

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def sha256(content: bytes) -> str:
    """Return the digest of ``content``."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def file_digest(path: Path) -> str:
    """Return the digest of a file's content, which may be large."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


@dataclass(frozen=True, slots=True)
class Blob:
    """Some content: a layer, a configuration, a manifest."""

    media_type: str
    digest: str
    size: int
    path: Path

    def read(self) -> bytes:
        return self.path.read_bytes()

    def descriptor(self) -> dict[str, object]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True, slots=True)
class Image:
    """An image for one platform, or an artifact."""

    manifest: Blob
    config: Blob
    layers: tuple[Blob, ...]
    diff_ids: tuple[str, ...] = ()

    @property
    def blobs(self) -> tuple[Blob, ...]:
        return (self.config, *self.layers)

    @property
    def digests(self) -> frozenset[str]:
        """Everything a faithful copy has."""
        return frozenset(blob.digest for blob in (self.manifest, *self.blobs))

    @property
    def unpacked(self) -> frozenset[str]:
        """What is left of it in a client that keeps layers only unpacked: the configuration and the diff ids."""
        return frozenset((self.config.digest, *self.diff_ids))


@dataclass(frozen=True, slots=True)
class Index:
    """An image for several platforms."""

    manifest: Blob
    images: tuple[Image, ...]

    @property
    def digests(self) -> frozenset[str]:
        return frozenset((self.manifest.digest,)).union(*(image.digests for image in self.images))
