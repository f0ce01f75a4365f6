"""What differs from registry to registry: one table. Everything else is done for all of them alike.

Token services on other hosts, redirected manifests, signed URLs, tokens under either name are no quirks: any registry
may have them, and every one is asked in the way that copes with them.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..oci.names import DOCKER_HUB, Registry

__all__ = ["Quirks", "quirks"]


@dataclass(frozen=True, slots=True)
class Quirks:
    """What is peculiar about a registry.

    Arguments:
        host: where it is reached, if that is not its name.
        counts_manifests: each GET of a manifest uses up a quota, and a HEAD does not: it never becomes a GET.
        denied: what a 401 or 403 may mean there, for the message.
    """

    host: str | None = None
    counts_manifests: bool = False
    denied: str | None = None


_TABLE = {
    DOCKER_HUB: Quirks(
        host="registry-1.docker.io",
        counts_manifests=True,
        denied="Docker Hub says so of repositories that do not exist, too",
    ),
    Registry("ghcr.io"): Quirks(denied="GitHub says so of packages that do not exist, too"),
    Registry("quay.io"): Quirks(denied="Quay says so of repositories that do not exist, too"),
    Registry("nvcr.io"): Quirks(
        denied="some of NVIDIA's images want the username $oauthtoken, and an API key as its password"
    ),
}
_USUAL = Quirks()


def quirks(registry: Registry) -> Quirks:
    """Return what is peculiar about ``registry``."""
    return _TABLE.get(registry, _USUAL)
