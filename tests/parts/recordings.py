"""What clients send besides the request line, as it was recorded from each of them against a scripted upstream.

Docker Engine 20.10.24, containerd 1.6.20, podman 4.3.1 (containers/image 5.23.1), crane 0.20.6, oras 1.3.5. Docker
shuffles its Accept lines.
"""

from __future__ import annotations

from dataclasses import dataclass

from .images import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST

__all__ = ["CONTAINERD", "CRANE", "DOCKER", "DOCKER_LIST", "ORAS", "PODMAN", "Fields", "Recording"]

DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
_PRETTY = "application/vnd.docker.distribution.manifest.v1+prettyjws"
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+json"
_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"

Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """A client's header fields, but for Host.

    Arguments:
        head: with HEAD of a manifest.
        manifest: with GET of a manifest.
        other: with GET of anything else.
    """

    head: Fields
    manifest: Fields
    other: Fields


def _line_by_line(*kinds: str) -> Fields:
    return tuple(("Accept", kind) for kind in kinds)


# Go's transport asks for gzip by itself, though not with HEAD.
_GZIP = ("Accept-Encoding", "gzip")
_CLOSE = ("Connection", "close")

_DOCKER_AGENT = (
    "User-Agent",
    "docker/20.10.24+dfsg1 go/go1.19.8 git-commit/5d6db84 os/linux arch/amd64 "
    r"UpstreamClient(Docker-Client/20.10.24+dfsg1 \(linux\))",
)
_DOCKER_ACCEPT = _line_by_line(_PRETTY, "application/json", OCI_MANIFEST, DOCKER_MANIFEST, DOCKER_LIST, OCI_INDEX)
DOCKER = Recording(
    head=(_DOCKER_AGENT, *_DOCKER_ACCEPT, _CLOSE),
    manifest=(_DOCKER_AGENT, *_DOCKER_ACCEPT, _GZIP, _CLOSE),
    other=(_DOCKER_AGENT, _GZIP, _CLOSE),
)

_CONTAINERD_AGENT = ("User-Agent", "containerd/1.6.20~ds1")
# containerd 2 asks so, by its source (core/remotes/docker/fetcher.go); 1.6 for gzip.
_CONTAINERD_ENCODINGS = ("Accept-Encoding", "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5")
CONTAINERD = Recording(
    head=(_CONTAINERD_AGENT, ("Accept", f"{DOCKER_MANIFEST}, {DOCKER_LIST}, {OCI_MANIFEST}, {OCI_INDEX}, */*")),
    manifest=(_CONTAINERD_AGENT, ("Accept", f"{OCI_MANIFEST}, */*"), _CONTAINERD_ENCODINGS),
    other=(_CONTAINERD_AGENT, ("Accept", "application/vnd.oci.image.layer.v1.tar, */*"), _CONTAINERD_ENCODINGS),
)

_PODMAN_AGENT = ("User-Agent", "containers/5.23.1 (github.com/containers/image)")
_PODMAN_REST = (("Docker-Distribution-Api-Version", "registry/2.0"), _GZIP, _CLOSE)
_PODMAN_ACCEPT = _line_by_line(OCI_MANIFEST, DOCKER_MANIFEST, _PRETTY, _SCHEMA_1, DOCKER_LIST, OCI_INDEX)
PODMAN = Recording(
    head=(_PODMAN_AGENT, *_PODMAN_ACCEPT, *_PODMAN_REST),
    manifest=(_PODMAN_AGENT, *_PODMAN_ACCEPT, *_PODMAN_REST),
    other=(_PODMAN_AGENT, *_PODMAN_REST),
)

_CRANE_AGENT = ("User-Agent", "crane/v0.20.6 go-containerregistry/v0.20.6")
_CRANE_ACCEPT = ("Accept", ",".join((_SCHEMA_1, _PRETTY, DOCKER_MANIFEST, OCI_MANIFEST, DOCKER_LIST, OCI_INDEX)))
CRANE = Recording(
    head=(_CRANE_AGENT, _CRANE_ACCEPT),
    manifest=(_CRANE_AGENT, _CRANE_ACCEPT, _GZIP),
    other=(_CRANE_AGENT, _GZIP),
)

_ORAS_AGENT = ("User-Agent", "oras/1.3.5")
_ORAS_ACCEPT = ("Accept", ", ".join((DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX, _ARTIFACT)))
ORAS = Recording(
    head=(_ORAS_AGENT, _ORAS_ACCEPT),
    manifest=(_ORAS_AGENT, _ORAS_ACCEPT, _GZIP),
    other=(_ORAS_AGENT, _GZIP),
)
