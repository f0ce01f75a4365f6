"""Docker Engine: ``/etc/docker/daemon.json``. JSON has no comments: what there is to say is beside the file."""

from __future__ import annotations

import json
from typing import Any

from ...oci.names import DOCKER_HUB
from .target import ClientFile, Setup, SetupError, Target

__all__ = ["docker"]


def docker(target: Target) -> Setup:
    """Return how Docker pulls through ``target``: Docker Hub's images under their own names, others by prefix.

    Raises:
        SetupError: nothing there stands for Docker Hub.
    """
    settings: dict[str, Any] = {} if target.login is not None else {"registry-mirrors": [_mirror(target)]}
    if not target.secure and not target.is_loopback:
        settings["insecure-registries"] = [target.host]
    if not settings:
        return Setup(_about(target), (), _commands(target))
    file = ClientFile("/etc/docker/daemon.json", json.dumps(settings, indent=2) + "\n")
    return Setup(_about(target), (file,), ("systemctl restart docker", *_commands(target)))


def _mirror(target: Target) -> str:
    if target.registries and DOCKER_HUB not in target.registries:
        raise SetupError(
            "Docker has mirrors for Docker Hub alone: other registries are pulled by prefix, such as "
            f"{target.prefix(target.registries[0])}/ORG/NAME, which needs no file"
        )
    scheme = "https" if target.secure else "http"
    if DOCKER_HUB in target.aliases:
        return f"{scheme}://{target.aliases[DOCKER_HUB]}"
    if target.default_registry != DOCKER_HUB:
        raise SetupError(
            "a mirror's root has to stand for Docker Hub: give docker.io an alias, or let default_registry be docker.io"
        )
    return target.url


def _about(target: Target) -> str:
    if target.login is not None:
        return (
            "Docker sends a mirror no password, so images are pulled by prefix, with the registry behind the proxy's "
            "name. For that no file is needed where the proxy has TLS."
        )
    return (
        "Docker asks the proxy first for images of Docker Hub, and Docker Hub itself where that fails. It has no "
        "mirrors for other registries: put the proxy's name in front of theirs. Where the file is there already, add "
        "these keys to it."
    )


def _commands(target: Target) -> tuple[str, ...]:
    hub = f"docker pull {target.prefix(DOCKER_HUB)}/library/nginx" if target.login is not None else "docker pull nginx"
    login = () if target.login is None else (f"docker login --username {target.login.user} {target.host}",)
    return (*login, hub, f"docker pull {target.host}/quay.io/prometheus/busybox")
