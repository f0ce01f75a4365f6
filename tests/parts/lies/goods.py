"""What there is in a repository: an image, in an index, whose bytes follow from the repository's name."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.parts.images import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, sha256

__all__ = ["Goods"]


@dataclass(frozen=True, slots=True)
class Goods:
    """An image.

    Arguments:
        blobs: its bytes by their digest.
        manifests: type and bytes of each, by digest and by tag.
    """

    blobs: Mapping[str, bytes]
    manifests: Mapping[str, tuple[str, bytes]]

    @classmethod
    def of(cls, letter: str, number: int) -> Goods:
        """Return what is in the repository of this name."""
        return _made(letter, number)

    @property
    def layer(self) -> str:
        """The digest of the largest blob."""
        return max(self.blobs, key=lambda digest: len(self.blobs[digest]))

    @property
    def manifest(self) -> str:
        """The digest of the image's manifest."""
        return sha256(self.manifests["v1"][1])

    def whole(self, reference: str) -> bytes | None:
        """Return what has this tag or digest; None where nothing has."""
        if reference in self.blobs:
            return self.blobs[reference]
        return self.manifests[reference][1] if reference in self.manifests else None

    @property
    def content(self) -> dict[str, bytes]:
        """All there is, by digest."""
        whole = {name: body for name, (_, body) in self.manifests.items() if name.startswith("sha256:")}
        return whole | dict(self.blobs)


@functools.lru_cache(4096)
def _made(letter: str, number: int) -> Goods:
    random = Random(f"{letter}{number}")
    # Most are small, so that many can be answered; some take several reads and writes.
    layer = random.randbytes(random.choice((1, 100, 2000, 10_000, 20_000)) if number % 40 else 400_000)
    config = json.dumps({"architecture": "amd64", "os": "linux", "number": number, "of": letter}).encode()
    image = _document(
        OCI_MANIFEST, {"config": _descriptor(OCI_CONFIG, config), "layers": [_descriptor(OCI_LAYER, layer)]}
    )
    platform = {"platform": {"architecture": "amd64", "os": "linux"}}
    index = _document(OCI_INDEX, {"manifests": [_descriptor(OCI_MANIFEST, image) | platform]})
    manifests = {
        "v1": (OCI_MANIFEST, image),
        "latest": (OCI_INDEX, index),
        sha256(image): (OCI_MANIFEST, image),
        sha256(index): (OCI_INDEX, index),
    }
    return Goods({sha256(body): body for body in (config, layer)}, manifests)


def _document(media_type: str, content: dict[str, Any]) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": media_type, **content}).encode()


def _descriptor(media_type: str, body: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha256(body), "size": len(body)}
