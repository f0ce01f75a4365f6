"""containerd, and so Kubernetes on it: ``hosts.toml`` in a directory for each registry, or one for all of them."""

from __future__ import annotations

from .target import ClientFile, Login, Setup, Target, quoted

__all__ = ["containerd"]

_DIRECTORY = "/etc/containerd/certs.d"
# By the version at the top of the file: containerd 2 takes both, and knows by it which names are meant.
_CONFIGS = tuple(
    f"""\
# {whose}
[plugins."{plugin}".registry]
  config_path = "{_DIRECTORY}"
"""
    for whose, plugin in (
        (
            "For Kubernetes, with containerd 2 (version = 3 at the top of the file). ctr and nerdctl have an option\n"
            "# for it, --hosts-dir.",
            "io.containerd.cri.v1.images",
        ),
        ("Or, with containerd 1 (version = 2 at the top of the file):", "io.containerd.grpc.v1.cri"),
    )
)


def containerd(target: Target) -> Setup:
    """Return how containerd pulls through ``target``: with one file for every registry, or one for each chosen one."""
    names = [str(registry) for registry in target.registries] or ["_default"]
    files = tuple(ClientFile(f"{_DIRECTORY}/{name}/hosts.toml", _text(target, name)) for name in names)
    about = (
        "containerd asks the proxy first, under the images' own names, and the registry itself where that fails. Its "
        "own configuration says where such files are."
    )
    image = f"{target.registries[0]}/ORG/NAME:TAG" if target.registries else "quay.io/prometheus/busybox:latest"
    return Setup(
        about,
        files,
        then=(
            "# hosts.toml is read for each pull; config.toml when containerd starts:",
            "systemctl restart containerd",
            f"crictl pull {image}",
            f"ctr images pull --hosts-dir {_DIRECTORY} {image}",
        ),
        added=tuple(ClientFile("/etc/containerd/config.toml", text) for text in _CONFIGS),
    )


def _text(target: Target, name: str) -> str:
    host = f"[host.{quoted(target.url)}]"
    lines = [
        *_opening(name),
        host,
        "  # What it is asked for: names and their digests, and the content. Nothing is pushed through it.",
        '  capabilities = ["pull", "resolve"]',
        *([] if target.login is None else _header(target.url, target.login)),
    ]
    return "\n".join([*lines, ""])


def _opening(name: str) -> list[str]:
    if name == "_default":
        return [
            "# For every registry that has no directory of its own beside this one. The proxy is told by ?ns= which",
            "# one is meant. Where it cannot be reached, containerd goes on to the registry itself.",
        ]
    return [
        f"# For {name} alone, whose name the directory has. Where the proxy cannot be reached, containerd goes",
        "# on to the registry itself.",
    ]


def _header(url: str, login: Login) -> list[str]:
    how = f"  # In place of BASE64, what this prints: printf %s '{login.user}:PASSWORD' | base64"
    return [
        "",
        f"  # The login of {login.user}, sent with each request: let nobody but root read this file (chmod 600).",
        *([how] if login.password is None else []),
        f"  [host.{quoted(url)}.header]",
        f"    authorization = {quoted(login.basic)}",
    ]
