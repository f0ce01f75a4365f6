"""Docker Engine: keys of ``/etc/docker/daemon.json``. JSON has no comments: what there is to say is beside the file.

dockerd takes both keys up by a reload (its reference, "Configuration reload behavior"). Logins are the client's, in
``~/.docker/config.json``.
"""

from __future__ import annotations

import json
from dataclasses import replace

from ...oci.names import DOCKER_HUB
from .daemon_json import DAEMON_JSON, NotMerged, merge_command, merged
from .target import ClientFile, Setup, SetupError, Target

__all__ = ["docker", "merge_docker"]


def docker(target: Target) -> Setup:
    """Return how Docker pulls through ``target``: Docker Hub's images under their own names, others by prefix.

    Raises:
        SetupError: nothing there stands for Docker Hub.
    """
    settings: dict[str, list[str]] = {} if target.login is not None else {"registry-mirrors": [_mirror(target)]}
    if not target.secure and not target.is_loopback:
        settings["insecure-registries"] = [target.host]
    if not settings:
        return Setup(_about(target), (), _commands(target))
    file = ClientFile(DAEMON_JSON, merged("", settings))
    then = ("systemctl reload docker", *_commands(target))
    return Setup(_about(target), (), then, added=(file,), merge=merge_command(settings))


def merge_docker(made: Setup, text: str) -> Setup:
    """Return a set-up of Docker with the whole file in it that its keys and ``text``, a file that is there, make.

    Raises:
        SetupError: the text is not what Docker reads.
    """
    try:
        files = tuple(ClientFile(file.path, merged(text, json.loads(file.text))) for file in made.added)
    except NotMerged as error:
        raise SetupError(str(error)) from None
    return replace(made, files=files, added=(), merge="")


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
            "a mirror's root has to stand for Docker Hub: give docker.io an alias (--alias docker=docker.io), or let "
            "it be the default (--default-registry docker.io)"
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
        "mirrors for other registries: put the proxy's name in front of theirs. What else is in the file stays. A "
        "reload is enough: containers run on, and logins, which are kept elsewhere, stay."
    )


def _commands(target: Target) -> tuple[str, ...]:
    hub = f"docker pull {target.prefix(DOCKER_HUB)}/library/nginx" if target.login is not None else "docker pull nginx"
    login = () if target.login is None else (f"docker login --username {target.login.user} {target.host}",)
    return (*login, hub, f"docker pull {target.host}/quay.io/prometheus/busybox")
