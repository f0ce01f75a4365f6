"""BuildKit as a client: buildkitd of one's own, and builders of buildx's, which run in containers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Self

from .base_image import copy_libraries
from .process import Process, clean_environment
from .program import Program
from .requirements import need, need_root

if TYPE_CHECKING:
    from .node import Node

__all__ = ["BuildKit", "write_image"]

_IMAGE = """\
FROM scratch
COPY root /
ENV PATH=/usr/bin
ENTRYPOINT ["/usr/bin/buildkitd"]
"""


class BuildKit:
    """A running buildkitd; leaving the ``with`` block stops it.

    Arguments:
        directory: for all that it writes. Its path must be short: sockets are in it (unix(7): 108 bytes).
        node: where it runs.
        config: its buildkitd.toml, as it is named there.
    """

    def __init__(self, directory: Path, node: Node, config: str) -> None:
        need_root("buildkitd")
        self._directory = directory
        need("runc")
        address = self._address = f"unix://{directory / 'buildkitd.sock'}"
        command = [need("buildkitd"), f"--addr={address}", f"--root={directory / 'root'}", f"--config={config}"]
        command += ["--oci-worker-snapshotter=native", "--containerd-worker=false", "--oci-worker-binary=runc"]
        self._program = Program([need("buildctl"), f"--addr={address}"], directory)
        environment = clean_environment(directory, **node.environment)
        self._process = Process(node.command(command), directory, environment=environment)
        try:
            self._process.wait_for("running server on")
        except BaseException:
            self._process.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()

    def build(self, context: Path, tar: Path) -> None:
        """Build what is in a directory; write its files as ``tar``."""
        local = [f"--local={name}={context}" for name in ("context", "dockerfile")]
        self._program.run("build", "--frontend=dockerfile.v0", *local, f"--output=type=tar,dest={tar}")

    def check(self, context: Path, **arguments: str) -> str:
        """Return what BuildKit says of a Dockerfile, which it does not build. Raises Failed where that is a warning.

        Arguments:
            arguments: of the build.
        """
        buildx = Program([need("docker-buildx")], self._directory, BUILDX_CONFIG=str(self._directory / "buildx"))
        builders = self._directory / "buildx" / "instances" / "here"
        if not builders.exists():
            buildx.run("create", "--name=here", "--driver=remote", self._address)
        given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        return buildx.run("build", "--builder=here", "--check", *given, str(context)).decode()


def write_image(context: Path) -> None:
    """Write what an image of BuildKit can be built from, as moby/buildkit is one."""
    root = context / "root"
    (root / "tmp").mkdir(parents=True)
    (root / "tmp" / "kept").touch()
    (root / "usr" / "bin").mkdir(parents=True)
    for tool in ("buildkitd", "buildctl", "runc"):
        shutil.copy(need(tool), root / "usr" / "bin" / tool)
    copy_libraries(Path(need("runc")), root)
    (context / "Dockerfile").write_text(_IMAGE)
