"""Images whose layer can be pulled in parts (zstd:chunked), built and pushed by buildah."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .program import Program
from .requirements import need, need_root

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ChunkedImages"]


class ChunkedImages:
    """Makes them, with storage of its own.

    Arguments:
        directory: for all that it writes.
    """

    def __init__(self, directory: Path) -> None:
        need_root("buildah's vfs storage")
        self._directory = directory
        storage = ["--storage-driver=vfs", f"--root={directory / 'root'}", f"--runroot={directory / 'run'}"]
        self._program = Program([need("buildah"), *storage], directory)

    def push(self, files: Mapping[str, bytes], authority: str, name: str) -> None:
        """Push an image with one layer, which has these files, to a registry: each of them can be had by itself."""
        (container,) = self._program.words("from", "--quiet", "scratch")
        source = Path(tempfile.mkdtemp(dir=self._directory))
        for file, content in files.items():
            (source / file).write_bytes(content)
        self._program.run("copy", "--quiet", container, str(source), "/")
        (identity,) = self._program.words("commit", "--quiet", "--rm", container)
        chunked = ["--compression-format=zstd:chunked", "--tls-verify=false"]
        self._program.run("push", "--quiet", *chunked, identity, f"docker://{authority}/{name}")
