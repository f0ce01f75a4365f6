"""k3s and RKE2: ``registries.yaml``, from which they write containerd's files when they start."""

from __future__ import annotations

from .target import ClientFile, Login, Setup, Target, quoted

__all__ = ["k3s"]


def k3s(target: Target) -> Setup:
    """Return how k3s pulls through ``target``, under the images' own names."""
    login = [] if target.login is None else _login(target.host, target.login)
    names = [str(registry) for registry in target.registries] or ["*"]
    lines = [
        *([] if target.registries else ['# "*" is every registry.']),
        "# The proxy is told by ?ns= which registry is meant. Where it cannot be reached, the registry itself is",
        "# asked, unless k3s was started with --disable-default-registry-endpoint.",
        "mirrors:",
        *(line for name in names for line in (f"  {quoted(name)}:", "    endpoint:", f"      - {quoted(target.url)}")),
        *login,
    ]
    file = ClientFile("/etc/rancher/k3s/registries.yaml", "\n".join([*lines, ""]))
    about = (
        "k3s asks the proxy first, under the images' own names. Every node, server or agent, has this file; RKE2 has "
        "it in /etc/rancher/rke2."
    )
    image = f"{names[0]}/ORG/NAME:TAG" if target.registries else "quay.io/prometheus/busybox:latest"
    then = (
        "# On servers; k3s-agent on agents. Running pods stay:",
        "systemctl restart k3s",
        f"k3s crictl pull {image}",
    )
    return Setup(about, (file,), then)


def _login(host: str, login: Login) -> list[str]:
    return [
        f"# The login of {login.user}: let nobody but root read this file (chmod 600).",
        "configs:",
        f"  {quoted(host)}:",
        "    auth:",
        f"      username: {quoted(login.user)}",
        f"      password: {quoted(login.written_password)}",
    ]
