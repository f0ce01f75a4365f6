"""How clients are set up for this proxy, so that images keep their names: files, and where each goes.

The exact text for each client. Knows nothing of how it is shown, nor of the machine it is for.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable
from dataclasses import dataclass

from ..oci.names import DOCKER_HUB, Registry
from .fronts import Front

__all__ = ["Client", "File", "Setup", "setups_of"]


@dataclass(frozen=True, slots=True)
class File:
    """A file, or a part of one.

    Arguments:
        path: where it goes; empty for what has no place of its own.
        text: what belongs into it.
        whole: it is all of the file, not a part.
    """

    path: str
    text: str
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Setup:
    """What a client needs.

    Arguments:
        client: which.
        files: to be written.
        command: to be run then; empty where there is none.
    """

    client: Client
    files: tuple[File, ...]
    command: str = ""


class Client(enum.StrEnum):
    """The clients there is a set-up for."""

    DOCKER = "docker"
    CONTAINERD = "containerd"
    PODMAN = "podman"
    KUBERNETES = "kubernetes"


# The tables' names changed with the version of the file (containerd's docs/cri/registry.md).
_CONTAINERD_2 = """\
# containerd 2
version = 3

[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "/etc/containerd/certs.d"
"""
_CONTAINERD_1 = """\
# containerd 1
version = 2

[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "/etc/containerd/certs.d"
"""


def setups_of(front: Front, registries: Iterable[Registry]) -> tuple[Setup, ...]:
    """Return a set-up for each client that there can be one for here.

    Arguments:
        registries: those that a client asks here which must be told them one by one.
    """
    setups = [_docker(front), _containerd(front), _podman(front, registries), _kubernetes(front)]
    return tuple(setup for setup in setups if setup is not None)


def _docker(front: Front) -> Setup | None:
    mirror = front.mirror()
    if mirror is None:
        return None
    document: dict[str, list[str]] = {"registry-mirrors": [f"{front.scheme}://{mirror}"]}
    if not front.secure and not mirror.startswith(("localhost", "127.")):
        document["insecure-registries"] = [mirror]
    text = json.dumps(document, indent=2) + "\n"
    return Setup(Client.DOCKER, (File("/etc/docker/daemon.json", text),), "systemctl restart docker")


def _containerd(front: Front) -> Setup | None:
    if front.base is None:
        return None
    hosts = f'[host."{front.scheme}://{front.base}"]\n  capabilities = ["pull", "resolve"]\n'
    files = (
        File("/etc/containerd/certs.d/_default/hosts.toml", hosts),
        File("/etc/containerd/config.toml", _CONTAINERD_2, whole=False),
        File("/etc/containerd/config.toml", _CONTAINERD_1, whole=False),
    )
    return Setup(Client.CONTAINERD, files, "systemctl restart containerd")


def _podman(front: Front, registries: Iterable[Registry]) -> Setup | None:
    """Return registries.conf's part (containers-registries.conf(5)), which has no word for every registry at once."""
    lines = ['unqualified-search-registries = ["docker.io"]', ""]
    for registry in registries:
        location = _location(front, registry)
        if location is not None:
            lines += ["[[registry]]", f'location = "{registry}"', "[[registry.mirror]]", f'location = "{location}"']
            lines += [*([] if front.secure else ["insecure = true"]), ""]
    if len(lines) == 2:
        return None
    return Setup(Client.PODMAN, (File("/etc/containers/registries.conf.d/crproxy.conf", "\n".join(lines)),))


def _location(front: Front, registry: Registry) -> str | None:
    alias = front.alias(registry)
    if alias is not None:
        # One of Docker Hub's official images is asked for as library/NAME.
        return alias
    return None if front.base is None else f"{front.base}/{registry}"


def _kubernetes(front: Front) -> Setup | None:
    if front.base is None:
        return None
    k3s = f'mirrors:\n  "*":\n    endpoint:\n      - "{front.scheme}://{front.base}"\n'
    pod = (
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n"
        f"    - name: web\n      image: {front.base}/{DOCKER_HUB}/nginx:1.27\n"
    )
    return Setup(Client.KUBERNETES, (File("/etc/rancher/k3s/registries.yaml", k3s), File("", pod)))
