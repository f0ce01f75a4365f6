"""Content to transfer: blobs, and the manifest of an image, as files that a registry would serve."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["GIB", "MANIFEST_TYPE", "MIB", "Blob", "Manifest"]

MIB = 1024**2
GIB = 1024**3
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True, slots=True)
class Blob:
    """A number and zero bytes after it: sparse on the disk, with a true digest."""

    size: int
    digest: str

    @classmethod
    def write(cls, size: int, registry_root: Path, number: int = 0) -> Self:
        """Make the blob and put it where a registry would serve it from, in the repository team/app."""
        start = number.to_bytes(MIB, "little")
        hasher = hashlib.sha256(start)
        for _ in range(size // MIB - 1):
            hasher.update(bytes(MIB))
        blob = cls(size, f"sha256:{hasher.hexdigest()}")
        file = registry_root / blob.path("team/app").lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as sparse:
            sparse.write(start)
            sparse.truncate(size)
        return blob

    def path(self, repository: str) -> str:
        """Its path in the registry protocol."""
        return f"/v2/{repository}/blobs/{self.digest}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of an image with one layer, of the size that such have."""

    digest: str

    @classmethod
    def write(cls, layer: Blob, registry_root: Path) -> Self:
        """Make the manifest and put it where a registry would serve it from, as team/app:v1 and by digest."""
        descriptor = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": layer.digest}
        content = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": {**descriptor, "mediaType": "application/vnd.oci.image.config.v1+json", "size": layer.size},
                "layers": [{**descriptor, "size": layer.size}] * 5,
            }
        ).encode()
        manifest = cls(f"sha256:{hashlib.sha256(content).hexdigest()}")
        for reference in ("v1", manifest.digest):
            file = registry_root / manifest.path(reference).lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return manifest

    def path(self, reference: str = "") -> str:
        """Its path in the registry protocol, by tag, or by digest where none is given."""
        return f"/v2/team/app/manifests/{reference or self.digest}"
