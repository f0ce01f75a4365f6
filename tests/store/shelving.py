"""Images put into a store as pulls leave them there: contents, permissions and tags."""

from __future__ import annotations

import json
from dataclasses import dataclass

from crproxy.oci.digests import Digest
from crproxy.store.entries import View
from crproxy.store.store import Store
from tests.memory import ended

__all__ = ["INDEX", "MANIFEST", "Shelving"]

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass
class Shelving:
    """Fills ``store``."""

    store: Store

    def image(self, view: View, *layers: bytes, tag: str | None = None) -> Digest:
        """Keep an image whose configuration is {} and which has these layers."""
        for blob in (b"{}", *layers):
            ended(self.store.keep(view.entry(Digest.of(blob)), blob))
            self.store.index.link(view, Digest.of(blob), size=len(blob))
        config, *described = (_descriptor("x/blob", blob) for blob in (b"{}", *layers))
        return self.manifest(view, json.dumps({"config": config, "layers": described}).encode(), tag)

    def index(self, view: View, tag: str, **layers: bytes) -> Digest:
        """Keep an index of an image of one layer for each architecture."""
        entries = []
        for architecture, layer in layers.items():
            digest = self.image(view, layer)
            platform = {"os": "linux", "architecture": architecture}
            entries.append({"mediaType": MANIFEST, "digest": str(digest), "size": 1, "platform": platform})
        return self.manifest(view, json.dumps({"manifests": entries}).encode(), tag)

    def manifest(self, view: View, content: bytes, tag: str | None = None) -> Digest:
        """Keep a manifest, with the permission to have it."""
        digest = Digest.of(content)
        ended(self.store.keep(view.entry(digest), content))
        self.store.index.link(view, digest, MANIFEST, len(content))
        if tag is not None:
            self.store.index.tag(view, tag, digest)
        return digest

    def listed(self, view: View, name: str, content: bytes) -> None:
        """Keep a list of tags or of referrers."""
        digest = Digest.of(content)
        ended(self.store.keep(view.entry(digest), content))
        self.store.index.link(view, digest, size=len(content))
        self.store.index.tag(view, name, digest)


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}
