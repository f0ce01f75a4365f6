"""What podman and buildah keep of an image on disk (containers/storage, with its vfs driver)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .images import file_digest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["documents", "layers"]


def documents(root: Path, identity: str) -> frozenset[str]:
    """Return the digests of an image's manifests and configuration.

    They are kept as they came, one file each, and one with the signatures there are: it is empty.
    """
    files = (root / "vfs-images" / identity).iterdir()
    return frozenset(file_digest(file) for file in files if file.stat().st_size)


def layers(directory: Path) -> frozenset[str]:
    """Return the digests of the layers in a directory that an image was saved to, one file each."""
    manifest = json.loads((directory / "manifest.json").read_bytes())
    return frozenset(file_digest(directory / layer["digest"].partition(":")[2]) for layer in manifest["layers"])
