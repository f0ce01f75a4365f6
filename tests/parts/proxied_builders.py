"""Whatever builds by a Dockerfile, on a `Station`, each set up by what is printed for it there."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

from .buildah import Buildah
from .buildkit import BuildKit, write_image
from .docker_engine import DockerEngine
from .runtime import write_runtime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .proxied_clients import Starting

    # Builds what is in a directory, and writes its files as a tar file.
    Build = Callable[[Path, Path], None]

__all__ = ["BUILDERS"]

_BUILDKIT = "moby/buildkit:buildx-stable-1"


def docker(starting: Starting) -> Build:
    """Docker, as it built before it had BuildKit."""
    engine = starting.running.enter_context(DockerEngine(starting.fresh(), starting.service("docker")))

    def build(context: Path, tar: Path) -> None:
        engine.build(context, "built")
        engine.write_files("built", tar)

    return build


def docker_by_buildkit(starting: Starting) -> Build:
    """The BuildKit that is in Docker."""
    return _by_buildkit(starting, by_containerd=False)


def docker_by_containerd(starting: Starting) -> Build:
    """The same with containerd's image store."""
    return _by_buildkit(starting, by_containerd=True)


def buildah(starting: Starting) -> Build:
    """Buildah, and so podman build."""
    starting.station.install("podman")
    return Buildah(starting.fresh(), starting.station.place()).build


def buildkitd(starting: Starting) -> Build:
    """One's own, on a machine that does not trust the CA itself."""
    station, installed = starting.station, starting.station.install("buildkit")
    (config,) = (file["path"] for file in installed.printed["files"] if file["path"].endswith(".toml"))
    nobody = {"SSL_CERT_FILE": "/dev/null", "SSL_CERT_DIR": "/nonexistent"}
    place = replace(station.place(), variables={"HTTPS_PROXY": station.url, **nobody})
    return starting.running.enter_context(BuildKit(starting.fresh(), place, config)).build


def buildx(starting: Starting) -> Build:
    """A builder in a container, made by the command that is printed."""
    station, directory = starting.station, starting.fresh()
    settings = write_runtime(starting.directory)
    engine = starting.running.enter_context(DockerEngine(directory, station.place(), settings=settings))
    context = starting.fresh()
    write_image(context)
    engine.build(context, _BUILDKIT)
    engine.add_buildx()
    installed = station.install("buildkit")
    create, _ = installed.commands
    environment = {**station.machine.environment, **engine.client_environment}
    _shell(station.place().command(["sh", "-c", create]), environment)
    starting.running.callback(_shell, station.place().command(["sh", "-c", installed.back]), environment)
    return engine.build_by_buildx


def _shell(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def _by_buildkit(starting: Starting, *, by_containerd: bool) -> Build:
    made = DockerEngine(starting.fresh(), starting.service("docker"), by_containerd=by_containerd)
    engine = starting.running.enter_context(made)
    engine.add_buildx()
    return engine.build_by_buildx


BUILDERS = (docker, docker_by_buildkit, docker_by_containerd, buildah, buildkitd, buildx)
"""Each is made by one of these."""
