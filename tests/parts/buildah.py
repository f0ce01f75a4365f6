"""Buildah as a client, with storage of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .node import HERE, Node
from .program import Program
from .requirements import need, need_root
from .storages import documents, layers

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Buildah"]


class Buildah:
    """Buildah, with storage of its own.

    Arguments:
        directory: for all that it writes.
        node: where it runs.
        registries: its registries.conf, which says what is asked without TLS.
    """

    def __init__(self, directory: Path, node: Node = HERE, registries: Path | None = None) -> None:
        need_root("buildah's vfs storage")
        self._root = directory / "root"
        self._saved = directory / "saved"
        self._tls = [f"--tls-verify={node.tls_verify}"] if registries is None else []
        settings = {} if registries is None else {"CONTAINERS_REGISTRIES_CONF": str(registries)}
        storage = ["--storage-driver=vfs", f"--root={self._root}", f"--runroot={directory / 'run'}"]
        self._program = Program(node.command([need("buildah"), *storage]), directory, **node.environment, **settings)

    def pull(self, image: str) -> frozenset[str]:
        """Pull an image; return the digests of the bytes that it keeps: manifests, configuration, unpacked layers."""
        (identity,) = self._program.words("pull", "--quiet", *self._tls, image)
        return documents(self._root, identity) | self._layers(identity)

    def build(self, context: Path, tar: Path) -> None:
        """Build what is in a directory; write its files as ``tar``."""
        self._program.run("build", *self._tls, "--isolation=chroot", f"--output=type=tar,dest={tar}", str(context))

    def _layers(self, identity: str) -> frozenset[str]:
        self._saved.mkdir(exist_ok=True)
        saved = self._saved / identity
        self._program.run("push", "--quiet", "--disable-compression", identity, f"dir:{saved}")
        return layers(saved)
