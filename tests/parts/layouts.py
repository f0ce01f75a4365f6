"""Builds images on disk as an OCI image layout, without any container tool.

OCI image specification, "Image Layout". Skopeo copies from here; what it pushes is what was built, byte for byte.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from typing import TYPE_CHECKING, Any

from .images import (
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Blob,
    Image,
    Index,
    file_digest,
    sha256,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Layout", "random_tar"]

_EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"
_PIECE = 1 << 20


class Layout:
    """A directory of blobs with an index of the images that were asked for. The same seed gives the same bytes."""

    def __init__(self, root: Path, seed: int = 0) -> None:
        self.root = root
        self._random = random.Random(seed)
        self._tagged: list[dict[str, object]] = []
        self._blobs = root / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)
        (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def add(self, content: bytes, media_type: str) -> Blob:
        """Keep ``content``."""
        digest = sha256(content)
        path = self._blobs / digest.removeprefix("sha256:")
        path.write_bytes(content)
        return Blob(media_type, digest, len(content), path)

    def image(self, *layers: Blob, architecture: str = "amd64") -> Image:
        """Make an OCI image of ``layers``, which are tar files as they are; with none given, of a random one."""
        layers = layers or (self.add(random_tar(self._random, 200_000), OCI_LAYER),)
        diff_ids = tuple(layer.digest for layer in layers)
        config = self._config(diff_ids, architecture, OCI_CONFIG)
        return Image(self._manifest(OCI_MANIFEST, config, layers), config, layers, diff_ids)

    def docker_image(self) -> Image:
        """Make an image of Docker's own kind (version 2, schema 2), with a compressed layer."""
        tar = random_tar(self._random, 100_000)
        layer = self.add(gzip.compress(tar, mtime=0), DOCKER_LAYER_GZIP)
        config = self._config((sha256(tar),), "amd64", DOCKER_CONFIG)
        return Image(self._manifest(DOCKER_MANIFEST, config, (layer,)), config, (layer,), (sha256(tar),))

    def index(self, *architectures: str) -> Index:
        """Make an index of one random image for each architecture."""
        images = tuple(self.image(architecture=architecture) for architecture in architectures)
        entries = [
            {**image.manifest.descriptor(), "platform": {"architecture": architecture, "os": "linux"}}
            for image, architecture in zip(images, architectures, strict=True)
        ]
        return Index(self._json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}, OCI_INDEX), images)

    def artifact(self, subject: Blob, artifact_type: str) -> Image:
        """Make an artifact that refers to ``subject``, as a signature or a bill of materials does."""
        config = self.add(b"{}", _EMPTY_CONFIG)
        layer = self.add(self._random.randbytes(1000), "application/octet-stream")
        more = {"artifactType": artifact_type, "subject": subject.descriptor()}
        return Image(self._manifest(OCI_MANIFEST, config, (layer,), **more), config, (layer,))

    def large_layer(self, size: int) -> Blob:
        """Keep a tar file with one member of ``size`` bytes, never held in memory."""
        path = self._blobs / "growing"
        with path.open("wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
            member = tarfile.TarInfo("large")
            member.size = size
            tar.addfile(member, _Repeated(self._random.randbytes(_PIECE), size))
        digest = file_digest(path)
        kept = path.rename(self._blobs / digest.removeprefix("sha256:"))
        return Blob(OCI_LAYER, digest, kept.stat().st_size, kept)

    def source(self, image: Image | Index) -> str:
        """Return what skopeo calls this image, as a source to copy from."""
        if isinstance(image, Image) and image.manifest.media_type == DOCKER_MANIFEST:
            return self._docker_source(image)
        name = image.manifest.digest.removeprefix("sha256:")
        annotation = {"org.opencontainers.image.ref.name": name}
        self._tagged.append({**image.manifest.descriptor(), "annotations": annotation})
        (self.root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": self._tagged}))
        return f"oci:{self.root}:{name}"

    def _docker_source(self, image: Image) -> str:
        # An OCI layout holds no manifest of Docker's kind; skopeo's "dir:" holds every kind.
        directory = self.root / image.manifest.path.name
        directory.mkdir()
        (directory / "version").write_text("Directory Transport Version: 1.1\n")
        (directory / "manifest.json").symlink_to(image.manifest.path)
        for blob in image.blobs:
            (directory / blob.path.name).symlink_to(blob.path)
        return f"dir:{directory}"

    def _config(self, diff_ids: Sequence[str], architecture: str, media_type: str) -> Blob:
        rootfs = {"type": "layers", "diff_ids": diff_ids}
        document = {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/true"]},
            "rootfs": rootfs,
        }
        history = [{"created_by": f"random {self._random.random()}"} for _ in diff_ids]
        return self._json({**document, "history": history}, media_type)

    def _manifest(self, media_type: str, config: Blob, layers: Sequence[Blob], **more: object) -> Blob:
        document = {"schemaVersion": 2, "mediaType": media_type, "config": config.descriptor()}
        return self._json({**document, "layers": [layer.descriptor() for layer in layers], **more}, media_type)

    def _json(self, document: dict[str, Any], media_type: str) -> Blob:
        return self.add(json.dumps(document, indent=3).encode(), media_type)


def random_tar(source: random.Random, size: int) -> bytes:
    """Return a tar file with a directory and ``size`` bytes of random content."""
    kept = io.BytesIO()
    with tarfile.open(fileobj=kept, mode="w") as tar:
        directory = tarfile.TarInfo("data")
        directory.type = tarfile.DIRTYPE
        directory.mode = 0o755
        tar.addfile(directory)
        member = tarfile.TarInfo(f"data/{source.randrange(1 << 32):08x}")
        member.size = size
        tar.addfile(member, io.BytesIO(source.randbytes(size)))
    return kept.getvalue()


class _Repeated:
    """A file of a given size that says the same thing over and over."""

    def __init__(self, piece: bytes, size: int) -> None:
        self._piece = piece
        self._left = size

    def read(self, limit: int = -1, /) -> bytes:
        count = min(self._left, len(self._piece), limit if limit >= 0 else self._left)
        self._left -= count
        return self._piece[:count]
