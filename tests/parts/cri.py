"""containerd as a node of Kubernetes has it: crictl asks it for images, and it asks the registries."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Self

from .images import sha256
from .process import Process, clean_environment
from .program import Program
from .requirements import need, need_root

if TYPE_CHECKING:
    from pathlib import Path

    from .node import Node

__all__ = ["Cri"]

_CONFIG = """\
version = 2
root = {root}
state = {state}
[grpc]
address = {address}
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
"""


class Cri:
    """A running containerd; leaving the ``with`` block stops it.

    Arguments:
        directory: for all that it writes. Its path must be short: sockets are in it (unix(7): 108 bytes).
        node: where it runs.
    """

    def __init__(self, directory: Path, node: Node) -> None:
        need_root("containerd")
        address = str(directory / "containerd.sock")
        places = {"root": str(directory / "root"), "state": str(directory / "state"), "address": address}
        file = directory / "containerd.toml"
        file.write_text(_CONFIG.format(**{key: json.dumps(value) for key, value in places.items()}))
        crictl = [need("crictl"), f"--runtime-endpoint=unix://{address}", f"--image-endpoint=unix://{address}"]
        self._crictl = Program(crictl, directory)
        self._ctr = Program([need("ctr"), f"--address={address}", "--namespace=k8s.io"], directory)
        command = node.command([need("containerd"), "--config", str(file)])
        self._process = Process(command, directory, environment=clean_environment(directory, **node.environment))
        try:
            self._process.wait_for("containerd successfully booted")
        except BaseException:
            self._process.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()

    def pull(self, image: str) -> frozenset[str]:
        """Pull an image; return the digests of the bytes in the content store, and forget it again."""
        self._crictl.run("pull", image)
        kept = self._ctr.words("content", "ls", "--quiet")
        found = frozenset(sha256(self._ctr.run("content", "get", digest)) for digest in kept)
        self._crictl.run("rmi", image)
        assert not self._ctr.words("content", "ls", "--quiet")
        return found
