"""Podman as a client, with storage of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .images import file_digest
from .program import Program
from .requirements import need, need_root

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Podman"]


class Podman:
    """Podman, with storage of its own.

    Arguments:
        directory: for all that it writes. Its path must be short: podman refuses a runroot of more than 50 characters.
    """

    def __init__(self, directory: Path) -> None:
        need_root("podman's vfs storage")
        self._root = directory / "root"
        self._saved = directory / "saved"
        storage = ["--storage-driver=vfs", f"--root={self._root}", f"--runroot={directory / 'run'}"]
        self._program = Program([need("podman"), *storage, f"--tmpdir={directory / 'tmp'}"], directory)

    def pull(self, image: str) -> frozenset[str]:
        """Pull an image; return the digests of the bytes that it keeps: manifests, configuration, unpacked layers."""
        (identity,) = self._program.words("pull", "--quiet", "--tls-verify=false", image)
        return self._documents(identity) | self._layers(identity)

    def _documents(self, identity: str) -> frozenset[str]:
        # containers/storage keeps manifests and configuration as they came, one file each, and one with the signatures
        # there are: it is empty.
        documents = (self._root / "vfs-images" / identity).iterdir()
        return frozenset(file_digest(document) for document in documents if document.stat().st_size)

    def _layers(self, identity: str) -> frozenset[str]:
        self._saved.mkdir(exist_ok=True)
        saved = self._saved / identity
        self._program.run("save", "--quiet", "--format=docker-dir", f"--output={saved}", identity)
        manifest = json.loads((saved / "manifest.json").read_bytes())
        return frozenset(file_digest(saved / layer["digest"].partition(":")[2]) for layer in manifest["layers"])
