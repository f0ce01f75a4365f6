"""How clients are set up for a proxy: the exact files, as functions of what clients see of it.

Pure: nothing is written, and nobody is asked.
"""

from collections.abc import Callable, Mapping

from .buildkit import buildkit
from .containerd import containerd
from .daemon_json import DAEMON_JSON
from .docker import docker, merge_docker
from .http_proxy import Anchor, HttpProxy
from .k3s import k3s
from .kubernetes import helm, kubernetes
from .ollama import ollama
from .proxied import PROXIED
from .registries_conf import cri_o, podman
from .target import ClientFile, Login, Setup, SetupError, Target

__all__ = [
    "DAEMON_JSON",
    "PROXIED",
    "SETUPS",
    "Anchor",
    "ClientFile",
    "HttpProxy",
    "Login",
    "Setup",
    "SetupError",
    "Target",
    "merge_docker",
]

SETUPS: Mapping[str, Callable[[Target], Setup]] = {
    "docker": docker,
    "containerd": containerd,
    "podman": podman,
    "cri-o": cri_o,
    "k3s": k3s,
    "kubernetes": kubernetes,
    "buildkit": buildkit,
    "helm": helm,
    "ollama": ollama,
}
"""By the name of the client."""
