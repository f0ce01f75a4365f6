"""Skopeo (containers/image) as a client, and what pushes images for the other tests."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from .images import file_digest
from .node import HERE, Node
from .program import Program
from .requirements import need

__all__ = ["Skopeo"]


class Skopeo:
    """Skopeo, with a home of its own.

    Arguments:
        directory: its home, and where copies go.
        node: where it runs.
    """

    def __init__(self, directory: Path, node: Node = HERE) -> None:
        self._directory = directory
        self._verify = node.tls_verify
        command = node.command([need("skopeo"), "--insecure-policy"])
        self._program = Program(command, directory, **node.environment)

    def push(self, source: str, authority: str, name: str) -> None:
        """Copy what ``source`` names, in skopeo's words, to a registry, byte for byte."""
        self._copy(f"--dest-tls-verify={self._verify}", source, f"docker://{authority}/{name}")

    def pull(self, image: str, *options: str) -> frozenset[str]:
        """Copy an image with all its platforms; return the digests of the bytes that came."""
        with tempfile.TemporaryDirectory(dir=self._directory) as copy:
            self._copy(f"--src-tls-verify={self._verify}", *options, f"docker://{image}", f"dir:{copy}")
            return frozenset(file_digest(file) for file in Path(copy).iterdir() if file.name != "version")

    def raw_manifest(self, image: str) -> bytes:
        return self._program.run("inspect", "--raw", f"--tls-verify={self._verify}", f"docker://{image}")

    def tags(self, repository: str) -> list[str]:
        listed = self._program.run("list-tags", f"--tls-verify={self._verify}", f"docker://{repository}")
        tags: list[str] = json.loads(listed)["Tags"]
        return tags

    def _copy(self, *arguments: str) -> None:
        self._program.run("copy", "--all", "--preserve-digests", "--quiet", *arguments)
