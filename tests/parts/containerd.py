"""containerd as a client: a private daemon and its ctr command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Self

from .images import sha256
from .node import HERE, Node
from .process import Process
from .program import Program
from .requirements import need, need_root

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Containerd", "hosts"]

# "isolated": a namespace cannot use what another one has fetched, so that each pull fetches everything.
_CONFIG = """\
version = 2
root = {root}
state = {state}
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = {address}
[plugins."io.containerd.metadata.v1.bolt"]
content_sharing_policy = "isolated"
"""


class Containerd:
    """A running containerd; leaving the ``with`` block stops it.

    Arguments:
        directory: for all that it writes. Its path must be short: sockets are in it (unix(7): 108 bytes).
        node: where ctr runs, which is what asks registries.
    """

    def __init__(self, directory: Path, node: Node = HERE) -> None:
        need_root("containerd")
        address = str(directory / "containerd.sock")
        places = {"root": str(directory / "root"), "state": str(directory / "state"), "address": address}
        file = directory / "containerd.toml"
        file.write_text(_CONFIG.format(**{key: json.dumps(value) for key, value in places.items()}))
        self._plain = ["--plain-http"] if node.tls_verify == "false" else []
        command = node.command([need("ctr"), f"--address={address}"])
        self._program = Program(command, directory, **node.environment)
        self._pulls = 0
        self._process = Process([need("containerd"), "--config", str(file)], directory)
        try:
            self._process.wait_for("containerd successfully booted")
        except BaseException:
            self._process.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()

    def pull(self, image: str, *options: str) -> frozenset[str]:
        """Pull an image into a namespace of its own; return the digests of the bytes in its content store."""
        self._pulls += 1
        namespace = f"--namespace=pull-{self._pulls}"
        self._program.run(namespace, "images", "pull", *self._plain, "--snapshotter=native", *options, image)
        kept = self._program.words(namespace, "content", "ls", "--quiet")
        return frozenset(sha256(self._program.run(namespace, "content", "get", digest)) for digest in kept)


def hosts(directory: Path, url: str, *lines: str) -> str:
    """Write a hosts.toml for every registry, in which nobody else is asked; return ctr's option for it."""
    (directory / "_default").mkdir()
    text = ['server = "http://127.0.0.1:9"', f'[host."{url}"]', 'capabilities = ["pull", "resolve"]', *lines]
    (directory / "_default" / "hosts.toml").write_text("\n".join(text))
    return f"--hosts-dir={directory}"
