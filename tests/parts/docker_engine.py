"""Docker Engine as a client: a private dockerd and the docker command.

Debian's dockerd keeps images by its graph driver, as all did for years; a newer one, by containerd.
"""

from __future__ import annotations

import io
import json
import re
import signal
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from .images import sha256
from .node import HERE, Node
from .process import Process, clean_environment
from .program import Failed, Program
from .requirements import need, need_root

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
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
        node: where it runs.
        mirrors: its ``registry-mirrors``.
        settings: what else is in its daemon.json.
        by_containerd: it is the newer one.
    """

    def __init__(
        self,
        directory: Path,
        node: Node = HERE,
        mirrors: Sequence[str] = (),
        settings: Mapping[str, object] | None = None,
        *,
        by_containerd: bool = False,
    ) -> None:
        need_root("dockerd")
        address = f"unix://{directory / 'docker.sock'}"
        program, driver = ("moby-dockerd", "native") if by_containerd else ("dockerd", "vfs")
        command = [need(program), f"--host={address}", f"--storage-driver={driver}"]
        command += [f"--data-root={directory / 'data'}", f"--exec-root={directory / 'exec'}"]
        command += [f"--pidfile={directory / 'pid'}", "--bridge=none", "--iptables=false", "--ip6tables=false"]
        # It tells where it tries to pull from only when it debugs.
        written = {"registry-mirrors": list(mirrors), "debug": True, **(settings or {})}
        if by_containerd:
            written["features"] = {"containerd-snapshotter": True}
        self.file = directory / "daemon.json"
        self.file.write_text(json.dumps(written))
        command.append(f"--config-file={self.file}")
        client = directory / "client"
        client.mkdir()
        self.client_environment = {"DOCKER_HOST": address, "DOCKER_CONFIG": str(client)}
        self._plugins = client / "cli-plugins"
        self._program = Program([need("docker")], directory, **self.client_environment)
        need("containerd")
        # Go's clients ask no proxy for 127.0.0.1; all else finds nobody, so that Docker Hub is never reached.
        nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9"} if node.etc is None else {}
        environment = clean_environment(directory, **node.environment, **nowhere)
        self._process = Process(node.command(command), directory, environment=environment)
        try:
            self._process.wait_for("API listen on")
        except BaseException:
            self._process.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()

    def reload(self) -> None:
        """Have it read its daemon.json again, as its service's ``systemctl reload`` does; return when it has."""
        before = len(self._process.log)
        self._process.signal(signal.SIGHUP)
        self._process.wait_for(r"Reloaded configuration: ", after=before)

    @property
    def logins(self) -> str:
        """What the client keeps of its logins."""
        return (Path(self.client_environment["DOCKER_CONFIG"]) / "config.json").read_text()

    def log_in(self, host: str, user: str, password: str) -> None:
        """Log in, as people do; the password is kept by the client."""
        self._program.run("login", f"--username={user}", f"--password={password}", host)

    def log_out(self, host: str) -> None:
        self._program.run("logout", host)

    def tried(self, image: str, last: str) -> list[str]:
        """Return the registries that it asked for an image, in their order, as soon as ``last`` is among them."""
        asking = rf"Trying to pull {re.escape(image)} from "
        self._process.wait_for(asking + re.escape(last))
        # Said with the API's version by Docker 20, and twice by Docker 26.
        return list(dict.fromkeys(re.findall(asking + r'([^\s"]+?)/?(?: v2)?"', self._process.log)))

    def pull(self, image: str) -> DockerImage:
        """Pull an image, look at it, and forget it again, so that the next pull fetches it anew."""
        self._program.run("pull", "--quiet", image)
        try:
            (described,) = json.loads(self._program.run("image", "inspect", image))
            (pulled_as,) = described["RepoDigests"]
            return DockerImage(pulled_as.partition("@")[2], self._contents(image))
        finally:
            self._program.run("image", "rm", "--force", image)

    def add_buildx(self) -> None:
        """Give the client its plugin for builds by BuildKit."""
        self._plugins.mkdir()
        (self._plugins / "docker-buildx").symlink_to(need("docker-buildx"))

    def build(self, context: Path, tag: str) -> None:
        """Build an image by what builds where no plugin was added, which is in the daemon."""
        self._program.run("build", "--quiet", f"--tag={tag}", str(context))

    def build_by_buildx(self, context: Path, tar: Path) -> None:
        """Build what is in a directory by BuildKit; write its files as ``tar``."""
        self._program.run("buildx", "build", f"--output=type=tar,dest={tar}", str(context))

    def write_files(self, tag: str, tar: Path) -> None:
        """Write the files of an image as ``tar``."""
        (container,) = self._program.words("create", tag)
        self._program.run("export", f"--output={tar}", container)

    def seconds_to_pull(self, image: str) -> float:
        """Pull an image and forget it again; return what the pull took."""
        begun = time.monotonic()
        self._program.run("pull", "--quiet", image)
        seconds = time.monotonic() - begun
        self._program.run("image", "rm", "--force", image)
        return seconds

    def push_refused(self, image: str) -> str:
        """Pull an image and push it where it came from; return why that is refused."""
        self._program.run("pull", "--quiet", image)
        try:
            self._program.run("push", image)
        except Failed as failed:
            return str(failed)
        finally:
            self._program.run("image", "rm", "--force", image)
        raise AssertionError(f"{image} was pushed")

    def _contents(self, image: str) -> frozenset[str]:
        with tarfile.open(fileobj=io.BytesIO(self._program.run("save", image))) as saved:
            (described,) = json.load(_member(saved, "manifest.json"))
            names = [described["Config"], *described["Layers"]]
            return frozenset(sha256(_member(saved, name).read()) for name in names)


def _member(saved: tarfile.TarFile, name: str) -> IO[bytes]:
    member = saved.extractfile(name)
    assert member is not None
    return member
