"""Kubernetes: the login as a Secret, and Helm's charts and their images by prefix."""

from __future__ import annotations

import json

from ...oci.names import DOCKER_HUB
from .target import ClientFile, Setup, SetupError, Target, quoted

__all__ = ["helm", "kubernetes"]

_SECRET = "crproxy"  # noqa: S105 - its name


def kubernetes(target: Target) -> Setup:
    """Return the imagePullSecret for pods whose images have the proxy in front of their names.

    Raises:
        SetupError: there is no login, and so nothing to keep secret.
    """
    if target.login is None:
        raise SetupError(
            "without a login Kubernetes needs nothing: pods name their images as "
            f"{target.host}/quay.io/ORG/NAME. With one, add --login USER; to leave images' names as they are, set up "
            "the nodes: containerd, cri-o or k3s"
        )
    login = {"username": target.login.user, "password": target.login.written_password}
    if target.login.password is not None:
        # Kubernetes takes either, other readers of such a file this alone, as kubectl create secret writes both.
        login["auth"] = target.login.basic.removeprefix("Basic ")
    document = json.dumps({"auths": {target.host: login}}, ensure_ascii=False)
    lines = [
        f"# Pods that pull {target.host}/... name it: imagePullSecrets: [{{name: {_SECRET}}}].",
        "# It counts in one namespace.",
        *(["# Put the password in the place of PASSWORD."] if target.login.password is None else []),
        "apiVersion: v1",
        "kind: Secret",
        "metadata:",
        f"  name: {_SECRET}",
        "type: kubernetes.io/dockerconfigjson",
        "stringData:",
        "  # What docker login writes: a user and a password for each host that images are pulled from.",
        f"  .dockerconfigjson: {quoted(document)}",
    ]
    about = "Pods whose images have the proxy in front of their names pull with this login."
    then = (
        f"kubectl apply -f {_SECRET}.yaml",
        "# For every pod of a namespace that names no service account of its own:",
        f'kubectl patch serviceaccount default -p \'{{"imagePullSecrets": [{{"name": "{_SECRET}"}}]}}\'',
    )
    return Setup(about, (ClientFile(f"{_SECRET}.yaml", "\n".join([*lines, ""])),), then)


def helm(target: Target) -> Setup:
    """Return values for charts that let the registry of their images be chosen; charts themselves need no file."""
    secrets = []
    if target.login is not None:
        secrets = [
            f"  # crproxy setup kubernetes --login {target.login.user} prints this Secret.",
            f"  imagePullSecrets: [{quoted(_SECRET)}]",
        ]
    lines = [
        "# For charts that follow this convention, as those do that derive from Bitnami's: their images come from",
        "# Docker Hub, through the proxy. Others call it image.registry or image.repository: helm show values CHART.",
        "# Where the nodes are set up (containerd, cri-o, k3s), no values are needed at all.",
        "global:",
        f"  imageRegistry: {quoted(target.prefix(DOCKER_HUB))}",
        *secrets,
    ]
    login = () if target.login is None else (f"helm registry login --username {target.login.user} {target.host}",)
    plain = "" if target.secure else " --plain-http"
    about = (
        "Charts are pulled by prefix, the registry behind the proxy's name. What they deploy is pulled by the nodes."
    )
    then = (
        *login,
        f"helm pull oci://{target.host}/ghcr.io/ORG/CHART{plain}",
        f"helm install NAME oci://{target.host}/ghcr.io/ORG/CHART{plain} --values crproxy-values.yaml",
    )
    return Setup(about, (ClientFile("crproxy-values.yaml", "\n".join([*lines, ""])),), then)
