"""Where something is: upstream's path, and the target by which a client asks the daemon for it."""

from __future__ import annotations

from dataclasses import dataclass

from .answers import Filler
from .images import sha256

__all__ = ["REGISTRY", "Place", "blob", "manifest_place"]

REGISTRY = "registry.example.org"


@dataclass(frozen=True, slots=True)
class Place:
    """Something in a registry.

    Arguments:
        path: its path there.
        registry: which one.
    """

    path: str
    registry: str = REGISTRY

    @property
    def through(self) -> str:
        """What our client asks for."""
        return self.path.replace("/v2/", f"/v2/{self.registry}/", 1)


def blob(body: bytes | Filler, repository: str = "team/app", registry: str = REGISTRY) -> Place:
    """Return where the blob with these bytes is."""
    digest = body.digest if isinstance(body, Filler) else sha256(body)
    return Place(f"/v2/{repository}/blobs/{digest}", registry)


def manifest_place(reference: str, repository: str = "team/app", registry: str = REGISTRY) -> Place:
    """Return where a manifest is, by tag or by digest."""
    return Place(f"/v2/{repository}/manifests/{reference}", registry)
