"""BuildKit, and so ``docker buildx``: ``buildkitd.toml``."""

from __future__ import annotations

from .target import ClientFile, Setup, Target, quoted

__all__ = ["buildkit"]

_PATH = "/etc/buildkit/buildkitd.toml"


def buildkit(target: Target) -> Setup:
    """Return how BuildKit pulls what ``FROM`` names through ``target``."""
    lines = [
        "# Each registry has the proxy as its mirror: its name goes behind the proxy's. Where the mirror cannot be",
        "# reached, the registry itself is asked.",
    ]
    for registry in target.listed:
        lines += ["", f"[registry.{quoted(str(registry))}]", f"  mirrors = [{quoted(target.prefix(registry))}]"]
    if not target.secure:
        lines += ["", "# It is asked by plain HTTP.", f"[registry.{quoted(target.host)}]", "  http = true"]
    file = ClientFile(_PATH, "\n".join([*lines, ""]))
    about = "BuildKit asks the proxy first for the images that a Dockerfile begins with, under their own names."
    return Setup(about, (file,), (*_builder(target), "docker buildx build ."))


def _builder(target: Target) -> tuple[str, ...]:
    login: tuple[str, ...] = ()
    if target.login is not None:
        login = (
            "# The login is the one of whoever runs the build:",
            f"docker login --username {target.login.user} {target.host}",
        )
    # A builder of buildx's runs in a container, where localhost is the container itself.
    network = " --driver-opt network=host" if target.is_loopback else ""
    return (
        *login,
        "# A buildkitd of one's own is restarted; buildx makes a builder that has the file:",
        f"docker buildx create --use --driver docker-container{network} --buildkitd-config {_PATH}",
    )
