"""Podman, Buildah, Skopeo and CRI-O: one file of mirrors that they share (containers-registries.conf(5))."""

from __future__ import annotations

from ...oci.names import Registry
from .target import ClientFile, Setup, Target, quoted

__all__ = ["cri_o", "podman"]

_PATH = "/etc/containers/registries.conf.d/crproxy.conf"


def podman(target: Target) -> Setup:
    """Return how Podman, Buildah and Skopeo pull through ``target``, under the images' own names."""
    login = () if target.login is None else (f"podman login --username {target.login.user} {target.host}",)
    about = (
        "Podman, Buildah and Skopeo ask the proxy first, under the images' own names, and the registry itself where "
        "that fails. There is no entry for every registry: add one for each that is not there."
    )
    return Setup(about, (_file(target),), (*login, f"podman pull {_image(target)}"))


def cri_o(target: Target) -> Setup:
    """Return how CRI-O pulls through ``target``, under the images' own names."""
    login: tuple[str, ...] = ()
    if target.login is not None:
        login = (
            f"# CRI-O's own login: global_auth_file under [crio.image] in /etc/crio/crio.conf names {_AUTH}",
            f"podman login --authfile {_AUTH} --username {target.login.user} {target.host}",
        )
    about = (
        "CRI-O asks the proxy first, under the images' own names, and the registry itself where that fails. It reads "
        "the same file as Podman does."
    )
    return Setup(about, (_file(target),), (*login, "systemctl reload crio", f"crictl pull {_image(target)}"))


_AUTH = "/etc/crio/auth.json"


def _image(target: Target) -> str:
    return f"{target.registries[0]}/ORG/NAME:TAG" if target.registries else "quay.io/prometheus/busybox:latest"


def _file(target: Target) -> ClientFile:
    lines = [
        "# Each registry has the proxy as its mirror: its name goes behind the proxy's. Where the mirror cannot be",
        "# reached, the registry itself is asked; one that has no entry here is always asked itself.",
    ]
    if not target.secure:
        lines.append("# insecure: the proxy is asked by plain HTTP.")
    for registry in target.listed:
        lines += ["", *_entry(target, registry)]
    return ClientFile(_PATH, "\n".join([*lines, ""]))


def _entry(target: Target, registry: Registry) -> list[str]:
    return [
        "[[registry]]",
        f"location = {quoted(str(registry))}",
        "[[registry.mirror]]",
        f"location = {quoted(target.prefix(registry))}",
        *([] if target.secure else ["insecure = true"]),
    ]
