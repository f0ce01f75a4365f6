"""Podman as a client, with storage of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .node import HERE, Node
from .program import Program
from .requirements import need, need_root
from .storages import documents, layers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Podman"]


class Podman:
    """Podman, with storage of its own.

    Arguments:
        directory: for all that it writes. Its path must be short: podman refuses a runroot of more than 50 characters.
        node: where it runs.
        registries: its registries.conf.
        logins: what is in its auth.json.
        tls_by_file: whether registries.conf alone says what is asked without TLS.
    """

    def __init__(
        self,
        directory: Path,
        node: Node = HERE,
        registries: Path | None = None,
        *,
        logins: Mapping[str, object] | None = None,
        tls_by_file: bool = False,
    ) -> None:
        need_root("podman's vfs storage")
        self._root = directory / "root"
        self._saved = directory / "saved"
        self._tls = [] if tls_by_file else [f"--tls-verify={node.tls_verify}"]
        storage = ["--storage-driver=vfs", f"--root={self._root}", f"--runroot={directory / 'run'}"]
        command = node.command([need("podman"), *storage, f"--tmpdir={directory / 'tmp'}"])
        settings = {} if registries is None else {"CONTAINERS_REGISTRIES_CONF": str(registries)}
        kept = directory / "auth.json"
        kept.write_text(json.dumps(logins or {}))
        self._program = Program(command, directory, **node.environment, **settings, REGISTRY_AUTH_FILE=str(kept))

    def log_in(self, host: str, user: str, password: str) -> None:
        """Log in, as people do; the password is kept in a file of its own."""
        self._program.run("login", *self._tls, f"--username={user}", f"--password={password}", host)

    def pull(self, image: str) -> frozenset[str]:
        """Pull an image; return the digests of the bytes that it keeps: manifests, configuration, unpacked layers."""
        (identity,) = self._program.words("pull", "--quiet", *self._tls, image)
        return documents(self._root, identity) | self._layers(identity)

    def variables_in(self, image: str) -> list[str]:
        """Return the environment of a container that is made of an image, and not started."""
        (container,) = self._program.words("create", *self._tls, image)
        (described,) = json.loads(self._program.run("inspect", container))
        variables: list[str] = described["Config"]["Env"]
        return variables

    def _layers(self, identity: str) -> frozenset[str]:
        self._saved.mkdir(exist_ok=True)
        saved = self._saved / identity
        self._program.run("save", "--quiet", "--format=docker-dir", f"--output={saved}", identity)
        return layers(saved)
