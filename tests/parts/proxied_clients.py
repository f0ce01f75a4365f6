"""Real clients on a `Station`, each set up by what is printed for it there."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .buildah import Buildah
from .containerd import Containerd
from .cri import Cri
from .docker_engine import DockerEngine
from .podman import Podman
from .skopeo import Skopeo

if TYPE_CHECKING:
    from collections.abc import Callable

    from .images import Image
    from .station import Place, Station

__all__ = ["CLIENTS", "Client", "Starting"]


@dataclass(frozen=True, slots=True)
class Client:
    """One that pulls.

    Arguments:
        pull: pulls an image; returns the digests of what it keeps of it.
        unpacks: it keeps layers only unpacked.
        manifest: it keeps the manifest as it came.
    """

    pull: Callable[[str], frozenset[str]]
    unpacks: bool = False
    manifest: bool = True

    def kept(self, image: Image) -> frozenset[str]:
        """Return what it keeps of an image."""
        kept = image.unpacked if self.unpacks else image.digests
        return kept | {image.manifest.digest} if self.manifest else kept - {image.manifest.digest}


@dataclass(frozen=True, slots=True)
class Starting:
    """What clients are started with.

    Arguments:
        directory: for all that they write; its path is short.
        running: ends them.
        options: of the command that prints what they need.
        stdin: what it reads.
    """

    station: Station
    directory: Path
    running: ExitStack
    options: tuple[str, ...] = ()
    stdin: str = ""

    def fresh(self) -> Path:
        """Return an empty directory."""
        return Path(tempfile.mkdtemp(dir=self.directory))

    def service(self, client: str) -> Place:
        """Set a service up; return where it runs, with the variables that it is given there."""
        installed = self.station.install(client, *self.options, stdin=self.stdin)
        return self.station.place(**installed.service_variables)

    def shell(self) -> Place:
        """Set a shell up, by what is printed for Helm; return it."""
        installed = self.station.install("helm", *self.options, stdin=self.stdin)
        return replace(self.station.place(), entering=self.station.sourcing(installed))


def docker(starting: Starting) -> Client:
    """Debian's Docker."""
    return _docker(starting, by_containerd=False)


def docker_by_containerd(starting: Starting) -> Client:
    """Docker with containerd's image store."""
    return _docker(starting, by_containerd=True)


def containerd(starting: Starting) -> Client:
    """What is asked by ctr."""
    return Client(starting.running.enter_context(Containerd(starting.fresh(), starting.service("containerd"))).pull)


def kubernetes(starting: Starting) -> Client:
    """What is asked as a kubelet asks."""
    return Client(starting.running.enter_context(Cri(starting.fresh(), starting.service("kubernetes"))).pull)


def podman(starting: Starting) -> Client:
    """Podman, by its file alone."""
    starting.station.install("podman", *starting.options, stdin=starting.stdin)
    return Client(lambda name: Podman(starting.fresh(), starting.station.place()).pull(name), unpacks=True)


def buildah(starting: Starting) -> Client:
    """Buildah, by the same file."""
    starting.station.install("podman", *starting.options, stdin=starting.stdin)
    return Client(lambda name: Buildah(starting.fresh(), starting.station.place()).pull(name), unpacks=True)


def skopeo(starting: Starting) -> Client:
    """Skopeo, by variables of a shell's."""
    return Client(Skopeo(starting.fresh(), starting.shell()).pull)


def _docker(starting: Starting, *, by_containerd: bool) -> Client:
    made = DockerEngine(starting.fresh(), starting.service("docker"), by_containerd=by_containerd)
    engine = starting.running.enter_context(made)
    return Client(lambda name: engine.pull(_as_typed(name)).contents, unpacks=True, manifest=False)


def _as_typed(name: str) -> str:
    """Return what people type who have Docker."""
    return name.removeprefix("docker.io/library/")


CLIENTS = (docker, docker_by_containerd, containerd, kubernetes, podman, buildah, skopeo)
"""Each is made by one of these."""
