"""Docker Engine as a client: a private dockerd (graphdriver store) and the docker command."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Self

from .images import sha256
from .process import Process
from .program import Program
from .requirements import need, need_root

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DockerEngine", "DockerImage"]


@dataclass(frozen=True, slots=True)
class DockerImage:
    """What Docker has of an image: under which digest it was pulled, and the digests of its unpacked bytes."""

    pulled_as: str
    contents: frozenset[str]


class DockerEngine:
    """A running dockerd that needs no network of its own; leaving the ``with`` block stops it with its containerd.

    Arguments:
        directory: for all that it writes. Its path must be short: sockets are in it (unix(7): 108 bytes).
    """

    def __init__(self, directory: Path) -> None:
        need_root("dockerd")
        address = f"unix://{directory / 'docker.sock'}"
        command = [need("dockerd"), f"--host={address}", "--storage-driver=vfs"]
        command += [f"--data-root={directory / 'data'}", f"--exec-root={directory / 'exec'}"]
        command += [f"--pidfile={directory / 'pid'}", "--bridge=none", "--iptables=false", "--ip6tables=false"]
        settings = directory / "client"
        settings.mkdir()
        self._program = Program([need("docker"), f"--host={address}"], directory, DOCKER_CONFIG=str(settings))
        need("containerd")
        self._process = Process(command, directory)
        try:
            self._process.wait_for("API listen on")
        except BaseException:
            self._process.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()

    def pull(self, image: str) -> DockerImage:
        """Pull an image, look at it, and forget it again, so that the next pull fetches it anew."""
        self._program.run("pull", "--quiet", image)
        try:
            (described,) = json.loads(self._program.run("image", "inspect", image))
            (pulled_as,) = described["RepoDigests"]
            return DockerImage(pulled_as.partition("@")[2], self._contents(image))
        finally:
            self._program.run("image", "rm", "--force", image)

    def _contents(self, image: str) -> frozenset[str]:
        with tarfile.open(fileobj=io.BytesIO(self._program.run("save", image))) as saved:
            (described,) = json.load(_member(saved, "manifest.json"))
            names = [described["Config"], *described["Layers"]]
            return frozenset(sha256(_member(saved, name).read()) for name in names)


def _member(saved: tarfile.TarFile, name: str) -> IO[bytes]:
    member = saved.extractfile(name)
    assert member is not None
    return member
